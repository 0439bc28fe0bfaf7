"""[CLS] attention under masks: observers that reduce it during a sweep to a few quantities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipeline.ablation.engine import AblationEngine
from pipeline.attention import head_functions
from pipeline.attention.head_functions import REPLACED, TARGETED, Tokens
from pipeline.attention.maps import jensen_shannon_distance
from pipeline.models.tokenization import EncodedPairs

QUANTITIES = ("js", "shared_term_mass", "other_term_mass", "sep_mass", "cls_mass", "entropy", "shared_term_share")
SHARED_TERM_SHARE = QUANTITIES.index("shared_term_share")
# Undefined in a pair without both kinds of term.
TERM_QUANTITIES = ("shared_term_mass", "other_term_mass", "shared_term_share")

MATCHED, OTHER, SEP, CLS = range(4)  # kinds of key; a token that is none of them (punctuation) is -1


@dataclass(frozen=True)
class ClsAttention:
    """[CLS] attention rows in full, [pair, layer, head, key], padded with 0 to `keys`."""

    layers: Sequence[int]
    keys: int

    def reduce(self, layer: int, rows: Tensor) -> Tensor:
        return torch.nn.functional.pad(rows, (0, self.keys - rows.shape[-1]))

    def take(self, pairs: np.ndarray) -> Self:
        return self


@dataclass(frozen=True)
class ClsAttentionChange:
    """Change of each row from the unmasked model's, in QUANTITIES.

    - js: Jensen-Shannon distance to the unmasked row, the root of the divergence in bits, 0 to 1.
    - shared_term_mass, other_term_mass, sep_mass, cls_mass: attention on terms that both texts hold, on other terms,
      on every [SEP], on [CLS] itself.
    - entropy: of the row over log(keys), 0 to 1.
    - shared_term_share: shared_term_mass / (shared_term_mass + other_term_mass).

    In pairs without both kinds of term TERM_QUANTITIES are NaN.

    Attributes:
        layers: observed.
        token_kinds: of each pair, int [token]; see `token_kinds`.
        unmasked: its rows, float32 [pair, layer, head, key], padded; layers as `layers`.
    """

    layers: Sequence[int]
    token_kinds: Sequence[np.ndarray]
    unmasked: np.ndarray

    def reduce(self, layer: int, rows: Tensor) -> Tensor:
        """Quantities [state, pair, head, quantity] of rows [state, pair, head, key]."""
        keys = rows.shape[-1]
        rows = rows.double()
        before = torch.from_numpy(self.unmasked[:, self.layers.index(layer), :, :keys]).to(rows)
        kinds = np.stack(self.token_kinds)  # [pair, key]
        weights = torch.from_numpy(kinds[..., None] == np.arange(4)).to(rows)
        matched, other, sep, cls = torch.einsum("sphk,pkc->sphc", rows, weights).unbind(-1)
        both = (kinds == MATCHED).any(axis=1) & (kinds == OTHER).any(axis=1)
        defined = torch.from_numpy(both).to(rows.device)[:, None].expand_as(matched)
        entropy = _entropy_bits(rows)
        quantities = {
            "js": jensen_shannon_distance(_entropy_bits((rows + before) / 2), entropy, _entropy_bits(before)),
            "shared_term_mass": matched,
            "other_term_mass": other,
            "sep_mass": sep,
            "cls_mass": cls,
            "entropy": entropy / np.log2(max(2, keys)),
            "shared_term_share": matched / (matched + other),
        }
        quantities |= {name: torch.where(defined, quantities[name], torch.nan) for name in TERM_QUANTITIES}
        return torch.stack([quantities[name] for name in QUANTITIES], dim=-1)

    def take(self, pairs: np.ndarray) -> Self:
        return replace(self, token_kinds=[self.token_kinds[pair] for pair in pairs], unmasked=self.unmasked[pairs])


def _entropy_bits(rows: Tensor) -> Tensor:
    return torch.special.entr(rows).sum(-1) / np.log(2)


def cls_attention_change(
    engine: AblationEngine, encoded: EncodedPairs, layers: Sequence[int], token_kinds: Sequence[np.ndarray]
) -> ClsAttentionChange:
    """Observer of the change of [CLS] attention on these pairs."""
    unmasked = engine.unmasked(encoded, ClsAttention(layers, int(encoded.lengths.max())))
    return ClsAttentionChange(layers, token_kinds, unmasked.cls_attention[0])


def chance_shared_term_share(token_kinds: Sequence[np.ndarray]) -> np.ndarray:
    """shared_term_share of attention spread evenly, [pair]; NaN in pairs without both kinds of term."""
    matched, other = (
        np.array([(kinds == kind).sum() for kinds in token_kinds], dtype=np.float64) for kind in (MATCHED, OTHER)
    )
    return np.where((matched > 0) & (other > 0), matched / np.maximum(matched + other, 1), np.nan)


def token_kinds(tokens: Tokens) -> np.ndarray:
    """Kind of each token as a key of [CLS]: MATCHED, OTHER, SEP, CLS or -1, int [token]."""
    matched = head_functions.targets(tokens)[TARGETED.index(REPLACED)].any(axis=1)
    kinds = np.where(tokens.word >= 0, OTHER, -1)
    kinds[matched], kinds[tokens.sep], kinds[tokens.cls] = MATCHED, SEP, CLS
    return kinds
