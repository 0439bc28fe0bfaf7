"""Published rerankers score pairs as sentence-transformers' `CrossEncoder` does, whatever layout holds them."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.models import checkpoints
from pipeline.models.families import FAMILIES
from pipeline.models.scoring_chain import ScoringChain
from tests.support.builders import CHECKPOINT, CPU, TEXTS, drop_weights, load_tiny, random_classifier, save_checkpoint
from tests.support.cross_encoders import (
    IDENTITY,
    LAYOUTS,
    TANH,
    close_scores,
    cross_encoder_scores,
    random_chain,
    random_ranker,
    random_texts,
    ranker_params,
    raw_scores,
    save_chain,
)

pytestmark = pytest.mark.usefixtures("offline_project")
MODEL = Path("data/model")


def load_ranker(**changes):
    return checkpoints.load_start(ranker_params(**changes), TEXTS, CPU)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layout", ["old", "new", "chain"])
def test_scores_against_cross_encoder(layout, family):
    check_scores(layout, family, pairs=40)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
@pytest.mark.parametrize("layout", ["oldest", "mean chain"])
def test_scores_of_the_rarer_layouts(layout, family):
    check_scores(layout, family, pairs=40)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_thousand_scores_against_cross_encoder(layout, family):
    check_scores(layout, family, pairs=1000)


def check_scores(layout, family, pairs):
    LAYOUTS[layout](CHECKPOINT, family)
    texts = random_texts(pairs)
    expected = cross_encoder_scores(CHECKPOINT, *texts)
    assert expected.std() > 0.5
    loaded = load_ranker()
    assert close_scores(raw_scores(loaded, *texts), expected)
    assert isinstance(loaded[0], ScoringChain) == ("chain" in layout)
    assert loaded[0].config.num_labels == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", ["old", "chain"])
def test_weights_of_half_precision_score_in_float32(layout, dtype):
    LAYOUTS[layout](CHECKPOINT, "bert", dtype)
    texts = random_texts(40)
    loaded = load_ranker()
    assert {weight.dtype for weight in loaded[0].parameters()} == {torch.float32}
    assert close_scores(raw_scores(loaded, *texts), cross_encoder_scores(CHECKPOINT, *texts))


@pytest.mark.parametrize("layout", ["oldest", "new", "mean chain"])
def test_a_saved_ranker_is_a_cross_encoder_and_tells_nothing_of_its_origin(layout, tmp_path):
    LAYOUTS[layout](CHECKPOINT, "modernbert")
    texts, hashes = random_texts(40), []
    for name in ("first", "second"):
        shutil.copytree(tmp_path / CHECKPOINT, tmp_path / name / CHECKPOINT)
        os.chdir(tmp_path / name)
        loaded = load_ranker()
        checkpoints.save_tuned(*loaded, MODEL)
        files = [file for file in MODEL.rglob("*") if file.is_file()]
        hashes.append({str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files})
    assert hashes[0] == hashes[1]
    assert str(tmp_path) not in "".join(file.read_text() for file in MODEL.rglob("*.json"))
    scores = raw_scores(loaded, *texts)
    assert np.array_equal(raw_scores(checkpoints.load_tuned(MODEL, CPU), *texts), scores)
    assert close_scores(scores, cross_encoder_scores(MODEL, *texts))


def test_the_files_of_a_saved_chain():
    checkpoints.save_tuned(random_chain(), load_tiny("scratch")[1], MODEL)
    assert {str(file.relative_to(MODEL)) for file in MODEL.rglob("*") if file.is_file()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "modules.json"),
        *("config_sentence_transformers.json", "sentence_bert_config.json", "1_Pooling/config.json"),
        *("2_Dense/config.json", "2_Dense/model.safetensors", "3_LayerNorm/config.json"),
        *("3_LayerNorm/model.safetensors", "4_Dense/config.json", "4_Dense/model.safetensors"),
    }


@pytest.mark.parametrize("layout", ["oldest", "old", "new"])
def test_the_activation_and_the_length_are_kept_for_predict(layout):
    from sentence_transformers import CrossEncoder

    LAYOUTS[layout](CHECKPOINT, "bert")
    checkpoints.save_tuned(*load_ranker(), MODEL)
    saved = CrossEncoder(str(MODEL), device="cpu")
    assert isinstance(saved.activation_fn, torch.nn.Tanh)
    assert saved.tokenizer.model_max_length == ranker_params().model.max_length


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_two_outputs_are_scored_by_their_difference(family, capsys):
    save_checkpoint(CHECKPOINT, random_ranker(family, outputs=2))
    texts = random_texts(40)
    both = cross_encoder_scores(CHECKPOINT, *texts)
    loaded = load_ranker()
    assert close_scores(raw_scores(loaded, *texts), both[:, 1] - both[:, 0])
    assert "has two outputs; the score is output 1 (LABEL_1) less output 0 (LABEL_0)" in capsys.readouterr().err
    checkpoints.save_tuned(*loaded, MODEL)
    assert close_scores(cross_encoder_scores(MODEL, *texts), both[:, 1] - both[:, 0])


@pytest.mark.parametrize(("names", "relevant"), [(["Relevant", "irrelevant"], 0), (["no", "yes"], 1), (["a", "b"], 1)])
def test_names_say_which_of_two_outputs_is_the_relevant_one(names, relevant):
    save_checkpoint(CHECKPOINT, random_ranker("roberta", outputs=2), id2label=dict(enumerate(names)))
    texts = random_texts(10)
    both = cross_encoder_scores(CHECKPOINT, *texts)
    assert close_scores(raw_scores(load_ranker(), *texts), both[:, relevant] - both[:, 1 - relevant])


def test_the_length_that_predict_cuts_to_is_said_where_it_differs(capsys):
    save_chain(CHECKPOINT, "bert")
    room = load_ranker(model__max_length=48)[0].config.max_position_embeddings
    assert capsys.readouterr().err.endswith(
        f"finetune: CrossEncoder.predict cuts pairs of data/checkpoints/tiny to {room} tokens, model.max_length to 48\n"
    )
    load_ranker(model__max_length=room)
    assert capsys.readouterr().err == ""


def test_training_goes_on_from_the_score_a_checkpoint_has():
    for layout in ("new", "chain"):
        LAYOUTS[layout](CHECKPOINT, "bert")
        texts = random_texts(10)
        assert close_scores(
            raw_scores(load_ranker(model__fine_tuned=False), *texts), cross_encoder_scores(CHECKPOINT, *texts)
        )


@pytest.mark.parametrize("family", ["electra", "distilbert", "modernbert", "deberta-v2"])
def test_training_starts_from_a_new_score_where_there_is_none(family):
    saved = save_checkpoint(CHECKPOINT, random_classifier(family, heads=2))
    first, again, other = (load_ranker(model__fine_tuned=False, run__seed=seed)[0] for seed in (1, 1, 2))
    weights = [getattr(model.classifier, "out_proj", model.classifier).weight for model in (first, again, other)]
    assert weights[0].shape == (1, 16)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    for name, weight in saved.base_model.state_dict().items():
        assert torch.equal(first.base_model.state_dict()[name], weight), name


@pytest.mark.parametrize("name", ["scratch", str(CHECKPOINT)])
def test_a_new_score_is_saved_for_predict_to_give_as_it_is(name):
    save_checkpoint(CHECKPOINT, sentence_transformers={"activation_fn": TANH})
    checkpoints.save_tuned(*load_ranker(name=name, model__fine_tuned=False), MODEL)
    settings = json.loads((MODEL / "config_sentence_transformers.json").read_text())
    assert settings["activation_fn"] == IDENTITY
    texts = random_texts(10)
    assert close_scores(raw_scores(checkpoints.load_tuned(MODEL, CPU), *texts), cross_encoder_scores(MODEL, *texts))


def test_before_and_after_of_a_chain_have_the_same_heads():
    save_chain(CHECKPOINT, "bert")
    assert checkpoints.load_labelled(ranker_params(), CPU)[0].config.num_labels == 1
    params = ranker_params(model__pretrained_from="scratch")
    assert checkpoints.load_before(params, TEXTS, CPU)[0].config.num_labels == 1
    checkpoints.load_labelled(params, CPU)
    wide = {**params.model.scratch.model_dump(), "heads": 4}
    with pytest.raises(InputError, match=r"has 2 layers x 4 heads, model.name 2 x 2"):
        checkpoints.load_start(ranker_params(model__pretrained_from="scratch", model__scratch=wide), TEXTS, CPU)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chain_gives_attention_maps_and_its_encoder(family):
    chain = random_chain(family)
    chain.set_attn_implementation("eager")
    ids = torch.randint(5, 60, (2, 7))
    output = chain(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True)
    assert output.logits.shape == (2, 1)
    assert [tuple(layer.shape) for layer in output.attentions] == [(2, 2, 7, 7)] * 2
    assert chain.base_model is chain.encoder
    assert chain.num_parameters() == sum(weight.numel() for weight in chain.parameters())


@pytest.mark.parametrize("layout", ["old", "new", "chain"])
def test_a_name_of_the_hub_reads_the_same_files(layout, tmp_path, monkeypatch):
    LAYOUTS[layout](CHECKPOINT, "bert")
    texts = random_texts(10)
    expected = raw_scores(load_ranker(), *texts)
    commit = "0" * 40
    stored = tmp_path / "hub" / "models--somebody--ranker"
    shutil.copytree(CHECKPOINT, stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    shutil.rmtree(CHECKPOINT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert np.array_equal(raw_scores(load_ranker(name="somebody/ranker"), *texts), expected)


def test_a_scoring_layer_is_never_made_up():
    save_checkpoint(CHECKPOINT, random_ranker("bert"))
    drop_weights("classifier")
    with pytest.raises(
        InputError, match=r"no trained scoring layer \(classifier.bias, classifier.weight are missing\)"
    ):
        load_ranker()
