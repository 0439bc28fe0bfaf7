"""The analysis of a model of one score a pair finds what was planted, for every seed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pytest

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, head_effects
from pipeline.analysis.subgroups import head_slice_effects
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measure_sets import RANKER
from pipeline.stats.measures import EvaluationSet
from pipeline.stats.ranking_measures import PAIRWISE_LOG_LOSS
from tests.support.builders import ablation_engine
from tests.support.planted import HEADS, LAYERS, TITLES, Head, PlantedRanker, mask_of, planted_ranker
from tests.support.seeds import ten_seeds

SEEDS = ten_seeds(usual=4)
DEV, TEST = 30, 80  # queries
SIZE = 0.1  # share of the way that matters: that no top title of so few queries changed shows no less
DRAWS = 300


@dataclass(frozen=True)
class Analysed:
    """Effects of the heads with a task and of all others of the last layer, on test at the temperature of dev."""

    ranker: PlantedRanker
    evaluated: EvaluationSet
    logits: np.ndarray
    names: pd.DataFrame
    is_second: np.ndarray  # whether a pair needs the second matcher

    @cached_property
    def heads(self) -> pd.DataFrame:
        effects = head_effects(self.logits, self.evaluated, RANKER, PAIRWISE_LOG_LOSS, SIZE)
        return pd.concat([self.names, effects], axis=1).set_index(["layer", "head"])

    @property
    def slices(self) -> pd.DataFrame:
        words = pd.DataFrame({"words": np.where(self.is_second, "second", "first")})
        effects = head_slice_effects(self.names, self.logits, self.evaluated, words, PAIRWISE_LOG_LOSS)
        return effects.set_index(["layer", "head", "value"])

    def judged(self, verdict: str) -> set[Head]:
        return set(self.heads.index[self.heads["verdict"] == verdict])


@pytest.fixture(scope="module", params=SEEDS)
def found(request: pytest.FixtureRequest) -> Analysed:
    ranker = planted_ranker(request.param, (DEV + TEST) * TITLES)
    truth, is_dev = ranker.truth, ranker.truth.query_ids < DEV
    heads = sorted({*truth.matchers, *truth.readers, *((LAYERS - 1, head) for head in range(HEADS))})
    engine = ablation_engine(truth.model, 4096)
    masks = np.stack([mask_of((head,)) for head in heads])
    result = engine.evaluate(truth.pairs.take(np.flatnonzero(~is_dev)), masks)
    dev_logits = engine.evaluate(truth.pairs.take(np.flatnonzero(is_dev)), masks[:0]).unmasked_logits
    numbers = truth.grades / 2  # grades that are no whole numbers
    dev = EvaluationSet(numbers[is_dev], dev_logits, QuerySample(truth.query_ids[is_dev], DRAWS, seed=0))
    temperature = np.float32(RANKER.temperature(dev))
    sample = QuerySample(truth.query_ids[~is_dev], DRAWS, seed=0)
    test = EvaluationSet(numbers[~is_dev], result.unmasked_logits / temperature, sample)
    names = pd.DataFrame(heads, columns=["layer", "head"])
    return Analysed(ranker, test, result.masked_logits / temperature, names, ranker.needs[~is_dev] == 1)


def test_exactly_the_matchers_and_their_reader_are_needed(found: Analysed):
    assert found.judged(NEEDED) == {*found.ranker.truth.matchers, *found.ranker.truth.readers}


def test_the_head_that_spoils_the_order_is_harmful_and_no_other(found: Analysed):
    assert found.judged(HARMFUL) == {found.ranker.harmful}


def test_a_head_that_writes_nothing_is_inert(found: Analysed):
    inert = found.heads["is_inert"]
    assert inert[found.ranker.idle]
    assert not inert[[*found.ranker.truth.matchers, *found.ranker.truth.readers, found.ranker.harmful]].any()


def test_a_head_that_matters_on_one_slice_alone_is_told_where(found: Analysed):
    slices = found.slices
    for matcher, (mine, other) in zip(
        found.ranker.truth.matchers, (("first", "second"), ("second", "first")), strict=True
    ):
        assert slices.loc[(*matcher, mine), "is_sure"]
        assert slices.loc[(*matcher, mine), "change_low"] > 0
        assert abs(slices.loc[(*matcher, other), "to_constant"]) < SIZE
