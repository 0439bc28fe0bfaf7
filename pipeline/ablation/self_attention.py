"""Self-attention of one encoder layer, up to the heads' outputs before their projection (their contexts)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.ablation.linear import Linear
from pipeline.ablation.precision import FLOAT32, Precision
from pipeline.models.positions import EmbeddedPositions
from pipeline.models.short_texts import FUSED_FROM


def fused_from(device: torch.device, precision: Precision) -> int:
    """Tokens from which a text goes through the fused kernel.

    On a GPU and in less than float32 the kernel is the faster at every length: it takes queries, keys and values as
    they lie, where plain products copy them (1.08 times in bfloat16, texts of 30 tokens, on an H200).
    """
    return 0 if device.type == "cuda" and precision != FLOAT32 else FUSED_FROM


@dataclass(frozen=True)
class SelfAttention:
    """Self-attention; d is the hidden size, the heads' sizes together.

    Attributes:
        heads: number of heads.
        positions: how the scores know of positions.
        qkv: the query, key and value projections as one, d -> 3 d.
        query, key: alone, d -> d, for a layer whose only query is [CLS].
        key_weight, value_weight: [head, head_dim, d], likewise.
        value_bias: [head, head_dim].
        fused_from: tokens from which texts go through the fused kernel.
    """

    heads: int
    positions: EmbeddedPositions
    qkv: Linear
    query: Linear
    key: Linear
    key_weight: Tensor
    value_weight: Tensor
    value_bias: Tensor
    fused_from: int

    def attend(self, states: Tensor) -> Tensor:
        """Compute the heads' contexts, [..., position, d] -> [..., position, head, head_dim]."""
        *lead, N, _ = states.shape
        qkv = self._by_head(self.qkv(states), 3 * self.heads).unflatten(1, (3, self.heads))
        q, k, v = qkv.transpose(0, 1)  # each [pair, head, position, head_dim]
        context = self._products(q, k, v) if self.fused_from > N else self._fused(q, k, v)
        return context.transpose(1, 2).reshape(*lead, N, self.heads, -1)

    def first_rows(self, states: Tensor) -> Tensor:
        """Compute the attention of [CLS] over the positions, [..., position, d] -> float32 [..., head, key]."""
        *lead, N, D = states.shape
        x = states.view(-1, N, D)
        q = self._by_head(self.query(x[:, :1].contiguous()), self.heads)  # [pair, head, 1, head_dim]
        scores = self._first_scores(q, x) if self.positions.in_scores else self._unformed_scores(q, x)
        return torch.softmax(scores, dim=-1, dtype=torch.float32).view(*lead, self.heads, N)

    def read_first(self, states: Tensor, rows: Tensor) -> Tensor:
        """Compute the contexts of [CLS] alone, [..., 1, head, head_dim], from its attention `rows` [..., head, key].

        Values need not be formed: a mean of W x is W of the mean.
        """
        context = torch.einsum("...hd,hcd->...hc", rows.to(states) @ states, self.value_weight) + self.value_bias
        return context.unsqueeze(-3)

    def _products(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Contexts [pair, head, position, head_dim] as plain products, the maps formed."""
        q, k = self.positions.turn(q.contiguous()), self.positions.turn(k.contiguous())
        scores = _scaled(q, k, self._scale(q), self.positions.bias(q, k))
        maps = torch.softmax(scores, dim=-1, dtype=torch.float32)
        context = maps.to(v) @ v.flatten(0, 1)
        return context.unflatten(0, (-1, self.heads))

    def _fused(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same by a kernel that forms no map (but for what positions add to it)."""
        q, k = self.positions.turn(q), self.positions.turn(k)
        bias = self.positions.bias(q, k)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=self._scale(q))

    def _unformed_scores(self, q: Tensor, x: Tensor) -> Tensor:
        """Scores of one query without keys: q (W x) = (q W) x.

        The key's bias adds the same to every score of a head, which softmax ignores.
        """
        direction = torch.einsum("phc,hcd->phd", q.squeeze(2), self.key_weight) / q.shape[-1] ** 0.5
        return direction @ x.transpose(1, 2)

    def _first_scores(self, q: Tensor, x: Tensor) -> Tensor:
        k = self._by_head(self.key(x), self.heads)
        q, k = self.positions.turn(q), self.positions.turn(k)
        return _scaled(q, k, self._scale(q), self.positions.bias(q, k))

    def _scale(self, q: Tensor) -> float:
        return (self.positions.terms * q.shape[-1]) ** -0.5

    @staticmethod
    def _by_head(x: Tensor, heads: int) -> Tensor:
        """[..., position, head * head_dim] -> [pair, head, position, head_dim]."""
        return x.view(-1, x.shape[-2], heads, x.shape[-1] // heads).transpose(1, 2)


def _scaled(q: Tensor, k: Tensor, scale: float, bias: Tensor | None) -> Tensor:
    """Scores [pair head, query, key] of q and k [pair, head, position, head_dim]."""
    q, k = q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2)
    if bias is None:
        return torch.baddbmm(q.new_empty(1), q, k, beta=0, alpha=scale)
    return torch.baddbmm(bias.flatten(0, -3) if bias.dim() > 2 else bias, q, k, alpha=scale)
