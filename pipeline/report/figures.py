"""Every figure of the report, in its order, by the section that shows it."""

import pandas as pd

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
            "functions": [ablation_charts.function_bars(results), *_grown(results), *_sliced(results)],
            "removal": _removed(results),
            "dependency": [dependency_graph.dependency_graph(results), *dependency_graph.relay_head_charts(results)]
            if len(results.edges)
            else [],
            "places": [head_map.head_map(results.places, _shares(results.places), "pairs of the dev split")],
            "grades": [model_charts.predicted_grades(results)],
            "profiles": [
                head_heatmaps.profile_heatmap(results, function)
                for function in head_heatmaps.profiled_functions(results)
            ],
            "maps": attention_maps.example_maps(results),
            "learning": [] if results.curve.empty else [model_charts.learning_curve(results)],
        }


ORDERS = {"least_important_first": ablation_charts.LEAST_FIRST, "most_important_first": ablation_charts.MOST_FIRST}


def _curves(groups: pd.DataFrame) -> pd.DataFrame:
    """What `removal.removal_curves` draws, from the groups removed by importance and at random."""
    every = float(select.select_rows(groups, "layer")["heads_masked"].sum())
    ordered = select.select_rows(groups, "removal").assign(order=lambda rows: rows["group"].map(ORDERS), draw=0)
    random = select.select_rows(groups, "random_share").assign(order=ablation_charts.RANDOM)
    curves = pd.concat([ordered, random], ignore_index=True)
    curves["share"] = curves["heads_masked"] / every
    return curves.rename(columns={select.CHANGE: "change"})[["order", "share", "draw", "change"]].dropna()


def _removed(results: Results) -> list[RenderedFigure]:
    if select.select_rows(results.groups, "removal").empty:
        return []
    return [ablation_charts.removal_curves(_curves(results.groups), results.unit)]


def _grown(results: Results) -> list[RenderedFigure]:
    return [] if select.select_rows(results.groups, "top_k").empty else [ablation_charts.top_k(results)]


def _sliced(results: Results) -> list[RenderedFigure]:
    """One matrix a slicing of the pairs."""
    change = select.CHANGE
    pictures = []
    for number, (name, rows) in enumerate(results.slices.groupby("slice", sort=False), start=1):
        renamed = rows.drop(columns="slice").rename(
            columns={"value": "slice", change: "change", f"{change}_low": "low", f"{change}_high": "high"}
        )
        pictures.append(
            subgroup_charts.subgroup_chart(renamed, str(name), f"{results.pairs} pairs of the test split", number)
        )
    return pictures


def _shares(places: pd.DataFrame) -> tuple[float, float]:
    return float(places["share_x"].iloc[0]), float(places["share_y"].iloc[0])
