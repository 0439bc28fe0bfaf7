"""Maps of heads, removal curves and slices show the numbers they are given, legibly at the sizes of real models."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pipeline.core.heads import Head
from pipeline.findings.wording import WORDINGS
from pipeline.report import ablation_charts, canvas, colours, head_map, label_placement, subgroup_charts
from pipeline.report.canvas import RenderedFigure
from pipeline.stats.grading_measures import ACCURACY, LOG_LOSS
from tests.support import frames
from tests.support.svg import svg_texts

FUNCTIONS = [
    "term_match",
    "segmentation",
    "previous_term",
    "next_term",
    "self",
    "cls",
    "sep",
    "cross_text",
    "a function of a long name",
]
SLICES = [
    "1 term in the query",
    "2 to 3 terms in the query",
    "4 terms or more in the query",
    "title up to 8 tokens",
    "title of 9 to 16 tokens",
    "title longer than 16 tokens",
    "no shared term",
    "1 shared term",
    "every term shared, same order",
    "every term shared, other order",
    "channel: 旅行与酒店预订",
    "<b>$x$ & a name that is far too long to fit</b>",
]
STYLED_TEXTS = SLICES
WHERE = "300 pairs of the dev split"
BESIDE = (LOG_LOSS,)
WORDS = WORDINGS["grader"]
SLICED = subgroup_charts.Sliced(WHERE, WORDS)
UNIT = f"in percent of the unmasked accuracy (0.851), on {WHERE}"


def head_embedding_frame(layers: int, heads: int, labelled: float = 0.5, seed: int = 0) -> pd.DataFrame:
    """Heads in a few clumps, a share of them labelled, the rest None."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 0.25, (6, 2))
    x, y = (centres[rng.integers(6, size=layers * heads)] + rng.normal(0, 0.05, (layers * heads, 2))).T
    layer, head = np.divmod(np.arange(layers * heads), heads)
    function = np.where(rng.random(len(x)) < labelled, rng.choice(FUNCTIONS, len(x)), None)
    shares = {"explained_1": 0.384, "explained_2": 0.17}
    return pd.DataFrame({"layer": layer, "head": head, "mds_1": x, "mds_2": y, "function": function, **shares})


def curves_frame(draws: int = 5) -> pd.DataFrame:
    shares = np.linspace(0, 1, 11)
    falls = {ablation_charts.LEAST_FIRST: shares**4, ablation_charts.MOST_FIRST: shares**0.3}
    rows = [
        {"order": order, "share": share, "replicate": 0, "change": -0.8 * fall}
        for order, fallen in falls.items()
        for share, fall in zip(shares, fallen, strict=True)
    ]
    rows += [
        {
            "order": ablation_charts.RANDOM,
            "share": share,
            "replicate": draw,
            "change": -0.8 * share ** (0.8 + 0.2 * draw),
        }
        for draw in range(draws)
        for share in shares
    ]
    return pd.DataFrame(rows)


def removal_figure(changes: pd.DataFrame) -> RenderedFigure:
    text = ablation_charts.removal_text(changes, "accuracy", UNIT)
    return canvas.render_figure(ablation_charts.removal_chart(changes, WORDS.change_axis), text)


def slices_frame(groups: list[str], names: list[str], seed: int = 0) -> pd.DataFrame:
    """Accuracy, and log loss of other changes, of every group on every slice."""
    rng = np.random.default_rng(seed)
    pairs = dict(zip(names, rng.integers(12, 448, len(names)).tolist(), strict=True))
    rows = []
    for measure in (ACCURACY, LOG_LOSS):
        for group in groups:
            for place, name in enumerate(names):
                change, reach = rng.normal(-0.15, 0.2), 1.5 / np.sqrt(pairs[name])
                slicing = ("kind", "other kind")[2 * place // len(names)]
                rows.append((group, slicing, name, measure.name, pairs[name], change, change - reach, change + reach))
    columns = ["group", "slice", "value", "measure", "pairs", "change", "change_low", "change_high"]
    return pd.DataFrame(rows, columns=columns).assign(to_constant=lambda frame: -0.7 * frame["change"])


def boxes(figure: Figure) -> list[tuple[Text, Bbox]]:
    """Every text that is drawn (a figure holds more, such as ticks beyond its axes), and the pixels it takes."""
    renderer, drawn = FigureCanvasAgg(figure).get_renderer(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, _: drawn.append(text))
        figure.draw(renderer)
    return [(text, text.get_window_extent(renderer)) for text in drawn if text.get_visible() and text.get_text()]


def assert_legible(figure: Figure) -> None:
    """Nothing written is cut off, and no two upright texts overlap."""
    found = boxes(figure)
    for text, box in found:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text.get_text()
    upright = [(text.get_text(), box.padded(-0.5)) for text, box in found if text.get_rotation() % 90 == 0]
    for (one, first), (other, second) in itertools.combinations(upright, 2):
        assert not first.overlaps(second), f"{one!r} overlaps {other!r}"


@pytest.mark.parametrize("shape", [(6, 12), (12, 12), (1, 2)])
@pytest.mark.parametrize("labelled", [0.0, 0.5, 1.0])
def test_every_head_is_a_dot_and_no_name_covers_another_or_a_dot(shape, labelled):
    places = head_embedding_frame(*shape, labelled)
    figure = head_map.head_map_chart(places)
    assert_legible(figure)
    [axes] = figure.axes
    dots = np.concatenate([axes.transData.transform(shown.get_offsets()) for shown in axes.collections])
    assert len(dots) == len(places)
    lines = [axes.transData.transform(line.get_xydata()) for line in axes.lines]
    for text, box in boxes(figure):
        assert box.count_contains(dots) == 0, text.get_text()
        points = [ends[:-2] for ends in lines]
        assert not any(box.count_contains(along) for along in points), text.get_text()
    assert {text.get_text() for text in axes.texts} <= {f"{row.layer}.{row.head}" for row in places.itertuples()}
    assert len(axes.texts) >= min(20, int(places["function"].notna().sum()))


def test_the_map_is_to_scale():
    """A distance is as long on paper whichever way it lies, and dots stand where the frame says."""
    places = head_embedding_frame(2, 3)
    figure = head_map.head_map_chart(places)
    [axes] = figure.axes
    FigureCanvasAgg(figure).draw()
    (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)
    shown = np.concatenate([np.asarray(one.get_offsets()) for one in axes.collections])
    np.testing.assert_allclose(np.sort(shown[:, 0]), np.sort(places["mds_1"]))


def test_a_function_has_its_colour_and_heads_without_one_are_grey():
    places = head_embedding_frame(1, 5).assign(function=["self", None, "cls", "self", np.nan])
    figure = head_map.head_map_chart(places)
    by_label = {one.get_label(): one for one in figure.axes[0].collections}
    assert list(by_label) == ["no function (2)", "self (2)", "cls (1)"]
    face = [colors.to_hex(one.get_facecolor()[0]) for one in by_label.values()]
    assert face == [colour.lower() for colour in (colours.NO_FUNCTION, *map(colours.function_colour, ("self", "cls")))]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.0", "0.2", "0.3"]


def test_needed_heads_have_a_ring_and_a_name_with_a_function_or_without():
    places = head_embedding_frame(1, 5).assign(function=["self", None, "cls", None, None])
    figure = head_map.head_map_chart(places, {Head(0, 1), Head(0, 2)})
    by_label = {one.get_label(): one for one in figure.axes[0].collections}
    ringed = places.loc[[1, 2], ["mds_1", "mds_2"]]
    np.testing.assert_allclose(np.asarray(by_label["needed"].get_offsets()), ringed)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.0", "0.1", "0.2"]
    assert "needed: 0.1, 0.2." in head_map.head_map(places, {Head(0, 2), Head(0, 1)}, WHERE).words.alt


def test_the_map_says_what_its_axes_explain():
    drawn = head_map.head_map(head_embedding_frame(2, 4), set(), WHERE)
    texts = svg_texts(drawn)
    assert "first axis, in Jensen-Shannon distance (38% of the variance)" in texts
    assert "second axis, in Jensen-Shannon distance (17% of the variance)" in texts
    assert WHERE in drawn.words.caption
    assert "55% of the variance" in drawn.words.alt


def test_heads_that_all_attend_alike_are_one_place():
    places = head_embedding_frame(2, 4).assign(mds_1=0.0, mds_2=0.0, explained_1=np.nan, explained_2=np.nan)
    drawn = head_map.head_map(places, set(), WHERE)
    assert "nan" not in " ".join([*svg_texts(drawn), drawn.words.alt, drawn.words.caption])


def test_a_name_moves_to_a_free_side_goes_far_or_is_left_out():
    alone = label_placement.place_labels(np.array([[1.0, 1.0]]), {0: "3.4"}, 2, 2)[0]
    assert alone.centre[0] > 1 == alone.centre[1]
    assert len(alone.line) == 0
    at_the_edge = label_placement.place_labels(np.array([[1.95, 1.0]]), {0: "3.4"}, 2, 2)[0]
    assert at_the_edge.centre[0] < 1.95
    around = [(1.2, 1.07), (0.8, 1.07), (1.08, 1.12), (1.08, 0.88), (0.8, 0.88)]
    far = label_placement.place_labels(np.array([(1.0, 1.0), *around]), {0: "3.4"}, 2, 2)[0]
    np.testing.assert_array_equal(far.line[0], [1, 1])
    assert np.abs(far.line[-1] - far.centre).max() < 0.2
    everywhere = np.array([[1.0, 1.0], *itertools.product(np.arange(0, 2, 0.1), repeat=2)])
    assert label_placement.place_labels(everywhere, {0: "3.4"}, 2, 2) == {}


def test_three_orders_with_the_range_of_the_random_one():
    figure = ablation_charts.removal_chart(curves_frame(), WORDS.change_axis)
    assert_legible(figure)
    [axes] = figure.axes
    lines = {str(line.get_label()): line for line in axes.lines}
    for order, at_half in ((ablation_charts.LEAST_FIRST, -0.8 * 0.5**4), (ablation_charts.MOST_FIRST, -0.8 * 0.5**0.3)):
        share, change = lines[order].get_data()
        assert share[5] == pytest.approx(50)
        assert change[5] == pytest.approx(100 * at_half)
    assert lines["random order, median"].get_ydata()[5] == pytest.approx(-80 * 0.5**1.2)
    [band] = axes.collections
    at_half = band.get_paths()[0].vertices
    assert at_half[np.isclose(at_half[:, 0], 50)][:, 1] == pytest.approx([-80 * 0.5**0.8, -80 * 0.5**1.6])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        ablation_charts.LEAST_FIRST,
        ablation_charts.MOST_FIRST,
        "random order, median",
        "range of random groups",
    ]


def test_curves_are_described_and_carry_their_units():
    drawn = removal_figure(curves_frame())
    assert {"share of all heads removed (%)", "relative accuracy change (%)"} <= set(svg_texts(drawn))
    assert "least important first: -5.0% with 50% removed" in drawn.words.alt
    assert UNIT in drawn.words.caption
    assert "5 random orders" in drawn.words.caption


def test_undefined_changes_and_missing_orders_are_left_out():
    curves = curves_frame()
    curves.loc[curves["order"] == ablation_charts.MOST_FIRST, "change"] = np.nan
    drawn = removal_figure(curves[curves["order"] != ablation_charts.RANDOM])
    assert ablation_charts.LEAST_FIRST in svg_texts(drawn)
    assert ablation_charts.MOST_FIRST not in svg_texts(drawn)
    assert "nan" not in drawn.words.alt
    nothing = removal_figure(curves.assign(change=np.nan))
    assert "No change is defined" in nothing.words.alt


@pytest.mark.parametrize("groups", [FUNCTIONS, ["term_match"], ["user group: a group with a very long name indeed"]])
@pytest.mark.parametrize("names", [SLICES, SLICES[-1:], ["a", "b"]])
def test_slices_are_legible_whatever_their_names(groups, names):
    changes = slices_frame(groups, names)
    counts = subgroup_charts.pair_counts(changes)
    assert_legible(subgroup_charts.slices_heatmap(subgroup_charts.group_matrices(changes, WORDS, BESIDE), counts))


def test_every_cell_and_every_count_is_written():
    changes = slices_frame(FUNCTIONS, SLICES)
    drawn = subgroup_charts.subgroup_chart(changes, SLICED, BESIDE)
    texts = svg_texts(drawn)
    accuracy = changes["measure"] == ACCURACY.name
    for change in 100 * np.concatenate([changes.loc[accuracy, "change"], changes.loc[~accuracy, "to_constant"]]):
        assert f"{change:+.1f}" in texts or abs(change) < 0.05
    for count in changes["pairs"].unique():
        assert texts.count(str(count)) == 1
    named = {f"{row.slice}: {row.value}" for row in changes.itertuples()}
    assert {name for name in named if len(name) <= 40 and name.isascii()} <= set(texts)
    assert {*FUNCTIONS, "pairs", "relative accuracy change (%)", "log loss, % of the way"} <= set(texts)
    assert WHERE in drawn.words.caption


def test_rows_and_columns_keep_the_frames_order():
    changes = slices_frame(["b", "a"], ["z", "y"])
    texts = svg_texts(subgroup_charts.subgroup_chart(changes, SLICED))
    assert [one for one in texts if one in {"a", "b", "kind: z", "other kind: y"}] == [
        "b",
        "a",
        "kind: z",
        "other kind: y",
    ]


def framed(figure: Figure) -> list[tuple[float, float]]:
    """Centres of the framed cells of the first panel, (column, row)."""
    boxes = [one for one in figure.axes[0].patches if isinstance(one, Rectangle)]
    return [(one.get_x() + one.get_width() / 2, one.get_y() + one.get_height() / 2) for one in boxes]


def test_cells_whose_interval_excludes_zero_are_framed():
    rows = [("a", "x", -0.2, -0.3, -0.1), ("a", "y", -0.2, -0.5, 0.1), ("b", "x", 0.2, 0.1, 0.3)]
    columns = ["group", "value", "change", "change_low", "change_high"]
    changes = pd.DataFrame(rows, columns=columns).assign(slice="kind", pairs=40, measure=ACCURACY.name)
    matrices = subgroup_charts.group_matrices(changes, WORDS, ())
    figure = subgroup_charts.slices_heatmap(matrices, subgroup_charts.pair_counts(changes))
    assert framed(figure) == [pytest.approx((0, 0)), pytest.approx((1, 0))]  # of both groups on x
    drawn = subgroup_charts.subgroup_chart(changes, SLICED)
    assert "2 of 3 cells" in drawn.words.caption
    assert "largest loss: a masked on x, -20.0%" in drawn.words.alt
    assert "–" in svg_texts(drawn)


@pytest.mark.parametrize("change", [np.nan, 0.0])
def test_a_table_without_any_change_is_drawn(change):
    undefined = {"change_low": np.nan, "change_high": np.nan}
    changes = slices_frame(["a"], ["x", "y"]).assign(change=change, to_constant=change, **undefined)
    drawn = subgroup_charts.subgroup_chart(changes, SLICED, BESIDE)
    assert "nan" not in drawn.words.alt + drawn.words.caption


def phenomena(layers: int = 6, heads: int = 12) -> pd.DataFrame:
    slices = frames.head_slices_frame(layers, heads)
    return slices[slices["slice"] == "phenomenon"]


def test_heads_with_a_sure_change_are_drawn_the_most_affected_first():
    changes = phenomena()
    shown = subgroup_charts.most_affected(changes)
    assert list(shown["name"].unique()) == ["3.1", "0.0"]
    figure = subgroup_charts.slices_heatmap(
        [subgroup_charts.head_matrix(shown, LOG_LOSS)], subgroup_charts.pair_counts(shown)
    )
    assert_legible(figure)
    assert sorted(framed(figure)) == [pytest.approx((0, 2)), pytest.approx((1, 1))]  # 3.1 on word_order, 0.0 on synonym
    drawn = subgroup_charts.head_slice_chart(changes, LOG_LOSS, SLICED)
    assert drawn is not None
    assert {"+40.0", "-10.0", "3.1", "0.0", "log loss, % of the way"} <= set(svg_texts(drawn))
    assert "the 2 heads with a sure change" in drawn.words.caption
    assert "2 of 216 cells" in drawn.words.caption
    assert "layer 3 head 1 on word_order, +40.0% of the way" in drawn.words.alt


def test_many_affected_heads_are_cut_to_the_most_affected_and_none_draws_nothing():
    changes = phenomena().assign(is_sure=True)
    drawn = subgroup_charts.head_slice_chart(changes, LOG_LOSS, SLICED)
    assert drawn is not None
    assert f"the {subgroup_charts.MOST_HEADS} most affected of 72 heads" in drawn.words.caption
    assert subgroup_charts.head_slice_chart(changes.assign(is_sure=False), LOG_LOSS, SLICED) is None
