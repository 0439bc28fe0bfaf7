"""What a ranker learns by finetune.objective: samples of training pairs, and a loss of sentence-transformers on them.

- regression: a sample is a pair; mean squared error of score and grade.
- pairwise: a sample is a list of a query's titles; RankNet, the log loss of the better title of every two.
- listwise: the same lists; LambdaLoss (NDCG-Loss2++), a bound of the loss in NDCG.

sentence-transformers takes seconds to import: import this module where a ranker is trained.

Burges et al. 2005, Learning to rank using gradient descent; Wang et al. 2018, The LambdaLoss framework for ranking
metric optimization.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.modules import InputModule
from sentence_transformers.cross_encoder import CrossEncoder, losses
from torch import Tensor, nn

from pipeline.core.errors import InputError

ALL_AT_ONCE = -1  # pairs of a forward pass of a list loss
Inputs = Callable[[np.ndarray], dict[str, Tensor]]


@dataclass(frozen=True)
class RankingSamples:
    """Samples of training pairs.

    Attributes:
        queries: query of each sample.
        pairs: its pairs' numbers, a list, or of regression one number; grades: theirs.
        per_step: samples a step, about batch_size pairs.
    """

    queries: list[int]
    pairs: list[Any]
    grades: list[Any]
    per_step: int

    def __len__(self) -> int:
        return len(self.queries)

    def columns(self) -> dict[str, list[Any]]:
        """Columns of a data set, as sentence-transformers' trainer hands them to the losses."""
        return {"query": self.queries, "title": self.pairs, "labels": self.grades}

    def batch(self, chosen: Sequence[int]) -> tuple[list[list[Any]], Tensor | list[Tensor]]:
        """Texts' numbers (queries, titles) and labels of samples, as the losses take them."""
        grades = [torch.tensor(self.grades[sample]) for sample in chosen]
        of_pairs = grades[0].ndim == 0
        numbers = [[column[sample] for sample in chosen] for column in (self.queries, self.pairs)]
        return numbers, torch.stack(grades) if of_pairs else grades

    def longest(self, lengths: np.ndarray) -> np.ndarray:
        """Length of each sample's longest pair, [sample] of [pair]."""
        return np.array([lengths[pairs].max() for pairs in self.pairs])


def ranking_samples(
    objective: str, query_ids: np.ndarray, grades: np.ndarray, batch_size: int, seed: int
) -> RankingSamples:
    """Samples of the training pairs by finetune.objective.

    A list holds at most `batch_size` titles, which bounds the memory of a step: the titles of a query that has more
    are dealt to several lists, each grade's evenly. Lists of one grade order nothing, and are left out.

    Args:
        query_ids, grades: [pair].
        batch_size: pairs a step, about: as many lists as come nearest to it on average, at least one.
        seed: of how titles are dealt.

    Raises:
        InputError: there is no list of different grades.
    """
    if objective == "regression":
        pairs = range(len(grades))
        return RankingSamples(query_ids.tolist(), list(pairs), grades.astype(float).tolist(), batch_size)
    rng = np.random.default_rng(seed)
    lists = [titles for titles in _lists(query_ids, grades, batch_size, rng) if np.ptp(grades[titles]) > 0]
    if not lists:
        raise InputError(
            f"finetune.objective {objective} learns the order of a query's titles, but no query of the training pairs "
            "has titles of different grades; set it to regression, or grade more titles of a query"
        )
    return RankingSamples(
        [int(query_ids[titles[0]]) for titles in lists],
        [titles.tolist() for titles in lists],
        [grades[titles].astype(float).tolist() for titles in lists],
        max(1, round(batch_size / float(np.mean([len(titles) for titles in lists])))),
    )


def _lists(query_ids: np.ndarray, grades: np.ndarray, most: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pairs of each query, in as few lists of at most `most` as they need."""
    for query in np.unique(query_ids):
        titles = np.flatnonzero(query_ids == query)
        parts = -(-len(titles) // most)
        if parts > 1:
            titles = rng.permutation(titles)
            titles = titles[np.argsort(grades[titles], kind="stable")]
        yield from (titles[part::parts] for part in range(parts))


class PairScorer(InputModule):
    """A model as a module of sentence-transformers that takes the numbers of pairs instead of their texts.

    So the tokens that are trained on are those that are analysed, and any model can be trained by the losses.
    """

    def __init__(self, model: nn.Module, inputs: Inputs):
        """model: returns scores [pair, 1], or an output with them as `logits`; inputs: its arguments for pairs."""
        super().__init__()
        self.model, self.inputs = model, inputs

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """Inputs of (query, pair) numbers."""
        return self.inputs(np.array([pair for _, pair in inputs]))

    def forward(self, features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        output = self.model(**features)
        return {"scores": getattr(output, "logits", output)}

    def save(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("it is saved by checkpoints.save_tuned")


def as_cross_encoder(scorer: PairScorer, device: torch.device) -> CrossEncoder:
    """The model, its weights shared, as sentence-transformers' trainer and losses take it."""
    return CrossEncoder(modules=[scorer], device=str(device), activation_fn=nn.Identity())


def ranking_loss(objective: str, model: CrossEncoder) -> nn.Module:
    """Loss of a finetune.objective, in nats where it is a likelihood; of raw scores, without an activation."""
    if objective == "regression":
        return losses.MSELoss(model)
    kind = {"pairwise": losses.RankNetLoss, "listwise": losses.LambdaLoss}[objective]
    return kind(model, reduction_log="natural", mini_batch_size=ALL_AT_ONCE)
