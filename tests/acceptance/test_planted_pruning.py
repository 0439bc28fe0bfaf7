"""Of a model whose heads do what is planted exactly the idle ones go, for every seed; a guarded slice keeps its own."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core.heads import every_head
from pipeline.pruning.confirmation import confirm, guarded_from
from pipeline.pruning.decision import CONFIRMED, Decision, decide
from pipeline.pruning.predictions import MaskedPredictions
from pipeline.pruning.search import climb
from pipeline.pruning.units import prunable_units
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.grading_measures import ACCURACY, KL_DIVERGENCE
from pipeline.tables.pruning import KEEP, REMOVE, UNCERTAIN
from tests.support.builders import ablation_engine
from tests.support.planted import HEADS, LAYERS, Planted, planted, planted_slices
from tests.support.seeds import ten_seeds

SEEDS = ten_seeds(usual=1)
DEV, TEST = 100, 600
MARGIN = 0.04
SLICED_DEV, LARGE_MARGIN, IDLE_GONE = 300, 0.2, 12
SLICES_MARGIN = 0.12  # which a slice of RARE_QUERIES is large enough for
RARE_QUERIES = 50


@pytest.mark.parametrize("seed", SEEDS)
def test_exactly_the_idle_heads_go(seed: int):
    truth = planted(seed, DEV + TEST)
    everything = np.arange(DEV + TEST)
    decision = decided(truth, everything[:DEV], everything[DEV:], pd.DataFrame(index=everything), MARGIN)
    assert decision.status == CONFIRMED
    by_head = {(one.layer, one.head): one.decision for one in decision.heads}
    planted_heads = {*truth.matchers, *truth.readers}
    assert {head for head, said in by_head.items() if said != REMOVE} == planted_heads
    assert {by_head[head] for head in planted_heads} <= {KEEP, UNCERTAIN}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_head_that_a_guarded_slice_alone_needs_stays(seed: int):
    """It goes where the slice is not guarded: one query in seven is of it, which the margin of all pairs allows."""
    truth, needs = planted_slices(seed, 3500)
    kept = np.flatnonzero((needs == 0) | (truth.query_ids // 2 % 6 == 0))
    dev, test = kept[:SLICED_DEV], kept[SLICED_DEV:]
    slices = pd.DataFrame({"words": np.where(needs == 0, "common", "rare")})
    assert len(np.unique(truth.query_ids[test][needs[test] == 1])) == RARE_QUERIES >= guarded_from(SLICES_MARGIN)
    removed = {}
    for guarded in (False, True):
        decision = decided(truth, dev, test, slices if guarded else slices[[]], LARGE_MARGIN)
        removed[guarded] = {(one.layer, one.head) for one in decision.heads if one.decision == REMOVE}
    common, rare = truth.matchers
    assert rare in removed[False]
    assert {common, *truth.readers}.isdisjoint(removed[False])
    assert {*truth.matchers, *truth.readers}.isdisjoint(removed[True])
    assert len(removed[True]) >= IDLE_GONE


def decided(truth: Planted, dev: np.ndarray, test: np.ndarray, slices: pd.DataFrame, margin: float) -> Decision:
    """The decision on a planted model, searched and confirmed on some of its pairs."""
    engine = ablation_engine(truth.model, 8192)
    units = prunable_units(engine.encoder, truth.pairs.take(dev), 4096, 3)

    def predictions(pairs: np.ndarray) -> MaskedPredictions:
        sample = QuerySample(truth.query_ids[pairs], 100, seed=0)
        chosen = truth.pairs.take(pairs), truth.grades[pairs], sample, slices.iloc[pairs]
        return MaskedPredictions(units, 1.0, *chosen, truth.model, engine)

    rungs = climb(predictions(dev).scores(KL_DIVERGENCE), units)
    judged = list(confirm(rungs, predictions(test), ACCURACY, (margin, SLICES_MARGIN), confirmable=True))
    return decide(judged, {}, every_head(LAYERS, HEADS), "accuracy", confirmable=True)
