"""The explorer in a real browser: offline, in a sandboxed frame, by keyboard alone, and every number the tables'."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from pipeline.compare.diff import difference_interval
from pipeline.compare.explorers import join_explorers
from pipeline.report.explorer.build import ExplorerInputs, build_explorer
from pipeline.report.explorer.contract import Comparison, Explorer, PageData
from pipeline.report.explorer.page import render_page
from pipeline.stats.measure_sets import GRADER, RANKER, MeasureSet
from tests.support.browser import Visits, watched_visits
from tests.support.explorer import GROUPS, changed, explorer_inputs, predicting, unmasked_predictions

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


def open_in_frame(visited: Visits, data: PageData) -> Page:
    """The way that MLflow shows artifacts: no storage, no downloads, no address of its own."""
    content = json.dumps(render_page(data)).replace("<", "\\u003c")
    holder = visited.folder / "holder.html"
    holder.write_text(
        f"<iframe sandbox='allow-scripts' width=1300 height=900></iframe><script>"
        f"document.querySelector('iframe').src = URL.createObjectURL(new Blob([{content}], {{type: 'text/html'}}))"
        "</script>",
        encoding="utf-8",
    )
    return visited.open_file(holder)


def test_it_opens_from_disk_and_asks_for_nothing(visited: Visits, explorer: Explorer):
    page = visited.open(explorer)
    assert page.locator(".cell").count() == 8
    assert [url.split("/")[-1] for url in visited.requests] == ["explorer.html"]


def test_it_works_in_a_sandboxed_frame_of_a_blob(visited: Visits, explorer: Explorer):
    page = open_in_frame(visited, explorer)
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


@pytest.mark.parametrize("of", [GRADER, RANKER], ids=["grader", "ranker"])
def test_a_measured_group_shows_every_measure_of_the_tables(of: MeasureSet, visited: Visits):
    inputs = explorer_inputs(of=of)
    page = visited.open(build_explorer(inputs, shown=0, mib=2), "#group=0.0,0.1")
    row = inputs.results.groups.set_index("group").loc["term_match"]
    scales = inputs.results.tables.group_scales.set_index("measure")
    for measure in of.tested:
        cells = page.locator(f'#group-effects [data-measure="{measure.name}"] td').all_inner_texts()
        levels = [scales.loc[measure.name, "unmasked"], row[measure.name], scales.loc[measure.name, "constant"]]
        np.testing.assert_allclose(numbers(cells[0]) + numbers(cells[2]), levels, atol=0.00051)
        scale, digits = (100, 1) if measure.is_relative else (1, 3)
        change = [scale * row[f"{measure.change}{end}"] for end in ("", "_low", "_high")]
        np.testing.assert_allclose(numbers(cells[1]), change, atol=0.51 * 10**-digits)


def test_a_group_says_on_which_pairs_it_is_masked(visited: Visits, inputs: ExplorerInputs):
    results = replace(inputs.results, pairs=10)
    page = visited.open(build_explorer(replace(inputs, results=results), shown=0, mib=2), "#group=0.0,0.1")
    panel = page.locator("section", has=page.locator("#group-title")).inner_text()
    assert "masked on 10 test pairs, single heads on 24" in panel


def test_it_says_how_far_estimates_of_groups_were_off(visited: Visits, inputs: ExplorerInputs, explorer: Explorer):
    groups = inputs.results.groups.set_index("group")["relative_accuracy_change"]
    off = sorted(100 * abs(estimated_change(inputs, list(heads)) - groups[name]) for name, heads in GROUPS.items())
    page = visited.open(explorer, "#group=0.0,0.1,0.2")
    said = page.locator("#group-effect .note").first.inner_text()
    assert "Of 3 chosen groups of 2 heads, estimated and measured change differ by" in said
    assert f"by {off[1]:.1f} percentage points or less for half, and by {off[2]:.1f} percentage points" in said
    assert "or less for all." in said
    far = visited.open(explorer, "#group=0.0,0.1,0.2,0.3,1.0,1.1,1.2")
    assert "No measured group of about as many heads" in far.locator("#group-effect").inner_text()


def test_nine_in_ten_estimates_of_many_groups(visited: Visits, inputs: ExplorerInputs, explorer: Explorer):
    def measured(values: dict[str, Any]) -> None:
        """Twenty measured groups of the heads of one, off by 1 to 20 percentage points."""
        [group] = [group for group in values["groups"] if group["name"] == "term_match"]
        estimate = estimated_change(inputs, [0, 1])
        effects = [
            [{**one, "change": [estimate + off / 100, None, None]} for one in group["effects"]] for off in range(1, 21)
        ]
        values["groups"] = [{**group, "type": "random_k", "effects": effect} for effect in effects]

    page = visited.open(changed(explorer, measured), "#group=0.0,0.2")
    said = page.locator("#group-effect .note").first.inner_text()
    assert "Of 20 random groups of 2 heads, estimated and measured change differ by 10.0 percentage points" in said
    assert "and by 18.0 percentage points or less for nine in ten." in said


def test_where_there_is_nothing_to_lose_no_share_of_it_is_shown(visited: Visits, explorer: Explorer):
    def knows_nothing(values: dict[str, Any]) -> None:
        values["run"]["beats_constant"] = False

    of_one = visited.open(explorer, "#group=0.0,0.1").locator("main").inner_text()
    assert "share of the way to a model that knows nothing of the pair: zeroed" in of_one
    assert "nothing to lose" not in of_one
    other = visited.open(changed(explorer, knows_nothing), "#group=0.0,0.1").locator("main").inner_text()
    assert "zeroed" not in other
    assert "is then no collapse: there is nothing to lose" in other


def test_every_badge_is_explained_by_pointer_keyboard_and_touch(visited: Visits, explorer: Explorer):
    page = visited.open(explorer)
    for head in range(len(explorer.heads)):
        select(page, head)
        badges = page.locator("#head-title .tag")
        assert badges.count() >= 1
        for badge in badges.all():
            assert badge.get_attribute("title") == explorer.words[badge.inner_text()]
    summary = page.locator("#words summary")
    assert not page.locator("#words dl").is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    words = dict(
        zip(page.locator("#words dt").all_inner_texts(), page.locator("#words dd").all_inner_texts(), strict=True)
    )
    assert words == explorer.words
    summary.click()
    assert not page.locator("#words dl").is_visible()


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


def sideways(browser: Browser, data: PageData, folder: Path) -> list[int]:
    """Widths, of a phone and of a tablet, at which the dark page is wider than its window."""
    file = folder / "explorer.html"
    file.write_text(render_page(data), encoding="utf-8")
    too_narrow = []
    for width in (390, 800):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="dark")
        page = context.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector(".matrix rect")
        if page.evaluate("document.documentElement.scrollWidth") > width:
            too_narrow.append(width)
        context.close()
    return too_narrow


def test_narrow_and_dark_pages_need_no_sideways_scrolling(browser: Browser, explorer: Explorer, tmp_path: Path):
    assert sideways(browser, explorer, tmp_path) == []


def test_a_slice_is_a_link_where_pairs_can_be_found_by_it(visited: Visits, explorer: Explorer):
    def links(shown: Explorer) -> int:
        return visited.open(shown).locator("#slices button").count()

    by_grade = {"grade": explorer.pairs.slices["grade"]}
    fewer = explorer.model_copy(update={"pairs": explorer.pairs.model_copy(update={"slices": by_grade})})
    listed = [part.column in explorer.pairs.slices for part in explorer.slices]
    assert links(explorer) == sum(listed) > 0
    assert links(fewer) == sum(part.column == "grade" for part in explorer.slices)


def test_where_no_head_can_go_the_page_says_so_and_why(visited: Visits, inputs: ExplorerInputs):
    pruning = inputs.results.pruning
    panel = visited.open(build_explorer(inputs, shown=0, mib=2)).locator("section", has_text="What can go")
    assert "1 of 8 heads and 2 blocks of feed-forward neurons can go" in panel.last.inner_text()
    decision = pruning.decision.replace({"decision": {"remove": "uncertain"}})
    results = replace(inputs.results, pruning=replace(pruning, decision=decision))
    explorer = build_explorer(replace(inputs, results=results), shown=0, mib=2)
    page = visited.open(explorer)
    said = page.locator("section", has=page.locator("#pruning-title")).inner_text()
    assert "No head can go: none is shown to be dispensable by a margin of 0.02 accuracy" in said
    assert "those that go" not in page.locator("body").text_content()


def test_a_group_is_said_to_have_collapsed_where_the_report_says_so(visited: Visits, inputs: ExplorerInputs):
    results = inputs.results
    share = results.measures.collapse_by.to_constant
    groups = results.tables.groups
    for way, has_collapsed in ((0.95, True), (0.85, False)):
        fallen = groups.assign(**{share: np.where(groups["group"] == "term_match", way, 0.1)})
        run = replace(results, tables=replace(results.tables, groups=fallen))
        explorer = build_explorer(replace(inputs, results=run), shown=0, mib=2)
        said = "Collapsed: by qwk it is 90% or more of the way to the constant grader, which knows how common"
        assert (said in visited.open(explorer, "#group=0.0,0.1").locator("#group-effect").inner_text()) == has_collapsed
        assert "Collapsed" not in visited.open(explorer, "#group=0.2,0.3").locator("#group-effect").inner_text()


def test_the_legend_tells_what_is_hatched_and_which_function_counts(visited: Visits, explorer: Explorer):
    def first_is_inert(values: dict[str, Any]) -> None:
        for number, head in enumerate(values["heads"]):
            head["is_inert"] = number == 0

    page = visited.open(changed(explorer, first_is_inert))
    legend = page.locator("section", has=page.locator("#grid-title")).locator("p.note").first
    assert page.locator(".cell.inert").count() == 1
    assert "Hatched: inert" in legend.inner_text()
    page.locator("#colour-by").select_option("function")
    assert page.locator(".cell.inert").count() == 0
    assert "Hatched" not in legend.inner_text()
    assert "Only a head's first function counts here" in legend.inner_text()


def test_the_decision_is_listed_as_decided(visited: Visits, explorer: Explorer):
    page = visited.open(explorer)
    for decision in ("remove", "uncertain", "protected", "keep"):
        heads = [head for head in explorer.heads if head.decision and head.decision.decision == decision]
        listed = page.locator(f'[data-decision="{decision}"]')
        assert listed.locator("summary b").inner_text().split()[0] == str(len(heads))
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


def gains(inputs: ExplorerInputs, logits: np.ndarray) -> pd.Series:
    """nDCG of each query of four titles, from its definition."""
    frame = inputs.test.assign(score=logits[:, 0], gain=2.0 ** inputs.test["grade"] - 1)
    discounts = 1 / np.log2(np.arange(2, 6))

    def of_query(titles: pd.DataFrame) -> float:
        orders = [titles.sort_values(by, ascending=False)["gain"].to_numpy() for by in ("score", "gain")]
        return float(orders[0] @ discounts / (orders[1] @ discounts))

    return pd.Series({query: of_query(titles) for query, titles in frame.groupby("query_id")})


def test_queries_of_a_rankers_group_fall_and_rise_measured_or_estimated(visited: Visits):
    inputs = explorer_inputs(of=RANKER, pairs=80)
    explorer = build_explorer(inputs, shown=0, mib=2)
    heads, groups = inputs.head_sweep, inputs.group_sweep
    unmasked = heads["unmasked_logits"]
    estimated = unmasked + (heads["masked_logits"][[0, 1, 2]] - unmasked).sum(axis=0)
    for group, masked in (("0.0,0.1", groups["masked_logits"][0]), ("0.0,0.1,0.2", estimated)):
        page = visited.open(explorer, f"#group={group}&scope=group")
        change = gains(inputs, masked) - gains(inputs, unmasked)
        falls, rises = (int((sign * change > 1e-9).sum()) for sign in (-1, 1))
        assert min(falls, rises) > 0
        shown = page.locator("#tally b").all_inner_texts()
        assert [int(count) for count in shown[1:]] == [falls, rises]
        for choice, mark, count in (("worse", "▼ worse", falls), ("better", "▲ better", rises)):
            page.get_by_label(choice, exact=True).check()
            captions = page.locator("table.query caption").all_inner_texts()
            assert len(captions) == min(count, 20)
            assert all(mark in caption for caption in captions)


def test_a_ranker_says_how_many_queries_a_measure_is_the_mean_of(visited: Visits):
    inputs = explorer_inputs(of=RANKER)
    page = visited.open(build_explorer(inputs, shown=0, mib=2))
    assert "mean of 6 queries" in page.locator('#effects [data-measure="top_title_changed"]').inner_text()
    assert "queries" not in page.locator('#effects [data-measure="score_margin"]').inner_text()


def test_a_group_without_slices_says_how_to_get_them(visited: Visits, explorer: Explorer):
    page = visited.open(explorer, "#group=0.0,0.2&scope=group")
    assert "groups of params.yaml (group_ablation.groups)" in page.locator(".breaks").inner_text()
    assert page.locator("#command").input_value().endswith("groups.mine=[[0,0],[0,2]]'")

    def without_slices(values: dict[str, Any]) -> None:
        for group in values["groups"]:
            group["slices"] = []

    measured = visited.open(changed(explorer, without_slices), "#group=0.0,0.1&scope=group")
    assert measured.locator("#group-effect").get_attribute("data-kind") == "measured"
    assert "To measure its slices" in measured.locator("main").inner_text()
    assert measured.locator("#command").input_value().endswith("groups.mine=[[0,0],[0,1]]'")


def cut_words(page: Page, selector: str) -> list[str]:
    """Words of the elements' texts that are broken over lines."""
    return page.evaluate(
        """selector => [...document.querySelectorAll(selector)].flatMap(holder => {
            const walker = document.createTreeWalker(holder, NodeFilter.SHOW_TEXT), cut = [];
            for (let node = walker.nextNode(); node; node = walker.nextNode())
                for (const word of node.data.matchAll(/\\w+/g)) {
                    const range = document.createRange();
                    range.setStart(node, word.index);
                    range.setEnd(node, word.index + word[0].length);
                    if (range.getClientRects().length > 1) cut.push(word[0]);
                }
            return cut;
        })""",
        selector,
    )


def test_a_phone_breaks_no_word_and_is_told_of_no_keys(browser: Browser, visited: Visits, explorer: Explorer):
    wide = visited.open(explorer)
    assert wide.get_by_text("Shift+click or g").is_visible()
    phone = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = phone.new_page()
    page.goto(f"{(visited.folder / 'explorer.html').as_uri()}#group=0.0,0.1")
    page.wait_for_selector('[role="grid"]')
    assert not page.get_by_text("Shift+click or g").is_visible()
    assert cut_words(page, "#effects tbody th, #group-effects tbody th, #scores tbody th") == []
    phone.close()


def test_numbers_of_five_characters_fit_a_cell(browser: Browser, explorer: Explorer, tmp_path: Path):
    def needed_of_a_size(values: dict[str, Any]) -> None:
        for head in values["heads"]:
            head["verdict"] = "needed"
            for effect in head["effects"]:
                effect["change"] = [-0.169, -0.2, -0.1]

    file = tmp_path / "explorer.html"
    file.write_text(render_page(changed(explorer, needed_of_a_size)), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 600})
    page.goto(file.as_uri())
    page.wait_for_selector(".cell")
    text = page.evaluate(
        """() => { const range = document.createRange(), cell = document.querySelector(".cell");
        range.selectNodeContents(cell); return [cell.innerText, range.getBoundingClientRect().width]; }"""
    )
    assert text[0] == "-16.9"
    assert text[1] < 28  # of twelve cells of 31.5 pixels beside a scroll bar, within frames of 2 on either side
    page.close()


def test_a_chosen_head_of_the_group_has_both_rings(visited: Visits, explorer: Explorer):
    page = visited.open(explorer, "#head=0.1&group=0.0,0.1")
    colours = page.evaluate(
        """() => { const [chosen, grouped] = [1, 0].map(head => document.querySelector(`[data-head="${head}"]`));
        document.activeElement.blur();
        return [getComputedStyle(chosen).outlineColor, getComputedStyle(chosen, "::after").borderTopColor,
                getComputedStyle(grouped).outlineColor]; }"""
    )
    assert colours == ["rgb(11, 87, 164)", "rgb(224, 135, 0)", "rgb(224, 135, 0)"]


def test_the_command_and_the_example_of_a_search_are_seen_whole(visited: Visits, explorer: Explorer):
    page = visited.open(explorer, "#group=0.0,0.1,0.2,0.3,1.0,1.1,1.2")
    size = page.evaluate(
        """() => { const box = document.querySelector("#command");
        return [box.scrollHeight - box.clientHeight, box.scrollWidth - box.clientWidth]; }"""
    )
    assert max(size) <= 0
    needed = page.evaluate(
        """() => { const search = document.querySelector("#search");
        const pen = document.createElement("canvas").getContext("2d");
        pen.font = getComputedStyle(search).font; return pen.measureText(search.placeholder).width; }"""
    )
    assert needed + 30 < page.locator("#search").bounding_box()["width"]  # with the button that empties it


def test_a_list_shows_that_more_follows(visited: Visits):
    inputs = explorer_inputs(pairs=400)
    page = visited.open(build_explorer(inputs, shown=0, mib=2), "#shown=all")
    styles = page.locator(".scroll.tall").evaluate(
        "list => { const style = getComputedStyle(list); return [style.backgroundImage, style.backgroundAttachment]; }"
    )
    assert styles[0].count("linear-gradient") == 2
    assert styles[1] == "local, scroll"  # the cover moves with the content, the shadow stays


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


CHANGED_PAIRS = {5: 1, 17: 3}  # of the first run -> steps that its grade moves


@pytest.fixture(scope="module")
def comparison(explorer: Explorer) -> Comparison:
    """Two runs that differ in three heads and two pairs, and in the effect of a fourth head."""

    def plant(values: dict[str, Any]) -> None:
        heads = values["heads"]
        heads[2]["verdict"] = "harmful"
        heads[6]["decision"]["decision"] = "protected"
        for name, score in zip(values["functions"], heads[3]["scores"], strict=True):
            score["is_labelled"] = name in ("cls", "sep")
        for end in range(3):
            heads[7]["effects"][0]["change"][end] -= 0.25
        values["run"]["setting"][1][1] = "another model"

    was = unmasked_predictions(explorer)
    moved = {pair: (was[pair] + steps) % 5 for pair, steps in CHANGED_PAIRS.items()}
    return join_explorers("HEAD~1", "<b>mine</b>", explorer, changed(explorer, plant, predicting(moved)))


def test_two_runs_show_the_heads_and_pairs_that_changed(visited: Visits, comparison: Comparison):
    page = visited.open(comparison)
    rows = page.locator("#changed-heads tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [["0.2", "verdict"], ["0.3", "labels"], ["1.2", "decision"]]
    assert [row.split("→ ")[1] for row in rows] == ["harmful", "cls, sep", "protected"]
    pairs = page.locator("#run-pairs tbody tr").all()
    assert [int(row.get_attribute("data-pair") or -1) for row in pairs] == list(CHANGED_PAIRS)
    first, second = unmasked_predictions(comparison.first), unmasked_predictions(comparison.second)
    for pair, row in zip(CHANGED_PAIRS, pairs, strict=True):
        cells = row.locator("td").all_inner_texts()
        assert [cell[-1] for cell in cells[3:]] == [str(run[pair] + 1) for run in (first, second)]
    assert "first: HEAD~1" in page.locator("main").inner_text()
    assert "second: <b>mine</b>" in page.locator("main").inner_text()
    assert [url.split("/")[-1] for url in visited.requests] == ["explorer.html"]


def test_the_grid_shows_the_difference_to_the_second_run(visited: Visits, comparison: Comparison):
    page = visited.open(comparison)
    assert page.locator("#colour-by").input_value() == "difference.accuracy"
    assert page.locator(".cell").all_inner_texts() == ["0"] * 7 + ["-25.0"]
    changes = [run.heads[7].effects[0].change[0] or 0 for run in (comparison.first, comparison.second)]
    words = f"accuracy {100 * changes[0]:+.1f}% in the first run, {100 * changes[1]:+.1f}% in the second"
    estimates = [np.array(run.heads[7].effects[0].change) for run in (comparison.first, comparison.second)]
    low, high = (f"{100 * end:+.1f}%" for end in difference_interval(*estimates))
    words = f"{words}, difference -25.0% ({low} to {high})"
    assert page.locator('[data-head="7"]').get_attribute("title") == f"1.3: {words}"
    select(page, 7)
    assert page.locator("#difference p").first.inner_text() == f"Head 1.3: {words}."
    page.locator("#colour-by").select_option("accuracy")
    assert page.locator("#difference").count() == 0
    page.locator("#colour-by").select_option("difference.accuracy")
    values = [option.get_attribute("value") for option in page.locator("#colour-by option").all()]
    assert values[: len(comparison.measures)] == [f"difference.{name}" for name in comparison.measures]


def test_either_of_two_runs_is_shown_with_what_was_chosen(visited: Visits, comparison: Comparison):
    page = visited.open(comparison, "#head=0.2&group=0.0,0.1")
    assert "embedded" in page.locator("header").inner_text()
    page.get_by_label("second: ").check()
    assert "another model" in page.locator("header").inner_text()
    assert page.locator("#head-title .tag").first.inner_text() == "harmful"
    assert "2 heads" in page.locator("#group-title + * + *").inner_text()
    page.locator("#changed-heads").get_by_role("button", name="1.2").click()
    assert "pruning: protected" in page.locator("#head-title").inner_text()


def test_changes_between_runs_are_searched_and_stand_in_the_address(visited: Visits, comparison: Comparison):
    page = visited.open(comparison)
    heads, pairs = page.locator("#changed-heads tbody tr"), page.locator("#run-pairs tbody tr")
    page.locator("#heads-search").fill("1.2")
    assert heads.count() == 1
    page.locator("#heads-search").fill("harmful")
    assert heads.count() == 1
    page.get_by_label("second: ").check()
    title = comparison.first.pairs.titles[5]
    page.locator("#run-search").fill(title.upper())
    assert pairs.count() == 1
    page.locator('.between input[name="run-shown"]').last.check()
    page.wait_for_url(re.compile("moved=all"))
    again = visited.open(comparison, page.evaluate("location.hash"))
    assert again.locator("#changed-heads tbody tr").count() == 1
    assert again.locator("#run-search").input_value() == title.upper()
    assert again.locator('input[name="run"]').last.is_checked()
    again.locator("#heads-search").fill("")
    again.get_by_label("labels", exact=True).check()
    assert again.locator("#changed-heads tbody tr").count() == 1
    again.locator("#run-search").fill("")
    assert "24 pairs." in again.locator(".between").inner_text()


def test_two_runs_work_in_a_sandboxed_frame(visited: Visits, comparison: Comparison):
    frame = open_in_frame(visited, comparison).frame_locator("iframe")
    frame.get_by_label("second: ").check()
    frame.locator("#changed-heads").get_by_role("button", name="0.2").click()
    assert "harmful" in frame.locator("#head-title").inner_text()
    frame.get_by_role("button", name="changed-heads.csv").click()
    lines = frame.locator("textarea").input_value().splitlines()
    assert lines[:2] == ["layer,head,what,first,second", f"0,2,verdict,{comparison.first.heads[2].verdict},harmful"]
    frame.get_by_role("button", name="close").click()
    frame.get_by_role("button", name="run-pairs.csv").click()
    lines = frame.locator("textarea").input_value().splitlines()
    assert [line.split(",")[0] for line in lines] == ["row", *map(str, CHANGED_PAIRS)]


def test_two_rankers_show_the_queries_whose_order_changed(visited: Visits):
    first = build_explorer(explorer_inputs(of=RANKER), shown=3, mib=2)
    ranks, gold, titles = unmasked_predictions(first), first.pairs.gold, first.pairs.titles
    best, worst = (4 + ranks[4:8].index(rank) for rank in (1, 4))
    page = visited.open(join_explorers("a", "b", first, changed(first, predicting({best: 4, worst: 1}))))
    shown = page.locator(".between .query")
    assert [query.get_attribute("data-query") for query in shown.all()] == ["1"]
    cells = shown.locator("tbody td").all_inner_texts()
    assert [cells[3].lstrip("◆▲▼ "), cells[18].lstrip("◆▲▼ ")] == [titles[worst], titles[best]]
    falls = gold[best] > gold[worst]
    assert ("▼ worse" if falls else "▲ better") in shown.locator("caption").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="run-queries.csv").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0] == "row,query,title,gold,before,after"
    after = {best: 4, worst: 1}
    expected = {pair: [ranks[pair], after.get(pair, ranks[pair])] for pair in range(4, 8)}
    assert {int(line.split(",")[0]): [int(x) for x in line.split(",")[-2:]] for line in lines[1:]} == expected
    page.locator(".between").get_by_label("better" if falls else "worse", exact=True).check()
    assert shown.count() == 0


def test_runs_of_two_shapes_say_what_is_not_compared(visited: Visits, explorer: Explorer):
    other = build_explorer(explorer_inputs(layers=3, heads=2, queries=HOSTILE, tokens=TOKENS), shown=2, mib=2)
    page = visited.open(join_explorers("a", "b", explorer, other), "#head=0.3")
    assert "heads are not compared" in page.locator(".limit").inner_text()
    assert page.locator("#changed-heads").count() == 0
    assert page.locator("#colour-by").input_value() == "accuracy"
    page.get_by_label("second: ").check()
    assert page.locator(".cell").count() == 6
    assert page.locator("#run-pairs").count() == 1


def test_two_runs_need_no_sideways_scrolling(browser: Browser, comparison: Comparison, tmp_path: Path):
    assert sideways(browser, comparison, tmp_path) == []
