"""Which heads can go: the decision on every head as a figure, the sizes tried and the controls as tables."""

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize

from pipeline.core.counts import counted
from pipeline.report import heatmaps
from pipeline.report.canvas import FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.colours import SCORES
from pipeline.report.results import PruningResults, Results
from pipeline.report.tables import Table
from pipeline.tables.pruning import KEEP, PROTECTED, REMOVE, UNCERTAIN, WHOLE

CELLS = {KEEP: (0.0, "keep"), PROTECTED: (0.0, "prot."), UNCERTAIN: (0.35, "?"), REMOVE: (1.0, "gone")}  # fill, text
CHOSEN = {
    "search": "the search",
    "random": "drawn anywhere",
    "layer_matched": "drawn, as many in each layer",
    "magnitude": "smallest output weights",
    "not_recovered": "the search, not trained again, against the model as it was",
    "whole": "nothing gone, trained again, against the model as it was",
}


def decision_map(results: Results) -> RenderedFigure:
    """Every head's decision, layer x head."""
    table = results.pruning.decision.pivot(index="layer", columns="head", values="decision")
    decisions = table.sort_index().sort_index(axis=1).to_numpy(dtype=object)
    values = np.vectorize(lambda decision: CELLS[decision][0], otypes=[float])(decisions)
    width, height = heatmaps.panel_size(values, column=0.42)
    figure = blank_figure(heatmaps.LEFT + width + 0.2, heatmaps.BOTTOM + height + heatmaps.TOP)
    axes, norm = panel(figure, heatmaps.LEFT, heatmaps.BOTTOM, width, height), Normalize(0, 1.4)
    heatmaps.fill_cells(axes, values, norm, SCORES)
    texts = [[CELLS[decision][1] for decision in row] for row in decisions]
    if results.pruning.seeds > 1:
        shares = results.pruning.decision.pivot(index="layer", columns="head", values="frequency").to_numpy()
        texts = [[f"{share:.0%}" for share in row] for row in shares]
    heatmaps.write_cells(axes, texts, values, norm, SCORES)
    heatmaps.frame_cells(axes, decisions == PROTECTED, values, norm, SCORES)
    heatmaps.label_heads(axes, values)
    axes.set_title("which heads can go")
    return render_figure(figure, _text(results))


def summary(results: Results) -> str:
    """The decision in a sentence or two."""
    pruning = results.pruning
    gone = int((pruning.decision["decision"] == REMOVE).sum())
    if pruning.ladder.empty:
        return "No head can go: all are protected."
    rungs = pruning.ladder.groupby("rung", sort=True)
    if not gone:
        parts = next(parts for _, parts in rungs)
        least = counted(parts["heads_removed"].iloc[0], "head")
        return (
            f"No head can go: none is shown to be dispensable by {_margins(parts, pruning)}. The smallest size tried, "
            f"{least}, fails."
        )
    blocks, share = int(pruning.metrics["blocks_removed"]), float(pruning.metrics["parameters_removed"])
    chosen = next((parts for _, parts in rungs if parts["heads_removed"].iloc[0] == gone), pruning.ladder.head(0))
    said = _margins(chosen, pruning)
    size = f"{gone} of {len(pruning.decision)} heads and {blocks} blocks of feed-forward neurons"
    known = "confirmed" if pruning.metrics["confirmed"] else "not confirmed"
    needed, pairs = int(pruning.metrics["pairs_needed"]), int(pruning.metrics["pairs"])
    enough = "" if needed <= pairs else f"; {pairs:,} test pairs are too few, which takes about {needed:,}"
    gain = f"{share:.0%} of the parameters of all heads and neurons"
    churn = results.measures.label_free[-1]
    changed = f"{churn.label.capitalize()}: {pruning.metrics[churn.name]:.1%}"
    trained = "Nothing was trained again."
    if pruning.epochs:
        epochs = f"{pruning.epochs} epoch{'s' if pruning.epochs > 1 else ''}"
        trained = f"Every size was trained again for {epochs}, and so was the whole model that it is compared with."
    return f"{size} can go, {gain}: {known} by {said}{enough}. {changed}. {trained}"


def _margins(parts: pd.DataFrame, pruning: PruningResults) -> str:
    """The margins of a size, rows of the ladder, and the slice that comes nearest to its own or passes it most."""
    said = f"a margin of {pruning.margin:g} {pruning.measure.label}"
    worst = _worst_slice(parts, pruning)
    if worst is None:
        return said
    return (
        f"{said} on all pairs and of {worst['margin']:g} on a slice (the worst, {worst['slice']}: {worst['value']}, "
        f"{worst['worst']:+.3f})"
    )


def _worst_slice(parts: pd.DataFrame, pruning: PruningResults) -> pd.Series | None:
    """The slice of a size that has least of its margin left; None where none is guarded."""
    slices = parts[parts["slice"] != WHOLE[0]]
    if slices.empty:
        return None
    return slices.loc[(slices["margin"] - pruning.measure.harm(slices["worst"])).idxmin()]


def served(results: Results) -> str:
    """What the study says of more training and of latency; empty where there is none of this data and model."""
    study = results.pruning.study
    if study is None:
        return ""
    first = study["seeds"][0]
    gone = [len(seed["removed_heads"]) for seed in study["seeds"] if seed["confirmed"]]
    by_place = {(row["runtime"], row["threads"], row["batch"], row["model"]): row["p50_ms"] for row in study["latency"]}
    full, small = (by_place["onnxruntime", 1, 1, model] for model in ("full", "small"))
    batch_full, batch_small = (by_place["onnxruntime", 1, 32, model] for model in ("full", "small"))
    sizes = " to ".join(str(size) for size in sorted({min(gone), max(gone)})) if gone else "none"
    return (
        f"The study in docs/pruning.md trains what is left again for {study['epochs']} epochs. There {sizes} of "
        f"{first['heads']} heads can go in {len(gone)} of {len(study['seeds'])} seeds without {first['measure']} being "
        f"worse than the whole model's, trained likewise, by {study['margin']:g}. With "
        f"{len(first['removed_heads'])} gone, ONNX Runtime on one thread of its machine ({study['machine']}) takes "
        f"{small:.1f} ms a pair instead of {full:.1f}, and for 32 pairs {batch_small:.0f} instead of {batch_full:.0f}."
    )


def ladder_table(results: Results) -> Table:
    """Sizes tried, on all test pairs and on the slice that fared worst."""
    pruning, rows = results.pruning, []
    for _, parts in pruning.ladder.groupby("rung", sort=True):
        whole = parts[parts["slice"] == WHOLE[0]].iloc[0]
        row, worst = _worst_slice(parts, pruning), ["none is guarded", ""]
        if row is not None:
            worst = [f"{row['slice']}: {row['value']}", f"{row['worst']:+.3f}"]
        outcome = "passes" if parts["passed"].all() else "fails"
        rows.append(
            [
                str(whole["heads_removed"]),
                str(whole["blocks_removed"]),
                f"{whole['parameters_removed']:.0%}",
                f"{whole['change']:+.4f}",
                f"{whole['worst']:+.4f}",
                *worst,
                outcome,
            ]
        )
    label = pruning.measure.label
    columns = ["heads gone", "blocks gone", "of the parameters", f"change of {label}", "at worst"]
    columns += ["worst slice", "of it, at worst", ""]
    caption = (
        "Sizes tried on all test pairs, each part of the next, up to the first that fails: “at worst” is the 97.5% end "
        f"of the change's interval, which must lie within {pruning.margin:g}"
    )
    return Table(caption, columns, rows)


def controls_table(results: Results) -> Table:
    """The chosen set beside others of its size."""
    rows = []
    for chosen_by, sets in results.pruning.controls.groupby("chosen_by", sort=False):
        changes, divergences = sets["change"], sets["divergence"]
        shown = [f"{change:+.3f}" for change in (changes.median(), changes.min(), changes.max())]
        rows.append([CHOSEN[str(chosen_by)], str(len(sets)), *shown, f"{divergences.median():.3f}"])
    change = f"change of {results.pruning.measure.label}"
    columns = ["chosen by", "sets", f"{change}, median", "lowest", "highest", "divergence (nats), median"]
    pairs = results.pruning.controls["pairs"].iloc[0]
    caption = f"Sets of as many heads and blocks, on {pairs:,} test pairs"
    return Table(caption, columns, rows)


def _text(results: Results) -> FigureText:
    layers, heads = results.shape
    counts = results.pruning.decision["decision"].value_counts()
    said = ", ".join(f"{counts.get(decision, 0)} {decision}" for decision in CELLS)
    searches = results.pruning.seeds
    shares = f"In numbers: the share of {searches} searches in which a head goes. " if searches > 1 else ""
    return FigureText(
        name="decision",
        title="Decision on every head",
        alt=f"Matrix of {layers} layers by {heads} heads: {said}.",
        caption=f"{said}. {shares}“gone”: removed with the largest set whose loss is within the margin; “?”: in the "
        "next larger set, which fails; “keep”: changes the predictions more than those; framed: protected by params.",
    )
