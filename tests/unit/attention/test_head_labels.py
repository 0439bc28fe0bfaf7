import numpy as np
import pytest

from pipeline.attention import head_labels
from pipeline.attention.counterfactuals import replace_terms, shuffle_terms
from pipeline.attention.head_functions import FUNCTIONS, TARGETED, Tokens, control_weights, targets, weights
from pipeline.stats.bootstrap import QuerySample

# [CLS] red shoe [SEP] red ##dish shoe , [SEP]: "reddish" of two pieces; the terms are red 0, shoe 1, reddish 2.
SHOE = Tokens(
    word=np.array([-1, 0, 1, -1, 2, 2, 3, -1, -1]),
    key=np.array([-1, 0, 1, -1, 2, 2, 1, -1, -1]),
    segment=np.array([-1, 0, 0, -1, 1, 1, 1, 1, -1]),
    cls=np.arange(9) == 0,
    sep=np.isin(np.arange(9), [3, 8]),
)
IDS = np.array([101, 5, 6, 102, 5, 7, 6, 9, 102])
OTHER = Tokens(
    word=np.array([-1, 0, -1, 1, 2, -1]),
    key=np.array([-1, 0, -1, 1, 2, -1]),
    segment=np.array([-1, 0, -1, 1, 1, -1]),
    cls=np.arange(6) == 0,
    sep=np.isin(np.arange(6), [2, 5]),
)
OTHER_IDS = np.array([101, 20, 102, 21, 22, 102])


def test_a_shared_term_gives_way_to_one_of_neither_text_and_as_many_pieces():
    changed, other = replace_terms([IDS, OTHER_IDS], [SHOE, OTHER], seed=0)
    moved = np.flatnonzero(changed != IDS)
    assert moved.tolist() == [6]
    assert changed[6] in {20, 21, 22}
    assert other is OTHER_IDS or np.array_equal(other, OTHER_IDS)  # nothing is shared there


def test_a_term_of_the_nearest_frequency_is_taken():
    """40 words occur once, 40 twice: the substitute of a word that occurs in many pairs is one of the frequent ones."""
    rare, frequent = np.arange(100, 140), np.arange(200, 240)
    ids, tokens = [], []
    for number in range(40):
        for words in ([frequent[number], rare[number]], [frequent[number]]):
            ids.append(np.array([101, 50, 102, *words, 102]))
            key = np.array([-1, 0, -1, *range(1, len(words) + 1), -1])
            segment = np.array([-1, 0, -1, *[1] * len(words), -1])
            tokens.append(Tokens(key, key, segment, segment == 5, segment == 5))
    shared = Tokens(
        *(np.array([-1, 0, -1, 1, -1]), np.array([-1, 0, -1, 0, -1]), np.array([-1, 0, -1, 1, -1])), *[None] * 2
    )
    ids += [np.array([101, frequent[0], 102, frequent[0], 102])]
    changed = replace_terms(ids, [*tokens, shared], seed=1)[-1]
    assert changed[3] in frequent or changed[3] == 50
    assert changed[1] == frequent[0]


def test_without_a_substitute_the_pair_stays():
    assert np.array_equal(replace_terms([IDS], [SHOE], seed=0)[0][:4], IDS[:4])
    one = Tokens(np.array([-1, 0, -1, 1, -1]), np.array([-1, 0, -1, 0, -1]), np.array([-1, 0, -1, 1, -1]), None, None)
    ids = np.array([101, 5, 102, 5, 102])
    assert np.array_equal(replace_terms([ids], [one], seed=0)[0], ids)


def test_shuffled_words_stay_whole_in_their_text_and_keep_their_terms():
    seen = set()
    for seed in range(30):
        (ids,), (tokens,) = shuffle_terms([IDS], [SHOE], seed)
        assert sorted(ids) == sorted(IDS)
        assert sorted(ids[1:3]) == [5, 6]
        assert ids[7] == 9  # the comma is no word and stays
        assert tokens.segment.tolist() == SHOE.segment.tolist()
        place = ids[4:7].tolist()
        assert place in ([5, 7, 6], [6, 5, 7])
        assert tokens.key[4:7].tolist() == [2 if token in (5, 7) else 1 for token in place]
        assert tokens.word[[1, 2]].tolist() == [0, 1]
        assert (np.diff(tokens.word[4:7]) >= 0).all()
        seen.add(tuple(ids))
    assert len(seen) == 4


def test_controls_of_segmentation_and_order_by_hand():
    own_word, previous, following = np.moveaxis(control_weights(SHOE), -1, 0)
    # red and ##dish have each other one token away, either way, and so do red and shoe, ##dish and shoe: half of each.
    assert {tuple(map(int, pair)) for pair in np.argwhere(own_word)} == {(1, 2), (2, 1), (5, 6), (6, 5)}
    assert set(own_word[own_word > 0].tolist()) == {0.25}
    assert np.isnan(previous).all()  # no text has a third word
    assert np.isnan(following).all()


def test_the_other_offsets_share_by_term():
    """Query of three words of one token: for the last word, the word two before it is the other offset."""
    word = np.array([-1, 0, 1, 2, -1, 3, -1])
    tokens = Tokens(word, word, np.array([-1, 0, 0, 0, -1, 1, -1]), word == 9, word == 9)
    previous = control_weights(tokens)[..., 1]
    assert {tuple(map(int, pair)): float(previous[tuple(pair)]) for pair in np.argwhere(previous)} == {
        (3, 1): 0.5,
        (2, 3): 0.5,
    }


def sample(pairs: int) -> QuerySample:
    return QuerySample(np.arange(pairs) // 2, 300, seed=0)


def planted(pairs: int = 80, seed: int = 0) -> head_labels.Evidence:
    """Two layers of two heads: head 1.0 matches terms, head 0.1 follows positions; the rest is noise about control.

    All of them write as much.
    """
    rng = np.random.default_rng(seed)
    controls = rng.uniform(0.05, 0.15, (pairs, 2, 2, len(FUNCTIONS)))
    scores = controls + rng.normal(0, 0.02, controls.shape)
    scores[:, 1, 0, FUNCTIONS.index("term_match")] += 0.4
    scores[:, 0, 1, FUNCTIONS.index("previous_term")] += 0.3
    scores[:, 1, 1, FUNCTIONS.index("next_term")] += 0.3
    shuffled = np.stack([scores[..., FUNCTIONS.index(name)] for name in head_labels.ORDER_FUNCTIONS], axis=-1)
    shuffled[:, 1, 1, 1] -= 0.3
    return head_labels.Evidence(scores, controls, shuffled, np.ones(scores.shape))


def test_labels_name_exactly_what_was_planted():
    found = head_labels.label_heads(planted(), sample(80), margin=0.05)
    named = found[found.is_labelled][["layer", "head", "function", "order_cue"]].to_numpy().tolist()
    assert named == [[0, 1, "previous_term", "position"], [1, 0, "term_match", ""], [1, 1, "next_term", "content"]]
    assert head_labels.first_label(found)["function"].tolist() == ["previous_term", "term_match", "next_term"]


def test_a_control_that_explains_the_score_takes_the_label_away():
    evidence = planted()
    evidence.controls[:, 1, 0, FUNCTIONS.index("term_match")] += 0.4
    found = head_labels.label_heads(evidence, sample(80), margin=0.05)
    assert not found[found.function == "term_match"].is_labelled.any()


def test_pairs_that_do_not_define_a_function_do_not_count():
    evidence = planted()
    scores, term_match = evidence.scores, FUNCTIONS.index("term_match")
    scores[10:, :, :, term_match] = np.nan
    found = head_labels.label_heads(evidence, sample(80), margin=0.05).set_index(["layer", "head", "function"])
    assert found.score[1, 0, "term_match"] == pytest.approx(scores[:10, 1, 0, term_match].mean())
    scores[..., term_match] = np.nan
    found = head_labels.label_heads(evidence, sample(80), margin=0.05).set_index(["layer", "head", "function"])
    assert np.isnan(found.difference_low[1, 0, "term_match"])
    assert not found.is_labelled[1, 0, "term_match"]


def test_an_idle_head_is_not_labelled_and_one_that_writes_little_ranks_behind():
    """Heads 1.0 and 0.0 match terms, 0.0 with the higher score; the planted differences are 0.4 and 0.5."""
    evidence, term_match = planted(), FUNCTIONS.index("term_match")
    evidence.scores[:, 0, 0, term_match] += 0.5

    def ranked(write: float) -> list[tuple[int, int]]:
        evidence.writes[:, 0, 0, term_match] = write
        return head_labels.labelled_heads(head_labels.label_heads(evidence, sample(80), margin=0.05), "term_match")

    assert ranked(1) == ranked(0.9) == [(0, 0), (1, 0)]  # 0.9 x 0.5 is more than 0.4
    assert ranked(0.7) == ranked(0.2) == [(1, 0), (0, 0)]
    assert ranked(0.05) == ranked(0) == [(1, 0)]
    evidence.writes[:, 1, 0, term_match] = 3  # more than an average head adds nothing
    assert ranked(1) == [(0, 0), (1, 0)]
    found = head_labels.label_heads(evidence, sample(80), margin=0.05).set_index(["layer", "head", "function"])
    assert found.relative_write[1, 0, "term_match"] == pytest.approx(3)
    assert found.written_difference[1, 0, "term_match"] == pytest.approx(found.difference[1, 0, "term_match"])


def test_weights_and_their_controls_have_a_row_for_every_token():
    mass, _ = weights(SHOE)
    assert mass.shape == (9, 9, len(TARGETED))
    assert control_weights(SHOE).shape == (9, 9, 3)
    assert targets(SHOE)[TARGETED.index("segmentation")].sum() == 2
