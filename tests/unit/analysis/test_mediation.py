"""How high heads read low ones: reduced rows by hand, and models whose reader was planted."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from pipeline.ablation import head_groups
from pipeline.ablation.cls_attention import chance_shared_term_share, cls_attention_change, token_kinds
from pipeline.ablation.patching import ActivationPatch
from pipeline.analysis import attention_edges, mediation
from pipeline.analysis.mediation import dependency_metrics
from pipeline.attention.head_functions import pair_tokens
from pipeline.core.heads import every_head
from pipeline.findings.cls_dependence import dependence, direction
from pipeline.findings.verdict import AGREES, CANNOT_TELL, DIFFERS
from pipeline.models.tokenization import collate
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.metrics import logit_margins
from tests.support.builders import ablation_engine
from tests.support.planted import HEADS, LAYERS, Planted, mask_of, planted, planted_gaze, planted_two_paths
from tests.support.reference import masked_heads

TARGETS = list(range(1, LAYERS))


def tokens_of(truth: Planted, pairs: np.ndarray):
    table = pd.DataFrame({"query": truth.queries, "title": truth.titles}).iloc[pairs]
    return pair_tokens(truth.tokenizer, truth.pairs.take(pairs), table)


def changes(truth: Planted, pairs: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """[1 + mask, pair, layer - 1, head, number]."""
    engine, encoded = ablation_engine(truth.model, 2048), truth.pairs.take(pairs)
    kinds = [token_kinds(tokens) for tokens in tokens_of(truth, pairs)]
    observer = cls_attention_change(engine, encoded, TARGETS, kinds)
    return engine.evaluate(encoded, masks, observer=observer).cls_attention


def cls_rows(truth: Planted, pair: int, mask: np.ndarray) -> np.ndarray:
    """The framework's own eager attention of [CLS], [layer, head, key]."""
    with masked_heads(truth.model, mask), torch.inference_mode():
        inputs = collate(truth.pairs, np.array([pair]), 0, truth.model.device)
        attentions = truth.model(**inputs, output_attentions=True).attentions
    return np.stack([layer[0, :, 0].numpy() for layer in attentions])


def test_the_numbers_of_a_row_are_scipys_on_the_frameworks_attention():
    truth = planted(3, pairs=20)
    pairs = np.arange(20)
    mask = mask_of(truth.matchers)
    found = changes(truth, pairs, mask[None])
    for pair, tokens in enumerate(tokens_of(truth, pairs)):
        kind = token_kinds(tokens)
        before, after = cls_rows(truth, pair, np.ones((LAYERS, HEADS))), cls_rows(truth, pair, mask)
        both = (kind == 0).any() and (kind == 1).any()
        for layer in TARGETS:
            for head in range(HEADS):
                row = after[layer, head].astype(float)
                masses = [row[kind == one].sum() for one in range(4)]
                js = np.nan_to_num(jensenshannon(before[layer, head], row, base=2))  # a root of -1e-17 is 0
                expected = [js, *masses, entropy(row) / np.log(len(row)), masses[0] / (masses[0] + masses[1])]
                if not both:
                    expected = [value if place not in (1, 2, 6) else np.nan for place, value in enumerate(expected)]
                # The root lifts float32's rounding of two equal rows: 1e-7 in the divergence is 3e-4 in the distance.
                np.testing.assert_allclose(found[1, pair, layer - 1, head, 1:], expected[1:], atol=1e-5)
                assert found[1, pair, layer - 1, head, 0] == pytest.approx(js, abs=1e-3)


def test_sums_by_query_give_back_the_means_over_pairs():
    rng = np.random.default_rng(0)
    values = rng.random((3, 10, 2, 4, 7)).astype(np.float32)
    values[:, :3, :, :, 6] = np.nan
    rows = attention_edges.ClsAttentionSums.of(values, np.array([0, 0, 1, 1, 1, 4, 4, 4, 9, 9]))
    assert rows.counts[:, 6].tolist() == [0, 2, 3, 2]
    sample = QuerySample(np.array([0, 0, 1, 1, 1, 4, 4, 4, 9, 9]), 200, seed=0)
    mean, low, high = rows.means(rows.differences(2), sample.bootstrap)
    np.testing.assert_allclose(mean, np.nanmean(values[2] - values[0], axis=0), atol=1e-6)
    assert (low[..., 0] <= mean[..., 0]).all()
    assert (mean[..., 0] <= high[..., 0]).all()


def test_a_model_of_one_layer_has_no_edges_but_a_table():
    query_ids = np.arange(10) // 2
    sample = QuerySample(query_ids, 20, seed=0)
    tables = {}
    for targets in ([], [1]):
        values = np.random.default_rng(0).random((5, 10, len(targets), 4, 7)).astype(np.float32)
        rows = attention_edges.ClsAttentionSums.of(values, query_ids)
        assert rows.counts.tolist() == [[2] * 7] * 5
        sources = every_head(1, 4)
        tables[len(targets)] = attention_edges.head_edges(rows, sources, targets, sample)
        assert len(attention_edges.attention_changes(rows, rows.differences(1), targets, sample.bootstrap)) == 4 * len(
            targets
        )
    assert (len(tables[0]), len(tables[1])) == (0, 16)
    assert tables[0].dtypes.to_dict() == tables[1].dtypes.to_dict()
    none = mediation.choose_relay_heads([], np.empty((10, 0)), np.full(10, 0.5), np.empty((10, 0)), sample, margin=0.05)
    assert dependency_metrics(tables[0], none) == {
        "relay_heads": 0,
        "dependent_relay_heads": 0,
        "strongest_js": None,
        "relay_share": None,
        "relay_share_change": None,
        "relay_mediated": None,
        "others_mediated": None,
    }
    assert dependence(none).verdict == direction(none).verdict == CANNOT_TELL


@pytest.mark.parametrize("seed", range(4))
def test_the_only_strong_edge_goes_from_the_matcher_to_the_reader(seed: int):
    truth = planted_gaze(seed, pairs=200)
    pairs, sources = np.arange(200), every_head(LAYERS, HEADS)
    masks = head_groups.group_masks(head_groups.single_head_groups(LAYERS, HEADS), LAYERS, HEADS)
    sample = QuerySample(truth.query_ids, 200, seed=0)
    rows = attention_edges.ClsAttentionSums.of(changes(truth, pairs, masks), truth.query_ids)
    table = attention_edges.head_edges(rows, sources, TARGETS, sample)
    assert (table["target_layer"] > table["source_layer"]).all()
    assert len(table) == sum((LAYERS - 1 - layer) * HEADS for layer, _ in sources)
    first, second = table.sort_values("js", ascending=False).head(2).to_dict("records")
    ends = [(first[f"{end}_layer"], first[f"{end}_head"]) for end in ("source", "target")]
    assert ends == [*truth.matchers, *truth.readers]
    assert first["js"] > 2.5 * second["js"]
    assert (table["shared_term_share_change"].abs() > 0.2).sum() == 1
    assert first["q"] < 0.01


def mediated(truth: Planted) -> pd.DataFrame:
    """Mediation of the matchers' effect through every head of the upper half."""
    high = every_head(LAYERS, HEADS)[LAYERS // 2 * HEADS :]
    without, ones = mask_of(truth.matchers), np.ones((LAYERS, HEADS))
    multipliers = np.stack([without, *[ones] * len(high), *[without] * len(high)])
    sources = np.full(multipliers.shape, -1)
    for number, head in enumerate(high, start=1):
        for row, source in ((number, 1), (len(high) + number, 0)):
            multipliers[(row, *head)], sources[(row, *head)] = 0, source
    states = ActivationPatch(np.stack([ones, without]))
    logits = ablation_engine(truth.model, 2048).evaluate(truth.pairs, multipliers, sources, states).logits
    # Of the lowest and the highest grade alone: the margin of two is linear in the answer, that of more is not.
    pairs = np.flatnonzero((truth.grades == 0) | (truth.grades == truth.grades.max()))
    logits, grades = logits[:, pairs][..., [0, -1]], (truth.grades[pairs] > 0).astype(int)
    patched, restored = np.split(logits[2:], 2)
    sample = QuerySample(truth.query_ids[pairs], 200, seed=0)
    table = mediation.mediation(logits[0], logits[1], patched, restored, grades, sample)
    total = logit_margins(logits[1:2], grades)[0] - logit_margins(logits[:1], grades)[0]
    assert table["total"].to_numpy() == pytest.approx(total.mean(), abs=1e-5)
    return pd.concat([pd.DataFrame(high, columns=["layer", "head"]), table], axis=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("build", [planted, planted_gaze])
def test_one_reader_mediates_everything_and_other_high_heads_nothing(build, seed: int):
    truth = build(seed, pairs=200)
    table = mediated(truth).set_index(["layer", "head"])
    own = table.loc[list(truth.readers)]
    assert own["mediated"].to_numpy() == pytest.approx(1, abs=0.1)
    assert own["direct"].abs().max() < 0.1 * own["total"].abs().max()
    assert table.drop(index=list(truth.readers))["mediated"].abs().max() < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_two_equal_paths_mediate_half_each(seed: int):
    truth = planted_two_paths(seed, pairs=200)
    table = mediated(truth).set_index(["layer", "head"])
    assert table.loc[list(truth.readers), "mediated"].to_numpy() == pytest.approx(0.5, abs=0.1)


def test_no_share_is_told_of_a_total_effect_that_may_be_nothing():
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(40, 3))
    noise = clean + rng.normal(0, 0.01, (2, 40, 3))
    sample = QuerySample(np.arange(40), 200, seed=0)
    table = mediation.mediation(clean, clean + 0.0, noise, noise, rng.integers(0, 3, 40), sample)
    assert table["mediated"].isna().all()
    assert table["total"].tolist() == [0, 0]


def test_readers_are_far_from_chance_and_matter():
    rng = np.random.default_rng(0)
    sample, chances = QuerySample(np.arange(60) // 2, 200, seed=0), np.full(60, 0.5)
    shares = np.array([0.9, 0.1, 0.5, 0.9]) + rng.normal(0, 0.02, (60, 4))
    shares[:5] = np.nan
    losses = np.array([-1.0, -1.0, -1.0, 0.0]) + rng.normal(0, 0.1, (60, 4))
    losses[:, 3] -= losses[:, 3].mean()
    table = mediation.choose_relay_heads([(2, 0), (2, 1), (2, 2), (3, 0)], shares, chances, losses, sample, margin=0.05)
    assert table["is_relay_head"].tolist() == [True, True, False, False]
    assert table["dev_share"].to_numpy() == pytest.approx(np.nanmean(shares, axis=0))
    assert table["dev_chance"].tolist() == [0.5] * 4


def test_a_readers_change_stands_beside_those_of_random_groups():
    truth = planted_gaze(1, pairs=200)
    pairs = np.arange(200)
    own = head_groups.Group("function", "term_match", truth.matchers)
    masks = head_groups.group_masks([own, *head_groups.layer_matched_groups(own, HEADS, 30, seed=0)], LAYERS, HEADS)
    values = changes(truth, pairs, masks)
    chances = chance_shared_term_share([token_kinds(tokens) for tokens in tokens_of(truth, pairs)])
    sample = QuerySample(truth.query_ids, 200, seed=0)
    table = mediation.relay_dependence(
        truth.readers, attention_edges.ClsAttentionSums.of(values, truth.query_ids), TARGETS, chances, sample
    )
    row = table.iloc[0]
    place = (truth.readers[0][0] - 1, truth.readers[0][1], 6)
    told = np.isfinite(chances)
    assert row["share"] == pytest.approx(values[0][:, *place][told].mean(), abs=1e-5)
    assert row["share_change"] == pytest.approx((values[1] - values[0])[:, *place][told].mean(), abs=1e-5)
    assert row["chance"] == pytest.approx(np.nanmean(chances), abs=1e-6)
    assert (row["percentile"], row["p"]) == (1, 1 / 4)  # three other heads of the layer, none moves it as far
    assert abs(row["share_change"]) > 10 * abs(row["random_median"])
    assert row["difference_low"] > 0  # it looks at what both texts share


def reader_rows(p: list[float], low: list[float], draws: int = 30) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "layer": 4,
            "head": range(len(p)),
            "is_relay_head": True,
            "share": 0.3,
            "chance": 0.5,
            "share_change": -0.2,
            "share_change_low": -0.25,
            "share_change_high": -0.15,
            "random_median": 0.0,
            "random_groups": draws,
            "p": p,
            "mediated": 0.4,
            "difference_low": low,
            "difference_high": np.array(low) + 0.02,
        }
    )


@pytest.mark.parametrize(
    ("table", "verdict"),
    [
        (reader_rows([0.03, 0.03, 0.4], [0.0] * 3), AGREES),
        (reader_rows([0.3, 0.4], [0.0] * 2), DIFFERS),
        (reader_rows([0.03, 0.4, 0.4], [0.0] * 3), CANNOT_TELL),
        (reader_rows([0.03], [0.0], draws=2), CANNOT_TELL),
        (reader_rows([0.03], [0.0]).assign(is_relay_head=False), CANNOT_TELL),
        (pd.DataFrame({"layer": [], "head": [], "is_relay_head": []}), CANNOT_TELL),
    ],
)
def test_dependence(table: pd.DataFrame, verdict: str):
    assert dependence(table).verdict == verdict


@pytest.mark.parametrize(
    ("low", "verdict"),
    [([0.1, 0.1, -0.2], AGREES), ([-0.2, -0.2, 0.1], DIFFERS), ([0.1, -0.2], CANNOT_TELL), ([-0.01], CANNOT_TELL)],
)
def test_direction(low: list[float], verdict: str):
    assert direction(reader_rows([0.03] * len(low), low)).verdict == verdict
