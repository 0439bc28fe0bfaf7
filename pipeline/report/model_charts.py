"""Charts of the model itself: its learning curve, and the grades that a grader predicts with heads masked."""

from itertools import compress

import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from pipeline.findings import select
from pipeline.report import canvas, heatmaps
from pipeline.report.canvas import FigureText, RenderedFigure, panel, render_figure
from pipeline.report.colours import BLUE, GREEN, ORANGE, SCORES
from pipeline.report.results import Results
from pipeline.report.text import shortened
from pipeline.stats.measure_sets import RANKER

# Dev scores of the learning curve by kind of model, the one that the best epoch has highest last; what they are.
CURVES = {
    "grader": ({"dev_accuracy": BLUE, "dev_qwk": GREEN}, "accuracy and quadratic weighted kappa (qwk)", "qwk"),
    "ranker": ({"dev_pairwise_accuracy": BLUE, "dev_ndcg_at_10": GREEN}, "pairwise accuracy and nDCG@10", "nDCG@10"),
}
NAMED_GROUPS = ("unmasked", "layer", "half", "function", "lower_except", "user")
RANDOM_GROUPS = ("random_share", "random_k", "layer_matched")
LEFT_MARGIN = 2.5  # inches for the groups' names


def learning_curve(results: Results) -> RenderedFigure:
    """Learning curve: training loss on the left, dev scores on the right, by epoch."""
    curve, (colours, scored, best_by) = results.curve, CURVES[results.measures.kind]
    unit = "" if results.measures is RANKER else ", in nats"
    figure = canvas.blank_figure(7.4, 2.8)
    loss, scores = (panel(figure, left, 0.5, 2.8, 2.1) for left in (0.7, 4.4))
    loss.plot(curve["epoch"], curve["train_loss"], "o-", color=ORANGE, ms=4)
    loss.set(ylabel="training loss" if results.measures is RANKER else "training loss (nats)")
    for name in filter(curve.columns.__contains__, colours):
        scores.plot(curve["epoch"], curve[name], "o-", color=colours[name], ms=4, label=name)
    scores.set(ylabel="dev score")
    scores.legend()
    for axes in (loss, scores):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    text = FigureText(
        name="learning_curve",
        title="Learning curve",
        alt=f"Training loss from {curve['train_loss'].iloc[0]:.3f} to {curve['train_loss'].iloc[-1]:.3f} over "
        f"{len(curve)} epochs, and dev scores.",
        caption=f"Left: mean training loss of each epoch{unit}. Right: {scored} on the dev split after each epoch, 1 "
        f"being perfect. The epoch with the best {best_by} gives the analysed model.",
    )
    return render_figure(figure, text)


def predicted_grades(results: Results) -> RenderedFigure:
    """Heat map of the predicted grades: a row per named group, the share of each grade in percent."""
    groups = results.groups[results.groups["group_type"].isin(NAMED_GROUPS)]
    shares, collapsed = 100 * select.grade_shares(groups).to_numpy(), results.collapsed(groups).tolist()
    names = [_group_name(row["group_type"], shortened(str(row["group"]), 20)) for _, row in groups.iterrows()]
    width, height = max(2.5, 0.7 * len(results.grades)), 0.24 * len(groups)
    figure = canvas.blank_figure(LEFT_MARGIN + width + 0.2, height + 0.7)
    axes = panel(figure, LEFT_MARGIN, 0.6, width, height)
    norm = Normalize(0, 100)
    heatmaps.fill_cells(axes, shares, norm, SCORES)
    heatmaps.annotate_cells(axes, shares, norm, SCORES, "{:.0f}".format)
    heatmaps.label_columns(axes, [shortened(grade, 10) for grade in results.grades])
    for row, name in enumerate(names):
        heatmaps.label_row(axes, row, name, weight="bold" if collapsed[row] else "normal")
    heatmaps.name_axes(axes, rows="", columns="predicted grade, worst to best (% of pairs)", beyond=0.4)
    return render_figure(figure, _grades_text(results, list(compress(names, collapsed))))


def _group_name(group_type: str, group: str) -> str:
    names = {
        "unmasked": "unmasked",
        "layer": f"layer {group}",
        "half": f"{group} half",
        "lower_except": f"lower half except {group}",
        "user": f"user group: {group}",
    }
    return names.get(group_type, group)


def _grades_text(results: Results, collapsed: list[str]) -> FigureText:
    random = results.collapsed(results.groups[results.groups["group_type"].isin(RANDOM_GROUPS)])
    which = f"collapsed: {', '.join(collapsed)}" if collapsed else "no named group collapsed"
    return FigureText(
        name="predicted_grades",
        title="Grades that the masked model predicts",
        alt=f"Table of the share of each predicted grade by masked group; {which}.",
        caption=f"Share of the {results.pairs} test pairs predicted as each grade, in percent; each row sums "
        f"to 100. {results.nothing_to_lose or _bold(results, random)}.",
    )


def _bold(results: Results, random: pd.Series) -> str:
    """What rows in bold are, and how many of the random groups have collapsed."""
    words = results.words
    return (
        f"A row in bold has collapsed: by {words.collapse} it is {select.COLLAPSED:.0%} or more of the way to the "
        f"{words.constant}, which knows nothing of the pair. {random.sum()} of {len(random)} random groups collapsed "
        "too"
    )
