"""The head_ablation stage on a tiny model: the pairs without grades, against the framework's forward with a hook."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import rel_entr, softmax

from pipeline.ablation.aligned_donors import AlignedResampleAblation
from pipeline.ablation.head_groups import head_mask
from pipeline.ablation.patching import ResampleAblation
from pipeline.core import paths
from pipeline.core.formats import read_json
from pipeline.core.heads import every_head
from pipeline.models.checkpoints import load_tuned, save_tuned
from pipeline.models.tokenization import encode_split
from pipeline.stages import head_ablation
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measure_sets import GRADER
from pipeline.tables.head_ablation import UNLABELLED_HEADS
from pipeline.tables.prepare import SPLIT_TABLES, UNLABELLED
from tests.support.builders import (
    CPU,
    colour_pairs,
    file_hashes,
    params_with,
    random_classifier,
    random_pairs,
    run_stage,
    tiny_tokenizer,
)
from tests.support.reference import reference_logits

PAIRS = 60
MORE = colour_pairs(PAIRS, seed=7).drop(columns="grade")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared pairs, and a random classifier of five grades in place of the fine-tuned model."""
    monkeypatch.chdir(tmp_path)
    for seed, path in enumerate((paths.TEST, paths.DEV)):
        SPLIT_TABLES[path].write(colour_pairs(40, seed=seed))
    save_tuned(random_classifier("bert"), tiny_tokenizer(), paths.MODEL)


def run(unlabelled: pd.DataFrame, max_pairs: int, **changes: int) -> pd.DataFrame:
    """unlabelled_heads.csv, the stage run on these pairs without grades."""
    UNLABELLED.write(unlabelled)
    params = params_with(
        run__bootstrap_resamples=100,
        run__device="cpu",
        data__source="data/raw/pairs.csv",
        data__unlabelled="data/raw/more.csv" if len(unlabelled) else None,
        model__max_length=32,
        head_ablation={"max_pairs": max_pairs, "mean_resample_pairs": 10},
        group_ablation__max_pairs=20,
        **changes,
    )
    run_stage(head_ablation, params)
    return UNLABELLED_HEADS["grader"].read()


def test_effects_without_grades_are_those_of_a_plain_forward_with_a_hook():
    found = run(MORE, PAIRS)
    model, tokenizer = load_tuned(paths.MODEL, CPU)
    pairs, heads = encode_split(tokenizer, MORE, 32), every_head(2, 3)
    unmasked, *masked = (reference_logits(model, pairs, head_mask(one, 2, 3)) for one in ((), *([h] for h in heads)))
    temperature = read_json(paths.stage_metrics("head_ablation"))["temperature"]
    assert temperature != 1
    before, *after = (softmax(logits / temperature, axis=1) for logits in (unmasked, *masked))
    divergences = [rel_entr(before, shares).sum(axis=1).mean() for shares in after]
    changed = [(logits.argmax(axis=1) != unmasked.argmax(axis=1)).mean() for logits in masked]
    assert list(zip(found["layer"], found["head"], strict=True)) == heads
    np.testing.assert_allclose(found["kl_divergence"], divergences, rtol=1e-4)
    np.testing.assert_allclose(found["changed_predictions"], changed, rtol=1e-5)
    assert 0 < found["changed_predictions"].max() < 1
    assert (found["kl_divergence_low"] <= found["kl_divergence"]).all()
    assert (found["kl_divergence"] <= found["kl_divergence_high"]).all()


def test_as_many_pairs_without_grades_are_masked_as_the_cap_allows():
    """Twelve queries of five pairs each: a cap of 33 leaves six of them."""
    found = run(MORE.assign(query_id=np.arange(PAIRS) // 5), 33)
    masked = found["changed_predictions"] * 30
    np.testing.assert_allclose(masked, masked.round(), atol=1e-3)
    assert masked.round().max() > 0
    assert len(UNLABELLED.read()) == PAIRS


@pytest.mark.slow  # each worker imports torch and transformers
def test_two_workers_write_the_same_bytes_as_one():
    written = []
    for workers in (1, 2):
        run(MORE, PAIRS, compute__workers=workers, ablation__threads=1, ablation__unit_interventions=3)
        written.append(file_hashes(Path("reports"), Path("data/ablation")))
    assert written[0] == written[1]
    assert "data/ablation/heads.safetensors" in written[0]


def test_without_such_pairs_the_table_is_there_and_empty():
    found = run(UNLABELLED.empty(), PAIRS)
    assert found.empty
    assert found.columns.tolist() == [column.name for column in UNLABELLED_HEADS["grader"].columns]


def test_pairs_of_no_common_layout_have_donors_of_other_lengths():
    """A grader's pairs that all differ in length: whole queries, each pair with another one's outputs."""
    encoded = random_pairs([5, 9, 14, 22])
    query_ids = np.array([0, 0, 1, 2])
    target = SimpleNamespace(measures=GRADER, encoded=encoded, sample=QuerySample(query_ids, 50, 0))
    pairs, replacement = head_ablation._resampled(target, 10, seed=1)
    assert pairs.tolist() == [0, 1, 2, 3]
    assert isinstance(replacement, AlignedResampleAblation)
    alike = SimpleNamespace(measures=GRADER, encoded=random_pairs([9] * 40), sample=QuerySample(np.arange(40), 50, 0))
    assert isinstance(head_ablation._resampled(alike, 40, seed=1)[1], ResampleAblation)
