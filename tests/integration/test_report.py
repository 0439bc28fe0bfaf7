"""The report is one page that needs nothing else, shows the data's texts as texts, and is the same bytes each time."""

import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from pipeline.core import formats, paths
from pipeline.findings.article import CLAIMS
from pipeline.report import (
    ablation_charts,
    attention_maps,
    canvas,
    head_heatmaps,
    html,
    model_charts,
    subgroup_charts,
    tables,
)
from pipeline.report.results import Results
from pipeline.stats.grading_measures import ACCURACY
from pipeline.stats.measure_sets import GRADER, RANKER, MeasureSet
from pipeline.tables import attention, dependency, grading, group_ablation, head_ablation, prepare, pruning
from tests.support import frames
from tests.support.browser import Visits, watched_visits
from tests.support.explorer import attention_shift
from tests.support.shell import REPOSITORY

HOSTILE_QUERY = "<script>alert(1)</script> \u202eabc\x07"
HOSTILE_TITLE = "\"><img src=x onerror='alert(2)'> {{ 7 * 7 }} &amp; 北京"
OTHER_WINDOWS = [(1280, "dark"), (800, "light"), (800, "dark"), (390, "light")]
FIGURES = 17  # of a grader; a ranker's has none of predicted grades
STAGE = """
from pipeline.core.config import load_params
from pipeline.stages import report
from pipeline.tracking import Record
record = Record()
report.main(load_params(), record)
print(record.metrics, [str(path) for path in record.artifacts])
"""


class Page(HTMLParser):
    """Tags with their attributes, the text outside of style, and ids."""

    def __init__(self, source: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.text += data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in tags]


def write_inputs(folder: Path, of: MeasureSet = GRADER) -> None:
    """The files that the stages before would have left below `folder`, with texts that try to be more than texts."""
    tokens = ["[CLS]", "<script>", "\u202eabc", "[SEP]", "北", "京", "[SEP]"]
    pair = frames.example_pair(tokens, 2, 4)
    results, kind = frames.results(2, 4, of=of), of.kind
    shown = results.profiles[results.profiles["function"].isin(["term_match", "self", "sep"])]
    written = {
        head_ablation.HEADS[kind]: results.heads,
        head_ablation.SCALES: results.tables.head_scales,
        head_ablation.HEAD_SLICES: results.tables.head_slices,
        head_ablation.UNLABELLED_HEADS[kind]: results.unlabelled_heads,
        group_ablation.SCALES: results.tables.group_scales,
        group_ablation.GROUPS[kind]: with_members(results.groups),
        group_ablation.CONTROLS: results.tables.controls,
        group_ablation.CONTRASTS: results.tables.contrasts,
        group_ablation.SLICES: results.slices,
        attention.LABELS: results.tables.labels,
        attention.TERM_MATCH_SHIFT: results.tables.term_match_shift,
        attention.HEAD_EMBEDDING: results.head_embedding,
        attention.PROFILES: shown,
        attention.ATTENTION_SHIFT: attention_shift(2, 4),
        dependency.MEDIATION[kind]: results.tables.mediation,
        dependency.JOINT_MEDIATION[kind]: results.tables.joint_mediation,
        dependency.EDGES: results.edges,
        pruning.LADDER: results.pruning.ladder,
        pruning.PRUNING_CONTROLS: results.pruning.controls,
        grading.CURVE[kind]: results.curve,
    }
    for table, frame in written.items():
        frames.write(folder, table, frame)
    predicted = {"predicted": 1} if of is GRADER else {"score": 1.0}
    for table in (grading.TEST_PREDICTIONS[kind], grading.BILSTM_PREDICTIONS[kind]):
        rows = [{"query_id": number, "grade": number} | predicted for number in range(3)]
        frames.write(folder, table, frames.example(table, rows))
    write_sweep(folder)
    write_group_sweep(folder, results.pairs)
    write_explorer_maps(folder, tokens)
    hostile = frames.example_record(tokens) | {"query": HOSTILE_QUERY, "title": HOSTILE_TITLE}
    formats.write_json(folder / paths.EXAMPLE_CLS_ATTENTION, [hostile])
    formats.write_json(folder / paths.stage_metrics("head_ablation"), results.head_ablation)
    formats.write_json(folder / paths.stage_metrics("prepare"), results.prepare)
    formats.write_json(folder / paths.stage_metrics("finetune"), results.finetune)
    formats.write_json(
        folder / paths.stage_metrics("bilstm"),
        results.bilstm | {"test_accuracy": 0.875, "best_epoch": 12, "converged": 0},
    )
    formats.write_json(folder / paths.stage_metrics("attention"), results.attention)
    formats.write_json(folder / paths.stage_metrics("pruning"), results.pruning.metrics)
    formats.write_json(folder / paths.DECISION, results.pruning.decision.to_dict("records"))
    formats.write_safetensors(folder / paths.MAPS, {"before_0": pair.before, "after_0": pair.after})
    described = {"query_id": 7, "query": HOSTILE_QUERY, "title": HOSTILE_TITLE, "grade": 0, "tokens": tokens}
    formats.write_json(folder / paths.EXAMPLE_PAIRS, [described | {"segment": [-1, 0, 0, -1, 1, 1, -1]}])
    params = yaml.safe_load((REPOSITORY / paths.PARAMS).read_text(encoding="utf-8"))
    params["data"]["grades"][0] = "<i>worst</i>"
    params["report"]["example_heads"] = 1
    params["finetune"]["objective"] = "classes" if of is GRADER else "listwise"
    formats.write_text(folder / paths.PARAMS, yaml.safe_dump(params))


def write_sweep(folder: Path) -> None:
    """One query of two titles, whose order turns where a head is masked."""
    masks = 1 - np.eye(8, dtype=np.float32).reshape(8, 2, 4)
    unmasked = np.array([[2.0], [1.0]], dtype=np.float32)
    masked = np.repeat(unmasked[None, ::-1], 8, axis=0)
    arrays = {"masks": masks, "masked_logits": masked, "unmasked_logits": unmasked, "pairs": np.arange(2)}
    replace(head_ablation.LOGITS, path=folder / paths.HEAD_LOGITS).write(arrays)
    rows = [{"query_id": 3, "query": HOSTILE_QUERY, "title": title, "grade": 4 - 4 * n} for n, title in enumerate("ab")]
    table = prepare.SPLIT_TABLES[paths.TEST]
    frames.write(folder, table, frames.example(table, rows))


def with_members(groups: pd.DataFrame) -> pd.DataFrame:
    """The groups with heads that the model of two layers of four heads has: its first ones."""
    names = [f"{head // 4}.{head % 4}" for head in range(8)]
    masked = [" ".join(names[: min(size, 8)]) for size in groups["heads_masked"]]
    return groups.assign(members=[text or np.nan for text in masked])


def write_group_sweep(folder: Path, pairs: int) -> None:
    """Groups of the first heads, which change nothing."""
    masks = np.tril(np.ones((8, 8), dtype=np.float32))
    arrays = {"masks": 1 - masks.reshape(8, 2, 4), "masked_logits": np.zeros((8, pairs, 1), dtype=np.float32)}
    arrays |= {"unmasked_logits": np.zeros((pairs, 1), dtype=np.float32), "pairs": np.arange(pairs)}
    replace(group_ablation.LOGITS, path=folder / paths.GROUP_LOGITS).write(arrays)


def write_explorer_maps(folder: Path, tokens: list[str]) -> None:
    size = len(tokens)
    levels = np.zeros((2, 4, size, size), dtype=np.uint8)
    formats.write_safetensors(folder / paths.EXPLORER_MAPS, {"before_0": levels, "after_0": levels + 15})
    mapped = {"row": 0, "tokens": tokens, "segment": [-1, 0, 0, -1, 1, 1, -1], "length": size}
    formats.write_json(folder / paths.EXPLORER_PAIRS, [mapped])
    formats.write_safetensors(folder / paths.HEAD_DISTANCES, {"distances": 1 - np.eye(8)})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    """The stage run twice at once, in processes that order sets otherwise: its folder and what it printed."""
    folders = [tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("a second, elsewhere")]
    for folder in folders:
        write_inputs(folder)
    processes = [started(folder, seed) for seed, folder in enumerate(folders, start=1)]
    printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return list(zip(folders, printed, strict=True))


def started(folder: Path, seed: int) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": str(seed)}
    stage = [sys.executable, "-c", STAGE]
    return subprocess.Popen(stage, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage run on a ranker's results."""
    folder = tmp_path_factory.mktemp("ranker")
    write_inputs(folder, RANKER)
    process = started(folder, seed=1)
    process.communicate(timeout=300)
    assert process.returncode == 0
    return folder


@pytest.fixture(scope="module")
def source(runs: list[tuple[Path, str]]) -> str:
    return (runs[0][0] / paths.REPORT).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_texts_of_the_data_are_texts(source: str, page: Page):
    assert "<script>alert(1)</script> [U+202E]abc[U+0007]" in page.text
    assert HOSTILE_TITLE in page.text
    assert not page.all("iframe", "object", "link", "i", "b")
    assert page.all("script") == [{}]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert {c for c in source if unicodedata.category(c) in ("Cc", "Cf", "Cs")} == {"\n"}


def test_nothing_is_fetched_from_elsewhere(source: str, page: Page):
    assert all((image["src"] or "").startswith("data:image/") for image in page.all("img"))
    assert set(re.findall(r"(?:src|href)=\"(?!data:image/|#)([^\"]*)", source)) == {"explorer.html"}
    assert not re.search(r"url\(|@import", source)


def test_every_figure_has_alternative_text_and_a_caption(page: Page):
    images, captions = page.all("img"), page.all("figcaption")
    assert len(images) == len(captions) == len(page.all("figure")) == FIGURES
    assert all(len(image["alt"] or "") > 20 for image in images)


def test_the_contents_lead_to_sections_that_exist(page: Page):
    hrefs = [link["href"] or "" for link in page.all("a")]
    targets = [href.removeprefix("#") for href in hrefs if href.startswith("#")]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    sections = [section["id"] for section in page.all("section")]
    assert targets[: len(sections)] == sections
    assert len(sections) == 16
    assert set(targets) <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(targets) == len(sections) + 1 + len(CLAIMS)  # back to the contents, and each finding's figure


def test_two_reports_are_told_apart_by_their_titles():
    results = frames.results(2, 4)
    heads = results.heads.assign(rank=results.heads["rank"] + 1)
    other = replace(results, tables=replace(results.tables, heads=heads))
    assert re.fullmatch("generated, en; embedded; results [0-9a-f]{8}", results.identity)
    assert frames.results(2, 4).identity == results.identity != other.identity


def test_findings_are_shown_with_the_articles(page: Page):
    for figure in ("-52.4%", "-86.5%", "-18.1%", "not stated", "-45.5%", "agrees", "layer 1 head 1"):
        assert figure in page.text


def test_a_grader_that_is_not_converged_is_named(page: Page):
    said = "The BiLSTM is not trained to convergence: its best epoch, 12, is the last one allowed."
    assert said in " ".join(page.text.split())
    assert "BERT is not trained to convergence" not in page.text


OF_GRADERS_ALONE = (
    *("graded right", "constant grader", "relative accuracy", "unmasked accuracy", "predicted grade", "kappa", "qwk"),
    *("knows nothing", "common each grade", "Lexical baselines", "article's figures", "pairs lost"),
)


def test_a_rankers_page_names_its_measures_and_shows_the_queries_that_break(ranker: Path):
    page = Page((ranker / paths.REPORT).read_text(encoding="utf-8"))
    text = " ".join(page.text.split())
    assert not [words for words in OF_GRADERS_ALONE if words in text]
    captions = [words for words in re.split(r"(?<=[.:;]) ", text) if re.search(r"(?<!pairwise )accuracy", words)]
    assert all("the article's percentages are changes of accuracy" in words for words in captions)
    for words in (
        "A reranker scores how well a title answers a query",
        "0.900 on test (MRR@10 0.950)",
        "BiLSTM 0.850, BM25 0.700",
        "by nDCG@10: share masked: mean change",
        "queries worse",
        "queries better",
        "which scores all titles alike",
        "Changes on a slice are those of the queries with a title in it.",
        "“<script>alert(1)</script> [U+202E]abc[U+0007]” without layer 1 head 1: nDCG@10 1.000 -> 0.631",
    ):
        assert words in text, words
    assert len(page.all("img")) == FIGURES - 1
    assert len(page.all("section")) == 17
    headline = json.loads((ranker / paths.HEADLINE).read_text(encoding="utf-8"))
    assert list(headline)[:4] == [
        *("test_ndcg_at_10", "test_mrr_at_10", "bilstm_test_ndcg_at_10", "bm25_test_ndcg_at_10")
    ]
    assert list(headline.values())[:4] == [0.9, 0.95, 0.85, 0.7]


def test_undefined_metrics_say_why():
    undefined = {"test_ndcg_at_10": "no query has two titles"}
    values = {"test_accuracy": 0.9, "dev_accuracy": 0.91, "test_ndcg_at_10": None, "undefined": undefined}
    assert tables.metric_table(values).rows == [
        ["accuracy", "0.910", "0.900"],
        ["ndcg_at_10", "undefined", "undefined: no query has two titles"],
    ]


def test_accuracy_is_shown_with_lexical_baselines():
    scores = {"test_accuracy": 0.9, "test_majority_accuracy": 0.25, "test_tfidf_accuracy": 0.5}
    rows = dict(tables.run_table(replace(frames.results(2, 4), finetune=scores)).rows)
    assert rows["Accuracy"] == "0.900 of test pairs graded right"
    assert rows["Accuracy of others"] == "BiLSTM 0.880, majority class 0.250, logistic regression on words 0.500"


def cells(table: tables.Table, row: int = 0) -> dict[str, str]:
    return dict(zip(table.columns, table.rows[row], strict=True))


def test_the_extremes_are_sorted_and_split_by_sign_of_the_primary_measure():
    results = frames.results(2, 4)
    shares = results.heads["log_loss_to_constant"]
    needed = cells(tables.most_needed(results))
    assert [needed[name] for name in ("head", "verdict", "q")] == ["1.1", "needed", "0.002"]
    assert [needed[name] for name in ("pairs lost", "pairs won")] == ["18", "2"]
    assert needed["log loss, % of the way"] == "+7.8%"
    columns = ("log loss (nats)", "at least", "at most")
    assert [needed[name] for name in columns] == ["+0.094", "+0.086", "+0.101"]  # 0.078 of 1.2 nats
    assert needed["accuracy (%)"] == "-5.2%"
    assert len(tables.most_needed(results).rows) == (shares > 0).sum()
    assert cells(tables.most_harmful(results))["log loss, % of the way"] == f"{100 * shares.min():+.1f}%"


def test_verdicts_follow_another_primary_measure():
    results = frames.results(2, 4)
    by_accuracy = replace(results, tables=replace(results.tables, primary=ACCURACY))
    columns = tables.most_needed(by_accuracy).columns
    assert columns[2:6] == ["accuracy, % of the way", "accuracy (%)", "at least", "at most"]
    assert columns[6:] == ["q", "KL divergence (nats)", "pairs lost", "pairs won"]


def test_the_needed_heads_in_a_sentence_and_none():
    results = frames.results(2, 4)
    needed = results.heads[results.heads["verdict"] == "needed"]
    said = tables.needed_summary(results)
    assert said.startswith(f"{len(needed)} of 8 heads are needed, by log loss: 1.1")
    assert said.endswith("Without 1.1, accuracy changes by -5.2%.")
    one = results.heads["verdict"].where(results.heads.index == needed.index[0], "small")
    single = replace(results, tables=replace(results.tables, heads=results.heads.assign(verdict=one)))
    assert tables.needed_summary(single).startswith("1 of 8 heads is needed, by log loss: ")
    none = replace(results, tables=replace(results.tables, heads=results.heads.assign(verdict="small")))
    assert tables.needed_summary(none) == "No head is shown to be needed, by log loss."


def test_heads_that_do_much_and_heads_that_do_nothing_are_named():
    """A head whose KL divergence alone is large is neither needed nor harmful."""
    active = {"verdict": "undecided", "is_inert": False, "kl_divergence": 0.3}
    active |= {"kl_divergence_low": 0.2, "kl_divergence_high": 0.4}
    heads = frames.ranked_heads(
        [frames.head_row(0, 0, -0.05), frames.head_row(0, 1, -0.001, **active), frames.head_row(0, 2, 0.0)]
    )
    results = frames.results(2, 4)
    results = replace(results, tables=replace(results.tables, heads=heads))
    assert [row[0] for row in tables.active_heads(results).rows] == ["0.1"]
    assert cells(tables.active_heads(results))["KL divergence (nats)"] == "+0.300"
    assert [row[:2] for row in tables.inert_heads(results).rows] == [["layer 0 head 2", "3"]]
    assert tables.inert_heads(results).caption.startswith("Inert heads: 1 of 3")


def test_measures_have_their_scale_and_the_heads_they_find():
    rows = {row[0]: row[1:] for row in tables.measure_scales(frames.results(2, 4)).rows}
    assert list(rows) == [measure.label for measure in GRADER.tested]
    assert rows["accuracy"] == ["0.900", "0.300", "-66.7%", "1.3%", "higher is better", "2", "2"]
    assert rows["log loss"][:4] == ["0.300", "1.500", "+1.200 nats", "0.024 nats"]


def of_a_model_that_knows_nothing(layers: int = 2, heads: int = 4) -> Results:
    """Results of a model that is no better than the constant one by any measure that needs grades."""
    results = frames.results(layers, heads)
    scales = results.tables.group_scales
    scales.loc[scales["needs_grades"], ["way", "margin"]] = np.nan
    scales.loc[scales["needs_grades"], ["way_low", "way_high"]] = [-0.1, 0.1]
    undefined = {measure.to_constant: np.nan for measure in GRADER.tested if not measure.is_distance}
    tables = results.tables
    return replace(
        results,
        tables=replace(
            tables,
            heads=tables.heads.assign(**undefined, verdict="undecided", is_inert=False, kl_divergence_low=0.2),
            groups=tables.groups.assign(**undefined),
            head_slices=tables.head_slices.assign(to_constant=np.nan),
            joint_mediation=tables.joint_mediation.assign(mediated=np.nan, restored=np.nan),
            head_scales=scales,
            group_scales=scales,
        ),
    )


def test_it_says_why_there_is_no_figure_of_heads_on_slices():
    some = frames.results(2, 4)
    none_sure = some.tables.head_slices.assign(is_sure=False)
    no_way = of_a_model_that_knows_nothing().tables.head_slices
    for slices, why in (
        (none_sure, "no single head surely changes log loss on a slice"),
        (no_way, "as shares of the way to the constant grader, and by log loss the unmasked model is no better"),
    ):
        sliced = subgroup_charts.Sliced("9 pairs", some.words)
        assert subgroup_charts.head_slice_chart(slices, some.primary, sliced) is None
        assert why in subgroup_charts.why_no_head_slices(slices, some.primary, some.words)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (tables.measure_scales, "–: there is no way to it, as the unmasked model is no better by this measure"),
        (tables.active_heads, "No share of the way to the constant grader is given"),
        (tables.sure_slices, "No share of the way to the constant grader is given"),
        (tables.group_effects, "No share of the way to the constant grader is given"),
        (tables.joint_mediation, "No share is given: the effect itself is not surely different from 0"),
    ],
)
def test_where_a_value_cannot_exist_the_reason_stands_once(table, why: str):
    made, usual = table(of_a_model_that_knows_nothing()), table(frames.results(2, 4))
    assert made.caption.count(why) == 1
    assert why not in usual.caption
    assert "undefined" not in {cell for row in made.rows for cell in row}
    assert {len(row) for row in made.rows} == {len(made.columns)}
    assert {len(row) for row in usual.rows} <= {len(usual.columns)}


def test_a_model_with_nothing_to_lose_has_not_collapsed():
    results = frames.results(2, 4)
    unsure = replace(results.tables, group_scales=frames.scales_frame(beats_constant=False))
    unsure = replace(results, tables=unsure)
    assert "collapsed" in {row[-1] for row in tables.group_effects(results).rows}
    made = tables.group_effects(unsure)
    assert "collapsed" not in {row[-1] for row in made.rows}
    assert not [column for column in made.columns if "of the way" in column]
    assert "so it has nothing to lose" in made.caption
    assert not unsure.collapsed(unsure.groups).any()


def test_sure_slices_of_single_heads_are_named_the_largest_first():
    table = tables.sure_slices(frames.results(2, 4))
    assert [row[:5] for row in table.rows] == [
        ["layer 1 head 1", "phenomenon", "word_order", "42", "+40.0%"],
        ["layer 0 head 0", "phenomenon", "synonym", "41", "-10.0%"],
    ]
    assert "the 2 largest of 2 changes, of 40 compared" in table.caption


def test_named_groups_are_shown_by_every_measure():
    rows = {row[0]: row[1:] for row in tables.group_effects(frames.results(2, 4)).rows}
    assert rows["lower half"][1:3] == ["+94.5%", "-63.0%"]
    assert rows["lower half"][-1] == "collapsed"
    assert rows["term_match"][-1] == ""
    assert "user group: <b>mine</b> & $x$" in rows
    assert not {"unmasked", "random"} & set(rows)


def test_heads_on_pairs_without_grades_agree_with_the_graded():
    results = frames.results(2, 4)
    table = tables.unlabelled_heads(results)
    assert table.rows[0][:3] == ["layer 1 head 1", "1", "1"]
    assert "rank correlation (Spearman) of all 8 heads with the graded pairs: 1.000" in table.caption
    nothing = replace(results, unlabelled_heads=results.unlabelled_heads[:0])
    assert tables.unlabelled_heads(nothing).rows == []


def test_labelled_heads_by_function_and_heads_that_matter_under_zero_ablation_only():
    results = frames.results(2, 4)
    assert tables.labelled_heads(results).rows[0] == ["term_match", "1", "0.0", "0.36", "0.06", "1.00"]
    assert [row[0] for row in tables.ablation_types(results).rows] == ["layer 1 head 1"]


def test_shifts_of_the_term_match_heads_and_the_sink():
    table = tables.term_match_shift(frames.results(2, 4))
    places = ["the same term", "itself", "[CLS] (the sink)", "[SEP]"]
    assert table.columns == ["head", *(f"{place}, {phase}" for place in places for phase in ("before", "after"))]
    assert [row[0] for row in table.rows] == ["0.0", "0.1"]
    assert table.rows[0][1:7] == ["0.500", "0.600", "0.500", "0.400", "0.500", "0.400"]
    no_heads = frames.tables(2, 4, term_match_shift=frames.term_match_shift_frame([]))
    nothing = replace(frames.results(2, 4), tables=no_heads)
    assert tables.term_match_shift(nothing).rows == []


def test_relay_heads_with_what_their_rows_cost():
    results = frames.results(2, 4)
    assert tables.relay_heads(results).rows == [
        ["1.0", "-0.100", "-0.200", "0.30", "0.50", "-0.20", "0.032", "+0.050"],
    ]


def test_joint_mediation_with_the_total_in_its_caption():
    table = tables.joint_mediation(frames.results(2, 4))
    assert [row[:2] for row in table.rows] == [
        ["relay heads, all rows", "1"],
        ["relay heads, [CLS] rows", "1"],
        ["other candidates, [CLS] rows", "7"],
        ["layer 1, [CLS] rows", "8"],
    ]
    assert table.rows[1][2:] == ["60%", "60%", "-30.0%", "+0.0%", "+0.0%"]
    assert "(-2.00 (-2.00 to -2.00); accuracy -50.0%)" in table.caption


def test_groups_needed_elsewhere_than_expected_are_named():
    rows = {row[0]: row[1:] for row in tables.worst_slices(frames.results(2, 4)).rows}
    assert rows["term_match"][0] == "word_order"
    assert rows["term_match"][-1] == "not as expected"
    assert rows["word_order"][-1] == "as expected"


def test_a_large_model_with_many_maps_stays_below_two_megabytes():
    """12 x 12 heads; figures that differ only in numbers, by count."""
    results = frames.results(12, 12, [frames.example_pair((frames.CHINESE * 2)[:30], 12, 12)])
    with canvas.report_style(canvas.font_families(results.texts())):
        times = {
            head_heatmaps.heads_heatmap(results): 1,
            ablation_charts.function_bars(results): 3,
            model_charts.predicted_grades(results): 1,
        }
        times |= {head_heatmaps.profile_heatmap(results, "entropy"): 1, head_heatmaps.function_profiles(results): 1}
        times |= {attention_maps.example_maps(results)[0]: 1}
    assert sum(count * len(html.embedded(picture)) for picture, count in times.items()) < 1_900_000


def test_the_same_inputs_give_the_same_bytes(runs: list[tuple[Path, str]]):
    first, second = (
        {
            path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "reports").rglob("*"))
            if path.is_file()
        }
        for folder, _ in runs
    )
    assert first == second


def test_the_stage_writes_exactly_what_it_names(runs: list[tuple[Path, str]]):
    folder, printed = runs[0]
    figures = {path.name for path in (folder / paths.FIGURES).iterdir()}
    assert len(figures) == 2 * FIGURES
    assert {f"{Path(name).stem}.{ending}" for name in figures for ending in ("png", "svg")} == figures
    assert {
        "heads_heatmap.png",
        "random_share.svg",
        "head_slices.svg",
        "profile_term_match.png",
        "maps_pair_0_layer_0_head_0.svg",
    } <= figures
    findings = json.loads((folder / paths.FINDINGS).read_text(encoding="utf-8"))
    assert [finding["id"] for finding in findings] == list(CLAIMS)
    assert all(list(finding) == ["id", "statement", "article", "measured", "verdict", "reason"] for finding in findings)
    headline = json.loads((folder / paths.HEADLINE).read_text(encoding="utf-8"))
    assert (headline["test_accuracy"], headline["bilstm_test_accuracy"], headline["heads"]) == (0.9, 0.875, 8)
    assert headline["agrees"] + headline["differs"] + headline["cannot_tell"] + headline["not_judged"] == len(CLAIMS)
    assert headline["report"] == "reports/report.html"
    assert f"'agrees': {headline['agrees']}" in printed
    outputs = ("report.html", "figures", "findings.json", "headline.json", "explorer.html", "explorer.json")
    assert str([f"reports/{name}" for name in outputs]) in printed
    assert str(folder) not in (folder / paths.REPORT).read_text(encoding="utf-8")


def test_a_browser_opens_the_report_without_a_word_in_its_console(source: str, tmp_path: Path, browser: Browser):
    report, broken = tmp_path / "report.html", tmp_path / "broken.html"
    report.write_text(source, encoding="utf-8")
    broken.write_text("<html><body><script>nowhere()</script></body></html>", encoding="utf-8")
    faulty = Visits(browser, tmp_path)
    faulty.open_file(broken)
    faulty.context.close()
    assert any("nowhere is not defined" in line for line in faulty.said)
    with watched_visits(browser, tmp_path) as visits:
        visits.open_file(report)
    assert [url.split("/")[-1] for url in visits.requests if not url.startswith("data:")] == ["report.html"]


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        *(pytest.param(*window, marks=pytest.mark.slow) for window in OTHER_WINDOWS),
    ],
)
def test_axe_finds_nothing_to_object_to(
    browser: Browser, source: str, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
):
    """Every table and figure is narrow enough or a region that scrolls; the page itself never scrolls sideways."""
    report = tmp_path / "report.html"
    report.write_text(source, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(report.as_uri())
    found = Axe().run(page).response
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


def follows_links(browser: Browser, source: str, folder: Path) -> bool:
    """Whether the last of the contents' links shows its section in MLflow's viewer, a sandboxed frame of a blob."""
    content = json.dumps(source).replace("<", "\\u003c")
    holder = folder / "holder.html"
    holder.write_text(
        "<iframe sandbox='allow-scripts' width=1000 height=600></iframe><script>document.querySelector('iframe').src = "
        f"URL.createObjectURL(new Blob([{content}], {{type: 'text/html'}}))</script>",
        encoding="utf-8",
    )
    page = browser.new_page()
    page.goto(holder.as_uri())
    page.frame_locator("iframe").locator('nav a[href="#reading"]').click()
    page.wait_for_timeout(300)
    [frame] = page.frames[1:]
    is_seen = frame.evaluate("document.getElementById('reading').getBoundingClientRect().top < innerHeight")
    page.close()
    return bool(is_seen)


def test_the_contents_work_in_mlflows_viewer(browser: Browser, source: str, tmp_path: Path):
    """Links within a page are dead there; the page's script, which its policy names, scrolls instead."""
    assert not follows_links(browser, re.sub("<script>.*?</script>", "", source, flags=re.DOTALL), tmp_path)
    assert follows_links(browser, source, tmp_path)
