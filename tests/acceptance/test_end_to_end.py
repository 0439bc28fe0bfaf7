"""The real dvc.yaml, run once in a copy of the project on a tiny table and a random BERT."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipeline.__main__ import STAGES
from tests.support.shell import TINY_TABLE, executed, files, run_stage_command
from tests.table_dictionary import OF_RANKERS, RECORDS, TABLES

OUTPUTS = {
    "data/prepared/train.parquet",
    "data/prepared/dev.parquet",
    "data/prepared/test.parquet",
    "data/prepared/unlabelled.parquet",
    "data/prepared/rejected.csv",
    "data/model/config.json",
    "data/model/model.safetensors",
    "data/model/tokenizer.json",
    "data/model/tokenizer_config.json",
    "data/predictions/test.parquet",
    "data/predictions/bilstm_test.parquet",
    "data/attention/maps.safetensors",
    "data/attention/example_pairs.json",
    "data/attention/explorer_maps.safetensors",
    "data/attention/explorer_pairs.json",
    "data/attention/head_distances.safetensors",
    "data/ablation/heads.safetensors",
    *(
        f"data/pruned/{form}/{name}"
        for form in ("small", "drop_in")
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    ),
    "data/pruned/small/pruning.json",
    "data/ablation/groups.safetensors",
    "data/ablation/head_rows.safetensors",
    "data/ablation/group_rows.safetensors",
    "data/dependency/example_cls_attention.json",
    "reports/prepare/metrics.json",
    "reports/finetune/metrics.json",
    "reports/bilstm/curve.csv",
    "reports/finetune/curve.csv",
    "reports/bilstm/metrics.json",
    "reports/attention/metrics.json",
    "reports/attention/profiles.csv",
    "reports/attention/labels.csv",
    "reports/attention/attention_shift.csv",
    "reports/attention/attention_shift_mean.csv",
    "reports/attention/term_match_shift.csv",
    "reports/attention/head_embedding.csv",
    "reports/head_ablation/metrics.json",
    "reports/head_ablation/heads.csv",
    "reports/head_ablation/measures.csv",
    "reports/head_ablation/head_slices.csv",
    "reports/head_ablation/kept_heads.csv",
    "reports/head_ablation/unlabelled_heads.csv",
    "reports/group_ablation/metrics.json",
    "reports/group_ablation/groups.csv",
    "reports/group_ablation/measures.csv",
    "reports/group_ablation/controls.csv",
    "reports/group_ablation/contrasts.csv",
    "reports/group_ablation/slices.csv",
    "reports/dependency/metrics.json",
    "reports/dependency/edges.csv",
    "reports/dependency/edges_term_match.csv",
    "reports/dependency/mediation.csv",
    "reports/dependency/joint_mediation.csv",
    "reports/pruning/metrics.json",
    "reports/pruning/ladder.csv",
    "reports/pruning/controls.csv",
    "reports/pruning/changed_pairs.csv",
    "reports/pruning/decision.json",
    "reports/findings.json",
    "reports/headline.json",
    "reports/report.html",
    "reports/explorer.html",
    "reports/explorer.json",
}


def rows(folder: Path) -> pd.DataFrame:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    return mlflow.search_runs(search_all_experiments=True)


def pipeline_rows(folder: Path) -> pd.DataFrame:
    """One row an execution, the newest first."""
    found = rows(folder)
    return found[found["tags.mlflow.parentRunId"].isna()]


def test_exactly_the_promised_files_are_written(finished):
    written = files(finished, "data", "reports")
    figures = {name for name in written if name.startswith("reports/figures/")}
    own = {"data/raw/README.md", "data/checkpoints/README.md", TINY_TABLE.as_posix()}
    ignored = {name for name in written if name.endswith(".gitignore")}
    assert written - figures - own - ignored == OUTPUTS
    stems = {Path(name).stem for name in figures}
    assert figures == {f"reports/figures/{stem}{ending}" for stem in stems for ending in (".png", ".svg")}
    assert "heads_heatmap" in stems


def test_every_table_is_as_defined_and_none_lacks_a_definition(finished, monkeypatch):
    monkeypatch.chdir(finished)
    written = {Path(name) for name in files(finished, "data", "reports") if name.endswith((".csv", ".parquet"))}
    assert written == {table.path for table in TABLES}
    for table in TABLES:
        if table not in OF_RANKERS:
            table.check(table.read())
    for records in RECORDS:
        for record in records.read():
            assert list(record) == list(records.keys), records.path


def test_no_file_holds_a_path_or_a_pickle(finished):
    for name in files(finished, "data", "reports"):
        content = (finished / name).read_bytes()
        assert str(finished).encode() not in content, name
        assert not name.endswith((".bin", ".pt", ".pkl")), name


def test_no_stage_reached_for_the_network_or_a_pickle(finished):
    assert not (finished / ".guard.log").exists(), (finished / ".guard.log").read_text()


def test_one_row_for_the_execution_and_one_for_each_stage(finished):
    found = rows(finished)
    assert set(found["status"]) == {"FINISHED"}
    parents = pipeline_rows(finished)
    assert len(parents) == 1
    children = found.drop(parents.index)
    assert sorted(children["tags.mlflow.runName"]) == sorted(set(STAGES) - {"publish"})
    assert set(children["tags.mlflow.parentRunId"]) == {parents.iloc[0]["run_id"]}
    metrics = json.loads((finished / "reports/finetune/metrics.json").read_text(encoding="utf-8"))
    assert parents.iloc[0]["metrics.grading/test_accuracy"] == pytest.approx(metrics["test_accuracy"])


def test_results_describe_the_same_pairs(finished):
    heads = pd.read_csv(finished / "reports/head_ablation/heads.csv")
    groups = pd.read_csv(finished / "reports/group_ablation/groups.csv", keep_default_na=False)
    assert list(zip(heads["layer"], heads["head"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    mine = groups[groups["group_type"] == "user"].iloc[0]
    alone = heads[(heads["layer"] == 0) & (heads["head"] == 1)].iloc[0]
    assert mine["members"] == "0.1"
    assert mine["accuracy"] == pytest.approx(alone["accuracy"])
    assert mine["log_loss"] == pytest.approx(alone["log_loss"], abs=1e-5)


def test_nothing_to_do_changes_nothing(finished):
    lock, before = (finished / "dvc.lock").read_bytes(), len(rows(finished))
    output = run_stage_command(finished, "dvc", "repro")
    assert executed(output) == {"publish"}
    assert (finished / "dvc.lock").read_bytes() == lock
    assert len(rows(finished)) == before


@pytest.mark.slow
def test_editing_the_table_reruns_the_stages_that_depend_on_it(finished):
    table = finished / TINY_TABLE
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join([*lines, lines[1]]), encoding="utf-8")  # a duplicate: set aside, the splits stay the same
    assert executed(run_stage_command(finished, "dvc", "repro")) == {"prepare", "report", "publish"}
    rejected = pd.read_csv(finished / "data/prepared/rejected.csv")
    assert rejected[["line", "reason"]].to_numpy().tolist() == [[len(lines) + 1, "duplicate"]]
    newest = pipeline_rows(finished).iloc[0]
    assert newest["tags.stages.ran"] == "prepare, report"


def test_a_wrong_param_stops_a_stage_with_a_message_and_code_2(finished):
    text = (finished / "params.yaml").read_text(encoding="utf-8")
    try:
        (finished / "params.yaml").write_text(text.replace("max_epochs: 1", "max_epochs: -1"), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "finetune"], cwd=finished, capture_output=True, text=True, check=False
        )
    finally:
        (finished / "params.yaml").write_text(text, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("finetune: params.yaml: training.max_epochs is -1;")
    assert "Traceback" not in done.stderr
