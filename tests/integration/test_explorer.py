"""The explorer in a real browser: offline, in a sandboxed frame, by keyboard alone, and every number the tables'."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from pipeline.report.explorer.build import ExplorerInputs, build_explorer
from pipeline.report.explorer.contract import Explorer
from pipeline.report.explorer.page import render_page
from pipeline.stats.measure_sets import GRADER, RANKER, MeasureSet
from tests.support.browser import Visits, watched_visits
from tests.support.explorer import explorer_inputs

HOSTILE = (
    "</script><script>document.title='hacked'</script>",
    "<b>bold</b> & \"quoted\" 'x'",
    "北京到上海高铁票",
    "🚄 👩‍👩‍👧 train",
    "רכבת לירושלים",
    "a\u202eb",
)
TOKENS = ("[CLS]", "北", "🚄", "<b>", "[SEP]", "רכבת", "</script>", "[SEP]")


@pytest.fixture(scope="module")
def inputs() -> ExplorerInputs:
    return explorer_inputs(queries=HOSTILE, tokens=TOKENS)


@pytest.fixture(scope="module")
def explorer(inputs: ExplorerInputs) -> Explorer:
    return build_explorer(inputs, shown=6, mib=2)


@pytest.fixture
def visited(browser: Browser, tmp_path: Path) -> Iterator[Visits]:
    with watched_visits(browser, tmp_path) as visits:
        yield visits


def select(page: Page, head: int) -> None:
    page.locator(f'[data-head="{head}"]').click()


def test_it_opens_from_disk_and_asks_for_nothing(visited: Visits, explorer: Explorer):
    page = visited.open(explorer)
    assert page.locator(".cell").count() == 8
    assert [url.split("/")[-1] for url in visited.requests] == ["explorer.html"]


def test_it_works_in_a_sandboxed_frame_of_a_blob(visited: Visits, explorer: Explorer):
    """The way that MLflow shows artifacts: no storage, no downloads, no address of its own."""
    content = json.dumps(render_page(explorer)).replace("<", "\\u003c")
    holder = visited.folder / "holder.html"
    holder.write_text(
        f"<iframe sandbox='allow-scripts' width=1300 height=900></iframe><script>"
        f"document.querySelector('iframe').src = URL.createObjectURL(new Blob([{content}], {{type: 'text/html'}}))"
        "</script>",
        encoding="utf-8",
    )
    page = visited.open_file(holder)
    frame = page.frame_locator("iframe")
    frame.locator('[data-head="3"]').click()
    assert "Head 0.3" in frame.locator("#head-title").inner_text()
    frame.get_by_role("button", name="heads.csv").click()
    assert frame.locator("textarea").input_value().startswith("layer,head,verdict")
    frame.locator("#pair-title").wait_for()
    frame.locator(".matrix rect").first.wait_for()


@pytest.mark.parametrize("of", [GRADER, RANKER], ids=["grader", "ranker"])
def test_every_effect_shown_is_the_tables(of: MeasureSet, visited: Visits):
    inputs = explorer_inputs(of=of)
    page = visited.open(build_explorer(inputs, shown=0, mib=2))
    heads = inputs.results.heads.reset_index(drop=True)
    for head, row in enumerate(heads.to_dict("records")):
        select(page, head)
        assert row["verdict"] in page.locator("#head-title").inner_text()
        for measure in of.tested:
            cell, q = page.locator(f'#effects [data-measure="{measure.name}"] td').all_inner_texts()
            scale, digits = (100, 1) if measure.is_relative else (1, 3)
            expected = [scale * row[f"{measure.change}{end}"] for end in ("", "_low", "_high")]
            np.testing.assert_allclose(numbers(cell), expected, atol=0.51 * 10**-digits)
            assert numbers(q)[0] == pytest.approx(max(0.001, row[f"{measure.name}_q"]), abs=0.00051)
        worse, better = inputs.results.words.tallies
        note = page.locator("#effects + .note").inner_text()
        assert numbers(note)[:2] == [row[worse], row[better]]


@pytest.mark.parametrize("of", [GRADER, RANKER], ids=["grader", "ranker"])
def test_every_cell_of_the_grid_is_the_tables(of: MeasureSet, visited: Visits):
    inputs = explorer_inputs(of=of)
    page = visited.open(build_explorer(inputs, shown=0, mib=2))
    for measure in of.tested:
        page.locator("#colour-by").select_option(measure.name)
        scale, digits = (100, 1) if measure.is_relative else (1, 2)
        shown = [float(text) for text in page.locator(".cell").all_inner_texts()]
        np.testing.assert_allclose(shown, scale * inputs.results.heads[measure.change], atol=0.51 * 10**-digits)
    page.locator("#colour-by").select_option("importance")
    shown = [float(text) for text in page.locator(".cell").all_inner_texts()]
    np.testing.assert_allclose(shown, inputs.results.heads["gradient_importance"], atol=0.0051)


def numbers(text: str) -> list[float]:
    """The numbers among the words of a text."""
    return [float(number) for number in re.findall(r"(?<![\w@])[-+]?\d+(?:\.\d+)?", text)]


def test_every_score_shown_is_the_tables(visited: Visits, inputs: ExplorerInputs, explorer: Explorer):
    page = visited.open(explorer)
    for row in inputs.results.tables.labels.to_dict("records"):
        if row["head"] == 0:
            select(page, 4 * row["layer"])
            cells = page.locator(f'#scores [data-function="{row["function"]}"] td').all_inner_texts()
            assert cells[1] == f"{100 * row['control']:.0f}%"
            assert cells[2] == f"30% → {100 * row['score']:.0f}%"


def test_the_pairs_that_flip_are_as_many_as_the_table_counts(
    visited: Visits, inputs: ExplorerInputs, explorer: Explorer
):
    page = visited.open(explorer)
    sweep = inputs.head_sweep
    predicted = np.concatenate([sweep["unmasked_logits"][None], sweep["masked_logits"]]).argmax(axis=-1)
    for head, row in enumerate(inputs.results.heads.to_dict("records")):
        select(page, head)
        page.get_by_label("worse", exact=True).check()
        assert page.locator("#pairs tbody tr").count() == row["right_to_wrong"]
        page.get_by_label("better", exact=True).check()
        assert page.locator("#pairs tbody tr").count() == row["wrong_to_right"]
        right, wrong, other = (int(count) for count in page.locator("#tally b").all_inner_texts())
        assert (right, wrong) == (row["right_to_wrong"], row["wrong_to_right"])
        page.get_by_label("all that change").check()
        assert page.locator("#pairs tbody tr").count() == right + wrong + other
        assert right + wrong + other == (predicted[head + 1] != predicted[0]).sum()
    assert (predicted[1] == predicted[0]).all()  # what head 0 changes: nothing
    select(page, 0)
    assert "0 pairs" in page.get_by_role("status").inner_text()


def test_pairs_are_searched_by_words_and_by_slice(visited: Visits, explorer: Explorer):
    page = visited.open(explorer, "#shown=all")
    page.locator("#search").fill("北京")
    assert page.locator("#pairs tbody tr").count() == 4
    page.locator("#search").fill("phenomenon=synonym")
    assert page.locator("#pairs tbody tr").count() == 8
    page.locator("#search").fill("no such words")
    assert page.locator("#pairs tbody tr").count() == 0


def test_texts_are_texts_whatever_they_hold(visited: Visits, explorer: Explorer):
    page = visited.open(explorer, "#shown=all")
    texts = page.locator("#pairs").inner_text()
    for text in HOSTILE[:5]:
        assert text.replace("\u200d", "[U+200D]") in texts
    assert "a[U+202E]b" in texts
    assert page.title() != "hacked"
    assert page.locator("#pairs b").count() == 0
    assert "</script>" in page.locator(".matrix").inner_html().replace("&lt;", "<").replace("&gt;", ">")


def test_by_keyboard_alone(visited: Visits, explorer: Explorer):
    page = visited.open(explorer, "#head=0.0")
    page.locator("#colour-by").focus()
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowDown", "End", "ArrowRight", "Home"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.head") == "4"
    assert "Head 1.0" in page.locator("#head-title").inner_text()
    assert page.locator('[role="gridcell"][tabindex="0"]').count() == 1
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith(explorer.heads[4].sentence)
    page.keyboard.press("g")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("g")
    assert "2 heads" in page.locator("#group-title + * + *").inner_text()


def test_every_control_is_reached_and_worked_by_keyboard(visited: Visits, explorer: Explorer):
    page = visited.open(explorer, "#head=1.1&shown=all")
    page.locator(".matrix rect").first.wait_for()
    page.locator("body").evaluate("body => body.focus()")
    reached = set()
    for _ in range(300):
        page.keyboard.press("Tab")
        place = page.evaluate(f"[...document.querySelectorAll({CONTROLS!r})].indexOf(document.activeElement)")
        reached.add(place)
        if page.evaluate("document.activeElement === document.body"):
            break
    every = page.evaluate(f"[...document.querySelectorAll({CONTROLS!r})].map((one) => one.checkVisibility())")
    assert {place for place, is_visible in enumerate(every) if is_visible} <= reached
    other = page.locator("#pairs button").nth(2)
    other.focus()
    page.keyboard.press("Enter")
    assert other.inner_text().lstrip("◆ ") in page.locator("#pair option:checked").inner_text()
    page.get_by_label("worse", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("better", exact=True).is_checked()


# Of radio buttons, Tab stops at the chosen one of each group.
CONTROLS = "button, select, textarea, input:not([type=radio]), input[type=radio]:checked"


def test_tables_are_saved_as_they_are_shown(visited: Visits, inputs: ExplorerInputs, explorer: Explorer):
    page = visited.open(explorer, "#head=1.1&shown=all")
    heads = saved_table(page, "heads.csv")
    expected = inputs.results.heads.reset_index(drop=True)
    for measure in inputs.results.measures.tested:
        np.testing.assert_array_equal(heads[measure.name], expected[measure.change])
    pairs = saved_table(page, "pairs.csv")
    assert pairs["row"].tolist() == explorer.pairs.rows
    assert pairs["query"].tolist() == [explorer.pairs.queries[query] for query in explorer.pairs.query]


def saved_table(page: Page, name: str) -> pd.DataFrame:
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    assert download.value.suggested_filename == name
    return pd.read_csv(download.value.path(), keep_default_na=False)


def test_a_measured_group_shows_its_measurement_another_one_an_estimate(
    visited: Visits, inputs: ExplorerInputs, explorer: Explorer
):
    page = visited.open(explorer, "#group=0.0,0.1")
    effect = page.locator("#group-effect")
    assert effect.get_attribute("data-kind") == "measured"
    change = inputs.results.groups.set_index("group").loc["term_match", "relative_accuracy_change"]
    assert f"{100 * change:+.1f}%" in effect.inner_text()
    select(page, 2)
    page.locator('[data-head="2"]').press("g")
    assert effect.get_attribute("data-kind") == "estimate"
    assert f"{100 * estimated_change(inputs, [0, 1, 2]):+.1f}%" in effect.inner_text()
    command = page.locator("#command").input_value()
    assert "nearest to it, term_match with 2 of these heads" in effect.inner_text()
    assert command == "dvc exp run -S '+group_ablation.groups.mine=[[0,0],[0,1],[0,2]]'"


def estimated_change(inputs: ExplorerInputs, heads: list[int]) -> float:
    """Relative change of accuracy where the heads' own changes of the logits add up."""
    sweep, gold = inputs.head_sweep, inputs.test["grade"].to_numpy()
    unmasked = sweep["unmasked_logits"].astype(float)
    added = unmasked + (sweep["masked_logits"][heads] - unmasked).sum(axis=0)
    return (added.argmax(-1) == gold).mean() / (unmasked.argmax(-1) == gold).mean() - 1


def test_the_attention_drawn_is_that_of_the_levels(visited: Visits, inputs: ExplorerInputs, explorer: Explorer):
    page = visited.open(explorer, "#head=1.2&special=1&phase=before")
    page.wait_for_selector(".matrix rect")
    number = explorer.pairs.rows[explorer.maps[0].pair]
    levels = inputs.levels[f"before_{number}"][1, 2]
    titles = page.locator(".matrix rect title").all_text_contents()
    shown = (levels / 15) ** 2 >= 0.005
    assert len(titles) == shown.sum()
    assert [title.split(": ")[-1] for title in titles] == [f"{100 * (x / 15) ** 2:.0f}%" for x in levels[shown]]


def test_it_says_which_maps_were_left_out(visited: Visits, inputs: ExplorerInputs):
    some = visited.open(build_explorer(inputs, shown=6, mib=(len(render_page(empty(inputs))) + 3000) / 2**20))
    assert "chosen pairs were left out to keep this file within" in some.locator("main").inner_text()
    none = visited.open(build_explorer(inputs, shown=6, mib=0.001))
    assert "6 did not fit into 0.001 MiB (report.explorer_mib)" in none.locator("main").inner_text()


def empty(inputs: ExplorerInputs) -> Explorer:
    return build_explorer(inputs, shown=0, mib=2)


def test_narrow_and_dark_pages_need_no_sideways_scrolling(browser: Browser, explorer: Explorer, tmp_path: Path):
    file = tmp_path / "explorer.html"
    file.write_text(render_page(explorer), encoding="utf-8")
    for width in (390, 800):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="dark")
        page = context.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector(".matrix rect")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


def test_the_decision_is_listed_as_decided(visited: Visits, explorer: Explorer):
    page = visited.open(explorer)
    for decision in ("remove", "uncertain", "protected", "keep"):
        heads = [head for head in explorer.heads if head.decision and head.decision.decision == decision]
        listed = page.locator(f'[data-decision="{decision}"]')
        assert listed.locator("summary b").inner_text() == str(len(heads))
        assert listed.locator("button").count() == len(heads)


def test_the_address_holds_the_view(visited: Visits, explorer: Explorer):
    page = visited.open(explorer)
    select(page, 6)
    page.locator("#colour-by").select_option("verdict")
    page.locator("#search").fill("train")
    page.wait_for_url(re.compile("search=train"))
    address = page.evaluate("location.hash")
    again = visited.open(explorer, address)
    assert "Head 1.2" in again.locator("#head-title").inner_text()
    assert again.locator("#colour-by").input_value() == "verdict"
    assert again.locator("#search").input_value() == "train"


def test_undefined_values_and_one_layer(visited: Visits):
    inputs = explorer_inputs(layers=1, heads=4)
    tables = inputs.results.tables
    heads = tables.heads.assign(relative_accuracy_change=np.nan, relative_accuracy_change_low=np.nan)
    labels = tables.labels.assign(score=np.nan)
    results = replace(inputs.results, tables=replace(tables, heads=heads, labels=labels))
    page = visited.open(build_explorer(replace(inputs, results=results), shown=2, mib=2))
    assert page.locator(".cell").all_inner_texts() == ["–"] * 4
    assert "–" in page.locator('#effects [data-measure="accuracy"]').inner_text()
    assert "NaN" not in page.locator("main").inner_text()


def test_a_ranker_shows_queries_in_both_orders(visited: Visits):
    inputs = explorer_inputs(of=RANKER)
    explorer = build_explorer(inputs, shown=3, mib=2)
    page = visited.open(explorer, "#head=0.1&shown=all")
    scores = inputs.test.assign(before=inputs.head_sweep["unmasked_logits"][:, 0])
    scores = scores.assign(after=inputs.head_sweep["masked_logits"][1, :, 0])
    for number, (_, titles) in enumerate(scores.groupby("query_id")):
        cells = page.locator(f'[data-query="{number}"] tbody td').all_inner_texts()
        rows = [cells[start : start + 5] for start in range(0, len(cells), 5)]
        for column, state in ((1, "before"), (3, "after")):
            expected = titles.sort_values(state, ascending=False)["title"].tolist()
            assert [row[column].lstrip("◆▲▼ ") for row in rows] == expected
    page.locator('[data-head="0"]').click()
    assert page.locator("#tally b").first.inner_text() == "0"


@pytest.mark.slow
def test_a_click_among_384_heads_is_seen_at_once(visited: Visits):
    inputs = explorer_inputs(
        layers=24, heads=16, pairs=1200, mapped=60, tokens=("[CLS]", *"abcdefgh", "[SEP]", *"abcdefghi")
    )
    explorer = build_explorer(inputs, shown=60, mib=40)
    assert len(explorer.maps) == 60
    page = visited.open(explorer)
    page.wait_for_selector(".matrix rect")
    times = page.evaluate(
        """async () => {
            const times = [];
            for (const head of [5, 100, 200, 300, 383]) {
                const start = performance.now();
                document.querySelector(`[data-head="${head}"]`).click();
                await new Promise((done) => setTimeout(done));
                document.body.offsetHeight;
                times.push(performance.now() - start);
            }
            return times;
        }"""
    )
    assert sorted(times)[2] < 100, times
    assert "Head 23.15" in page.locator("#head-title").inner_text()
