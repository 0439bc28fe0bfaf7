"""The columns that every table of interventions (heads masked) has, made from the list of measures."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pipeline.core.schemas import (
    GRADE,
    POSITIVE,
    SHARE,
    Arrays,
    Column,
    Table,
    estimate,
    flag,
    integer,
    number,
    text,
)
from pipeline.stats.grading_measures import described
from pipeline.stats.measure_sets import GRADER, MeasureSet
from pipeline.stats.measures import Measure

WAY = "way from the unmasked model to the constant one"


def change_column(measure: Measure) -> Column:
    """A measure's change; undefined where one of its two values is."""
    meaning, unit = f"masked minus unmasked `{measure.name}`", measure.unit
    if measure.is_distance:
        meaning = f"{measure.meaning}, 0 unmasked"
    elif measure.is_relative:
        meaning, unit = f"masked / unmasked {measure.label} - 1", f"fraction of the unmasked {measure.label}"
    return number(measure.change, meaning, unit, measure.change_range, missing=not measure.is_distance)


def measure_columns(measure: Measure) -> tuple[Column, ...]:
    """A measure's value under a mask, and its change with an interval; a distance is its own change."""
    value = number(measure.name, f"{measure.meaning}, masked", measure.unit, measure.range, missing=True)
    return (*(() if measure.is_distance else (value,)), *estimate(change_column(measure)))


def scale_column(measure: Measure) -> Column:
    meaning = f"`{measure.change}` as a share of the {WAY}; above 0 is worse, undefined where the model is no better"
    return number(measure.to_constant, meaning, missing=True)


def test_columns(measure: Measure) -> tuple[Column, ...]:
    tested = (
        "that it exceeds the size that matters"
        if measure.is_distance
        else "of the change, masked and unmasked exchangeable by query"
    )
    return (
        number(f"{measure.name}_p", f"p-value {tested}; none of random groups", "", SHARE, missing=True),
        number(
            f"{measure.name}_q",
            f"`{measure.name}_p` corrected over the table (Benjamini-Hochberg)",
            "",
            SHARE,
            missing=True,
        ),
    )


def _by_grade(measure: Measure) -> Iterable[Column]:
    """The columns of grade 0's measure, once for every grade."""
    return (
        replace(
            column,
            **{name: getattr(column, name).replace("recall_0", f"recall_{GRADE}") for name in ("name", "meaning")},
        )
        for column in measure_columns(measure)
    )


def tested_columns(measures: Iterable[Measure]) -> tuple[Column, ...]:
    """Columns of measures that have a scale and a test."""
    return tuple(
        column
        for measure in measures
        for column in (*measure_columns(measure), scale_column(measure), *test_columns(measure))
    )


MAE, NDCG, RECALL = described(1)
OF_GRADERS = (
    *(column for measure in (MAE, NDCG) for column in measure_columns(measure)),
    *_by_grade(RECALL),
    integer("right_to_wrong", "pairs graded right unmasked and wrong masked", "pairs"),
    integer("wrong_to_right", "pairs graded wrong unmasked and right masked", "pairs"),
)
OF_RANKERS = (
    integer("queries_worse", "queries whose nDCG@10 falls", "queries"),
    integer("queries_better", "queries whose nDCG@10 rises", "queries"),
)


def effect_columns(measures: MeasureSet) -> tuple[Column, ...]:
    """Columns of an intervention on a kind of model."""
    return (*tested_columns(measures.tested), *(OF_GRADERS if measures is GRADER else OF_RANKERS))


def scales(path: Path, pairs: str) -> Table:
    """The table of the measures' scales on some pairs."""
    return Table(
        path,
        f"a measure on {pairs}: its scale",
        (
            text("measure", "its name"),
            text("label", "how figures and tables word it"),
            text("unit", "of its values and changes", missing=True),
            text("better", "which values are better", "higher", "lower"),
            flag("needs_grades", "it compares with gold grades; else with the unmasked predictions"),
            number("unmasked", "value of the unmasked model", missing=True),
            number(
                "constant",
                "value of the constant model: a grader that knows the priors, a ranker that scores all titles alike",
                missing=True,
            ),
            *estimate(number("way", f"{WAY}, in the unit of its changes", missing=True)),
            number(
                "margin",
                "size of a change that matters: `ablation.equivalence_margin` of the way",
                "",
                POSITIVE,
                missing=True,
            ),
        ),
    )


def mask_logits(path: Path, masked: str) -> Arrays:
    """The raw logits of every mask of a sweep over test; `masked`: what a mask is for."""
    keys = {
        "masks": "multipliers of the heads' outputs, 0 masked and 1 not, float32 [mask, layer, head]",
        "masked_logits": "logits under each mask, float32 [mask, pair, output]: an output a grade, or the score",
        "unmasked_logits": "logits with nothing masked, float32 [pair, output]",
        "pairs": "row of each pair in data/prepared/test.parquet, from 0, int64 [pair]",
    }
    return Arrays(path, f"raw logits of every mask, one for each {masked}; for analyses of your own", keys)
