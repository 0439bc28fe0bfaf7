"""Every figure of the report, by the section that shows it."""

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
    subgroup_charts,
)
from pipeline.report.canvas import RenderedFigure
from pipeline.report.results import Results


def draw_figures(results: Results) -> dict[str, list[RenderedFigure]]:
    """Section -> its figures; a section without data has none.

    Sections: heads, random, layers, functions, removal, dependency, places, grades, profiles, maps, learning.
    """
    with canvas.report_style(canvas.font_families(results.texts())):
        return {
            "heads": [head_heatmaps.heads_heatmap(results)],
            "random": [ablation_charts.random_share(results)] if select.random_shares(results.groups) else [],
            "layers": [ablation_charts.layers_and_halves(results)],
            "functions": [
                ablation_charts.function_bars(results),
                *_if_ablated(results, "top_k", ablation_charts.top_k),
                *_subgroup_charts(results),
            ],
            "removal": _if_ablated(results, "removal", ablation_charts.removal_curves),
            "dependency": [dependency_graph.dependency_graph(results), *dependency_graph.relay_head_charts(results)]
            if len(results.edges)
            else [],
            "places": [head_map.head_map(results.head_embedding, "pairs of the dev split")],
            "grades": [model_charts.predicted_grades(results)],
            "profiles": head_heatmaps.profile_heatmaps(results),
            "maps": attention_maps.example_maps(results),
            "learning": [] if results.curve.empty else [model_charts.learning_curve(results)],
        }


def _if_ablated(results: Results, experiment: str, draw: Callable[[Results], RenderedFigure]) -> list[RenderedFigure]:
    """The figure, where the experiment has groups."""
    return [] if select.select_rows(results.groups, experiment).empty else [draw(results)]


def _subgroup_charts(results: Results) -> list[RenderedFigure]:
    """One matrix a slicing of the pairs."""
    pairs, slicings = f"{results.pairs} pairs of the test split", results.slices.groupby("slice", sort=False)
    return [
        subgroup_charts.subgroup_chart(changes, str(slicing), pairs, number)
        for number, (slicing, changes) in enumerate(slicings, start=1)
    ]


def write_figures(folder: Path, gallery: Mapping[str, Sequence[RenderedFigure]]) -> None:
    """The folder holds exactly these figures, each as .png and .svg."""
    with replace_atomically(folder) as temporary:
        temporary.mkdir()
        for figure in (figure for section in gallery.values() for figure in section):
            (temporary / f"{figure.words.name}.png").write_bytes(figure.png)
            (temporary / f"{figure.words.name}.svg").write_bytes(figure.svg)
