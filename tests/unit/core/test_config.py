import re
from pathlib import Path

import pytest
import yaml

from pipeline.core.config import flatten_params, load_params
from pipeline.core.errors import InputError


@pytest.fixture
def write(tmp_path):
    """Write the default params with one dotted key changed (or removed, by the value `...`)."""

    def change(key: str, value):
        values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
        *sections, leaf = key.split(".")
        place = values
        for section in sections:
            place = place[section]
        if value is ...:
            del place[leaf]
        else:
            place[leaf] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return change


def test_the_committed_params_are_valid():
    assert load_params().data.source == "generated"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("run.sed", 1, "run.sed is not a known key (value 1); did you mean run.seed?"),
        ("xyz", 1, "xyz is not a known key (value 1); remove it or fix its name"),
        ("max_epochs", 1, "max_epochs is not a known key (value 1); did you mean training.max_epochs?"),
        ("run.seed", ..., "run.seed is missing"),
        ("run.seed", -1, "run.seed is -1; it must be 0 or more"),
        ("run.device", "tpu", "run.device is 'tpu'; it must be 'auto', 'cpu' or 'cuda'"),
        ("run.seed", "13", "run.seed is '13'; it must be a whole number"),
        ("training.max_epochs", 1.5, "training.max_epochs is 1.5; it must be a whole number"),
        ("data.source", "/etc/passwd", "data: source '/etc/passwd' is neither"),
        ("data.source", "data/raw/../x.csv", "data/raw/"),
        ("data.source", "data/raw/x.xlsx", ".csv, .tsv, .jsonl, .parquet file or a BEIR folder"),
        ("data.source", "data/raw/beir.v1", "a BEIR folder (its name without a dot) below data/raw/"),
        ("data.source", "data/raw", "data: source 'data/raw' is neither"),
        (
            "data.unlabelled",
            "more.csv",
            "data: unlabelled 'more.csv' is neither null nor a .csv, .tsv, .jsonl, .parquet",
        ),
        ("data.unlabelled", "data/raw/../x.csv", "data/raw/"),
        ("data.unlabelled", "data/raw/more.txt", "(written as data/raw/NAME)"),
        ("data.unlabelled", "", "data: unlabelled '' is neither null"),
        ("data.unlabelled", ["data/raw/more.csv"], "data.unlabelled is ['data/raw/more.csv']; it must be text"),
        ("data.grades", ["1", "1"], "holds a grade twice"),
        ("data.dev_share", 0.9, "leave nothing to train on"),
        ("model.scratch.heads", 3, "hidden 128 is not a multiple of heads 3"),
        ("model.label_order", ["1", "2"], "model.label_order ['1', '2'] must hold each"),
        ("training.patience", 0, "training.patience is 0; it must be 1 or more"),
        ("model.fine_tuned", True, "says that model.name is fine-tuned already, but that is 'embedded'"),
        ("model.pretrained_from", "bert-base-uncased", "but model.fine_tuned is false; set that to true"),
        ("limits.accuracy_drop", -0.1, "limits.accuracy_drop is -0.1; it must be 0.0 or more"),
        ("limits.findings", 0.5, "limits.findings is 0.5; it must be a whole number"),
        (
            "finetune.learning_rate",
            "1e-4",
            "finetune.learning_rate is '1e-4'; it must be a number (1.0e-4 is one to YAML",
        ),
        ("data.grades", "1", "data.grades: '1' is neither numbers nor a list of two names or more"),
        ("data.grades", ["1"], "data.grades: ['1'] is neither numbers nor a list"),
        ("data.grades", [1, 2], "data.grades: [1, 2] is neither numbers nor a list of two names or more, in quotes"),
        ("data.grades", "numbers", "data: grades numbers: the generated corpus has five grades; list five"),
        ("finetune", None, "finetune is None; it must be a section of keys"),
        (
            "group_ablation.groups",
            {"mine": [[1]]},
            "group_ablation.groups.mine.0 is [1]; write a group as [[layer, head]",
        ),
        (
            "group_ablation.groups",
            {"mine": [6.0]},
            "group_ablation.groups.mine.0 is 6.0; write a group as [[layer, head]",
        ),
        ("group_ablation.groups", [[1, 2]], "group_ablation.groups is [[1, 2]]; it must be a section of keys, or {}"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(write, key, value, said):
    path = write(key, value)
    with pytest.raises(InputError) as caught:
        load_params(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_folder_is_a_source_and_has_no_slices(write):
    path = write("data.source", "data/raw/scifact")
    assert load_params(path).data.is_beir_source
    assert not load_params().data.is_beir_source
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["data"]["slices"] = ["year"]
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(InputError, match=r"data: slices \['year'\]: a BEIR folder has no columns to slice by"):
        load_params(path)


def test_no_message_of_the_checking_library_reaches_the_user(write):
    for key, value in (("run.seed", None), ("data.slices", 1), ("model.name", ""), ("attention.drift_null", 1)):
        with pytest.raises(InputError) as caught:
            load_params(write(key, value))
        assert "it must be" in str(caught.value)
        assert "nput should" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "base", "is_local"),
    [
        ("embedded", None, True),
        ("scratch", "data/checkpoints/mine", True),
        ("data/checkpoints/../x", None, False),
        ("embedded", "bert-base-uncased", False),
    ],
)
def test_a_model_that_never_asks_the_hub(write, name, base, is_local):
    path = write("model.name", name)
    model = load_params(path).model
    assert model.model_copy(update={"pretrained_from": base}).is_local == is_local


def test_params_under_dotted_names():
    assert flatten_params({"a": {"b": None, "c": {}, "d": {"e": "x"}}, "f": ["é"]}) == {
        "a.b": "null",
        "a.c": "{}",
        "a.d.e": "x",
        "f": '["é"]',
    }
    assert flatten_params({"group_ablation": {"groups": {"mine": [[0, 1]]}}}) == {
        "group_ablation.groups": '{"mine": [[0, 1]]}'
    }
    assert flatten_params(load_params()) == flatten_params(yaml.safe_load(Path("params.yaml").read_text("utf-8")))


def test_every_wrong_value_is_named_at_once(write, tmp_path):
    path = write("run.seed", -1)
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["training"]["max_epochs"] = "many"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(InputError, match=r"(?s)run\.seed.*training\.max_epochs"):
        load_params(path)


def test_a_missing_file_and_one_that_is_not_yaml(tmp_path):
    with pytest.raises(InputError, match="is missing; run from the project's root"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match="is not YAML"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ("attention.label_margin", "attention.label_margin was renamed to attention.label_threshold"),
        ("group_ablation.draws", "group_ablation.draws was renamed to group_ablation.random_groups_per_share"),
        (
            "ablation.max_pairs",
            "ablation.max_pairs was renamed to head_ablation.max_pairs and group_ablation.max_pairs",
        ),
        (
            "finetune.epochs",
            "finetune.epochs was renamed to training.max_epochs, and its value 0 to model.fine_tuned",
        ),
        ("bilstm.epochs", "bilstm.epochs was renamed to training.max_epochs"),
        ("base", "base was renamed to run, and its key draws to bootstrap_resamples"),
    ],
)
def test_a_key_of_an_older_version_is_told_its_new_name(write, old, said):
    with pytest.raises(InputError, match=re.escape(said)):
        load_params(write(old, 1))
