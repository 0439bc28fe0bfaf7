"""How high heads read low ones: reduced rows by hand, and models whose reader was planted."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, false_discovery_control

from pipeline.ablation import head_groups
from pipeline.ablation.cls_attention import chance_shared_term_share, cls_attention_change, token_kinds
from pipeline.ablation.patching import ActivationPatch
from pipeline.analysis import attention_edges, mediation, relay_heads
from pipeline.analysis.mediation import HeadOutputs, MediationLogits, Treatment
from pipeline.attention.head_functions import pair_tokens
from pipeline.core.heads import every_head
from pipeline.findings.cls_dependence import dependence, direction
from pipeline.findings.verdict import AGREES, CANNOT_TELL, DIFFERS
from pipeline.models.inference import collate
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.measures import EvaluationSet
from pipeline.stats.metrics import logit_margins
from tests.support import frames
from tests.support.builders import ablation_engine
from tests.support.frames import joint_mediation_frame
from tests.support.planted import (
    HEADS,
    LAYERS,
    Planted,
    mask_of,
    planted,
    planted_feeder,
    planted_gaze,
    planted_two_paths,
)
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
    chances, changes = np.full(10, 0.5), np.empty((10, 0))
    none = relay_heads.choose_relay_heads([], np.empty((10, 0, 7)), chances, changes, changes, GRADER, sample)
    assert mediation.joint_outputs(none) == []
    joint = pd.DataFrame({"outputs": [], "rows": [], "heads": []})
    metrics = relay_heads.dependency_metrics(tables[0], none, joint)
    assert (metrics.pop("relay_heads"), metrics.pop("dependent_relay_heads")) == (0, 0)
    assert set(metrics.values()) == {None}
    tables = frames.tables(mediation=none, joint_mediation=joint)
    assert dependence(tables).verdict == direction(tables).verdict == CANNOT_TELL


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


def extreme_grades(truth: Planted, *states: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, QuerySample]:
    """States [..., pair, grade] of the lowest and the highest grade alone, those grades, and the queries.

    The margin of two grades is linear in the answer, that of more is not.
    """
    pairs = np.flatnonzero((truth.grades == 0) | (truth.grades == truth.grades.max()))
    kept = [state[..., pairs, :][..., [0, -1]] for state in states]
    return kept, (truth.grades[pairs] > 0).astype(int), QuerySample(truth.query_ids[pairs], 200, seed=0)


def mediation_states(truth: Planted, outputs: list[HeadOutputs]) -> MediationLogits:
    """States of mediation through each of the outputs."""
    without, ones = mask_of(truth.matchers), np.ones((LAYERS, HEADS))
    replaced = [Treatment.replacing(outputs, *state) for state in ((ones, 1), (without, 0), (ones, -1))]
    replaced.append(Treatment.replacing([HeadOutputs("none", ())], without, -1))
    masks, sources, cls_only = (np.concatenate(parts) for parts in zip(*replaced, strict=True))
    states, engine = ActivationPatch(np.stack([ones, without])), ablation_engine(truth.model, 2048)
    logits = engine.evaluate(truth.pairs, masks, sources, states, cls_only=cls_only).logits
    return MediationLogits(logits[0], logits[-1], *np.split(logits[1:-1], 3))


def mediated(truth: Planted) -> pd.DataFrame:
    """Mediation of the matchers' effect through every head of the upper half."""
    high = every_head(LAYERS, HEADS)[LAYERS // 2 * HEADS :]
    states = mediation_states(truth, mediation.single_heads(high))
    kept, grades, sample = extreme_grades(truth, *states)
    table = mediation.mediation(MediationLogits(*kept), GRADER, EvaluationSet(grades, kept[0], sample))
    total = logit_margins(kept[1], grades) - logit_margins(kept[0], grades)
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


@pytest.mark.parametrize("seed", range(3))
def test_a_feeder_mediates_by_its_tokens_rows_and_a_reader_by_its_cls_row(seed: int):
    truth, feeder = planted_feeder(seed, pairs=200)
    outputs = [
        HeadOutputs("relay heads", truth.readers, cls_only=True),
        HeadOutputs("other candidates", (feeder,)),
        HeadOutputs("other candidates", (feeder,), cls_only=True),
    ]
    kept, grades, sample = extreme_grades(truth, *mediation_states(truth, outputs))
    table = mediation.joint_mediation(outputs, MediationLogits(*kept), GRADER, EvaluationSet(grades, kept[0], sample))
    assert table["mediated"].to_numpy() == pytest.approx([1, 1, 0], abs=0.1)
    assert table["restored"].to_numpy() == pytest.approx([1, 1, 0], abs=0.1)
    assert table["above_others"].to_numpy() == pytest.approx([1, 0, 0], abs=0.1)
    assert table["above_others_low"][0] > 0.9
    margins = logit_margins(np.stack([kept[0], *kept[4]]), grades)
    assert table["ablated"].to_numpy() == pytest.approx((margins[1:] - margins[0]).mean(axis=1))
    right = (np.stack([kept[0], *kept[3]]).argmax(axis=-1) == grades).mean(axis=-1)
    assert table["direct_relative_accuracy_change"].to_numpy() == pytest.approx(right[1:] / right[0] - 1)


def test_without_other_candidates_the_share_stands_above_nothing():
    rng = np.random.default_rng(0)
    clean, sample = rng.normal(size=(40, 3)), QuerySample(np.arange(40), 200, seed=0)
    grades = clean.argmax(axis=1)
    masked = clean - 2 * np.eye(3)[grades]
    states = MediationLogits(clean, masked, masked[None], clean[None], masked[None])
    table = mediation.joint_mediation(
        [HeadOutputs("relay heads", [(2, 0)])], states, GRADER, EvaluationSet(grades, clean, sample)
    )
    assert table["mediated"][0] == table["above_others"][0] == pytest.approx(1)
    assert table["restored"][0] == pytest.approx(1)


def test_joint_outputs_are_those_of_relay_heads_others_and_layers():
    relays = pd.DataFrame({"layer": [2, 2, 3], "head": [0, 1, 3], "is_relay_head": [False, True, False]})
    assert [(one.name, one.rows, tuple(one.heads)) for one in mediation.joint_outputs(relays)] == [
        ("relay heads", "all", ((2, 1),)),
        ("relay heads", "[CLS]", ((2, 1),)),
        ("other candidates", "all", ((2, 0), (3, 3))),
        ("other candidates", "[CLS]", ((2, 0), (3, 3))),
        ("layer 2", "[CLS]", ((2, 0), (2, 1))),
        ("layer 3", "[CLS]", ((3, 3),)),
        ("upper layers", "[CLS]", ((2, 0), (2, 1), (3, 3))),
    ]
    assert "relay heads" not in {one.name for one in mediation.joint_outputs(relays.assign(is_relay_head=False))}


def test_no_share_is_told_of_a_total_effect_that_may_be_nothing():
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(40, 3))
    noise = clean + rng.normal(0, 0.01, (2, 40, 3))
    sample = QuerySample(np.arange(40), 200, seed=0)
    logits = MediationLogits(clean, clean + 0.0, noise, noise, noise)
    table = mediation.mediation(logits, GRADER, EvaluationSet(rng.integers(0, 3, 40), clean, sample))
    assert table["mediated"].isna().all()
    assert table["total"].tolist() == [0, 0]


def test_a_relay_head_is_one_whose_cls_row_costs():
    rng = np.random.default_rng(0)
    sample, chances = QuerySample(np.arange(60) // 2, 200, seed=0), np.full(60, 0.5)
    attention = rng.uniform(0.1, 0.2, (60, 4, 7))
    attention[:5] = np.nan
    noise = rng.normal(0, 0.1, (60, 4))
    noise[:, 2] -= noise[:, 2].mean()
    all_rows, cls_row = noise - 2, noise + np.array([-1.0, -2.0, 0.0, 1.0])
    heads = [(2, 0), (2, 1), (2, 2), (3, 0)]
    table = relay_heads.choose_relay_heads(heads, attention, chances, all_rows, cls_row, GRADER, sample)
    assert table["is_relay_head"].tolist() == [True, True, False, False]
    assert relay_heads.strongest_relay_head(table, GRADER) == (2, 1)
    assert table["dev_q"].to_numpy() == pytest.approx(false_discovery_control(table["dev_p"]))
    assert table["dev_logit_margin_change"].to_numpy() == pytest.approx(all_rows.mean(axis=0))
    assert table["dev_cls_row_logit_margin_change"].to_numpy() == pytest.approx(cls_row.mean(axis=0))
    assert table["dev_share"].to_numpy() == pytest.approx(np.nanmean(attention[..., 6], axis=0))
    assert table["dev_term_mass"].to_numpy() == pytest.approx(np.nanmean(attention[..., 1] + attention[..., 2], axis=0))
    assert table["dev_chance"].tolist() == [0.5] * 4


def test_a_readers_change_stands_beside_those_of_random_groups():
    truth = planted_gaze(1, pairs=200)
    pairs = np.arange(200)
    own = head_groups.Group("function", "term_match", truth.matchers)
    masks = head_groups.group_masks([own, *head_groups.layer_matched_groups(own, HEADS, 30, seed=0)], LAYERS, HEADS)
    values = changes(truth, pairs, masks)
    chances = chance_shared_term_share([token_kinds(tokens) for tokens in tokens_of(truth, pairs)])
    sample = QuerySample(truth.query_ids, 200, seed=0)
    table = relay_heads.relay_dependence(
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
    rows = values[:, :, place[0], place[1], 5].astype(float)  # [state, pair]
    moved = (rows[1:] - rows[0]).mean(axis=1)
    assert row["entropy"] == pytest.approx(rows[0].mean(), abs=1e-6)
    assert row["entropy_change"] == pytest.approx(moved[0], abs=1e-6)
    assert row["random_entropy_median"] == pytest.approx(np.median(moved[1:]), abs=1e-6)
    # Without the matcher nothing is flagged: its gaze turns from the shared words to [CLS] itself, and so narrows.
    assert row["share_change_high"] < 0
    assert row["entropy_change_high"] < 0


def relay_rows(**changed: object) -> pd.DataFrame:
    """Three relay heads, the second of which is the strongest."""
    rows = pd.DataFrame(
        {
            "layer": 4,
            "head": range(3),
            "is_relay_head": True,
            "dev_cls_row_logit_margin_change": [-0.1, -0.3, -0.2],
            "share": 0.7,
            "chance": 0.5,
            "difference_low": [-0.3, 0.15, -0.3],
            "difference": [-0.2, 0.2, -0.2],
            "difference_high": [-0.1, 0.25, -0.1],
            "share_change": [0.2, -0.2, 0.2],
            "share_change_low": [0.15, -0.25, 0.15],
            "share_change_high": [0.25, -0.15, 0.25],
            "random_groups": 30,
            "p": 0.03,
            "entropy": 0.5,
            "entropy_change": 0.1,
            "entropy_change_low": 0.05,
            "entropy_change_high": 0.15,
            "random_entropy_median": 0.0,
        }
    )
    return rows.assign(**changed)


NARROWS = {"entropy_change_low": -0.2, "entropy_change_high": -0.1}
NO_JOINT = pd.DataFrame({"outputs": [], "rows": [], "heads": []})


@pytest.mark.parametrize(
    ("relays", "joint", "verdict"),
    [
        (relay_rows(), joint_mediation_frame(), AGREES),
        (relay_rows(share_change_low=0.15, share_change_high=0.25), joint_mediation_frame(), DIFFERS),
        (relay_rows(share_change_high=0.01), joint_mediation_frame(), CANNOT_TELL),
        (relay_rows(p=0.3), joint_mediation_frame(), CANNOT_TELL),
        (relay_rows(random_groups=2), joint_mediation_frame(), CANNOT_TELL),
        (relay_rows(**NARROWS), joint_mediation_frame(), DIFFERS),
        (relay_rows(entropy_change_low=-0.01), joint_mediation_frame(), CANNOT_TELL),
        (relay_rows(), joint_mediation_frame(above_others=-0.5), DIFFERS),
        (relay_rows(), joint_mediation_frame(above_others=0.05), CANNOT_TELL),
        (relay_rows(), joint_mediation_frame(mediated=0.05), CANNOT_TELL),
        (relay_rows(), joint_mediation_frame().assign(mediated=np.nan), CANNOT_TELL),
        (relay_rows(), NO_JOINT, CANNOT_TELL),
        (relay_rows(is_relay_head=False), joint_mediation_frame(), CANNOT_TELL),
        (pd.DataFrame({"layer": [], "head": [], "is_relay_head": []}), NO_JOINT, CANNOT_TELL),
    ],
)
def test_dependence(relays: pd.DataFrame, joint: pd.DataFrame, verdict: str):
    assert dependence(frames.tables(mediation=relays, joint_mediation=joint)).verdict == verdict


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, AGREES),
        ({"difference_low": -0.25, "difference_high": -0.15}, DIFFERS),
        ({"difference_low": -0.01}, CANNOT_TELL),
        ({"is_relay_head": [True, False, True]}, DIFFERS),  # the strongest of those left looks elsewhere
    ],
)
def test_direction_is_that_of_the_strongest(changed: dict, verdict: str):
    assert direction(frames.tables(mediation=relay_rows(**changed))).verdict == verdict


def test_direction_says_how_many_relay_heads_agree():
    assert direction(frames.tables(mediation=relay_rows())).measured.endswith("1 of 3 relay heads above chance")
