"""The copy of the run published last: what is kept when, and what a rerun makes of what it finds."""

import json
from pathlib import Path

import pytest

from pipeline.compare.run_results import RESULT_FILES
from pipeline.core import paths
from pipeline.rerun.previous import PUBLISHED, NothingToCompare, keep_published, previous_run, published_folder
from tests.support.shell import HEADS_HEADER


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, entered, with a file in every place that an outcome is read from, without git."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    for path in RESULT_FILES:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    paths.PARAMS.write_text("ablation: {primary_measure: qwk}")
    paths.HEADS.write_text(f"{HEADS_HEADER.replace('log_loss', 'qwk')}\n0,0,-0.5,-0.6,-0.4,0.5,needed\n")
    paths.LABELS.write_text("layer,head,function,is_labelled\n0,0,cls,True\n")
    paths.FINDINGS.write_text(json.dumps([{"id": "F3", "verdict": "agrees"}]))
    return tmp_path


def kept() -> dict[Path, str]:
    return {
        path: (published_folder() / path).read_text() for path in RESULT_FILES if (published_folder() / path).exists()
    }


def test_the_copy_is_of_the_newest_finished_run(finished):
    keep_published()
    assert kept() == {path: path.read_text() for path in RESULT_FILES}
    paths.FINDINGS.write_text("[]")
    keep_published()
    assert kept()[paths.FINDINGS] == "[]"
    assert sorted(path.name for path in published_folder().parent.iterdir()) == ["last"]


def test_a_run_with_a_file_missing_leaves_the_copy_as_it_was(finished):
    keep_published()
    before = kept()
    paths.HEADS.unlink()
    paths.FINDINGS.write_text("[]")
    keep_published()
    assert kept() == before


def test_an_experiment_leaves_no_copy(finished, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "full")
    keep_published()
    monkeypatch.delenv("DVC_EXP_NAME")
    monkeypatch.setenv("DVC_ROOT", str(finished / "another"))
    keep_published()
    assert kept() == {}
    assert not (finished / "another").exists()


def test_the_previous_run_is_the_one_kept_not_the_one_in_the_working_tree(finished):
    keep_published()
    paths.FINDINGS.write_text("[]")
    run = previous_run("grader")
    assert (run.name, run.verdicts) == (PUBLISHED, {"F3": "agrees"})


def test_without_any_previous_run_there_is_none(finished):
    with pytest.raises(NothingToCompare, match="no run has been published here, and git has no commit"):
        previous_run("grader")


def test_a_previous_run_of_another_kind_of_model_is_not_compared_with(finished):
    keep_published()
    with pytest.raises(NothingToCompare, match="the run published last is of a grader, and this one of a ranker"):
        previous_run("ranker")


@pytest.mark.parametrize(
    ("path", "content"),
    [(paths.FINDINGS, "[{}]"), (paths.HEADS, "layer,head,effect\n0,0,0.5\n"), (paths.stage_metrics("finetune"), "{")],
)
def test_results_of_another_version_are_no_reason_to_stop(finished, path, content):
    path.write_text(content)
    keep_published()
    with pytest.raises(NothingToCompare, match=r"^the run before cannot be read: "):
        previous_run("grader")
