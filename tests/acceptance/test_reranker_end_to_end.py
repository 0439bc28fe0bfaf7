"""A reranker's folder and a BEIR folder go through every stage; nothing is trained, and no model before is at hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core import formats, paths
from pipeline.core.config import Params, with_values
from pipeline.core.errors import InputError
from pipeline.core.heads import every_head
from pipeline.models.checkpoint_files import PRUNED
from pipeline.models.checkpoints import load_tuned
from pipeline.stages import (
    attention,
    bilstm,
    dependency,
    finetune,
    group_ablation,
    head_ablation,
    prepare,
    pruning,
    report,
)
from pipeline.stats.metrics import ndcg_by_query
from pipeline.tables.attention import ATTENTION_SHIFT, LABELS, PROFILES
from pipeline.tables.grading import TEST_PREDICTIONS
from pipeline.tables.head_ablation import HEADS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tables.pruning import DECISION, PRUNING_CONTROLS
from tests.support.beir import corpus_lines, query_lines, write_beir
from tests.support.builders import CHECKPOINT, CPU, run_stage
from tests.support.cross_encoders import (
    LAYOUTS,
    MAX_LENGTH,
    close_scores,
    cross_encoder_scores,
    ranker_params,
    raw_scores,
)
from tests.table_dictionary import OF_RANKERS, TABLES

STAGES = (prepare, finetune, attention, head_ablation, group_ablation, dependency, pruning, bilstm, report)
QUERIES, TITLES = 40, 6
COLOURS = ("red", "blue", "green", "black")


def write_passages(folder: Path) -> None:
    """Queries of a colour and a letter with passages that hold both, one or none; some are cut to MAX_LENGTH."""
    rng = np.random.default_rng(0)
    corpus, queries, judgements, run = {}, {}, ["query-id\tcorpus-id\tscore"], []
    for query in range(QUERIES):
        letter, colour = "abcdefgh"[query % 8], COLOURS[query // 8 % 4]
        queries[f"q{query}"] = f"{colour} {letter}{query}"
        for place in range(TITLES):
            name, grade = f"d{query}_{place}", place % 3
            words = ["hat", *[colour] * (grade > 0), *[letter] * (grade > 1), *rng.choice(list("xyz"), 2 + 7 * place)]
            corpus[name] = (str(place), " ".join(words))
            judgements.append(f"q{query}\t{name}\t{grade}")
            run.append(f"q{query} Q0 {name} {place + 1} {9 - place} bm25")
    lines = {"qrels/test.tsv": judgements, "run.trec": run}
    files = {"corpus.jsonl": corpus_lines(corpus), "queries.jsonl": query_lines(queries)}
    write_beir(folder, files | {name: "\n".join(rows) + "\n" for name, rows in lines.items()})


def small_params(folder: Path) -> Params:
    """Params that analyse CHECKPOINT on a BEIR folder, with few pairs and groups."""
    return ranker_params(
        run__device="cpu",
        run__bootstrap_resamples=100,
        data__source=str(folder),
        data__grades="numbers",
        data__test_share=0.5,
        model__max_length=MAX_LENGTH,
        head_ablation={"max_pairs": 90, "mean_resample_pairs": 18},
        group_ablation__max_pairs=60,
        group_ablation__k=1,
        group_ablation__random_shares=[0.25, 0.5],
        group_ablation__random_groups_per_share=2,
        group_ablation__random_groups_per_safe_share=2,
        group_ablation__random_control_groups=3,
        group_ablation__max_top_k=2,
    )


@pytest.mark.parametrize(
    ("family", "layout"),
    [
        ("bert", "new"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("modernbert", "mean chain"), ("deberta-v2", "old"), ("distilbert", "oldest")]
        ),
    ],
)
def test_every_stage_ends(family: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_passages(paths.RAW / "passages")
    LAYOUTS[layout](CHECKPOINT, family)
    params = small_params(paths.RAW / "passages")
    for stage in STAGES:
        run_stage(stage, params)

    predictions, test = TEST_PREDICTIONS["ranker"].read(), SPLIT_TABLES[paths.TEST].read()
    expected = cross_encoder_scores(CHECKPOINT, test["query"].tolist(), test["title"].tolist())
    np.testing.assert_allclose(predictions["score"], expected.ravel(), atol=1e-5 * np.abs(expected).max())
    gains = ndcg_by_query(expected.ravel(), test["grade"].to_numpy(), test["query_id"].to_numpy())
    metrics = formats.read_json(paths.stage_metrics("finetune"))
    assert metrics["test_ndcg_at_10"] == pytest.approx(np.nanmean(gains), abs=1e-6)
    assert metrics["test_truncated_pairs"] > 0
    assert metrics["epochs"] == 0

    heads = HEADS["ranker"].read()
    assert list(zip(heads["layer"], heads["head"], strict=True)) == every_head(2, 2)
    assert heads["kl_divergence"].gt(0).all()
    assert ATTENTION_SHIFT.read().empty
    assert set(PROFILES.read()["phase"]) == {"after"}
    assert len(LABELS.read())

    assert_smaller_models_agree(test)
    verdicts = {finding["id"]: finding for finding in formats.read_json(paths.FINDINGS)}
    assert verdicts["T1"]["verdict"] == "not judged"
    assert (verdicts["D1"]["verdict"] == "not judged") == (layout == "mean chain")
    by_kind = {table.path for table in OF_RANKERS}
    for table in TABLES:
        if table in OF_RANKERS or table.path not in by_kind:
            table.check(table.read())


def assert_smaller_models_agree(test: pd.DataFrame) -> None:
    """Both forms score alike, the one of full shape as sentence-transformers loads it."""
    texts = test["query"].tolist(), test["title"].tolist()
    full = cross_encoder_scores(paths.DROP_IN_MODEL, *texts)
    assert close_scores(raw_scores(load_tuned(paths.PRUNED_MODEL, CPU), *texts), full)
    removed = [head for head in DECISION.read() if head["decision"] == "remove"]
    kept = formats.read_json(paths.PRUNED_MODEL / PRUNED)
    assert sum(map(len, kept["heads"])) == 4 - len(removed)


@pytest.mark.slow
def test_smaller_rerankers_are_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_passages(paths.RAW / "passages")
    LAYOUTS["mean chain"](CHECKPOINT, "bert")
    params = small_params(paths.RAW / "passages")
    for stage in STAGES[:5]:
        run_stage(stage, params)
    again = {"recovery_epochs": 1, "seeds": 3, "non_inferiority_margin": 0.9, "budget": 0.5}
    run_stage(pruning, with_values(params, "pruning", **again))
    assert_smaller_models_agree(SPLIT_TABLES[paths.TEST].read())
    controls = PRUNING_CONTROLS.read()
    assert controls["chosen_by"].tolist() == ["search", *["random"] * 3, "not_recovered", "whole"]
    assert (controls["pairs"] == controls["pairs"].iloc[0]).all()
    frequencies = {head["frequency"] for head in DECISION.read()}
    assert frequencies <= {0, 1 / 3, 2 / 3, 1}
    assert len(frequencies) > 1
    assert any(head["decision"] == "remove" for head in DECISION.read())


def test_recovery_asks_for_training_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for path in (paths.TRAIN, paths.DEV):
        SPLIT_TABLES[path].write(SPLIT_TABLES[path].empty())
    with pytest.raises(InputError, match="recovery_epochs is 2, but there are no training"):
        pruning._recovery(ranker_params(pruning__recovery_epochs=2), None)
