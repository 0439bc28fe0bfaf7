"""Comparing from the command line: what is printed and drawn, against outcomes worked by hand."""

import re
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.compare import __main__ as command
from pipeline.compare import figures
from pipeline.compare.__main__ import compare_runs, main
from pipeline.compare.diff import diff_runs
from pipeline.compare.run_results import find_run
from pipeline.compare.stability import stability
from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.report import canvas
from pipeline.report.canvas import RenderedFigure
from pipeline.report.explorer.build import build_explorer
from pipeline.report.explorer.page import explorer_json
from pipeline.report.tables import Table, plain_text
from tests.integration.test_report import Page
from tests.support.explorer import explorer_inputs
from tests.support.frames import run_heads_frame, run_results
from tests.support.svg import svg_texts

HOSTILE = "<script>alert(1)</script>\u202e&{{ 7 * 7 }}"
FIRST = run_results(
    "first",
    params={"run.seed": "13", "model.name": "embedded"},
    metrics={"headline/test_accuracy": 0.75, "headline/needed_heads": 1, "parameters": 22715141},
    heads=run_heads_frame([[-0.25, 0.0, 0.0], [0.125, 0.0, 0.0]], needed=[(0, 0)]),
    labels=[(0, 0, "cls"), (1, 2, "sep")],
    verdicts={"F3": "agrees", "R1": "differs"},
)
SECOND = run_results(
    "second",
    params={"run.seed": "14", "model.name": "embedded"},
    metrics={"headline/test_accuracy": 0.875, "headline/needed_heads": 2, "mediation/relay_heads": 4},
    heads=run_heads_frame([[-0.25, 0.0, -0.1875], [0.5, 0.0, 0.0]], needed=[(0, 0), (0, 2)]),
    labels=[(0, 0, "cls"), (1, 1, "sep")],
    verdicts={"F3": "cannot tell", "R1": "differs"},
)
THIRD = run_results("third", heads=run_heads_frame([[-0.5, 0.0, 0.0], [0.0, 0.0, 0.25]], needed=[(0, 0)]))


@pytest.fixture
def known(monkeypatch, tmp_path):
    """The command line in an empty folder, with these runs to be found."""
    runs = {one.name: one for one in (FIRST, SECOND, THIRD)}

    def resolve(name):
        if name not in runs:
            raise InputError(f"{name!r} is no run")
        return runs[name]

    monkeypatch.setattr(command, "find_run", resolve)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def words(text: str) -> list[list[str]]:
    """Every line's cells."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_the_summary_of_two_runs(known, capsys):
    assert main(["first", "second"]) == 0
    printed = capsys.readouterr().out
    lines = words(printed)
    for line in (
        ["run.seed", "13", "14"],
        ["headline/test_accuracy", "0.75", "0.875", "+0.125"],
        ["headline/needed_heads", "1", "2", "+1"],
        ["mediation/relay_heads", "missing", "4"],
        ["layer 0 head 2", "+0.0%", "-18.8%", "-18.8", "-21.6 to -15.9", "+0.0%", "+18.8%", "no effect", "needed"],
        ["sep", "1.1", "1.2"],
        ["F3", "agrees", "cannot tell"],
    ):
        assert line in lines
    assert "layer 0 head 0" not in printed  # needed in both
    assert not {"model.name", "R1", "cls", "parameters"} & {line[0] for line in lines}
    assert printed.splitlines()[-1] == "reports/comparison.html"
    assert (known / "reports" / "comparison.html").is_file()


def test_the_summary_of_three_runs(known, capsys):
    assert main(["first", "second", "third", "--output", "here/page.html"]) == 0
    printed = capsys.readouterr().out
    lines = words(printed)
    assert ["run.seed", "13", "14", "missing"] in lines
    assert ["headline/test_accuracy", "0.8125", "0.08839", "0.75", "0.875", "2"] in lines
    assert ["layer 0 head 0", "3 of 3", "-33.3%", "14.4 points", "-50.0%", "-25.0%"] in lines
    assert ["F3", "1", "0", "1", "0"] in lines
    assert "needed in every run: 0.0." in printed
    assert printed.splitlines()[-1] == "here/page.html"
    assert "3 runs compared" in (known / "here" / "page.html").read_text()


def test_two_runs_are_joined_in_one_explorer_beside_the_page(known, capsys, monkeypatch):
    runs = {run.name: with_explorer(run) for run in (FIRST, SECOND)}
    monkeypatch.setattr(command, "find_run", runs.get)
    assert main(["first", "second", "--output", "here/two runs#1.html"]) == 0
    last = capsys.readouterr().out.splitlines()[-2:]
    assert last == ["explorer of both runs: here/two runs#1_explorer.html", "here/two runs#1.html"]
    assert "<title>Head explorer: first and second</title>" in (known / "here/two runs#1_explorer.html").read_text()
    page = Page((known / "here/two runs#1.html").read_text())
    assert "two%20runs%231_explorer.html" in [link["href"] for link in page.all("a")]


def test_a_run_without_its_explorer_is_named_and_the_rest_is_compared(known, capsys, monkeypatch):
    runs = {"first": with_explorer(FIRST), "second": SECOND}
    monkeypatch.setattr(command, "find_run", runs.get)
    assert main(["first", "second"]) == 0
    said = "o explorer of both runs: second has no reports/explorer.json; run its stage report with this version"
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"n{said}", "reports/comparison.html"]
    assert ["run.seed", "13", "14"] in words("\n".join(lines))
    assert f"N{said}." in Page((known / "reports/comparison.html").read_text()).text
    assert not (known / "reports/comparison_explorer.html").exists()


def test_runs_that_are_refused_have_an_explorer_of_what_can_be_compared(known, capsys, monkeypatch):
    ranker = replace(with_explorer(SECOND), params={"finetune.objective": "listwise"})
    monkeypatch.setattr(command, "find_run", {"first": with_explorer(FIRST), "second": ranker}.get)
    assert main(["first", "second"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("compare: first is of a grader, second of a ranker: ")
    assert said.endswith("; explorer of both runs: reports/comparison_explorer.html\n")
    assert (known / "reports/comparison_explorer.html").is_file()


def with_explorer(run):
    content = explorer_json(build_explorer(explorer_inputs(), shown=1, mib=2)).encode()
    return replace(run, read_report=lambda path: content if path == paths.EXPLORER_DATA else None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["first"], "first alone cannot be compared; name two runs or more"),
        (["first", "first"], "first is named twice; name each run once"),
        (["first", "nowhere"], "'nowhere' is no run"),
        (["first", "second", "--output", "folder"], "--output folder is a folder; name a file"),
        (["first", "second", "--output", "file/page.html"], "--output file/page.html cannot be written"),
    ],
)
def test_what_the_user_can_mend_ends_with_code_2(known, capsys, arguments, message):
    (known / "folder").mkdir()
    (known / "file").touch()
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"compare: {message}")
    assert (known / "folder").is_dir()


UNREADABLE = Path("/proc/self/mem")  # reading fails for every user, root too


def test_a_result_that_the_disk_does_not_give_is_named(known, capsys, monkeypatch):
    monkeypatch.setattr(command, "find_run", find_run)
    result = known / paths.HEADLINE
    result.parent.mkdir(parents=True)
    result.symlink_to(UNREADABLE)
    assert main(["workspace", "HEAD"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"compare: {paths.HEADLINE} cannot be read: [Errno 5] Input/output error; ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("refusal", "fix"),
    [
        (OSError(28, "No space left on device"), "the system names no file: look whether the disk is full"),
        (OSError(28, "No space left on device", "/tmp/x"), "'/tmp/x'; free or fix what it names"),
        (PermissionError(13, "Permission denied", "/x"), "'/x'; give yourself the right to read and write there"),
    ],
)
def test_what_the_machine_refuses_ends_with_code_2(known, capsys, monkeypatch, refusal, fix):
    def refuse(name):
        raise refusal

    monkeypatch.setattr(command, "find_run", refuse)
    assert main(["first", "second"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"compare: [Errno {refusal.errno}] {refusal.strerror}")
    assert fix in said
    assert said.count("\n") == 1


def test_outside_the_projects_root_the_folder_is_named(known, capsys, monkeypatch):
    (known / "docs").mkdir()
    monkeypatch.chdir(known / "docs")
    assert main(["HEAD", "workspace"]) == 2
    said = capsys.readouterr().err
    assert said == f"compare: {known}/docs is not the project's root: it has no dvc.yaml; change to the root\n"


def test_equal_runs_are_said_to_be_equal_in_one_line(known):
    summary, source = compare_runs([FIRST, replace(FIRST, name="again")])
    assert summary.splitlines()[2:] == ["No difference in params, headline metrics, verdicts and labels."]
    page = Page(source)
    assert page.text.count("No difference.") == 5
    assert not page.all("img")
    assert len(page.all("table")) == 1  # every metric


def test_what_does_not_differ_is_named_in_one_line(known):
    same_labels = replace(SECOND, labels=FIRST.labels, params=FIRST.params)
    last = compare_runs([FIRST, same_labels])[0].splitlines()[-1]
    assert last == (
        "None: params that differ; labels that heads (layer.head, from 0) gained and lost from the first run "
        "to the second."
    )


def pages() -> list[str]:
    hostile = run_results(HOSTILE, params={HOSTILE: HOSTILE}, heads=SECOND.heads, verdicts={HOSTILE: HOSTILE})
    return [compare_runs(runs)[1] for runs in ([FIRST, hostile], [FIRST, hostile, THIRD])]


@pytest.mark.parametrize("source", pages())
def test_the_page_needs_nothing_else_and_takes_names_as_texts(source):
    page = Page(source)
    assert "<script>alert(1)</script>[U+202E]&{{ 7 * 7 }}" in page.text
    assert not page.all("iframe", "object", "link")
    assert page.all("script") == [{}]  # the page's own
    assert not re.search(r"(?:src|href)=\"(?!data:image/|#)", source)
    assert {c for c in source if unicodedata.category(c) in ("Cc", "Cf", "Cs")} == {"\n"}
    [image] = page.all("img")
    assert len(image["alt"] or "") > 20
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert {(link["href"] or "").removeprefix("#") for link in page.all("a")} <= set(ids)


def test_the_page_holds_every_metric():
    text = Page(compare_runs([FIRST, SECOND])[1]).text
    for cell in ("parameters", "22715141", "+0.125", "Spearman", "+37.5"):
        assert cell in text


def draw_two(before, after) -> RenderedFigure:
    with canvas.report_style([canvas.LATIN]):
        return figures.diff_figure(diff_runs(before, after), before.name, after.name)


def test_both_runs_share_a_scale_and_the_difference_has_its_own():
    texts = Counter(svg_texts(draw_two(FIRST, SECOND)))
    assert (texts["50"], texts["-50"]) == (1, 1)  # one colour bar for both runs, as long as the larger effect
    assert (texts["37.5"], texts["-37.5"]) == (1, 1)  # of the difference
    assert texts["25"] == 0
    assert texts["-25.0"] == 2  # layer 0 head 0 in both runs
    assert (texts["+50.0"], texts["+37.5"], texts["-18.8"]) == (1, 1, 2)
    assert (texts["layer (from 0)"], texts["head (from 0)"]) == (3, 3)
    assert texts["0.2"] == 1  # a dot's name
    assert texts["0.0"] == 11 + 1  # cells without effect, and the other dot's name


def test_runs_of_two_shapes_have_dashes_where_one_has_no_head():
    small = run_results("small", heads=run_heads_frame([[-0.25, 0.0]]))
    drawn = draw_two(small, SECOND)
    assert Counter(svg_texts(drawn))["–"] == 8  # four heads are not in the small model, nor in the difference
    assert "0 of 6 heads differ; none differs" in drawn.words.alt


def test_undefined_effects_are_drawn_as_undefined():
    undefined = run_results("undefined", heads=run_heads_frame(np.full((2, 3), np.nan)))
    assert Counter(svg_texts(draw_two(undefined, undefined)))["–"] == 18
    page = Page(compare_runs([undefined, SECOND])[1])
    assert "undefined, since the models differ in layers or heads, or all effects of a run are equal" in page.text


def test_several_runs_show_mean_deviation_and_how_often_a_head_is_needed():
    with canvas.report_style([canvas.LATIN]):
        texts = Counter(svg_texts(figures.stability_figure(stability([FIRST, SECOND, THIRD]))))
    assert texts["needed in how many of 3 runs"] == 1
    assert texts["-33.3"] == 2  # layer 0 head 0, and the end of the means' scale
    assert texts["14.4"] == 2  # layer 0 head 0 and layer 1 head 2
    assert texts["3"] == 2  # the head needed in every run, and the end of the scale


def test_the_same_runs_give_the_same_bytes():
    assert compare_runs([FIRST, SECOND]) == compare_runs([FIRST, SECOND])


def test_plain_tables_align_wide_characters():
    table = Table("A caption", ["name", "x"], [["北京", "1"], ["b\x07", "22"]])
    assert plain_text(table) == "A caption:\n  name        x\n  北京        1\n  b[U+0007]  22"
    assert plain_text(Table("Nothing", ["a"], [])) == "Nothing: none"


RANKER = {"finetune.objective": "listwise"}


def ranked(run):
    """The run as a ranker's, which it says by nDCG@10."""
    metrics = {name.replace("accuracy", "ndcg_at_10"): value for name, value in run.metrics.items()}
    return replace(run, params={**run.params, **RANKER}, metrics=metrics)


def test_two_rankers_are_compared_by_their_measures():
    summary, page = compare_runs([ranked(FIRST), ranked(SECOND)])
    assert ["headline/test_ndcg_at_10", "0.75", "0.875", "+0.125"] in words(summary)
    text = " ".join(Page(page).text.split())
    assert "relative nDCG@10 change, and the primary measure's share of the way to the constant ranker" in text
    assert "Change of nDCG@10 when a single head is masked" in text
    assert "accuracy" not in text + summary


def test_three_rankers_are_compared_by_their_measures():
    summary, page = compare_runs([ranked(run) for run in (FIRST, SECOND, THIRD)])
    text = " ".join(Page(page).text.split())
    assert "in percent of each run's unmasked nDCG@10" in text
    assert "accuracy" not in text + summary


@pytest.mark.parametrize("runs", [[FIRST, ranked(SECOND)], [FIRST, SECOND, ranked(THIRD)]])
def test_a_grader_and_a_ranker_are_not_compared(runs):
    message = f"first is of a grader, {runs[-1].name} of a ranker: .* accuracy and of nDCG@10, which cannot be compared"
    with pytest.raises(InputError, match=message):
        compare_runs(runs)
