"""Every figure of the report, in its order, by the section that shows it."""

from pipeline.analysis import readings
from pipeline.reporting import grades, heads, learning, maps, masking, profiles, style
from pipeline.reporting.picture import Picture
from pipeline.reporting.results import Results


def draw(results: Results) -> dict[str, list[Picture]]:
    """Section -> its figures; a section without data has none.

    Sections: heads, random, layers, functions, grades, profiles, maps, learning.
    """
    with style.house(style.families(results.texts())):
        return {
            "heads": [heads.heads_heatmap(results)],
            "random": [masking.random_share(results)] if readings.random_shares(results.groups) else [],
            "layers": [masking.layers_and_halves(results)],
            "functions": [masking.functions(results)],
            "grades": [grades.predicted_grades(results)],
            "profiles": [profiles.profile(results, function) for function in profiles.functions(results)],
            "maps": maps.showcase_maps(results),
            "learning": [] if results.curve.empty else [learning.learning_curve(results)],
        }
