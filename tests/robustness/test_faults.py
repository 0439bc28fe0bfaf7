"""What the disk refuses, and files that are damaged, end a stage with exit code 2 and one message."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.core import formats, paths
from pipeline.core.errors import InputError
from pipeline.models import checkpoint_files, checkpoints, word_alignment
from tests.support.builders import colour_pairs, load_tiny, save_checkpoint
from tests.support.shell import REPOSITORY, in_child, limited_command, mounted, remounted_read_only

SPLITS = (paths.TRAIN, paths.DEV, paths.TEST)
NUMBERS = np.random.default_rng(0).random(100_000)
SIZES = {"train_pairs": 300, "dev_pairs": 60, "test_pairs": 60, "titles_per_query": 6}
SMALL = SIZES | {"label_noise": 0.0, "language": "en"}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((REPOSITORY / paths.PARAMS).read_text(encoding="utf-8"))
    values["data"]["generated"] = SMALL
    values["model"] |= {"name": "scratch", "scratch": {"layers": 2, "heads": 2, "hidden": 16, "vocabulary": 200}}
    paths.PARAMS.write_text(yaml.safe_dump(values))
    return tmp_path


def tuned() -> Callable[[], None]:
    """A writer of a whole model folder, which several libraries take part in."""
    save_checkpoint(Path("data/checkpoints/tiny"))
    model, tokenizer = load_tiny()
    return lambda: checkpoints.save_tuned(model, tokenizer, Path("out/model"))


WRITERS = {
    "text": lambda: lambda: formats.write_text(Path("out/a.txt"), "text " * 100_000),
    "csv": lambda: lambda: formats.write_csv(Path("out/a.csv"), pd.DataFrame({"a": NUMBERS})),
    "parquet": lambda: lambda: formats.write_parquet(Path("out/a.parquet"), pd.DataFrame({"a": NUMBERS})),
    "safetensors": lambda: lambda: formats.write_safetensors(Path("out/a.safetensors"), {"a": NUMBERS}),
    "model": tuned,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_the_system_cuts_is_refused_and_nothing_remains(kind: str):
    write = WRITERS[kind]()
    said = in_child(write, largest=4096)
    assert said.startswith("InputError: out/")
    assert "cannot be written: " in said
    assert "ile too large" in said
    assert said.endswith("; fix that and try again")
    assert list(Path("out").iterdir()) == []


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_named_and_nothing_remains(kind: str, project: Path):
    """Where no file system may be mounted, a file that stands for all space does: the limit on its size."""
    write = WRITERS[kind]()
    with mounted(project / "out", "size=16k") as is_full:
        said = in_child(write, largest=2**40 if is_full else 4096)
        assert said.startswith("InputError: out/")
        assert ("o space left on device" if is_full else "ile too large") in said
        assert said.endswith("; fix that and try again")
        assert list(Path("out").iterdir()) == []


def test_prepare_on_a_full_disk(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    with mounted(project / paths.PREPARED, "size=8k") as is_full:
        if is_full:
            assert limited_command(monkeypatch, "prepare") == 2
            said = capsys.readouterr().err
        else:
            said = in_child(lambda: _exits(monkeypatch), largest=4096)
        assert "prepare: data/prepared/train.parquet cannot be written: " in said or "SystemExit: 2" in said
        assert "Traceback" not in said
        assert list(paths.PREPARED.iterdir()) == []
    assert not paths.stage_metrics("prepare").exists()


def _exits(monkeypatch: pytest.MonkeyPatch) -> None:
    raise SystemExit(limited_command(monkeypatch, "prepare"))


def test_prepare_where_nothing_may_be_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with mounted(project / "data", "size=1m") as is_own:
        if is_own:
            remounted_read_only(project / "data")
            reason = "Read-only file system; fix that and try again"
        else:
            shutil.rmtree("data")
            Path("data").write_text("mine")
            reason = "data is not a folder: "
        assert limited_command(monkeypatch, "prepare") == 2
        assert reason in capsys.readouterr().err


@pytest.mark.parametrize("blocked", ["data", "data/prepared", "reports", "reports/prepare"])
def test_prepare_with_a_file_where_a_folder_belongs(
    blocked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    Path(blocked).parent.mkdir(parents=True, exist_ok=True)
    Path(blocked).write_text("mine")
    assert limited_command(monkeypatch, "prepare") == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert f"{blocked} is not a folder: " in said
    assert "fix that and try again" in said
    assert Path(blocked).read_text() == "mine"


def test_a_file_where_the_cache_belongs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    paths.CACHE.write_text("mine")
    word_alignment._segmenter.cache_clear()
    with pytest.raises(InputError, match=r"\.cache cannot be written: File exists; fix that"):
        word_alignment.term_spans("红色的鞋")
    assert limited_command(monkeypatch, "prepare") == 2
    assert ".cache" in capsys.readouterr().err
    assert paths.CACHE.read_text() == "mine"


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limited_command(monkeypatch, "prepare") == 0


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("path", SPLITS, ids=lambda path: path.stem)
@pytest.mark.parametrize("how", ["missing", "cut short", "overwritten", "another table"])
def test_a_damaged_split_ends_each_stage_that_reads_it(
    path: Path, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "overwritten":
        path.write_bytes(content[:300] + b"\0" * 300 + content[600:])
    else:
        pd.DataFrame({"a": [1]}).to_parquet(path)
    for stage in ("finetune", "bilstm"):
        assert limited_command(monkeypatch, stage) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"{stage}: {path} ")
        assert "run `dvc repro`" in said
    assert not paths.MODEL.exists()


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("damage", ["cut short", "no weights", "no folder"])
@pytest.mark.parametrize("stage", ["attention", "head_ablation", "dependency"])
def test_a_damaged_model_ends_each_stage_that_reads_it(
    stage: str, damage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    save_checkpoint(paths.MODEL)
    if damage == "cut short":
        os.truncate(paths.MODEL / "model.safetensors", 5000)
    elif damage == "no weights":
        (paths.MODEL / "model.safetensors").unlink()
    else:
        shutil.rmtree(paths.MODEL)
    assert limited_command(monkeypatch, stage) == 2
    said = capsys.readouterr().err
    assert "data/model" in said
    assert "run `dvc repro --force finetune`" in said


def test_a_flipped_bit_in_the_embedded_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    original = checkpoint_files._embedded_folder()
    copy = tmp_path / "package" / "model"
    shutil.copytree(original, copy)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1000, os.SEEK_END)
        file.write(bytes([byte ^ 1]))
    monkeypatch.setattr(checkpoint_files.importlib.resources, "files", lambda name: tmp_path / "package")
    for path in SPLITS:
        formats.write_parquet(path, colour_pairs(20))
    shutil.copy(REPOSITORY / paths.PARAMS, paths.PARAMS)
    assert limited_command(monkeypatch, "finetune") == 2
    assert "pip install --force-reinstall" in capsys.readouterr().err
