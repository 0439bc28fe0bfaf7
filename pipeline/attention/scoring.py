"""Scores of every head on every function of `head_functions`, on pairs as they are and on counterfactual pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedModel

from pipeline.attention import counterfactuals, head_functions, maps
from pipeline.attention.head_functions import FUNCTIONS, REPLACED, RETARGETED, TARGETED, Tokens
from pipeline.models.tokenization import EncodedPairs


@dataclass(frozen=True)
class AttentionScorer:
    """Scorer of a model's attention on some pairs.

    Attributes:
        model: a classifier with eager attention.
        encoded: the pairs.
        tokens: their tokens.
        max_tokens: tokens in a batch, padding counted.
    """

    model: PreTrainedModel
    encoded: EncodedPairs
    tokens: Sequence[Tokens]
    max_tokens: int

    def scores(self) -> np.ndarray:
        """Scores of the functions [pair, layer, head, function]."""
        return self._scores(lambda pair: head_functions.weights(self.tokens[pair]))

    def controls(self, chances: np.ndarray, broad: float, seed: int) -> np.ndarray:
        """Controls of the functions [pair, layer, head, function].

        Args:
            chances: [pair, function].
            broad: the normalised entropy that is entropy's control.
            seed: of the substitutes for shared terms.
        """
        retargeted = self._masses(head_functions.control_weights)
        controls = np.broadcast_to(chances[:, None, None], (*retargeted.shape[:-1], len(FUNCTIONS))).copy()
        controls[..., [FUNCTIONS.index(name) for name in RETARGETED]] = retargeted
        controls[..., FUNCTIONS.index("entropy")] = broad
        controls[..., FUNCTIONS.index(REPLACED)] = self._replaced(seed)
        return controls

    def _replaced(self, seed: int) -> np.ndarray:
        """Attention to the positions of replaced shared terms, [pair, layer, head]; NaN without any."""
        ids = self._ids()
        changed = counterfactuals.replace_terms(ids, self.tokens, seed)
        scores = self._on(changed, self.tokens)._masses(_function_weights((REPLACED,)))[..., 0]
        scores[[np.array_equal(before, after) for before, after in zip(ids, changed, strict=True)]] = np.nan
        return scores

    def shuffled(self, names: Sequence[str], seed: int) -> np.ndarray:
        """Scores of the named functions on the pairs with their words shuffled, [pair, layer, head, name]."""
        shuffled = self._on(*counterfactuals.shuffle_terms(self._ids(), self.tokens, seed))
        return shuffled._masses(_function_weights(names))

    def _ids(self) -> list[np.ndarray]:
        return np.split(self.encoded.ids, self.encoded.starts[1:-1])

    def _on(self, ids: Sequence[np.ndarray], tokens: Sequence[Tokens]) -> "AttentionScorer":
        """Scorer of the same model on pairs with these tokens, lengths unchanged."""
        return replace(self, encoded=replace(self.encoded, ids=np.concatenate(ids)), tokens=tokens)

    def _masses(self, weigh: Callable[[Tokens], np.ndarray]) -> np.ndarray:
        return self._scores(lambda pair: (weigh(self.tokens[pair]), head_functions.entropy_weights(self.tokens[pair])))[
            ..., :-1
        ]

    def _scores(self, weigh: maps.PairWeights) -> np.ndarray:
        pad_id = self.model.config.pad_token_id
        return maps.head_scores(self.model, self.encoded, weigh, pad_id, self.max_tokens)


def _function_weights(names: Sequence[str]) -> Callable[[Tokens], np.ndarray]:
    functions = [TARGETED.index(name) for name in names]
    return lambda tokens: head_functions.mass_weights(head_functions.targets(tokens)[functions])
