"""The attention of [CLS] in masked states, reduced on the way to a few numbers: observers of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.ablation.engine import AblationEngine
from pipeline.attention import head_functions
from pipeline.attention.head_functions import REPLACED, TARGETED, Tokens
from pipeline.models.tokenization import EncodedPairs

QUANTITIES = ("js", "match_mass", "other_mass", "sep_mass", "cls_mass", "entropy", "match_share")
MATCH_SHARE = QUANTITIES.index("match_share")
TERM_QUANTITIES = ("match_mass", "other_mass", "match_share")  # undefined in a pair without both kinds of term

MATCHED, OTHER, SEP, CLS = range(4)  # kinds of key; a token that is none of them (punctuation) is -1


@dataclass(frozen=True)
class ClsAttention:
    """The rows themselves, [pair, layer, head, key], padded with 0 to `keys`."""

    layers: Sequence[int]
    keys: int
    name: str = "rows"

    def reduce(self, layer: int, rows: Tensor, pairs: np.ndarray) -> Tensor:
        return torch.nn.functional.pad(rows, (0, self.keys - rows.shape[-1]))


@dataclass(frozen=True)
class ClsAttentionChange:
    """Each row against the unmasked model's, in the numbers of QUANTITIES.

    - js: Jensen-Shannon distance to the unmasked row, the root of the divergence in bits, 0 to 1.
    - match_mass, other_mass, sep_mass, cls_mass: attention on terms that both texts hold, on other terms, on every
      [SEP], on [CLS] itself.
    - entropy: of the row over log(keys), 0 to 1.
    - match_share: match_mass / (match_mass + other_mass).

    In pairs without both kinds of term those OF_TERMS are NaN.

    Attributes:
        layers: observed.
        kinds: what each token is, int [token] a pair.
        unmasked: its rows, float32 [pair, layer, head, key], padded; layers as `layers`.
    """

    layers: Sequence[int]
    kinds: Sequence[np.ndarray]
    unmasked: np.ndarray
    name: str = "changes"

    def reduce(self, layer: int, rows: Tensor, pairs: np.ndarray) -> Tensor:
        """[state, pair, head, number] of rows [state, pair, head, key]."""
        keys = rows.shape[-1]
        rows = rows.double()
        before = torch.from_numpy(self.unmasked[pairs, self.layers.index(layer), :, :keys]).to(rows)
        kinds = np.stack([self.kinds[pair] for pair in pairs])  # [pair, key]
        weights = torch.from_numpy(kinds[..., None] == np.arange(4)).to(rows)
        matched, other, sep, cls = torch.einsum("sphk,pkc->sphc", rows, weights).unbind(-1)
        both = (kinds == MATCHED).any(axis=1) & (kinds == OTHER).any(axis=1)
        told = torch.from_numpy(both).to(rows.device)[:, None].expand_as(matched)
        entropy = _bits(rows)
        divergence = _bits((rows + before) / 2) - (entropy + _bits(before)) / 2
        numbers = {
            "js": divergence.clamp(0, 1).sqrt(),
            "match_mass": matched,
            "other_mass": other,
            "sep_mass": sep,
            "cls_mass": cls,
            "entropy": entropy / np.log2(max(2, keys)),
            "match_share": matched / (matched + other),
        }
        numbers |= {name: torch.where(told, numbers[name], torch.nan) for name in TERM_QUANTITIES}
        return torch.stack([numbers[name] for name in QUANTITIES], dim=-1)


def _bits(rows: Tensor) -> Tensor:
    return torch.special.entr(rows).sum(-1) / np.log(2)


def unmasked_cls_attention(engine: AblationEngine, encoded: EncodedPairs, layers: Sequence[int]) -> np.ndarray:
    """[CLS] rows of the unmasked model, float32 [pair, layer, head, key], padded with 0."""
    unmasked = np.ones((1, len(engine.blocks.layers), engine.blocks.heads), dtype=np.float32)
    return engine.evaluate(encoded, unmasked, observers=[ClsAttention(layers, int(encoded.lengths.max()))])["rows"][0]


def cls_attention_change(
    engine: AblationEngine, encoded: EncodedPairs, layers: Sequence[int], kinds: Sequence[np.ndarray]
) -> ClsAttentionChange:
    """The observer of changes on these pairs."""
    return ClsAttentionChange(layers, kinds, unmasked_cls_attention(engine, encoded, layers))


def chance_match_share(kinds: Sequence[np.ndarray]) -> np.ndarray:
    """match_share of attention spread evenly, [pair]; NaN in pairs without both kinds of term."""
    matched = np.array([(one == MATCHED).sum() for one in kinds], dtype=np.float64)
    other = np.array([(one == OTHER).sum() for one in kinds], dtype=np.float64)
    return np.where((matched > 0) & (other > 0), matched / np.maximum(matched + other, 1), np.nan)


def kinds(tokens: Tokens) -> np.ndarray:
    """What each token is to a row of [CLS]'s attention, int [token]; see `pipeline.ablation.cls_attention`."""
    matched = head_functions.targets(tokens)[TARGETED.index(REPLACED)].any(axis=1)
    found = np.where(tokens.word >= 0, OTHER, -1)
    found[matched], found[tokens.sep], found[tokens.cls] = MATCHED, SEP, CLS
    return found
