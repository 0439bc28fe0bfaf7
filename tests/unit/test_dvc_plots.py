"""What `dvc plots` is told to draw: files that stages write, columns that they have, templates without a gap."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc_render import VegaRenderer

from pipeline.tables.head_ablation import HEADS

DECLARED = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
DRAWN = {name: plot for one in DECLARED["plots"] if isinstance(one, dict) for name, plot in one.items()}
PICTURES = [one for one in DECLARED["plots"] if isinstance(one, str)]
REVISIONS = ("before", "after")


def outs() -> set[str]:
    """Everything that a stage leaves, by path."""
    left = [one for stage in DECLARED["stages"].values() for one in stage.get("outs", [])]
    return {path for one in left for path in ([one] if isinstance(one, str) else one)}


def table(path: str) -> list[dict[str, str]]:
    """As DVC reads it: every value is text."""
    with Path(path).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def filled(plot: dict[str, Any]) -> dict[str, Any]:
    """The specification of the plot's only file at two revisions, as DVC writes it into its page."""
    [(path, column)] = plot["y"].items()
    rows = [{**row, "rev": rev} for rev in REVISIONS for row in table(path)]
    named = {name: plot[name] for name in ("template", "title", "x", "x_label", "y_label") if name in plot}
    drawn = VegaRenderer(rows, "plot", **named, y=column, template_dir=".dvc/plots", revs_with_datapoints=REVISIONS)
    return drawn.get_filled_template()


def walked(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of the specification but of its data."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if key != "values":
            yield str(key), inner
            if isinstance(inner, dict | list):
                yield from walked(inner)


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_reads_columns_of_a_file_that_a_stage_writes(name: str):
    plot = DRAWN[name]
    [(path, column)] = plot["y"].items()
    assert outs() & {one.as_posix() for one in (Path(path), *Path(path).parents)}
    assert {column, plot["x"]} <= set(table(path)[0])


@pytest.mark.parametrize("path", PICTURES)
def test_a_picture_lies_in_a_folder_that_a_stage_writes(path: str):
    assert Path(path).is_file()
    assert Path(path).parent.as_posix() in outs()


@pytest.mark.parametrize("name", DRAWN)
def test_a_filled_template_has_its_rows_and_words_and_names_fields_that_exist(name: str):
    plot, spec = DRAWN[name], filled(DRAWN[name])
    [path] = plot["y"]
    assert len(spec["data"]["values"]) == len(REVISIONS) * len(table(path))
    words = [value for _, value in walked(spec) if isinstance(value, str)]
    assert not any("<DVC" in text for text in words)
    assert {plot[name] for name in ("title", "x_label", "y_label") if name in plot} <= set(words)
    computed = {value for key, value in walked(spec) if key == "as"}
    read = {value for key, value in walked(spec) if key == "field"}
    read |= {column for text in words for column in re.findall(r"\bdatum(?:\.|\[')(\w+)", text)}
    assert "rev" in read
    of_rankers = {column.name for column in HEADS["ranker"].columns}  # the default run's table is a grader's
    assert read - computed - {"rev"} <= set(table(path)[0]) | of_rankers


def test_every_template_is_used():
    assert {Path(one).stem for one in Path(".dvc/plots").glob("*.json")} == {
        plot["template"] for plot in DRAWN.values() if "template" in plot
    }


def test_heads_are_placed_by_their_numbers_and_stand_apart_by_revision():
    spec = filled(DRAWN["Heads masked alone"])
    assert json.dumps(spec["facet"]).count('"rev"') == 1
    across, up = (spec["transform"][place]["calculate"] for place in range(2))
    assert (across, up) == ("toNumber(datum['head'])", "toNumber(datum['layer'])")  # as text 10 comes before 2
