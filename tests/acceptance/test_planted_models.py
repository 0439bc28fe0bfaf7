"""The planted models do what is said of them, by the framework's own forward: nothing here asks the analysis."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from pipeline.models.inference import collate
from pipeline.models.tokenization import QUERY, TITLE, EncodedPairs
from pipeline.models.word_alignment import token_terms
from tests.support.builders import ablation_engine
from tests.support.planted import (
    HEADS,
    LAYERS,
    TERMS,
    Head,
    Planted,
    mask_of,
    planted,
    planted_redundant,
    planted_two_paths,
)
from tests.support.reference import reference_contexts, reference_logits

SEEDS = (0, 1, 2)
PAIRS = 300
FEW = np.arange(40)
ALL_HEADS = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
RIGHT = 0.95  # accuracy of a whole model
MATTERS = 0.25  # accuracy lost with a planted head
NOISE = 0.02  # accuracy that another head may move
TOLERANCE = 1e-4  # of logits up to 15


@cache
def built(build: Callable[[int, int], Planted], seed: int) -> Planted:
    return build(seed, PAIRS)


def swept(truth: Planted, masked: list[tuple[Head, ...]]) -> np.ndarray:
    """Logits [1 + mask, pair, grade] of the whole model, then without each set of heads."""
    masks = np.stack([mask_of(heads) for heads in masked])
    return ablation_engine(truth.model, 4096).evaluate(truth.pairs, masks).logits


def accuracy(truth: Planted, masked: list[tuple[Head, ...]]) -> np.ndarray:
    """[1 + mask]"""
    return (swept(truth, masked).argmax(axis=-1) == truth.grades).mean(axis=1)


def same_word(pairs: EncodedPairs, pair: int) -> np.ndarray:
    """Where query and key are one word of both texts, bool [query, key]."""
    ids, side = pairs.ids[pairs.tokens(pair)], pairs.segment[pairs.tokens(pair)]
    return (ids[:, None] == ids) & (side[:, None] + side == QUERY + TITLE) & (side[:, None] * side == 0)


@torch.inference_mode()
def attention(truth: Planted, pairs: EncodedPairs, pair: int) -> np.ndarray:
    """[layer, head, query, key]"""
    inputs = collate(pairs, np.array([pair]), 0, truth.model.device)
    return torch.cat(truth.model(**inputs, output_attentions=True).attentions).numpy()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("build", [planted, planted_redundant, planted_two_paths])
def test_right_by_the_plain_forward_and_wrong_without_what_is_planted(build, seed):
    truth = built(build, seed)
    pairs, grades = truth.pairs.take(FEW), truth.grades[FEW]
    masked = [truth.matchers, truth.readers]
    logits = [reference_logits(truth.model, pairs, mask_of(heads)) for heads in ((), *masked)]
    whole, unmatched, unread = [(found.argmax(axis=1) == grades).mean() for found in logits]
    assert whole > RIGHT
    assert max(unmatched, unread) < whole - MATTERS
    np.testing.assert_allclose(swept(truth, masked)[:, FEW], logits, atol=TOLERANCE)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("build", "spare"), [(planted, 14), (planted_redundant, 15)])
def test_no_head_matters_but_the_reader_and_the_matchers_together(build, spare, seed):
    truth = built(build, seed)
    assert len({layer for layer, _ in truth.matchers}) == 1
    single = [(head,) for head in ALL_HEADS]
    others = [heads for heads in single if heads not in (truth.matchers, truth.readers)]  # one of two matchers too
    assert len(others) == spare
    whole, unmatched, unread, *without = accuracy(truth, [truth.matchers, truth.readers, *others])
    assert whole > RIGHT
    assert max(unmatched, unread) < whole - MATTERS
    assert np.abs(np.array(without) - whole).max() < NOISE


@pytest.mark.parametrize("seed", SEEDS)
def test_each_of_two_paths_carries_half(seed):
    """The logits tell the answer, and it halves without one reader: not quite, as normalisation shrinks long states."""
    truth = built(planted_two_paths, seed)
    logits = swept(truth, [*((head,) for head in truth.readers), truth.readers])
    slope = logits[:, :, -1] - logits[:, :, 0]  # linear in the answer
    highest, lowest = (slope[:, truth.grades == grade].mean(axis=1) for grade in (TERMS, 0))
    whole, first, second, none = highest - lowest
    assert first / whole == pytest.approx(0.5, abs=0.06)
    assert second / whole == pytest.approx(0.5, abs=0.06)
    assert none / whole == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("build", [planted, planted_redundant])
def test_matchers_alone_look_to_the_same_word_across(build, seed):
    truth = built(build, seed)
    found, even = [], []
    for pair in np.flatnonzero(truth.grades)[:30]:
        same = same_word(truth.pairs, pair)
        rows = same.any(axis=1)
        assert rows.sum() == 2 * truth.grades[pair]
        found.append((attention(truth, truth.pairs, pair) * same).sum(axis=-1)[..., rows].mean(axis=-1))
        even.append(1 / len(same))
    mass = np.mean(found, axis=0)  # [layer, head]
    matching = mask_of(truth.matchers) == 0
    assert mass[matching].min() > 0.6
    assert mass[~matching].max() < 2 * np.mean(even)
    assert mass[~matching].min() > 0.4 * np.mean(even)


@pytest.mark.parametrize("seed", SEEDS)
def test_another_word_in_its_place_is_not_looked_at(seed):
    truth = built(planted, seed)
    (matcher,) = truth.matchers
    for pair in np.flatnonzero(truth.grades)[:30]:
        one = truth.pairs.take(np.array([pair]))
        query, key = np.argwhere(same_word(one, 0))[0]
        unused = np.setdiff1d(np.arange(truth.model.config.vocab_size)[-40:], one.ids)
        ids = one.ids.copy()
        ids[key] = unused[0]
        replaced = EncodedPairs(**{**vars(one), "ids": ids})
        assert attention(truth, one, 0)[*matcher, query, key] > 0.6
        assert attention(truth, replaced, 0)[*matcher, query, key] < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_every_head_says_something(seed):
    """What a head adds to the stream has a length worth seeing: at every token, but for planted heads with no match."""
    truth = built(planted, seed)
    outputs = torch.stack([layer.attention.output.dense.weight for layer in truth.model.bert.encoder.layer])
    weights = outputs.detach().unflatten(-1, (HEADS, -1)).numpy()  # [layer, d, head, head_dim]
    contexts = reference_contexts(truth.model, truth.pairs, int(truth.grades.argmax()), np.ones((LAYERS, HEADS)))
    lengths = np.linalg.norm(np.einsum("ldhc,lphc->lhpd", weights, contexts), axis=-1)  # [layer, head, position]
    assert lengths.max(axis=-1).min() > 0.2
    assert lengths[mask_of((*truth.matchers, *truth.readers)) == 1].min() > 0.2


def test_heads_noise_and_pairs_come_from_the_seed():
    truths = [built(planted, seed) for seed in range(8)]
    again = planted(0, PAIRS)
    assert again.titles == truths[0].titles
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), truths[0].model.parameters(), strict=True))
    assert len({truth.matchers for truth in truths}) > 3
    assert {layer for truth in truths for layer, _ in truth.matchers} == {0, 1}
    assert {layer for truth in truths for layer, _ in truth.readers} == {2, 3}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_grade_counts_query_terms_as_the_projects_words_see_them(seed):
    truth = built(planted, seed)
    assert len(set(truth.queries)) == truth.query_ids.max() + 1 >= 60
    assert np.bincount(truth.grades).min() > PAIRS / 8
    for pair, texts in enumerate(zip(truth.queries, truth.titles, strict=True)):
        tokens = truth.pairs.tokens(pair)
        segment = truth.pairs.segment[tokens]
        word, key = token_terms(texts, truth.pairs.offsets[tokens], segment)
        assert len(np.unique(word[word >= 0])) == len(word) - 3  # each token a word, but [CLS] and two [SEP]
        assert len({*key[segment == QUERY]} & {*key[segment == TITLE]}) == truth.grades[pair]


def test_saved_and_loaded_again(tmp_path):
    truth = built(planted, 0)
    truth.model.save_pretrained(tmp_path)
    loaded = BertForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager").eval()
    pairs, nothing = truth.pairs.take(FEW[:10]), mask_of(())
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), truth.model.parameters(), strict=True))
    before, after = (reference_logits(model, pairs, nothing) for model in (truth.model, loaded))
    np.testing.assert_allclose(after, before, atol=TOLERANCE)
