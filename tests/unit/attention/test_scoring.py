"""Scores at the queries of a match, and controls of segmentation under attention of readers written by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.attention import head_labels
from pipeline.attention.attention_shift import SHIFTED
from pipeline.attention.head_functions import FUNCTIONS, Tokens, chance, control_weights, weights
from pipeline.attention.scoring import AttentionScorer, control_scores
from pipeline.stats.bootstrap import QuerySample
from tests.unit.attention.test_maps import CLS, ENCODED, PAD, SEP, TOKENS, encode, framework_attention, model

PREVIOUS, NEXT, OWN_WORD, BOTH = range(4)  # heads, BOTH reads the previous and the next token evenly
FIRST_WORD = 10  # vocabulary index of the first word of every pair, of all its pieces
SHARES = (0.4, 0.3, 0.3)  # of words of one, two and three pieces


def word_pair(rng: np.random.Generator) -> tuple[np.ndarray, Tokens]:
    """A query of 2 to 4 words and a title of 4 to 12, no term in both."""
    query, title = rng.integers(2, 5), rng.integers(4, 13)
    word = np.repeat(np.arange(query + title), rng.choice([1, 2, 3], query + title, p=SHARES))
    split = np.searchsorted(word, query)
    word = np.concatenate([[-1], word[:split], [-1], word[split:], [-1]])
    ids = np.where(word < 0, SEP, word + FIRST_WORD)
    ids[0] = CLS
    segment = np.where(word < 0, -1, word >= query)
    return ids, Tokens(word, word, segment, ids == CLS, ids == SEP)


def attention(input_ids: torch.Tensor, **_) -> SimpleNamespace:
    """The attention of the heads; OWN_WORD rests on [CLS] where a word has one piece."""
    place = torch.arange(input_ids.shape[1])
    step = (place[None, :] - place[:, None]).expand(len(input_ids), -1, -1)
    own = (input_ids[:, :, None] == input_ids[:, None, :]) & (input_ids[:, :, None] >= FIRST_WORD) & (step != 0)
    own[:, :, 0] |= ~own.any(dim=2)
    heads = torch.stack([step == -1, step == 1, own, step.abs() == 1], dim=1).float()
    return SimpleNamespace(attentions=(heads / heads.sum(dim=-1, keepdim=True).clamp(min=1),))


def planted_scorer(pairs: int) -> AttentionScorer:
    rng = np.random.default_rng(0)
    drawn = [word_pair(rng) for _ in range(pairs)]
    config = SimpleNamespace(pad_token_id=PAD, num_hidden_layers=1, num_attention_heads=4)
    model = SimpleNamespace(config=config, device=torch.device("cpu"), base_model=attention)
    return AttentionScorer(model, encode(drawn), [tokens for _, tokens in drawn], 1000)


def controls_of(scorer: AttentionScorer) -> np.ndarray:
    chances = np.stack([chance(*weights(tokens)) for tokens in scorer.tokens])
    [retargeted] = scorer.read(scorer.mass(control_weights))
    return control_scores(retargeted, scorer.replaced(seed=0), chances, 0.8)


def test_readers_of_neighbours_are_no_segmentation_heads():
    scorer = planted_scorer(200)
    scores = scorer.scores().functions
    shuffled = np.zeros((*scores.shape[:-1], len(head_labels.ORDER_FUNCTIONS)))
    evidence = head_labels.Evidence(scores, controls_of(scorer), shuffled, np.ones(scores.shape))
    found = head_labels.label_heads(evidence, QuerySample(np.arange(200), 300, seed=0), margin=0.05)
    found = found[found["function"] == "segmentation"].set_index("head")
    assert found["is_labelled"][[PREVIOUS, NEXT, BOTH, OWN_WORD]].tolist() == [False, False, False, True]
    assert found["score"][OWN_WORD] == pytest.approx(1)
    assert found["control"][OWN_WORD] == 0
    assert (found["score"][[PREVIOUS, NEXT]] > 0.5).all()  # of a word of two pieces one, of three two


def matching_keys(tokens: Tokens, query: int) -> dict[str, list[int]]:
    """What a query attends to, by function of SHIFTED."""
    other = [place for place, side in enumerate(tokens.segment) if side == 1 - tokens.segment[query]]
    return {
        "term_match": [place for place in other if tokens.key[place] == tokens.key[query] >= 0],
        "self": [query],
        "cls": np.flatnonzero(tokens.cls).tolist(),
        "sep": np.flatnonzero(tokens.sep).tolist(),
    }


def test_matched_scores_are_of_the_tokens_of_a_match_alone():
    of = model()
    found = AttentionScorer(of, ENCODED, TOKENS, 40).scores().matched
    undefined = []
    for pair, tokens in enumerate(TOKENS):
        by_query = [matching_keys(tokens, query) for query in np.flatnonzero(tokens.text)]
        matching = [keys for keys in by_query if keys["term_match"]]
        undefined.append(not matching)
        rows = framework_attention(of, pair)[:, :, [keys["self"][0] for keys in matching]]  # [layer, head, query, key]
        for place, name in enumerate(SHIFTED if matching else ()):
            shares = [rows[:, :, row, keys[name]].sum(axis=-1) for row, keys in enumerate(matching)]
            np.testing.assert_allclose(found[pair, :, :, place], np.mean(shares, axis=0), atol=1e-6)
    np.testing.assert_array_equal(np.isnan(found).all(axis=(1, 2, 3)), undefined)
    assert 0 < sum(undefined) < len(undefined)


def test_evidence_takes_one_pass_and_two_counterfactual_ones():
    of, passes = model(), []
    of.base_model.register_forward_pre_hook(lambda _, __, inputs: passes.append(inputs), with_kwargs=True)
    scorer = AttentionScorer(of, ENCODED, TOKENS, 10_000)
    chances = np.stack([chance(*weights(tokens)) for tokens in TOKENS])
    found, evidence = scorer.evidence(chances, 0.75, seed=0)
    assert len(passes) == 3
    alone = scorer.scores()
    np.testing.assert_array_equal(found.functions, alone.functions)
    np.testing.assert_array_equal(found.matched, alone.matched)
    np.testing.assert_array_equal(evidence.scores, alone.functions)
    np.testing.assert_array_equal(evidence.controls[..., FUNCTIONS.index("entropy")], 0.75)
    np.testing.assert_array_equal(evidence.shuffled, scorer.shuffled(head_labels.ORDER_FUNCTIONS, seed=0))
