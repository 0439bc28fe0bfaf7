"""The explorer's data against the tables and logits that it is made from."""

import base64
import gzip
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.report.explorer import contract
from pipeline.report.explorer.build import build_explorer
from pipeline.report.explorer.contract import Explorer
from pipeline.report.explorer.maps import most_that_fit, shown_pairs
from pipeline.report.explorer.page import page_size
from pipeline.stats.measure_sets import GRADER, RANKER, MeasureSet
from tests.support.explorer import GROUPS, example_split, explorer_inputs
from tests.support.frames import scales_frame


@pytest.fixture(scope="module", params=[GRADER, RANKER], ids=lambda of: of.kind)
def of(request: pytest.FixtureRequest) -> MeasureSet:
    return request.param


@pytest.fixture(scope="module")
def explorer(of: MeasureSet) -> Explorer:
    return build_explorer(explorer_inputs(of=of), shown=4, mib=2)


def unpacked(text: str, dtype: str, *shape: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype).reshape(shape)


def test_the_pages_schema_is_that_of_the_contract():
    assert contract.SCHEMA.read_text(encoding="utf-8") == contract.schema()


def test_it_survives_being_written_and_read(explorer: Explorer):
    assert Explorer.model_validate_json(explorer.model_dump_json()) == explorer


def test_every_effect_is_the_tables(explorer: Explorer, of: MeasureSet):
    heads = explorer_inputs(of=of).results.heads
    for number, row in enumerate(heads.to_dict("records")):
        head = explorer.heads[number]
        assert (head.layer, head.head, head.verdict) == (row["layer"], row["head"], row["verdict"])
        for measure, effect in zip(of.tested, head.effects, strict=True):
            assert effect.change == [row[f"{measure.change}{end}"] for end in ("", "_low", "_high")]
            assert effect.to_constant == row[measure.to_constant]
            assert effect.q == row[f"{measure.name}_q"]


def test_every_score_and_slice_is_the_tables(explorer: Explorer, of: MeasureSet):
    results = explorer_inputs(of=of).results
    for row in results.tables.labels.to_dict("records"):
        head = explorer.heads[row["layer"] * 4 + row["head"]]
        score = head.scores[explorer.functions.index(row["function"])]
        assert (score.score, score.control, score.is_labelled) == (row["score"], row["control"], row["is_labelled"])
    parts = [(part.column, part.value) for part in explorer.slices]
    for row in results.tables.head_slices.to_dict("records"):
        head, place = explorer.heads[row["layer"] * 4 + row["head"]], parts.index((row["slice"], row["value"]))
        assert head.slices[place] == [row["change"], row["change_low"], row["change_high"]]
        assert (place in head.sure_slices) == row["is_sure"]


def test_predicted_grades_change_as_the_table_counts():
    inputs = explorer_inputs()
    explorer = build_explorer(inputs, shown=0, mib=2)
    predicted = unpacked(explorer.predictions.heads, "u1", 9, 24)
    gold = np.array(explorer.pairs.gold)
    heads = inputs.results.heads
    assert heads["right_to_wrong"].sum() > 20
    for head, now in enumerate(predicted[1:]):
        lost = (predicted[0] == gold) & (now != gold)
        won = (predicted[0] != gold) & (now == gold)
        assert (lost.sum(), won.sum()) == tuple(heads.iloc[head][["right_to_wrong", "wrong_to_right"]])


def test_every_badge_of_a_head_is_explained(explorer: Explorer, of: MeasureSet):
    decisions = [f"pruning: {decision}" for decision in ("remove", "keep", "protected", "uncertain")]
    assert list(explorer.words) == ["needed", "harmful", "small", "no effect", "undecided", "inert", *decisions]
    assert len(set(explorer.words.values())) == len(explorer.words)
    primary = explorer_inputs(of=of).results.primary
    assert f"{primary.label} surely gets worse, by more than matters (2% of the way" in explorer.words["needed"]
    assert ("in 20 queries or more" in explorer.words["needed"]) == (of is RANKER)
    assert "nothing to lose" not in explorer.words["undecided"]


def test_where_the_model_knows_nothing_the_explorer_says_so():
    inputs = explorer_inputs()
    scales = scales_frame(beats_constant=False)
    tables = replace(inputs.results.tables, group_scales=scales)
    explorer = build_explorer(replace(inputs, results=replace(inputs.results, tables=tables)), shown=0, mib=2)
    assert not explorer.run.beats_constant
    assert "nothing to lose" in explorer.words["undecided"]


def test_groups_have_their_measured_change_and_predictions():
    inputs = explorer_inputs()
    explorer = build_explorer(inputs, shown=0, mib=2)
    assert [tuple(group.heads) for group in explorer.groups] == list(GROUPS.values())
    rows = inputs.results.groups.set_index("group")
    for group in explorer.groups:
        for measure, effect in zip(GRADER.tested, group.effects, strict=True):
            expected = [rows.loc[group.name, f"{measure.change}{end}"] for end in ("", "_low", "_high")]
            assert (effect.masked, effect.change) == (rows.loc[group.name, measure.name], expected)
    assert all(group.random is not None and group.random.count == 30 for group in explorer.groups)
    predicted = unpacked(explorer.predictions.groups, "u1", 4, 24)
    np.testing.assert_array_equal(predicted[1:], inputs.group_sweep["masked_logits"].argmax(axis=-1))


def test_a_set_of_heads_is_listed_once_under_a_name_that_says_what_it_is():
    inputs = explorer_inputs()
    of_term_match, others, third = inputs.results.tables.groups.to_dict("records")[-3:]
    named = [
        {**others, "group_type": "layer", "group": "0"},
        {**others, "group_type": "half", "group": "lower"},
        {**of_term_match, "group_type": "layer", "group": "1"},
        of_term_match,
        {**of_term_match, "group": "no such heads", "members": "", "heads_masked": 0},
        {**third, "group_type": "random_share", "group": "0.25", "replicate": 3},
    ]
    tables = replace(inputs.results.tables, groups=pd.DataFrame(named))
    groups = build_explorer(replace(inputs, results=replace(inputs.results, tables=tables)), shown=0, mib=2).groups
    assert [(group.type, group.name) for group in groups] == [
        ("function", "term_match"),
        ("layer", "layer 0"),
        ("random_share", "25% of the heads at random, draw 3"),
    ]


def test_logit_changes_are_within_half_a_step(explorer: Explorer, of: MeasureSet):
    inputs, outputs = explorer_inputs(of=of), explorer.logit_changes.outputs
    steps = np.array(explorer.logit_changes.steps)[:, None, None]
    kept = unpacked(explorer.logit_changes.changes, "i1", 8, 24, outputs) * steps
    real = inputs.head_sweep["masked_logits"] - inputs.head_sweep["unmasked_logits"]
    assert (np.abs(kept - real) <= 0.51 * steps + 1e-6).all()


def test_the_pairs_are_the_test_splits(explorer: Explorer):
    test, pairs = example_split(24), explorer.pairs
    assert [pairs.queries[query] for query in pairs.query] == test["query"].tolist()
    assert pairs.titles == test["title"].tolist()
    assert pairs.gold == test["grade"].tolist()
    assert pairs.slices["phenomenon"] == test["phenomenon"].tolist()
    assert pairs.slices["grade"] == [str(grade + 1) for grade in test["grade"]]


def test_undefined_cells_are_null_and_named():
    inputs = explorer_inputs()
    tables = inputs.results.tables
    heads = tables.heads.copy()
    heads.loc[heads.index[5], ["relative_accuracy_change", "relative_accuracy_change_low"]] = np.nan
    labels = tables.labels.assign(score=np.nan)
    results = replace(inputs.results, tables=replace(tables, heads=heads, labels=labels))
    explorer = build_explorer(replace(inputs, results=results), shown=2, mib=2)
    assert explorer.heads[5].effects[0].change[:2] == [None, None]
    assert explorer.heads[0].scores[0].score is None
    assert "NaN" not in explorer.model_dump_json()


def test_pairs_that_most_heads_flip_are_shown_first():
    pairs = example_split(3).assign(grade=0, phenomenon="one")
    predicted = np.array([[1, 1, 1], [1, 2, 2], [1, 1, 3]])
    assert shown_pairs(pairs, predicted, 2) == [2, 1]


def test_maps_are_left_out_until_the_page_fits():
    inputs = explorer_inputs(mapped=20)
    whole = build_explorer(inputs, shown=20, mib=2)
    assert (len(whole.maps), whole.maps_left_out) == (20, 0)
    mib = (page_size(whole) - 2000) / 2**20
    less = build_explorer(inputs, shown=20, mib=mib)
    assert 0 < len(less.maps) < 20
    assert less.maps_left_out == 20 - len(less.maps)
    assert page_size(less) <= mib * 2**20
    assert less.maps == whole.maps[: len(less.maps)]
    assert build_explorer(inputs, shown=20, mib=0.0001).maps == []


def test_the_largest_number_that_fits_is_found():
    assert [most_that_fit(5, lambda count: 10 * count, limit) for limit in (-1, 9, 10, 35, 99)] == [0, 0, 1, 3, 5]


def test_a_run_without_a_model_before_has_maps_after_alone():
    inputs = explorer_inputs()
    after = {name: levels for name, levels in inputs.levels.items() if name.startswith("after")}
    results = replace(inputs.results, tables=replace(inputs.results.tables, has_before=False))
    shift = inputs.attention_shift.head(0)
    made = build_explorer(replace(inputs, results=results, levels=after, attention_shift=shift), shown=2, mib=2)
    assert [one.before for one in made.maps] == [None, None]
    assert made.heads[0].scores[0].before is None
    assert not made.run.has_before
