"""What a stage was made from and what it left, as params and hashes say it."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline.core.config import flatten_params
from pipeline.tracking import provenance
from pipeline.tracking.run_record import declared_params
from tests.support.tracking import report


def test_params_are_flat_and_declared(project, params, tmp_path):
    flat = flatten_params(params)
    assert flat["data.columns.split"] == "null"
    assert flat["data.grades"] == '["1", "2", "3", "4", "5"]'
    assert flat["group_ablation.groups"] == "{}"
    pipeline = tmp_path / "dvc.yaml"
    pipeline.write_text(json.dumps({"stages": {"finetune": {"params": ["run.seed", "model.scratch"]}}}))
    chosen = declared_params(flat, "finetune", pipeline)
    assert list(chosen) == [
        "run.seed",
        *(f"model.scratch.{key}" for key in ("layers", "heads", "hidden", "vocabulary")),
    ]
    assert declared_params(flat, "other", pipeline) == flat


def lock(**changes):
    entry = {
        "cmd": "python -m pipeline finetune",
        "deps": [{"path": "data/prepared", "md5": "aa.dir"}, {"path": "pipeline/core/config.py", "md5": "bb"}],
        "params": {"params.yaml": {"training.max_epochs": 2}},
        "outs": [{"path": "data/model", "md5": "cc.dir"}, {"path": "reports/finetune/metrics.json", "md5": "dd"}],
    }
    return {"finetune": entry | changes}


def test_a_fingerprint_follows_what_goes_into_a_stage():
    known = provenance.stage_fingerprints(lock())["finetune"]
    changes = [
        {"cmd": "python -m pipeline other"},
        {"deps": [{"path": "data/prepared", "md5": "ab.dir"}, {"path": "pipeline/core/config.py", "md5": "bb"}]},
        {"params": {"params.yaml": {"training.max_epochs": 3}}},
    ]
    assert len({known, *(provenance.stage_fingerprints(lock(**change))["finetune"] for change in changes)}) == 4
    assert provenance.stage_fingerprints(lock(outs=[]))["finetune"] == known
    turned = lock(deps=lock()["finetune"]["deps"][::-1])
    assert provenance.stage_fingerprints(turned)["finetune"] == known


def test_outputs_are_known_by_their_hash(project):
    assert provenance.output_fingerprint(lock(), Path("data/model")) is not None
    assert provenance.output_fingerprint(lock(), Path("data/mod")) is None
    digests = provenance.file_digests([report("reports/finetune/metrics.json", "hello"), Path("reports")])
    assert digests == {"reports/finetune/metrics.json": "5d41402abc4b2a76b9719d911017c592"}
    assert not provenance.wrote(lock()["finetune"], digests)
    assert provenance.wrote(lock()["finetune"], {"reports/finetune/metrics.json": "dd"})
    assert not provenance.wrote(lock()["finetune"], {})


def test_a_folder_is_known_by_the_hash_that_dvc_gives_it(project):
    files = [report("reports/attention/labels.csv", "labels"), report("reports/attention/metrics.json", "{}")]
    digests = provenance.file_digests(files)
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "add", "--quiet", "reports/attention"], check=True)
    [out] = yaml.safe_load(Path("reports/attention.dvc").read_text(encoding="utf-8"))["outs"]
    entry = {"outs": [{"path": "reports/attention", "md5": out["md5"]}]}
    assert provenance.wrote(entry, digests)
    assert not provenance.wrote(entry, digests | {"reports/attention/labels.csv": "dd"})
    assert not provenance.wrote(entry, {"reports/finetune/metrics.json": "dd"})
