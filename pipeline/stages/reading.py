"""What a model's heads read, on pairs as they are and on pairs changed on purpose: scores of `analysis.functions`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.analysis import counterfactuals, functions
from pipeline.analysis.functions import FUNCTIONS, REPLACED, RETARGETED, TARGETED, Tokens
from pipeline.corpus.terms import token_terms
from pipeline.model import attention, rows
from pipeline.model.blocks import take_apart
from pipeline.model.encoding import SPECIAL, Encoded
from pipeline.model.engine import Engine
from pipeline.model.quantities import QUANTITIES
from pipeline.model.subject import Subject, Swept


def read_tokens(tokenizer: PreTrainedTokenizerFast, encoded: Encoded, table: pd.DataFrame) -> list[functions.Tokens]:
    """Each pair's tokens with their words and terms; a special token's name inside a text is text."""
    tokens = []
    for pair, texts in enumerate(zip(table["query"], table["title"], strict=True)):
        span = encoded.tokens(pair)
        ids, segment = encoded.ids[span], encoded.segment[span]
        word, key = token_terms(texts, encoded.offsets[span], segment)
        cls, sep = ((segment == SPECIAL) & (ids == one) for one in (tokenizer.cls_token_id, tokenizer.sep_token_id))
        tokens.append(functions.Tokens(word, key, segment, cls, sep))
    return tokens


def subject_tokens(subject: Subject) -> list[Tokens]:
    return read_tokens(subject.tokenizer, subject.encoded, subject.table)


def subject_kinds(subject: Subject) -> list[np.ndarray]:
    """Each pair's `kinds`."""
    return [kinds(one) for one in subject_tokens(subject)]


def kinds(tokens: Tokens) -> np.ndarray:
    """What each token is to a row of [CLS]'s attention, int [token]; see `pipeline.model.rows`."""
    matched = functions.targets(tokens)[TARGETED.index(REPLACED)].any(axis=1)
    found = np.where(tokens.word >= 0, rows.OTHER, -1)
    found[matched], found[tokens.sep], found[tokens.cls] = rows.MATCHED, rows.SEP, rows.CLS
    return found


def observed_sweep(
    subject: Subject, masks: np.ndarray, stage: str, kinds_of: Sequence[np.ndarray]
) -> tuple[Swept, np.ndarray]:
    """A sweep, and what each mask does to [CLS]'s attention in every layer but the first.

    The second is [1 + intervention, pair, layer - 1, head, number], the unmasked model first; see `rows.Changes`.
    `kinds_of` are the pairs' `kinds`.
    """
    layers, heads = subject.shape
    if layers == 1:
        return subject.sweep(masks, stage), np.zeros((1 + len(masks), len(subject.encoded), 0, heads, len(QUANTITIES)))
    engine = Engine(take_apart(subject.model), subject.settings.batch_tokens)
    observer = rows.against_unmasked(engine, subject.encoded, range(1, layers), kinds_of)
    swept = subject.sweep(masks, stage, [observer])
    return swept, swept.observed[observer.name]


@dataclass(frozen=True)
class Reader:
    """A model whose heads' attention to some pairs is scored.

    Attributes:
        model: a classifier with eager attention.
        encoded: the pairs.
        tokens: their tokens.
        max_tokens: tokens in a batch, padding counted.
    """

    model: PreTrainedModel
    encoded: Encoded
    tokens: Sequence[Tokens]
    max_tokens: int

    def scores(self) -> np.ndarray:
        """[pair, layer, head, function]."""
        return self._scores(lambda pair: functions.weights(self.tokens[pair]))

    def controls(self, chances: np.ndarray, broad: float, seed: int) -> np.ndarray:
        """The functions' controls [pair, layer, head, function].

        Args:
            chances: [pair, function].
            broad: the normalised entropy that is entropy's control.
            seed: of the substitutes for shared terms.
        """
        retargeted = self._masses(functions.control_weights)
        controls = np.broadcast_to(chances[:, None, None], (*retargeted.shape[:-1], len(FUNCTIONS))).copy()
        controls[..., [FUNCTIONS.index(name) for name in RETARGETED]] = retargeted
        controls[..., FUNCTIONS.index("entropy")] = broad
        controls[..., FUNCTIONS.index(REPLACED)] = self._replaced(seed)
        return controls

    def _replaced(self, seed: int) -> np.ndarray:
        """The attention to where the shared terms were, [pair, layer, head]; NaN where none could be replaced."""
        ids = self._ids()
        changed = counterfactuals.replace_terms(ids, self.tokens, seed)
        found = self._on(changed, self.tokens)._masses(_of((REPLACED,)))[..., 0]
        found[[np.array_equal(one, other) for one, other in zip(ids, changed, strict=True)]] = np.nan
        return found

    def shuffled(self, names: Sequence[str], seed: int) -> np.ndarray:
        """Scores of the named functions on the pairs with their words shuffled, [pair, layer, head, name]."""
        return self._on(*counterfactuals.shuffle_terms(self._ids(), self.tokens, seed))._masses(_of(names))

    def _ids(self) -> list[np.ndarray]:
        return np.split(self.encoded.ids, self.encoded.starts[1:-1])

    def _on(self, ids: Sequence[np.ndarray], tokens: Sequence[Tokens]) -> "Reader":
        """The same reader of pairs changed to these tokens, lengths unchanged."""
        return replace(self, encoded=replace(self.encoded, ids=np.concatenate(ids)), tokens=tokens)

    def _masses(self, weigh: Callable[[Tokens], np.ndarray]) -> np.ndarray:
        return self._scores(lambda pair: (weigh(self.tokens[pair]), functions.entropy_weights(self.tokens[pair])))[
            ..., :-1
        ]

    def _scores(self, weigh: attention.Weigh) -> np.ndarray:
        pad_id = self.model.config.pad_token_id
        return attention.scores(self.model, self.encoded, weigh, pad_id, self.max_tokens)


def _of(names: Sequence[str]) -> Callable[[Tokens], np.ndarray]:
    places = [TARGETED.index(name) for name in names]
    return lambda tokens: functions.mass_weights(functions.targets(tokens)[places])
