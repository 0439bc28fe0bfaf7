"""Every figure of the report, in its order, by the section that shows it."""

import pandas as pd

from pipeline.analysis import readings
from pipeline.reporting import (
    dependency,
    grades,
    growing,
    head_map,
    heads,
    learning,
    maps,
    masking,
    profiles,
    removal,
    slices,
    style,
)
from pipeline.reporting.picture import Picture
from pipeline.reporting.results import Results


def draw(results: Results) -> dict[str, list[Picture]]:
    """Section -> its figures; a section without data has none.

    Sections: heads, random, layers, functions, removal, dependency, places, grades, profiles, maps, learning.
    """
    with style.house(style.families(results.texts())):
        return {
            "heads": [heads.heads_heatmap(results)],
            "random": [masking.random_share(results)] if readings.random_shares(results.groups) else [],
            "layers": [masking.layers_and_halves(results)],
            "functions": [masking.functions(results), *_grown(results), *_sliced(results)],
            "removal": _removed(results),
            "dependency": [dependency.graph(results), *dependency.shown(results)] if len(results.edges) else [],
            "places": [head_map.head_map(results.places, _shares(results.places), "pairs of the dev split")],
            "grades": [grades.predicted_grades(results)],
            "profiles": [profiles.profile(results, function) for function in profiles.functions(results)],
            "maps": maps.showcase_maps(results),
            "learning": [] if results.curve.empty else [learning.learning_curve(results)],
        }


ORDERS = {"least_important_first": removal.LEAST_FIRST, "most_important_first": removal.MOST_FIRST}


def _curves(groups: pd.DataFrame) -> pd.DataFrame:
    """What `removal.removal_curves` draws, from the groups removed by importance and at random."""
    every = float(readings.rows(groups, "layer")["heads_masked"].sum())
    ordered = readings.rows(groups, "removal").assign(order=lambda rows: rows["group"].map(ORDERS), draw=0)
    random = readings.rows(groups, "random_share").assign(order=removal.RANDOM)
    curves = pd.concat([ordered, random], ignore_index=True)
    curves["share"] = curves["heads_masked"] / every
    return curves.rename(columns={readings.CHANGE: "change"})[["order", "share", "draw", "change"]].dropna()


def _removed(results: Results) -> list[Picture]:
    if readings.rows(results.groups, "removal").empty:
        return []
    return [removal.removal_curves(_curves(results.groups), results.unit)]


def _grown(results: Results) -> list[Picture]:
    return [] if readings.rows(results.groups, "top_k").empty else [growing.top_k(results)]


def _sliced(results: Results) -> list[Picture]:
    """One matrix a slicing of the pairs."""
    change = readings.CHANGE
    pictures = []
    for number, (name, rows) in enumerate(results.slices.groupby("slice", sort=False), start=1):
        renamed = rows.drop(columns="slice").rename(
            columns={"value": "slice", change: "change", f"{change}_low": "low", f"{change}_high": "high"}
        )
        pictures.append(slices.group_slices(renamed, str(name), f"{results.pairs} pairs of the test split", number))
    return pictures


def _shares(places: pd.DataFrame) -> tuple[float, float]:
    return float(places["share_x"].iloc[0]), float(places["share_y"].iloc[0])
