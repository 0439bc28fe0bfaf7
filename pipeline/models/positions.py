"""Positions of tokens in attention scores: none (they are embedded), rotary, or relative to each other."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


class EmbeddedPositions:
    """Positions that are part of the embeddings: the scores are products of queries and keys alone."""

    in_scores = False

    @property
    def terms(self) -> int:
        """Products in a score, which is divided by the root of terms * head_dim."""
        return 1

    def to(self, dtype: torch.dtype) -> Self:
        """The same for states of another type."""
        return self

    def turn(self, x: Tensor) -> Tensor:
        """Queries or keys [..., position, head_dim] as the scores take them."""
        return x

    def bias(self, q: Tensor, k: Tensor) -> Tensor | None:
        """What is added to the scores [pair, head, query, key]; None for nothing.

        Args:
            q: queries of the first positions, [pair, head, query, head_dim].
            k: keys of all positions, [pair, head, key, head_dim].
        """
        return None


@dataclass(frozen=True)
class RotaryPositions(EmbeddedPositions):
    """Rotary positions (Su et al. 2021, arXiv 2104.09864), in full or within a window of sliding attention.

    Attributes:
        cos, sin: of each position's angles, [position, head_dim].
        window: positions that a query sees to each side; None for all.
    """

    cos: Tensor
    sin: Tensor
    window: int | None
    in_scores = True

    def to(self, dtype: torch.dtype) -> Self:
        return replace(self, cos=self.cos.to(dtype), sin=self.sin.to(dtype))

    def turn(self, x: Tensor) -> Tensor:
        positions = x.shape[-2]
        first, second = x.chunk(2, dim=-1)
        return x * self.cos[:positions] + torch.cat((-second, first), dim=-1) * self.sin[:positions]

    def bias(self, q: Tensor, k: Tensor) -> Tensor | None:
        queries, keys = q.shape[-2], k.shape[-2]
        if self.window is None or keys <= self.window + 1:
            return None
        away = (torch.arange(queries)[:, None] - torch.arange(keys)).abs().to(q.device)
        return q.new_zeros(queries, keys).masked_fill(away > self.window, -torch.inf)


@dataclass(frozen=True)
class RelativePositions(EmbeddedPositions):
    """Disentangled attention (He et al. 2021, arXiv 2006.03654): content and relative positions read each other.

    Attributes:
        kinds: of products with positions that a score's divisor counts.
        keys: of the positions, read by content's queries, [head, bucket, head_dim]; None without this kind.
        queries: of the positions, reading content's keys, likewise.
        bucket: numbers of the relative positions of [query] and [key] first positions, int64 [query, key].
    """

    kinds: int
    keys: Tensor | None
    queries: Tensor | None
    bucket: Callable[[int, int], Tensor]
    in_scores = True

    @property
    def terms(self) -> int:
        return 1 + self.kinds

    def to(self, dtype: torch.dtype) -> Self:
        keys, queries = (None if part is None else part.to(dtype) for part in (self.keys, self.queries))
        return replace(self, keys=keys, queries=queries)

    def bias(self, q: Tensor, k: Tensor) -> Tensor | None:
        if self.keys is None and self.queries is None:
            return None
        bucket = self.bucket(q.shape[-2], k.shape[-2]).to(q.device)
        low, high = int(bucket.min()), int(bucket.max()) + 1  # a short text needs few of them
        bucket = (bucket - low).expand(*q.shape[:2], -1, -1)
        scores = []
        if self.keys is not None:
            scores.append(_products(q, self.keys[:, low:high]).gather(-1, bucket))
        if self.queries is not None:
            by_key = _products(k, self.queries[:, low:high])  # [pair, head, key, bucket]
            scores.append(by_key.gather(-1, bucket.transpose(2, 3)).transpose(2, 3))
        return sum(scores[1:], scores[0]) * (self.terms * q.shape[-1]) ** -0.5


def _products(x: Tensor, positions: Tensor) -> Tensor:
    """x [pair, head, position, head_dim] times positions [head, bucket, head_dim], [pair, head, position, bucket]."""
    return torch.einsum("phnc,hbc->phnb", x, positions)
