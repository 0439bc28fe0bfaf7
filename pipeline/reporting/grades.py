"""Which grades a masked model predicts: a collapse onto one grade is not noise."""

import numpy as np
from matplotlib.colors import Normalize

from pipeline.analysis import readings
from pipeline.reporting import cells, style
from pipeline.reporting.picture import Picture, Words, canvas, panel, picture
from pipeline.reporting.results import Results
from pipeline.reporting.text import shortened

NAMED = ("baseline", "layer", "half", "function", "lower_except", "user")
RANDOM = ("random_share", "random_k", "layer_matched")
LEFT = 2.5  # inches for the groups' names


def predicted_grades(results: Results) -> Picture:
    """One row a named group, one column a grade: the share of pairs put on it, in percent."""
    named = results.groups[results.groups["experiment"].isin(NAMED)]
    shares = 100 * readings.grade_shares(named).to_numpy()
    collapsed = readings.collapsed(named).to_numpy()
    names = [_label(row) for row in named.itertuples()]
    width, height = max(2.5, 0.7 * len(results.grades)), 0.24 * len(named)
    figure = canvas(LEFT + width + 0.2, height + 0.7)
    axes = panel(figure, LEFT, 0.6, width, height)
    norm = Normalize(0, 100)
    cells.fill(axes, shares, norm, style.SCORES)
    cells.annotate(axes, shares, norm, style.SCORES, lambda share: f"{share:.0f}")
    cells.label_columns(axes, [shortened(grade, 10) for grade in results.grades])
    for row, name, weight in zip(range(len(named)), names, np.where(collapsed, "bold", "normal"), strict=True):
        cells.label_row(axes, row, name, weight=str(weight))
    cells.name_axes(axes, rows="", columns="predicted grade, worst to best (% of pairs)", beyond=0.4)
    return picture(
        figure, _words(results, [name for name, all_on_one in zip(names, collapsed, strict=True) if all_on_one])
    )


def _label(row) -> str:
    """The group's name as a reader knows it."""
    group = shortened(str(row.group), 24)
    names = {
        "baseline": "nothing masked",
        "layer": f"layer {group}",
        "half": f"{group} half",
        "lower_except": f"lower half except {group}",
        "user": f"own: {group}",
    }
    return names.get(row.experiment, group)


def _words(results: Results, collapsed: list[str]) -> Words:
    random = results.groups[results.groups["experiment"].isin(RANDOM)]
    fallen = int(readings.collapsed(random).sum())
    which = f"collapsed: {', '.join(collapsed)}" if collapsed else "no named group collapsed"
    return Words(
        name="predicted_grades",
        title="Grades that the masked model predicts",
        alt=f"Table of the share of each predicted grade by masked group; {which}.",
        caption=f"Share of the {results.pairs} pairs of the test split put on each grade, in percent; each row adds up "
        f"to 100. A row in bold has collapsed: {readings.COLLAPSED:.0%} or more of its predictions are one grade, so "
        f"what is left of its accuracy is that grade's share. {fallen} of {len(random)} random groups collapsed too.",
    )
