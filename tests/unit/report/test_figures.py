"""Figures show the numbers they are given, on honest scales, whatever the texts, and in the same bytes each time."""

import dataclasses
import io
import re
from collections import Counter

import matplotlib
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from matplotlib import colormaps, font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipeline.core.heads import Head
from pipeline.report import (
    ablation_charts,
    attention_maps,
    canvas,
    colours,
    figures,
    head_heatmaps,
    heatmaps,
    model_charts,
    text,
)
from pipeline.report.canvas import (
    CHINESE,
    LATIN,
    FigureText,
    RenderedFigure,
    blank_figure,
    font_advice,
    font_families,
    panel,
    render_figure,
    report_style,
)
from pipeline.report.colours import CHANGES
from tests.support import frames
from tests.support.svg import svg_texts

WORDS = FigureText(name="name", title="Title", alt="alt", caption="caption")
CHINESE_FONT = not {font.name for font in font_manager.fontManager.ttflist}.isdisjoint(CHINESE)


def pixels(drawn: RenderedFigure) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(drawn.png)).convert("RGB"))


def test_every_head_is_written_in_percent_with_one_decimal():
    drawn = head_heatmaps.heads_heatmap(frames.results(2, 4))
    heads = frames.heads_frame(2, 4)
    changes = 100 * np.concatenate([heads["relative_accuracy_change"], heads["log_loss_to_constant"]])
    expected = Counter(f"{change:+.1f}" if abs(change) >= 0.05 else "0.0" for change in changes)
    assert expected.total() == 2 * 8
    assert expected <= Counter(svg_texts(drawn))
    assert {"relative accuracy change (%)", "way to the constant grader (%)"} <= set(svg_texts(drawn))
    assert Counter(svg_texts(drawn))["layer (from 0)"] == Counter(svg_texts(drawn))["head (from 0)"] == 2
    assert "-5.2%" in drawn.words.alt
    assert "600 pairs of the test split" in drawn.words.caption


def test_verdicts_are_marked_on_the_primary_measure():
    """Needed and harmful heads are framed in different lines, undecided ones carry a question mark."""
    changes = {(0, 0): -0.05, (0, 1): 0.04, (1, 0): 0.002, (1, 1): -0.012}  # the last one's interval holds the margin
    heads = frames.ranked_heads(frames.head_row(*head, change) for head, change in changes.items())
    assert heads["verdict"].tolist() == ["needed", "harmful", "no effect", "undecided"]
    results = dataclasses.replace(frames.results(2, 2), tables=frames.tables(2, 2, heads=heads))
    drawn = head_heatmaps.heads_heatmap(results)
    assert {"+7.5", "-6.0", "-0.3", "+1.8?"} <= set(svg_texts(drawn))
    assert "1 needed, 1 harmful, 0 small, 1 no effect, 1 undecided" in drawn.words.caption
    figure = blank_figure(3, 3)
    axes = panel(figure, 1, 1, 1, 1)
    way = 100 * heatmaps.head_matrix(heads, "log_loss_to_constant")
    head_heatmaps._draw_verdicts(axes, head_heatmaps._verdicts(heads), way, heatmaps.centred_norm(way, least=0.1))
    lines = {(round(one.get_x() + 0.45), round(one.get_y() + 0.42)): one.get_linestyle() for one in axes.patches}
    assert lines == {(0, 0): "-", (1, 0): "--"}


@pytest.mark.parametrize("values", [[[-0.5, 0.1]], [[0.3, 0.2]], [[np.nan, -1.0]], [[0.0, 0.0]], [[np.nan, np.nan]]])
def test_a_scale_of_changes_is_white_at_zero_and_as_long_both_ways(values: list[list[float]]):
    norm = heatmaps.centred_norm(np.array(values), least=0.1)
    assert norm.vcenter == 0
    assert norm.vmax == -norm.vmin == max(0.1, np.nanmax(np.abs([*values[0], 0.0])))


def test_cells_have_the_colours_of_the_scale_and_white_is_white():
    """The strongest loss takes the red end of the scale exactly, although the PNG has a palette only."""
    shown = pixels(head_heatmaps.heads_heatmap(frames.results(6, 12))).reshape(-1, 3)
    red = np.round(255 * np.array(colormaps[CHANGES](0.0)[:3]))
    assert (np.abs(shown - red).max(axis=1) <= 1).sum() > 500
    assert tuple(shown[0]) == (255, 255, 255)


def test_undefined_cells_get_a_dash_and_no_colour():
    results = frames.results(2, 4)
    results.profiles.loc[results.profiles["function"] == "term_match", ["score", "chance"]] = np.nan
    drawn = head_heatmaps.profile_heatmap(results, "term_match")
    assert Counter(svg_texts(drawn))["–"] == 2 * 8
    assert "term_match after fine-tuning, undefined in this data" in Counter(svg_texts(drawn))
    assert "nan" not in drawn.words.alt + drawn.words.caption


def test_a_profile_shows_after_and_change_with_chance_in_the_title():
    results = frames.results(2, 4)
    drawn = head_heatmaps.profile_heatmap(results, "self")
    rows = results.profiles[results.profiles["function"] == "self"]
    before, after = (100 * rows[rows["phase"] == phase]["score"].to_numpy() for phase in ("before", "after"))
    expected = Counter(f"{score:.0f}" for score in after)
    expected += Counter(f"{change:+.0f}" if round(change) else "0" for change in after - before)
    assert expected <= Counter(svg_texts(drawn))
    assert {"self after fine-tuning, chance 4.0%", "after minus before", "percentage points"} <= set(svg_texts(drawn))
    assert "900 pairs of the dev split" in drawn.words.caption
    assert "800 pairs" in head_heatmaps.profile_heatmap(results, "term_match").words.caption


def test_every_function_is_a_small_matrix_with_its_labelled_heads_framed():
    results = frames.results(2, 4)
    drawn = head_heatmaps.function_profiles(results)
    after = results.profiles.query("phase == 'after'").groupby("function", sort=False)["score"].max()
    titles = [f"{function}, up to {100 * score:.0f}%" for function, score in after.items()]
    assert [line for line in svg_texts(drawn) if "up to" in line] == titles
    labels = results.tables.labels
    figure = blank_figure(3, 3)
    axes = panel(figure, 1, 1, 1, 1)
    rows = results.profiles.query("phase == 'after' and function == 'term_match'")
    head_heatmaps._draw_small(axes, results, "term_match", rows)
    framed = {(round(one.get_y() + 0.42), round(one.get_x() + 0.45)) for one in axes.patches}
    labelled = labels[(labels["function"] == "term_match") & labels["is_labelled"]]
    assert framed == set(zip(labelled["layer"], labelled["head"], strict=True)) != set()
    assert f"term_match {len(labelled)}" in drawn.words.alt


def test_bars_show_every_group_with_the_articles_figures():
    drawn = ablation_charts.function_bars(frames.results(2, 4))
    texts = Counter(svg_texts(drawn))
    assert {"term_match", "-45.5%", "lower half", "-63.0%", "lower half except term_match"} <= set(texts)
    assert {
        "random heads (10 groups)",
        "as many, same layers (10 groups)",
        "user group: <b>mine</b> & $x$",
    } <= set(texts)
    assert "article's figures" in drawn.words.caption
    assert "constant grader" in texts


def test_collapsed_groups_are_hatched_beside_the_constant_graders_level():
    results = frames.results(2, 4)
    results.tables.group_scales.loc[0, "way"] = -0.5
    changes = results.groups.query("group_type == 'half'")
    lower, upper = ablation_charts._bars(results, changes, "{} half", colours.ORANGE)
    assert (lower.is_collapsed, upper.is_collapsed) == (True, False)
    _, axes = ablation_charts.bar_chart([lower, upper], results)
    assert [bool(one.get_hatch()) for one in axes.patches] == [True, False]
    assert [-50, -50] in [list(line.get_xdata()) for line in axes.lines]
    random = ablation_charts.random_changes(frames.groups_frame().query("group == '0.9'"), frames.results())
    assert [len(groups) for _, groups in ablation_charts._by_marker(random)] == [
        (random["change"] > -0.6).sum(),
        (random["change"] <= -0.6).sum(),
    ]


def test_a_model_no_better_than_the_constant_grader_has_no_line_of_it():
    scales = frames.scales_frame().assign(way=np.nan)
    results = dataclasses.replace(frames.results(2, 4), tables=frames.tables(2, 4, group_scales=scales))
    assert "constant grader" not in svg_texts(ablation_charts.layers_and_halves(results))
    assert "constant grader" not in svg_texts(ablation_charts.random_share(results))


def test_random_shares_describe_their_medians():
    results = frames.results(2, 4)
    draws = results.groups.query("group_type == 'random_share' and group == '0.5'")["relative_accuracy_change"]
    assert f"50%: {100 * draws.median():.1f}%" in ablation_charts.random_share(results).words.alt


def test_groups_without_a_defined_change_are_drawn_as_undefined():
    groups = frames.groups_frame(2)
    groups[[name for name in groups if name.startswith("relative_accuracy_change")]] = np.nan
    results = dataclasses.replace(frames.results(2, 4), tables=frames.tables(2, 4, groups=groups))
    assert Counter(svg_texts(ablation_charts.layers_and_halves(results)))["undefined"] == 4


def test_collapsed_groups_are_named():
    caption, alt = (lambda words: (words.caption, words.alt))(model_charts.predicted_grades(frames.results(2, 4)).words)
    assert "collapsed: lower half." in alt
    random = frames.groups_frame(2).query("group_type in ('random_share', 'random_k', 'layer_matched')")
    fallen = (random["relative_accuracy_change"] <= -0.6).sum()  # 90% of the way
    assert f"{fallen} of 85 random groups" in caption


def test_the_learning_curve_has_only_the_metrics_that_exist():
    results = frames.results(2, 4)
    partial = dataclasses.replace(results, curve=results.curve.drop(columns="dev_qwk"))
    assert "dev_qwk" in Counter(svg_texts(model_charts.learning_curve(results)))
    assert "dev_qwk" not in Counter(svg_texts(model_charts.learning_curve(partial)))


def test_the_heads_shown_are_those_whose_same_term_score_changed_most():
    rows = [(0, 0, 0.1, 0.2), (0, 1, 0.5, 0.1), (1, 0, 0.3, 0.3), (1, 1, 0.2, np.nan)]
    frame = pd.DataFrame(
        {"layer": layer, "head": head, "function": "term_match", "phase": phase, "score": score}
        for layer, head, *both in rows
        for phase, score in zip(("before", "after"), both, strict=True)
    )
    chosen = attention_maps.most_changed(frame, 2)
    assert list(chosen) == [(0, 1), (0, 0)]
    assert list(chosen.values()) == pytest.approx([-0.4, 0.1])
    assert len(attention_maps.most_changed(frame, 10)) == 3


def test_maps_label_every_token_on_both_axes():
    [drawn] = attention_maps.example_maps(frames.results(2, 4))
    assert Counter(svg_texts(drawn))["tickets"] == 2 + 1  # the maps share the labels of their rows
    assert {"after fine-tuning", "after minus before", "attending (query)"} <= set(svg_texts(drawn))


def test_the_colours_of_a_map_are_those_of_words():
    """What falls on [CLS] and [SEP] dwarfs the rest, so it does not stretch the scale."""
    pair = frames.example_pair(frames.ENGLISH, 1, 1)
    size = len(pair.tokens)
    after = np.full((1, 1, size, size), 0.02, dtype=np.float16)
    after[..., 0], after[..., 3, 4] = 0.9, 0.25
    figure = attention_maps._two_maps(dataclasses.replace(pair, before=np.zeros_like(after), after=after), Head(0, 0))
    shown, changed = (axes.images[0] for axes in figure.axes if len(axes.texts) > 3 and axes.get_title(loc="left"))
    assert (shown.norm.vmin, shown.norm.vmax) == (0, pytest.approx(0.25))
    assert (changed.norm.vmin, changed.norm.vmax) == (pytest.approx(-0.25), pytest.approx(0.25))
    edges = 1 + np.flatnonzero(np.diff(pair.segment))
    lines = {line.get_xdata()[0] for axes in figure.axes[:1] for line in axes.lines if np.ptp(line.get_xdata()) == 0}
    assert lines == set(edges - 0.5)


def test_tokens_are_never_markup_and_hidden_characters_are_seen():
    tokens = ["[CLS]", "$5", "$x^2$", "<b>", "&", "--", "\u202eabc", "\x07", "a" * 40, "[SEP]"]
    [drawn] = attention_maps.example_maps(frames.results(2, 4, [frames.example_pair(tokens, 2, 4)]))
    assert {"$5", "$x^2$", "[U+202E]abc", "[U+0007]", "a" * 11 + "…"} <= set(svg_texts(drawn))


def test_a_long_pair_is_cut_and_the_caption_says_so():
    tokens = [f"t{index}" for index in range(60)]
    [drawn] = attention_maps.example_maps(frames.results(2, 4, [frames.example_pair(tokens, 2, 4)]))
    assert "The first 40 of 60 tokens are shown." in drawn.words.caption
    assert "t39" in Counter(svg_texts(drawn))
    assert "t40" not in Counter(svg_texts(drawn))


def test_nothing_to_show_leaves_the_section_empty():
    results = dataclasses.replace(frames.results(2, 4), example_pairs=[], curve=pd.DataFrame(columns=["epoch"]))
    groups = results.groups[results.groups["group_type"].isin(["unmasked", "half", "layer"])]
    one = results.profiles[results.profiles["function"] == "term_match"]
    drawn = figures.draw_figures(dataclasses.replace(results, tables=frames.tables(2, 4, groups=groups), profiles=one))
    assert {section for section, pictures in drawn.items() if not pictures} == {"maps", "learning", "random", "removal"}


def test_a_model_of_one_layer_is_drawn_without_halves_and_edges():
    results = dataclasses.replace(frames.results(1, 4), example_cls_attention=[])
    drawn = figures.draw_figures(results)
    assert drawn["dependency"] == []
    bars = [Counter(svg_texts(one)) for section in ("layers", "functions") for one in drawn[section]]
    assert "layer 0" in bars[0]
    assert not any("half" in label for one in bars for label in one)


def test_files_hold_no_date_software_or_path():
    drawn = head_heatmaps.heads_heatmap(frames.results(2, 4))
    assert set(re.findall(rb"(IHDR|PLTE|IDAT|IEND|tEXt|tIME|iTXt|pHYs)", drawn.png)) == {
        b"IHDR",
        b"PLTE",
        b"IDAT",
        b"IEND",
    }
    assert not re.search(r"dc:date|Matplotlib v|/home|/work|/tmp", drawn.svg.decode())


@pytest.mark.skipif(not CHINESE_FONT, reason="no Chinese font is installed (Debian: fonts-noto-cjk)")
def test_chinese_letters_differ_from_each_other():
    """A font without them would draw the same box for both."""
    assert _letter("海") != _letter("的")


def _letter(letter: str) -> bytes:
    figure = blank_figure(1, 1)
    panel(figure, 0, 0, 1, 1).text(0.5, 0.5, letter)
    return render_figure(figure, WORDS).png


def test_advice_only_where_the_data_needs_a_font_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvas, "_installed", lambda wanted: {"DejaVu Sans", "SimHei"})
    assert font_advice(["上海", "plain"]) is None
    assert font_families(["上海"]) == ["DejaVu Sans", "SimHei"]
    monkeypatch.setattr(canvas, "_installed", lambda wanted: {"DejaVu Sans"})
    assert "fonts-noto-cjk" in (font_advice(iter(["plain", "上海"])) or "")
    assert font_families(["上海"]) == ["DejaVu Sans"]
    assert font_advice(["plain", "naïve – “quoted”"]) is None


@pytest.mark.parametrize(
    ("texts", "scripts"),
    [
        (["plain", "Ελληνικά", "العربية", "עברית", "上海"], []),
        (["हिन्दी", "plain"], ["Devanagari"]),
        (["ภาษาไทย தமிழ்"], ["Tamil", "Thai"]),
        (["\U0001f9ff"], ["emoji and symbols"]),
    ],
)
def test_scripts_that_no_font_draws_are_named(texts, scripts, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvas, "_installed", lambda wanted: {"DejaVu Sans", "SimHei"})
    assert canvas.undrawn_scripts(texts, font_families(texts)) == scripts
    advice = font_advice(texts) or ""
    assert all(script in advice for script in scripts)
    assert bool(advice) == bool(scripts)


THAI = ["[CLS]", "รองเท้า", "สีแดง", "[SEP]", "รองเท้า", "ผ้าใบ", "##สีฟ้า", "[SEP]"]
EMOJI = ["[CLS]", "👟", "🔴", "shoe", "[SEP]", "👟", "👍🏽", "🇩🇪", "👩‍👩‍👧", "[SEP]"]


def test_every_script_in_a_figure_is_named_where_no_font_draws_it(monkeypatch: pytest.MonkeyPatch):
    """Texts of pairs, groups, grades and slices, each in a script of its own."""
    monkeypatch.setattr(canvas, "_installed", lambda wanted: {"DejaVu Sans"})
    results = frames.results(2, 4, [frames.example_pair(THAI, 2, 4), frames.example_pair(EMOJI, 2, 4)])
    groups = pd.concat([results.groups, pd.DataFrame([frames.group_row("user", "जूते", -0.03)])], ignore_index=True)
    sliced = results.slices.assign(slice="நிறம்", value=results.slices["value"].map(lambda value: f"{value} ក្រហម"))
    by_head = results.tables.head_slices
    by_head = by_head.assign(value=by_head["value"].map(lambda value: f"{value} රතු"))
    tables = dataclasses.replace(results.tables, groups=groups, slices=sliced, head_slices=by_head)
    results = dataclasses.replace(results, tables=tables, grades=["ག", "2", "3", "4", "5"])
    drawn = [one for section in figures.draw_figures(results).values() for one in section]
    found = canvas.undrawn_scripts([text for one in drawn for text in svg_texts(one)], [LATIN])
    advice = font_advice(results.texts()) or ""
    assert {"Thai", "Devanagari", "emoji and symbols", "Khmer", "Sinhala"} <= set(found)
    assert [script for script in found if script not in advice] == []


@pytest.mark.parametrize("tokens", [THAI, EMOJI, frames.ENGLISH], ids=["Thai", "emoji", "English"])
def test_tokens_without_a_font_lie_on_no_axis_title(tokens: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvas, "_installed", lambda wanted: {"DejaVu Sans"})
    with report_style(font_families(tokens)):
        figure = attention_maps._two_maps(frames.example_pair(tokens, 1, 1), Head(0, 0))
        drawing = FigureCanvasAgg(figure)
        drawing.draw()
        boxes = {one: one.get_window_extent(drawing.get_renderer()) for axes in figure.axes for one in axes.texts}
    titles = [box for one, box in boxes.items() if one.get_text().startswith("attend")]
    labels = [box for one, box in boxes.items() if one.get_text() in [text.shortened(token, 12) for token in tokens]]
    assert len(titles) == 2
    assert len(labels) >= 3 * len(tokens)
    assert [(label, title) for label in labels for title in titles if label.overlaps(title)] == []
    assert all(box.x0 > 0 and box.y0 > 0 for box in labels)


def test_a_font_of_the_script_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvas, "_installed", lambda wanted: {"DejaVu Sans", "Noto Sans Thai"})
    monkeypatch.setattr(canvas, "_glyphs", lambda family: set(map(ord, "ไทย" if family.endswith("Thai") else "abc")))
    assert font_families(["ไทย"]) == ["DejaVu Sans", "Noto Sans Thai"]
    assert font_advice(["ไทย"]) is None


@pytest.mark.skipif(not CHINESE_FONT, reason="no Chinese font is installed (Debian: fonts-noto-cjk)")
def test_a_font_installed_after_matplotlib_cached_its_list_is_found(monkeypatch: pytest.MonkeyPatch):
    stale = [font for font in font_manager.fontManager.ttflist if font.name not in CHINESE]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", stale)
    assert len(font_families(["上海"])) == 2


def test_the_house_style_leaves_matplotlibs_own_alone():
    with report_style([LATIN]):
        assert matplotlib.rcParams["svg.hashsalt"] == "bert-head-analysis"
        inside = matplotlib.rcParams["text.parse_math"]
    assert inside is False


@pytest.mark.parametrize(
    ("given", "columns", "shown"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("上海北京", 8, "上海北京"),
        ("上海北京", 7, "上海北…"),
        ("a\u202eb", 20, "a[U+202E]b"),
        ("", 5, ""),
    ],
)
def test_texts_are_cut_by_the_columns_they_take(given: str, columns: int, shown: str):
    assert text.shortened(given, columns) == shown


def test_lone_surrogates_and_line_breaks_are_written_as_codes():
    assert text.visible("a\ud800\n\u2028b\u200f") == "a[U+D800][U+000A][U+2028]b[U+200F]"
