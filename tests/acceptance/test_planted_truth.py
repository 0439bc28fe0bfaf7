"""The analysis finds what was planted: exactly the known heads, in labels, verdicts and findings, for every seed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline.ablation import head_groups
from pipeline.analysis.ablation_effects import (
    CHANGE,
    NEEDED,
    EvaluationSet,
    effect_significance,
    effects_and_resamples,
    measure_effects,
)
from pipeline.analysis.mediation import Treatment, single_heads
from pipeline.analysis.random_controls import compare_with_random, contrasts
from pipeline.analysis.relay_heads import choose_relay_heads, strongest_relay_head
from pipeline.attention import head_labels
from pipeline.attention.head_functions import Tokens, chance, weights
from pipeline.attention.scoring import AttentionScorer
from pipeline.core.heads import every_head
from pipeline.findings import functional_heads
from pipeline.findings.select import Tables
from pipeline.findings.verdict import AGREES
from pipeline.models.tokenization import SPECIAL
from pipeline.models.word_alignment import token_terms
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.metrics import logit_margins
from tests.support.builders import ablation_engine
from tests.support.planted import HEADS, LAYERS, Planted, mask_of, planted, planted_feeder, planted_redundant

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
        rows = self.labels[self.labels["is_labelled"] & (self.labels["function"] == function)]
        return set(zip(rows["layer"], rows["head"], strict=True))

    def needed(self) -> set[tuple[int, int]]:
        rows = self.heads[self.heads["verdict"] == NEEDED]
        return set(zip(rows["layer"], rows["head"], strict=True))


def analysed(truth: Planted, k: int) -> Analysed:
    is_dev = truth.query_ids < np.median(truth.query_ids)
    found = labelled(truth, np.flatnonzero(is_dev))
    test = np.flatnonzero(~is_dev)
    chosen = [
        *head_groups.single_head_groups(LAYERS, HEADS),
        *head_groups.half_groups(LAYERS, HEADS),
        *(functions := head_groups.function_groups(found, k)),
        *head_groups.lower_except_groups(functions, LAYERS, HEADS),
        *head_groups.random_k_groups(LAYERS, HEADS, k, 30, seed=0),
        *(one for group in functions for one in head_groups.layer_matched_groups(group, HEADS, 30, seed=0)),
    ]
    masks = head_groups.group_masks(chosen, LAYERS, HEADS)
    result = ablation_engine(truth.model, 4096).evaluate(truth.pairs.take(test), masks)
    sample = QuerySample(truth.query_ids[test], DRAWS, seed=0)
    evaluated = EvaluationSet(truth.grades[test], result.unmasked_logits, sample)
    effects, resamples = effects_and_resamples(result.masked_logits, evaluated)
    table = pd.concat([head_groups.group_frame(chosen), effects], axis=1)
    single = result.masked_logits[: LAYERS * HEADS]
    names = pd.DataFrame(every_head(LAYERS, HEADS), columns=["layer", "head"])
    heads = pd.concat([names, measure_effects(single, evaluated), effect_significance(single, evaluated)], axis=1)
    controls = compare_with_random(chosen, table[CHANGE], head_groups.CONTROLLED, HEADS)
    contrasted = contrasts(chosen, table[CHANGE].to_numpy(), resamples, sample)
    return Analysed(
        truth,
        found,
        heads,
        Tables(heads, table, controls, contrasted, found, pd.DataFrame(), pd.DataFrame(), 0.02, MARGIN, pd.DataFrame()),
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
    scorer = AttentionScorer(truth.model, encoded, tokens, 4096)
    chances = np.stack([chance(*weights(one)) for one in tokens])
    sample = QuerySample(truth.query_ids[pairs], DRAWS, seed=0)
    return head_labels.label_heads(
        scorer.scores(),
        scorer.controls(chances, 0.8, 0),
        scorer.shuffled(head_labels.ORDER_FUNCTIONS, 0),
        sample,
        MARGIN,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_exactly_the_planted_heads_are_named(seed: int):
    truth = planted(seed, pairs=300)
    found = analysed(truth, k=1)
    assert found.labelled("term_match") == set(truth.matchers)
    assert found.needed() == {*truth.matchers, *truth.readers}
    assert functional_heads.term_match(found.tables).verdict == AGREES


@pytest.mark.parametrize("seed", SEEDS)
def test_redundant_heads_matter_together_and_not_alone(seed: int):
    truth = planted_redundant(seed, pairs=300)
    found = analysed(truth, k=2)
    assert found.labelled("term_match") == set(truth.matchers)
    assert found.needed() == set(truth.readers)
    assert functional_heads.term_match(found.tables).verdict == AGREES


@pytest.mark.parametrize("seed", SEEDS)
def test_a_high_head_with_an_idle_cls_row_costs_and_is_no_relay_head(seed: int):
    truth, feeder = planted_feeder(seed, pairs=200)
    high = every_head(LAYERS, HEADS)[LAYERS // 2 * HEADS :]
    outputs = [*single_heads(high), *single_heads(high, cls_only=True)]
    masks, _, cls_only = Treatment.replacing(outputs, mask_of(()), -1)
    result = ablation_engine(truth.model, 4096).evaluate(truth.pairs, masks, cls_only=cls_only)
    margins = logit_margins(result.logits, truth.grades)
    all_rows, cls_row = np.split((margins[1:] - margins[0]).T, 2, axis=1)
    sample, unseen = QuerySample(truth.query_ids, DRAWS, seed=0), np.full((len(margins[0]), len(high), 7), 0.5)
    table = choose_relay_heads(high, unseen, unseen[:, 0, 0], all_rows, cls_row, sample).set_index(["layer", "head"])
    assert table.loc[feeder, "dev_logit_margin_change_high"] < -1
    assert not table.loc[feeder, "is_relay_head"]
    assert strongest_relay_head(table.reset_index()) == truth.readers[0]
