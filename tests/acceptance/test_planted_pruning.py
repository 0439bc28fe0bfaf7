"""Of a model whose heads do what is planted exactly the idle ones go, for every seed."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core.heads import every_head
from pipeline.pruning.confirmation import non_inferiority
from pipeline.pruning.decision import CONFIRMED, JudgedRung, decide
from pipeline.pruning.predictions import PrunedPredictions
from pipeline.pruning.search import climb
from pipeline.pruning.units import prunable_units
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.grading_measures import ACCURACY, KL_DIVERGENCE
from pipeline.tables.pruning import KEEP, REMOVE, UNCERTAIN
from tests.support.builders import ablation_engine
from tests.support.planted import HEADS, LAYERS, planted

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))]
DEV, TEST = 100, 600
MARGIN = 0.04


@pytest.mark.parametrize("seed", SEEDS)
def test_exactly_the_idle_heads_go(seed: int):
    truth = planted(seed, DEV + TEST)
    engine, everything = ablation_engine(truth.model, 8192), np.arange(DEV + TEST)
    units = prunable_units(engine.encoder, truth.pairs.take(everything[:DEV]), 4096)

    def predictions(pairs: np.ndarray) -> PrunedPredictions:
        sample, slices = QuerySample(truth.query_ids[pairs], 100, seed=0), pd.DataFrame(index=pairs)
        return PrunedPredictions(engine, units, 1.0, truth.pairs.take(pairs), truth.grades[pairs], sample, slices)

    dev, test = predictions(everything[:DEV]), predictions(everything[DEV:])
    judged = []
    for rung in climb(lambda sets: dev.divergences(KL_DIVERGENCE, sets), units):
        (logits,) = test.logits([rung.removed])
        judged.append(JudgedRung(rung, non_inferiority(ACCURACY, logits, test.evaluated, [], MARGIN, MARGIN)))
    decision = decide(judged, {}, every_head(LAYERS, HEADS), "accuracy", confirmable=True)
    assert decision.status == CONFIRMED
    by_head = {(one.layer, one.head): one.decision for one in decision.heads}
    planted_heads = {*truth.matchers, *truth.readers}
    assert {head for head, said in by_head.items() if said != REMOVE} == planted_heads
    assert {by_head[head] for head in planted_heads} <= {KEEP, UNCERTAIN}
