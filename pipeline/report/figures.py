"""Figures of the report by section."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.core.atomic import replace_atomically
from pipeline.findings import select
from pipeline.report import (
    ablation_charts,
    attention_maps,
    canvas,
    dependency_graph,
    head_heatmaps,
    head_map,
    model_charts,
    pruning,
    subgroup_charts,
)
from pipeline.report.canvas import RenderedFigure
from pipeline.report.results import Results
from pipeline.stats.measure_sets import GRADER

PROFILED = "term_match"


def draw_figures(results: Results) -> dict[str, list[RenderedFigure]]:
    """Figures by section of the report, none in a section without data.

    Sections: heads, slices, random, layers, functions, decision, removal, dependency, similarity, grades, profiles,
    maps, learning.
    """
    with canvas.report_style(canvas.font_families(results.texts())):
        return {
            "heads": [head_heatmaps.heads_heatmap(results)],
            "slices": _head_slice_charts(results),
            "random": [ablation_charts.random_share(results)] if ablation_charts.random_shares(results) else [],
            "layers": [ablation_charts.layers_and_halves(results)],
            "functions": [
                ablation_charts.function_bars(results),
                *_if_ablated(results, "top_k", ablation_charts.top_k),
                *_subgroup_charts(results),
            ],
            "decision": [pruning.decision_map(results)],
            "removal": _if_ablated(results, "removal", ablation_charts.removal_curves),
            "dependency": [dependency_graph.dependency_graph(results), *dependency_graph.relay_head_charts(results)]
            if len(results.edges)
            else [],
            "similarity": [_head_map(results)],
            "grades": [model_charts.predicted_grades(results)] if results.measures is GRADER else [],
            "profiles": [head_heatmaps.function_profiles(results), *_example_profile(results)],
            "maps": attention_maps.example_maps(results),
            "learning": [] if results.curve.empty else [model_charts.learning_curve(results)],
        }


def _example_profile(results: Results) -> list[RenderedFigure]:
    """All scores of the function that the article's findings are about; the explorer has those of the others."""
    draw = head_heatmaps.profile_heatmap if results.tables.has_before else head_heatmaps.profile_after
    return [draw(results, PROFILED)] if (results.profiles["function"] == PROFILED).any() else []


def _if_ablated(results: Results, group_type: str, draw: Callable[[Results], RenderedFigure]) -> list[RenderedFigure]:
    """The figure, where groups of this type were masked."""
    return [] if select.select_rows(results.groups, group_type).empty else [draw(results)]


def _head_map(results: Results) -> RenderedFigure:
    pairs = f"{results.attention['similarity_pairs']} pairs of the dev split"
    return head_map.head_map(results.head_embedding, results.needed, pairs)


def _subgroup_charts(results: Results) -> list[RenderedFigure]:
    """Heat map of the effects of groups on slices, where there are any."""
    sliced = subgroup_charts.Sliced(f"{results.pairs} pairs of the test split", results.words)
    if results.slices.empty:
        return []
    return [subgroup_charts.subgroup_chart(results.slices, sliced, results.tables.beside)]


def _head_slice_charts(results: Results) -> list[RenderedFigure]:
    """Heat map of the effects of single heads on slices, where some effect is sure."""
    sliced = subgroup_charts.Sliced(f"{results.head_pairs} pairs of the test split", results.words)
    chart = subgroup_charts.head_slice_chart(results.tables.head_slices, results.primary, sliced)
    return [] if chart is None else [chart]


def write_figures(folder: Path, gallery: Mapping[str, Sequence[RenderedFigure]]) -> None:
    """Replace the folder by these figures, each as .png and .svg."""
    with replace_atomically(folder) as temporary:
        temporary.mkdir()
        for figure in (figure for section in gallery.values() for figure in section):
            (temporary / f"{figure.words.name}.png").write_bytes(figure.png)
            (temporary / f"{figure.words.name}.svg").write_bytes(figure.svg)
