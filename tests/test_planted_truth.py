"""The analysis finds what was planted: exactly the known heads, in labels, verdicts and findings, for every seed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline.analysis import functional, groups, labels
from pipeline.analysis.contrasts import contrasts
from pipeline.analysis.controls import controls
from pipeline.analysis.effects import CHANGE, NEEDED, Judged, effects, effects_and_draws, significance
from pipeline.analysis.functions import Tokens, chance, weights
from pipeline.analysis.readings import Tables
from pipeline.analysis.verdicts import AGREES
from pipeline.corpus.terms import token_terms
from pipeline.model.blocks import take_apart
from pipeline.model.encoding import SPECIAL
from pipeline.model.engine import Engine
from pipeline.stages.reading import Reader
from tests.planted import Planted, planted, planted_redundant
from tests.planted_weights import HEADS, LAYERS

SEEDS = range(10)
MARGIN = 0.05
DRAWS = 300


@dataclass(frozen=True)
class Analysed:
    """What the analysis says of a planted model: one half of its queries is dev, the other test."""

    truth: Planted
    labels: pd.DataFrame
    heads: pd.DataFrame
    tables: Tables

    def labelled(self, function: str) -> set[tuple[int, int]]:
        rows = self.labels[self.labels["label"] & (self.labels["function"] == function)]
        return set(zip(rows["layer"], rows["head"], strict=True))

    def needed(self) -> set[tuple[int, int]]:
        rows = self.heads[self.heads["verdict"] == NEEDED]
        return set(zip(rows["layer"], rows["head"], strict=True))


def analysed(truth: Planted, k: int) -> Analysed:
    is_dev = truth.query_ids < np.median(truth.query_ids)
    found = labelled(truth, np.flatnonzero(is_dev))
    test = np.flatnonzero(~is_dev)
    chosen = [
        *groups.single_heads(LAYERS, HEADS),
        *groups.halves(LAYERS, HEADS),
        *(functions := groups.functional(found, k)),
        *groups.lower_except(functions, LAYERS, HEADS),
        *groups.random_controls(LAYERS, HEADS, k, 30, seed=0),
        *(one for group in functions for one in groups.layer_matched(group, HEADS, 30, seed=0)),
    ]
    masks = np.concatenate([np.ones((1, LAYERS, HEADS)), groups.masks(chosen, LAYERS, HEADS)])
    logits = Engine(take_apart(truth.model), 4096).evaluate(truth.pairs.take(test), masks)["logits"]
    judged = Judged(truth.grades[test], truth.query_ids[test], logits[0], DRAWS, seed=0)
    measured, drawn = effects_and_draws(logits[1:], judged)
    table = pd.concat([groups.frame(chosen), measured], axis=1)
    single = slice(1, 1 + LAYERS * HEADS)
    every = pd.DataFrame(groups.every_head(LAYERS, HEADS), columns=["layer", "head"])
    heads = pd.concat([every, effects(logits[single], judged), significance(logits[single], judged)], axis=1)
    beside = controls(chosen, table[CHANGE], groups.CONTROLLED, HEADS)
    together = contrasts(chosen, table[CHANGE].to_numpy(), drawn, judged)
    return Analysed(
        truth, found, heads, Tables(heads, table, beside, together, found, pd.DataFrame(), pd.DataFrame(), 0.02, MARGIN)
    )


def labelled(truth: Planted, pairs: np.ndarray) -> pd.DataFrame:
    encoded = truth.pairs.take(pairs)
    tokens = []
    for place, pair in enumerate(pairs):
        span = encoded.tokens(place)
        segment, offsets = encoded.segment[span], encoded.offsets[span]
        word, key = token_terms((truth.queries[pair], truth.titles[pair]), offsets, segment)
        first = np.arange(len(segment)) == 0
        tokens.append(Tokens(word, key, segment, first, (segment == SPECIAL) & ~first))
    reader = Reader(truth.model, encoded, tokens, 4096)
    chances = np.stack([chance(*weights(one)) for one in tokens])
    sample = labels.Sample.of(truth.query_ids[pairs], DRAWS, seed=0)
    return labels.labels(
        reader.scores(), reader.controls(chances, 0.8, 0), reader.shuffled(labels.ORDER, 0), sample, MARGIN
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_exactly_the_planted_heads_are_named(seed: int):
    truth = planted(seed, pairs=300)
    found = analysed(truth, k=1)
    assert found.labelled("term_match") == set(truth.matchers)
    assert found.needed() == {*truth.matchers, *truth.readers}
    assert functional.term_match(found.tables).verdict == AGREES


@pytest.mark.parametrize("seed", SEEDS)
def test_redundant_heads_matter_together_and_not_alone(seed: int):
    truth = planted_redundant(seed, pairs=300)
    found = analysed(truth, k=2)
    assert found.labelled("term_match") == set(truth.matchers)
    assert found.needed() == set(truth.readers)
    assert functional.term_match(found.tables).verdict == AGREES
