"""Classifiers whose heads do what they are told: weights written by hand, so that the truth is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from pipeline.models.classifier_labels import name_outputs
from pipeline.models.tokenization import EncodedPairs, encode_pairs

LAYERS, HEADS, SIZE, HEAD_SIZE, FEED_FORWARD = 4, 4, 128, 32, 64
ROOT = HEAD_SIZE**0.5  # attention divides scores by it
MAX_LENGTH = 32
TERMS = 3  # words of a query; a grade is how many of them the title holds
GRADES = TERMS + 1
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = [a + b + c for a in "bdfklmnprstz" for b, c in ("an", "el", "ik", "ov")]

# Lengths along the directions: an embedding has the length sqrt(d).
SIDE = 6.0
CODE = (SIZE - SIDE**2) ** 0.5
SEEN, FLAG, ANSWER = 2.0, 3.0, 5.0  # ANSWER: of a query matched throughout
LOW, HIGH, STEEP = 0.3, 0.6, 10.0  # the step lies below half of SEEN, so that one of two matchers suffices

# Attention scores: the same word over [SEP] over other words over the own text, by 10 or more.
MATCH, SINK, ACROSS = 20.0, 10.0, 20.0
READ, REST = 3.0, 3.0

# Noise: of scores; the lengths of outputs, a head's before its values are averaged; of single readout weights.
NOISE_SCORE, NOISE_HEAD, NOISE_FEED_FORWARD, NOISE_POSITION, NOISE_READOUT = 0.7, 0.9, 0.3, 0.3, 0.01
SLOPE, SHARPNESS = 0.05, 40.0  # so flat that tanh is nearly linear; logits of a few units

Head = tuple[int, int]  # layer, head


@dataclass(frozen=True)
class Directions:
    """Unit vectors of the residual stream, [d] each; `codes` are [word, d], half of them the other half's negatives."""

    codes: np.ndarray
    side: np.ndarray
    cls: np.ndarray
    sep: np.ndarray
    seen: np.ndarray
    flag: np.ndarray
    answer: np.ndarray


def draw_directions(rng: np.random.Generator) -> Directions:
    columns = np.column_stack([np.ones(SIZE), rng.normal(size=(SIZE, SIZE - 1))])
    basis = np.linalg.qr(columns)[0].T[1:]
    codes, others = basis[: len(WORDS) // 2], basis[len(WORDS) // 2 :]
    return Directions(np.concatenate([codes, -codes]), *others[:6])


@dataclass(frozen=True)
class HeadWeights:
    """Query, key and value projections [head_dim, d + 1], the bias last; output projection [d, head_dim]."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray


def noise_head(rng: np.random.Generator) -> HeadWeights:
    """Attention that is nearly even, values and outputs of some length."""
    query, key = rng.normal(0, (NOISE_SCORE / SIZE) ** 0.5, (2, HEAD_SIZE, SIZE + 1))
    value = rng.normal(0, SIZE**-0.5, (HEAD_SIZE, SIZE + 1))
    return HeadWeights(query, key, value, rng.normal(0, NOISE_HEAD * (SIZE * HEAD_SIZE) ** -0.5, (SIZE, HEAD_SIZE)))


def matcher_head(at: Directions, share: float) -> HeadWeights:
    """Looks to the same word across, else to [SEP] across, and writes `share` of SEEN unless it is [SEP]."""
    codes, side, sep = at.codes[: len(WORDS) // 2] / CODE, at.side / SIDE, at.sep / CODE
    return HeadWeights(
        query=ROOT * _rows([*_reads(MATCH * codes), _read(-ACROSS * side), _read(0 * sep, SINK)]),
        key=_rows([*_reads(codes), _read(side), _read(sep)]),
        value=_rows([_read(-sep, 1)]),
        output=_rows([share * SEEN * at.seen]).T,
    )


def reader_head(at: Directions, share: float) -> HeadWeights:
    """[CLS] looks to the query's words and writes `share` of ANSWER for their flags."""
    return HeadWeights(
        query=ROOT * _rows([_read(READ * at.cls / CODE)]),
        key=_rows([_read(at.side / SIDE - 2 * (at.cls + at.sep) / CODE)]),
        value=_rows([_read(at.flag / FLAG / 2, 0.5)]),
        output=_rows([share * ANSWER * at.answer]).T,
    )


def gazing_head(at: Directions, share: float) -> HeadWeights:
    """[CLS] looks to the query's flagged words and to itself, and writes `share` of ANSWER for the flags."""
    return HeadWeights(
        query=ROOT * _rows([_read(READ * at.cls / CODE)]),
        key=_rows([_read(at.side / SIDE + at.flag / FLAG + (2 + np.log(REST) / READ) * at.cls / CODE)]),
        value=_rows([_read(at.flag / FLAG / 2, 0.5)]),
        output=_rows([share * ANSWER * (TERMS + REST) / TERMS * at.answer]).T,
    )


def _read(weight: np.ndarray, bias: float = 0) -> np.ndarray:
    return np.append(weight, bias)


def _reads(weights: np.ndarray) -> list[np.ndarray]:
    return [_read(weight) for weight in weights]


def _rows(rows: list[np.ndarray]) -> np.ndarray:
    """The rows, and zeros for the rest of the head."""
    return np.concatenate([rows, np.zeros((HEAD_SIZE - len(rows), len(rows[0])))])


Plant = Callable[[Directions, float], HeadWeights]


@torch.no_grad()
def build(
    rng: np.random.Generator, matchers: Sequence[Head], readers: Sequence[Head], reader: Plant = reader_head
) -> BertForSequenceClassification:
    """The model with these heads planted; heads of one kind each write an even share of what one alone would."""
    config = BertConfig(
        vocab_size=len(SPECIAL_TOKENS) + len(WORDS),
        hidden_size=SIZE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=FEED_FORWARD,
        max_position_embeddings=MAX_LENGTH,
        attn_implementation="eager",
    )
    name_outputs(config, [str(grade) for grade in range(GRADES)])
    model = BertForSequenceClassification(config).eval()
    at = draw_directions(rng)
    _set_embeddings(model.bert.embeddings, at, rng)
    for layer in model.bert.encoder.layer:
        for head in range(HEADS):
            _set_head(layer.attention, head, noise_head(rng))
        _set_noise(layer, rng)
    for places, weights in ((matchers, matcher_head), (readers, reader)):
        for layer, head in places:
            _set_head(model.bert.encoder.layer[layer].attention, head, weights(at, 1 / len(places)))
    for layer in {layer for layer, _ in matchers}:
        _set_step(model.bert.encoder.layer[layer], at)
    _set_readout(model, at, rng)
    return model


def _set(parameter: torch.Tensor, values: np.ndarray) -> None:
    parameter.copy_(torch.from_numpy(np.asarray(values)))


def _set_embeddings(embeddings: Any, at: Directions, rng: np.random.Generator) -> None:
    special = {"[CLS]": CODE * at.cls, "[SEP]": CODE * at.sep}
    nothing = np.zeros(SIZE)
    _set(
        embeddings.word_embeddings.weight,
        np.stack([*(special.get(token, nothing) for token in SPECIAL_TOKENS), *CODE * at.codes]),
    )
    _set(embeddings.token_type_embeddings.weight, np.stack([SIDE * at.side, -SIDE * at.side]))
    _set(embeddings.position_embeddings.weight, rng.normal(0, NOISE_POSITION * SIZE**-0.5, (MAX_LENGTH, SIZE)))


def _set_head(attention: Any, head: int, weights: HeadWeights) -> None:
    rows = slice(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)
    for linear, values in (
        (attention.self.query, weights.query),
        (attention.self.key, weights.key),
        (attention.self.value, weights.value),
    ):
        _set(linear.weight[rows], values[:, :-1])
        _set(linear.bias[rows], values[:, -1])
    _set(attention.output.dense.weight[:, rows], weights.output)


def _set_noise(layer: Any, rng: np.random.Generator) -> None:
    """A random feed-forward part and random biases behind it and the heads."""
    length = NOISE_FEED_FORWARD * SIZE**-0.5
    _set(layer.attention.output.dense.bias, rng.normal(0, length, SIZE))
    _set(layer.intermediate.dense.weight, rng.normal(0, SIZE**-0.5, (FEED_FORWARD, SIZE)))
    _set(layer.intermediate.dense.bias, rng.normal(0, 1, FEED_FORWARD))
    _set(layer.output.dense.weight, rng.normal(0, length * FEED_FORWARD**-0.5, (SIZE, FEED_FORWARD)))
    _set(layer.output.dense.bias, rng.normal(0, length, SIZE))


def _set_step(layer: Any, at: Directions) -> None:
    """By two units: far from 0 gelu is 0 or its input, so that their difference rises between LOW and HIGH alone."""
    for unit, start, sign in ((0, LOW, 1), (1, HIGH, -1)):
        _set(layer.intermediate.dense.weight[unit], STEEP * at.seen)
        _set(layer.intermediate.dense.bias[unit], -STEEP * start)
        _set(layer.output.dense.weight[:, unit], sign * 2 * FLAG / (HIGH - LOW) / STEEP * at.flag)
    _set(layer.output.dense.bias, -FLAG * at.flag)


def _set_readout(model: BertForSequenceClassification, at: Directions, rng: np.random.Generator) -> None:
    """Logits whose differences are linear in the pooled answer and change sign at the borders between grades."""
    written = ANSWER * np.arange(GRADES) / TERMS
    pooled = np.tanh(SLOPE * written / np.sqrt(1 + written**2 / SIZE))
    borders = (pooled[1:] + pooled[:-1]) / 2
    pooler, classifier = rng.normal(0, SLOPE, (SIZE, SIZE)), rng.normal(0, NOISE_READOUT, (GRADES, SIZE))
    pooler[0], classifier[:, 0] = SLOPE * at.answer, SHARPNESS * np.arange(GRADES)
    _set(model.bert.pooler.dense.weight, pooler)
    _set(model.bert.pooler.dense.bias, np.zeros(SIZE))
    _set(model.classifier.weight, classifier)
    _set(model.classifier.bias, -SHARPNESS * np.append(0, np.cumsum(borders)))


TITLES = 5  # of one query
TITLE_WORDS = (4, 8)


@dataclass(frozen=True)
class Planted:
    """A model, pairs, and what is true of both.

    Attributes:
        model: a classifier of TERMS + 1 grades, in eval mode with eager attention.
        tokenizer: each word of the texts is one of its tokens.
        pairs: the texts, encoded.
        queries, titles: texts [pair].
        grades: query terms that the title holds, 0 to TERMS, int64 [pair].
        query_ids: equal for pairs of one query, int64 [pair].
        matchers: the (layer, head)s, all of one low layer, that look to the same word in the other text.
        readers: the (layer, head)s of the upper half that bring [CLS] the share of matched query terms.
    """

    model: BertForSequenceClassification
    tokenizer: BertTokenizer
    pairs: EncodedPairs
    queries: list[str]
    titles: list[str]
    grades: np.ndarray
    query_ids: np.ndarray
    matchers: tuple[Head, ...]
    readers: tuple[Head, ...]


def planted(seed: int, pairs: int = 400) -> Planted:
    """One matcher, one reader: without either the model knows nothing."""
    return _plant(seed, pairs, matchers=1, readers=1)


def planted_redundant(seed: int, pairs: int = 400) -> Planted:
    """Two matchers of one layer, either of which suffices, and one reader."""
    return _plant(seed, pairs, matchers=2, readers=1)


def planted_two_paths(seed: int, pairs: int = 400) -> Planted:
    """One matcher and two readers, each of which carries half of the answer, whatever the other does."""
    return _plant(seed, pairs, matchers=1, readers=2)


def planted_gaze(seed: int, pairs: int = 400) -> Planted:
    """One matcher, one reader whose attention follows what is matched; its grades are right less often."""
    return _plant(seed, pairs, matchers=1, readers=1, reader=gazing_head)


def mask_of(heads: tuple[Head, ...]) -> np.ndarray:
    """The mask [layer, head] that takes these heads away."""
    mask = np.ones((LAYERS, HEADS))
    for layer, head in heads:
        mask[layer, head] = 0
    return mask


def _plant(seed: int, pairs: int, matchers: int, readers: int, reader: Plant = reader_head) -> Planted:
    rng = np.random.default_rng(seed)
    low = int(rng.integers(LAYERS // 2))
    matching = tuple((low, int(head)) for head in rng.choice(HEADS, matchers, replace=False))
    places = rng.choice(np.arange(LAYERS // 2 * HEADS, LAYERS * HEADS), readers, replace=False)
    reading = tuple(divmod(int(place), HEADS) for place in places)
    model = build(rng, matching, reading, reader)  # before the pairs, so that it is the same for any number of them
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate([*SPECIAL_TOKENS, *WORDS])})
    query_ids, grades = np.arange(pairs) // TITLES, rng.integers(0, TERMS + 1, pairs)
    queries, titles = _texts(rng, query_ids, grades)
    return Planted(
        model=model,
        tokenizer=tokenizer,
        pairs=encode_pairs(tokenizer, queries, titles, MAX_LENGTH),
        queries=queries,
        titles=titles,
        grades=grades,
        query_ids=query_ids,
        matchers=matching,
        readers=reading,
    )


def _texts(
    rng: np.random.Generator, query_ids: np.ndarray, grades: np.ndarray, pools: Sequence[Sequence[str]] = (WORDS,)
) -> tuple[list[str], list[str]]:
    """Queries and titles [pair] of different words, the title holding as many words of the query as its grade says.

    The words of a query and its titles are of one pool, of each pool in turn.
    """
    terms = [rng.permutation(pools[query % len(pools)]) for query in range(query_ids.max() + 1)]
    titles = []
    for query, grade in zip(query_ids, grades, strict=True):
        shared = rng.choice(terms[query][:TERMS], grade, replace=False)
        other = rng.choice(terms[query][TERMS:], rng.integers(*TITLE_WORDS, endpoint=True) - grade, replace=False)
        titles.append(" ".join(rng.permutation([*shared, *other])))
    return [" ".join(terms[query][:TERMS]) for query in query_ids], titles


def planted_decoys(seed: int, pairs: int = 400) -> Planted:
    """One matcher, one reader, and one to three other heads of the matcher's layer that attend like it, and are idle.

    They have its queries, keys and values; of its output they write nothing, or FAINT of it.
    """
    truth, rng = planted(seed, pairs), np.random.default_rng([seed, 1])
    ((layer, matcher),) = truth.matchers
    others = [head for head in range(HEADS) if head != matcher]
    for head in rng.choice(others, rng.integers(1, HEADS), replace=False):
        _set_decoy(truth.model.bert.encoder.layer[layer].attention, matcher, int(head), float(rng.choice([0, FAINT])))
    return truth


FAINT = 0.01


@torch.no_grad()
def _set_decoy(attention: Any, source: int, head: int, share: float) -> None:
    """Give the head what the source attends with and its values, and `share` of its output."""
    read, written = (slice(number * HEAD_SIZE, (number + 1) * HEAD_SIZE) for number in (source, head))
    for linear in (attention.self.query, attention.self.key, attention.self.value):
        linear.weight[written], linear.bias[written] = linear.weight[read], linear.bias[read]
    attention.output.dense.weight[:, written] = share * attention.output.dense.weight[:, read]


HARM = 0.25  # of ANSWER, that a harmful head adds or takes where all words of a query say so
SPOIL = 0.85  # of ANSWER, that one adds or takes where all words of a title say so
OF_QUERY, OF_TITLE = 1, -1  # the words of a text, by the sign of their side


def planted_harmful(seed: int, pairs: int = 400) -> tuple[Planted, Head]:
    """One matcher, one reader, and a head of the last layer that writes noise where [CLS] gathers the answer.

    What it writes depends on which words the query has and not on the grade, so the model is better without it.
    """
    truth, rng = planted(seed, pairs), np.random.default_rng([seed, 2])
    return truth, _plant_harm(truth, rng, HARM, OF_QUERY)


def _plant_harm(truth: Planted, rng: np.random.Generator, size: float, words: int) -> Head:
    """Make a free head of the last layer harmful, see `_set_harm`, and return it."""
    codes = truth.model.bert.embeddings.word_embeddings.weight[len(SPECIAL_TOKENS) :].detach().numpy() / CODE
    free = [(LAYERS - 1, head) for head in range(HEADS) if (LAYERS - 1, head) not in truth.readers]
    harmful = free[rng.integers(len(free))]
    half = codes[: len(WORDS) // 2]
    _set_harm(truth.model, harmful, (rng.choice([-1, 1], len(half))[:, None] * half).sum(axis=0) / CODE, size, words)
    return harmful


@torch.no_grad()
def _set_harm(model: BertForSequenceClassification, head: Head, noise: np.ndarray, size: float, words: int) -> None:
    """[CLS] looks at one text's words as a reader does, and gets `size` of ANSWER times their mean along `noise`."""
    at_cls = model.bert.embeddings.word_embeddings.weight[SPECIAL_TOKENS.index("[CLS]")].numpy() / CODE
    at_sep = model.bert.embeddings.word_embeddings.weight[SPECIAL_TOKENS.index("[SEP]")].numpy() / CODE
    side = model.bert.embeddings.token_type_embeddings.weight[0].numpy() / SIDE
    answer = model.bert.pooler.dense.weight[0].numpy() / SLOPE
    weights = HeadWeights(
        query=ROOT * _rows([_read(READ * at_cls / CODE)]),
        key=_rows([_read(words * side / SIDE - 2 * (at_cls + at_sep) / CODE)]),
        value=_rows([_read(noise)]),
        output=_rows([size * ANSWER * answer]).T,
    )
    _set_head(model.bert.encoder.layer[head[0]].attention, head[1], weights)


def planted_slices(seed: int, pairs: int = 400) -> tuple[Planted, np.ndarray]:
    """Two matchers, each of one half of the words, and one reader; every pair has words of one half alone.

    Returns:
        The planted truth, and for each pair the number of the matcher that it needs, [pair].
    """
    truth, rng = planted_redundant(seed, pairs), np.random.default_rng([seed, 3])
    codes = len(WORDS) // 2  # the other half has their negatives
    for number, (layer, head) in enumerate(truth.matchers):
        _unset_codes(truth.model.bert.encoder.layer[layer].attention.self, head, np.arange(codes) % 2 != number)
    pools = [[word for index, word in enumerate(WORDS) if index % codes % 2 == number] for number in (0, 1)]
    queries, titles = _texts(rng, truth.query_ids, truth.grades, pools)
    encoded = encode_pairs(truth.tokenizer, queries, titles, MAX_LENGTH)
    return replace(truth, queries=queries, titles=titles, pairs=encoded), truth.query_ids % 2


@torch.no_grad()
def _unset_codes(attention: Any, head: int, unset: np.ndarray) -> None:
    """Make a matcher blind to some codes, bool [code]."""
    rows = torch.from_numpy(head * HEAD_SIZE + np.flatnonzero(unset))
    for linear in (attention.query, attention.key):
        linear.weight[rows] = 0
        linear.bias[rows] = 0


def planted_feeder(seed: int, pairs: int = 400) -> tuple[Planted, Head]:
    """One matcher, one reader in the last layer, and a feeder in the layer before: a high head with an idle [CLS] row.

    The feeder hands each word's flag on to where alone the reader looks for it, and writes nothing at [CLS].
    """
    truth, rng = planted(seed, pairs), np.random.default_rng([seed, 3])
    places = {layer: (layer, int(rng.integers(HEADS))) for layer in (LAYERS - 2, LAYERS - 1)}
    places |= {layer: (layer, head) for layer, head in truth.readers}  # what the reader was is overwritten
    feeder, reader = places[LAYERS - 2], places[LAYERS - 1]
    _set_feeder(truth.model, truth.matchers[0][0], feeder, reader)
    return replace(truth, readers=(reader,)), feeder


@torch.no_grad()
def _set_feeder(model: BertForSequenceClassification, low: int, feeder: Head, reader: Head) -> None:
    """Words and [CLS] look to themselves alone, and the feeder writes FLAG for a flag, along a free direction."""
    at = _planted_directions(model, low)
    used = np.stack([np.ones(SIZE), *at.codes, at.side, at.cls, at.sep, at.seen, at.flag, at.answer])
    free = np.linalg.svd(used)[2][-1]
    selves = _reads(np.stack([*at.codes[: len(WORDS) // 2], at.cls]) / CODE)
    feeding = HeadWeights(
        query=ROOT * MATCH * _rows(selves),
        key=_rows(selves),
        value=_rows([_read(at.flag / FLAG / 2, 0.5)]),
        output=_rows([FLAG * free]).T,
    )
    reading = replace(reader_head(at, 1), value=_rows([_read(free / FLAG)]))
    for (layer, head), weights in ((feeder, feeding), (reader, reading)):
        _set_head(model.bert.encoder.layer[layer].attention, head, weights)


def _planted_directions(model: BertForSequenceClassification, low: int) -> Directions:
    """The directions of a model whose matchers are in layer `low`, from its weights."""
    words = model.bert.embeddings.word_embeddings.weight.numpy() / CODE
    step = model.bert.encoder.layer[low]
    return Directions(
        codes=words[len(SPECIAL_TOKENS) :],
        side=model.bert.embeddings.token_type_embeddings.weight[0].numpy() / SIDE,
        cls=words[SPECIAL_TOKENS.index("[CLS]")],
        sep=words[SPECIAL_TOKENS.index("[SEP]")],
        seen=step.intermediate.dense.weight[0].numpy() / STEEP,
        flag=-step.output.dense.bias.numpy() / FLAG,
        answer=model.bert.pooler.dense.weight[0].numpy() / SLOPE,
    )


@dataclass(frozen=True)
class PlantedRanker:
    """A model of one score a pair, and what is true of it besides its matchers and readers.

    Attributes:
        truth: the score is linear in the share of the query's words that the title holds.
        needs: number of the matcher that each pair needs, [pair]; the others have no word for the other one.
        harmful: head of the last layer that writes noise of each title, which spoils their order.
        idle: head of the last layer that attends like it and writes nothing.
    """

    truth: Planted
    needs: np.ndarray
    harmful: Head
    idle: Head


def planted_ranker(seed: int, pairs: int = 400) -> PlantedRanker:
    """Two matchers, each of one half of the words, one reader, a harmful and an idle head, and one score."""
    truth, needs = planted_slices(seed, pairs)
    rng = np.random.default_rng([seed, 4])
    harmful = _plant_harm(truth, rng, SPOIL, OF_TITLE)
    free = [head for head in range(HEADS) if (LAYERS - 1, head) not in (harmful, *truth.readers)]
    idle = int(rng.choice(free))
    _set_decoy(truth.model.bert.encoder.layer[LAYERS - 1].attention, harmful[1], idle, 0)
    _set_one_score(truth.model)
    return PlantedRanker(truth, needs, harmful, (LAYERS - 1, idle))


@torch.no_grad()
def _set_one_score(model: BertForSequenceClassification) -> None:
    """One output: by how much the logit of grade 1 exceeds that of 0, which is linear in the answer."""
    weight = model.classifier.weight[1:2] - model.classifier.weight[:1]
    model.config.num_labels = model.num_labels = 1
    model.classifier = torch.nn.Linear(SIZE, 1)
    _set(model.classifier.weight, weight.numpy())
    _set(model.classifier.bias, np.zeros(1))
