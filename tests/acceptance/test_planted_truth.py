"""The analysis finds what was planted: exactly the known heads, in labels, verdicts and findings, for every seed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from pipeline.ablation import head_groups
from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, head_effects, measure_effects
from pipeline.analysis.mediation import Treatment, single_heads
from pipeline.analysis.random_controls import ControlDesign, compare_with_random, contrasts
from pipeline.analysis.relay_heads import choose_relay_heads, strongest_relay_head
from pipeline.analysis.subgroups import head_slice_effects, subgroup_effects
from pipeline.attention import head_labels
from pipeline.attention.head_functions import Tokens, chance, weights
from pipeline.attention.scoring import AttentionScorer
from pipeline.core.heads import every_head
from pipeline.findings import functional_heads, redundancy
from pipeline.findings.select import Tables
from pipeline.findings.verdict import AGREES
from pipeline.models.tokenization import SPECIAL
from pipeline.models.word_alignment import token_terms
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.grading_measures import LOG_LOSS
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.measures import EvaluationSet, measure_scales
from pipeline.stats.metrics import logit_margins
from tests.support.builders import ablation_engine
from tests.support.planted import (
    HEADS,
    LAYERS,
    Planted,
    mask_of,
    planted,
    planted_decoys,
    planted_feeder,
    planted_harmful,
    planted_redundant,
    planted_slices,
)
from tests.support.seeds import ten_seeds

SEEDS = ten_seeds(usual=4)
MARGIN = 0.05  # of labels
SIZE = 0.02  # share of the way that matters
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

    def judged(self, verdict: str) -> set[tuple[int, int]]:
        rows = self.heads[self.heads["verdict"] == verdict]
        return set(zip(rows["layer"], rows["head"], strict=True))


def analysed(truth: Planted, k: int, slices: pd.DataFrame | None = None) -> Analysed:
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
    effects = measure_effects(result.masked_logits, evaluated, SIZE, GRADER)
    table = pd.concat([head_groups.group_frame(chosen), effects.frame], axis=1)
    single = result.masked_logits[: LAYERS * HEADS]
    names = pd.DataFrame(every_head(LAYERS, HEADS), columns=["layer", "head"])
    heads = pd.concat([names, head_effects(single, evaluated, GRADER, LOG_LOSS, SIZE)], axis=1)
    parts = slices if slices is not None else pd.DataFrame({"half": np.where(test % 2, "odd", "even")})
    design = ControlDesign(chosen, head_groups.CONTROLLED, head_groups.strongest_heads(found), HEADS)
    ways = {measure.name: measure.way(evaluated) for measure in GRADER.tested}
    scales = measure_scales(GRADER.tested, evaluated, SIZE)
    nothing = pd.DataFrame()
    tables = Tables(
        heads=heads,
        head_scales=scales,
        head_slices=head_slice_effects(names, single, evaluated, parts, LOG_LOSS),
        groups=table,
        group_scales=scales,
        controls=compare_with_random(design, result.masked_logits, evaluated, parts, GRADER.tested),
        contrasts=contrasts(chosen, effects.changes, ways, sample),
        slices=subgroup_effects(chosen, result.masked_logits, evaluated, parts, GRADER.tested),
        labels=found,
        term_match_shift=nothing,
        mediation=nothing,
        joint_mediation=nothing,
        measures=GRADER,
        primary=LOG_LOSS,
        largest_gains=(0.0, 0.0),
        grades=["0", "1", "2", "3"],
        equivalence_margin=SIZE,
        label_threshold=MARGIN,
    )
    return Analysed(truth, found, heads, tables)


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
    _, evidence = scorer.evidence(chances, 0.8, seed=0)
    return head_labels.label_heads(evidence, sample, MARGIN)


@pytest.mark.parametrize("seed", SEEDS)
def test_exactly_the_planted_heads_are_named(seed: int):
    truth = planted(seed, pairs=300)
    found = analysed(truth, k=1)
    assert found.labelled("term_match") == set(truth.matchers)
    assert found.judged(NEEDED) == {*truth.matchers, *truth.readers}
    assert functional_heads.term_match(found.tables).verdict == AGREES


@pytest.mark.parametrize("seed", SEEDS)
def test_redundant_heads_matter_together_and_not_alone(seed: int):
    truth = planted_redundant(seed, pairs=300)
    found = analysed(truth, k=2)
    assert found.labelled("term_match") == set(truth.matchers)
    assert found.judged(NEEDED) == set(truth.readers)
    assert functional_heads.term_match(found.tables).verdict == AGREES


@pytest.mark.parametrize("seed", SEEDS)
def test_idle_heads_that_attend_like_the_matcher_are_not_taken_for_it(seed: int):
    truth = planted_decoys(seed, pairs=150)
    labels = labelled(truth, np.arange(len(truth.pairs)))
    assert head_labels.labelled_heads(labels, "term_match") == list(truth.matchers)
    (matchers,) = [group for group in head_groups.function_groups(labels, 1) if group.group == head_groups.MATCHERS]
    assert matchers.heads == truth.matchers


@pytest.mark.parametrize("seed", SEEDS)
def test_a_harmful_head_is_named_and_no_other(seed: int):
    truth, harmful = planted_harmful(seed, pairs=600)
    found = analysed(truth, k=1)
    assert found.judged(HARMFUL) == {harmful}
    finding = redundancy.harmful_heads(found.tables)
    assert finding.verdict == AGREES
    assert f"removing {harmful[0]}.{harmful[1]} helps" in finding.reason.lower()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_head_that_matters_on_one_slice_alone_is_told_where(seed: int):
    truth, needs = planted_slices(seed, pairs=300)
    test = truth.query_ids >= np.median(truth.query_ids)
    slices = pd.DataFrame({"words": np.where(needs[test] == 0, "first", "second")})
    by_head = analysed(truth, k=1, slices=slices).tables.head_slices.set_index(["layer", "head", "value"])
    for matcher, (mine, other) in zip(truth.matchers, (("first", "second"), ("second", "first")), strict=True):
        assert by_head.loc[(*matcher, mine), "change_low"] > 0
        assert abs(by_head.loc[(*matcher, other), "to_constant"]) < SIZE


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
    table = choose_relay_heads(high, unseen, unseen[:, 0, 0], all_rows, cls_row, GRADER, sample).set_index(
        ["layer", "head"]
    )
    assert table.loc[feeder, "dev_logit_margin_change_high"] < -1
    assert not table.loc[feeder, "is_relay_head"]
    assert strongest_relay_head(table.reset_index(), GRADER) == truth.readers[0]
