"""Scores of every head on every function of `head_functions`, on pairs as they are and on counterfactual pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedModel

from pipeline.attention import counterfactuals, head_functions, maps
from pipeline.attention.attention_shift import SHIFTED
from pipeline.attention.head_functions import FUNCTIONS, REPLACED, RETARGETED, TARGETED, Tokens
from pipeline.attention.norm_weighting import norm_weighted_batches
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

    def matched_scores(self) -> np.ndarray:
        """Scores of SHIFTED at the queries that count for term_match, [pair, layer, head, function of SHIFTED]."""
        return self._masses(_matched_weights)

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

    def relative_writes(self, scores: np.ndarray) -> np.ndarray:
        """What heads write from the functions' targets for their attention on them, [pair, layer, head, function].

        Args:
            scores: this model's `scores`.

        Returns:
            Norm-weighted attention over attention: 1 as an average head of the layer, 0 where it attends to no target.
        """
        written = self._masses(head_functions.written_weights, norm_weighted_batches)
        attended = scores.copy()
        attended[..., FUNCTIONS.index("entropy")] = 1  # a row in all
        idle = np.where(np.isnan(written), written, 0)
        return np.divide(written, attended, out=idle, where=attended > 0)

    def _ids(self) -> list[np.ndarray]:
        return np.split(self.encoded.ids, self.encoded.starts[1:-1])

    def _on(self, ids: Sequence[np.ndarray], tokens: Sequence[Tokens]) -> "AttentionScorer":
        """Scorer of the same model on pairs with these tokens, lengths unchanged."""
        return replace(self, encoded=replace(self.encoded, ids=np.concatenate(ids)), tokens=tokens)

    def _masses(
        self, weigh: Callable[[Tokens], np.ndarray], batches: maps.Batches = maps.attention_batches
    ) -> np.ndarray:
        def weights(pair: int) -> tuple[np.ndarray, np.ndarray]:
            return weigh(self.tokens[pair]), head_functions.entropy_weights(self.tokens[pair])

        return self._scores(weights, batches)[..., :-1]

    def _scores(self, weigh: maps.PairWeights, batches: maps.Batches = maps.attention_batches) -> np.ndarray:
        pad_id = self.model.config.pad_token_id
        return maps.head_scores(self.model, self.encoded, weigh, pad_id, self.max_tokens, batches)


def _matched_weights(tokens: Tokens) -> np.ndarray:
    """`mass_weights` of SHIFTED over tokens of a term that both texts hold: float32 [query, key, function]."""
    targets = head_functions.targets(tokens)
    matched = targets[TARGETED.index("term_match")].any(axis=1)  # [query]
    return head_functions.mass_weights(targets[[TARGETED.index(name) for name in SHIFTED]] & matched[:, None])


def _function_weights(names: Sequence[str]) -> Callable[[Tokens], np.ndarray]:
    functions = [TARGETED.index(name) for name in names]
    return lambda tokens: head_functions.mass_weights(head_functions.targets(tokens)[functions])
