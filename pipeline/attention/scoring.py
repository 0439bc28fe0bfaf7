"""Scores of every head on every function of `head_functions`, on pairs as they are and on counterfactual pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedModel

from pipeline.attention import counterfactuals, head_functions, maps
from pipeline.attention.attention_shift import SHIFTED
from pipeline.attention.head_functions import FUNCTIONS, REPLACED, RETARGETED, TARGETED, Tokens
from pipeline.attention.head_labels import ORDER_FUNCTIONS, Evidence
from pipeline.attention.norm_weighting import norm_weighted
from pipeline.models.tokenization import EncodedPairs


class Scores(NamedTuple):
    """Scores of a model's heads.

    functions: [pair, layer, head, function].
    matched: of SHIFTED at the queries that count for term_match, [pair, layer, head, function of SHIFTED].
    """

    functions: np.ndarray
    matched: np.ndarray


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

    def scores(self) -> Scores:
        """Scores from one pass over the pairs."""
        return self._scores()[0]

    def evidence(self, chances: np.ndarray, broad: float, seed: int) -> tuple[Scores, Evidence]:
        """Scores, and what heads are labelled by, from one pass over the pairs and two over counterfactual ones.

        Args:
            chances: [pair, function].
            broad: the normalised entropy that is entropy's control.
            seed: of the counterfactual pairs.
        """
        retarget = self.mass(head_functions.control_weights)
        with norm_weighted(self.model, self.mass(head_functions.written_weights)) as write:
            scores, (retargeted, written) = self._scores(retarget, write)
        controls = control_scores(retargeted, self.replaced(seed), chances, broad)
        writes = relative_writes(written, scores.functions)
        return scores, Evidence(scores.functions, controls, self.shuffled(ORDER_FUNCTIONS, seed), writes)

    def replaced(self, seed: int) -> np.ndarray:
        """Attention to the positions of replaced shared terms, [pair, layer, head]; NaN without any."""
        ids = self._ids()
        changed = counterfactuals.replace_terms(ids, self.tokens, seed)
        on_changed = self._on(changed, self.tokens)
        scores = on_changed.read(on_changed.mass(_function_weights((REPLACED,))))[0][..., 0]
        scores[[np.array_equal(before, after) for before, after in zip(ids, changed, strict=True)]] = np.nan
        return scores

    def shuffled(self, names: Sequence[str], seed: int) -> np.ndarray:
        """Scores of the named functions on the pairs with their words shuffled, [pair, layer, head, name]."""
        shuffled = self._on(*counterfactuals.shuffle_terms(self._ids(), self.tokens, seed))
        return shuffled.read(shuffled.mass(_function_weights(names)))[0]

    def mass(self, weigh: Callable[[Tokens], np.ndarray]) -> maps.Reduction:
        """Sums of attention weighted by float32 [query, key, function] of a pair's tokens."""
        return maps.attention_mass(lambda pair: weigh(self.tokens[pair]), self.model.device)

    def read(self, *reductions: maps.Reduction) -> list[np.ndarray]:
        """Scores by each reduction, from one pass over the pairs: [pair, layer, head, function]."""
        pad_id = self.model.config.pad_token_id
        return maps.reduced_attention(self.model, self.encoded, reductions, pad_id, self.max_tokens)

    def _scores(self, *others: maps.Reduction) -> tuple[Scores, list[np.ndarray]]:
        """`scores`, and those by further reductions from the same pass."""
        entropy = maps.attention_entropy(
            lambda pair: head_functions.entropy_weights(self.tokens[pair]), self.model.device
        )
        target, match = self.mass(head_functions.target_weights), self.mass(_matched_weights)
        targeted, entropies, matched, *rest = self.read(target, entropy, match, *others)
        return Scores(np.concatenate([targeted, entropies], axis=-1), matched), rest

    def _ids(self) -> list[np.ndarray]:
        return np.split(self.encoded.ids, self.encoded.starts[1:-1])

    def _on(self, ids: Sequence[np.ndarray], tokens: Sequence[Tokens]) -> "AttentionScorer":
        """Scorer of the same model on pairs with these tokens, lengths unchanged."""
        return replace(self, encoded=replace(self.encoded, ids=np.concatenate(ids)), tokens=tokens)


def control_scores(retargeted: np.ndarray, replaced: np.ndarray, chances: np.ndarray, broad: float) -> np.ndarray:
    """Controls of the functions [pair, layer, head, function].

    Args:
        retargeted: scores by `control_weights`, [pair, layer, head, function of RETARGETED].
        replaced: `AttentionScorer.replaced`, [pair, layer, head].
        chances: [pair, function].
        broad: the normalised entropy that is entropy's control.
    """
    controls = np.broadcast_to(chances[:, None, None], (*retargeted.shape[:-1], len(FUNCTIONS))).copy()
    controls[..., [FUNCTIONS.index(name) for name in RETARGETED]] = retargeted
    controls[..., FUNCTIONS.index("entropy")] = broad
    controls[..., FUNCTIONS.index(REPLACED)] = replaced
    return controls


def relative_writes(written: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """What heads write from the functions' targets for their attention on them: norm-weighted attention over attention.

    Args:
        written: norm-weighted attention by `written_weights`, [pair, layer, head, function].
        scores: of the functions, [pair, layer, head, function].

    Returns:
        [pair, layer, head, function]: 1 as an average head of the layer, 0 where it attends to no target.
    """
    attended = scores.copy()
    attended[..., FUNCTIONS.index("entropy")] = 1  # a row in all
    idle = np.where(np.isnan(written), written, 0)
    return np.divide(written, attended, out=idle, where=attended > 0)


def _matched_weights(tokens: Tokens) -> np.ndarray:
    """`mass_weights` of SHIFTED over tokens of a term that both texts hold: float32 [query, key, function]."""
    targets = head_functions.targets(tokens)
    matched = targets[TARGETED.index("term_match")].any(axis=1)  # [query]
    return head_functions.mass_weights(targets[[TARGETED.index(name) for name in SHIFTED]] & matched[:, None])


def _function_weights(names: Sequence[str]) -> Callable[[Tokens], np.ndarray]:
    functions = [TARGETED.index(name) for name in names]
    return lambda tokens: head_functions.mass_weights(head_functions.targets(tokens)[functions])
