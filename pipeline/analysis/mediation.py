"""Mediation of the term-match heads' effect on the margin: through single heads, and through many jointly.

The margin is linear in a model's logits, see `MeasureSet.margin`: of a grader the gold-logit margin, of a ranker the
score margin.

Pearl 2001; Vig et al. 2020 (arXiv 2004.12265). total = the matchers masked; indirect = nothing masked, but some outputs
are those that they are when the matchers are masked; direct = the matchers masked, those outputs as unmasked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import head_mask
from pipeline.ablation.patching import ActivationPatch
from pipeline.ablation.sweep import AblationTarget
from pipeline.core.heads import Head
from pipeline.stats.bootstrap import QuerySample, estimate_columns
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.measures import EvaluationSet, point_changes
from pipeline.stats.metrics import nan_mean
from pipeline.tables.dependency import ALL_ROWS, CLS_ROW, OTHERS, RELAY_HEADS, UPPER_LAYERS

EFFECTS = ("total", "indirect", "direct")


@dataclass(frozen=True)
class HeadOutputs:
    """Outputs of heads under one name: of every row, or with `cls_only` of [CLS]'s alone."""

    name: str
    heads: Sequence[Head]
    cls_only: bool = False

    @property
    def rows(self) -> str:
        return CLS_ROW if self.cls_only else ALL_ROWS


class Treatment(NamedTuple):
    """Masks, sources and cls_only of `AblationEngine.evaluate`, [mask, layer, head] each."""

    masks: np.ndarray
    sources: np.ndarray
    cls_only: np.ndarray

    @classmethod
    def replacing(cls, outputs: Sequence[HeadOutputs], state: np.ndarray, source: int) -> "Treatment":
        """A mask for each of the outputs, which takes them from a source (-1: zero) in the state [layer, head]."""
        masks = np.repeat(state[None], len(outputs), axis=0)
        sources, cls_only = np.full(masks.shape, -1), np.zeros(masks.shape, dtype=bool)
        for number, replaced in enumerate(outputs):
            for layer, head in replaced.heads:
                masks[number, layer, head], sources[number, layer, head] = 0, source
                cls_only[number, layer, head] = replaced.cls_only
        return cls(masks, sources, cls_only)


class MediationLogits(NamedTuple):
    """Logits of the states that mediation through some outputs compares.

    Unmasked and with the matchers masked [pair, output]; in the indirect and the direct state of each of the outputs,
    and with them ablated [outputs, pair, output].
    """

    unmasked: np.ndarray
    masked: np.ndarray
    indirect: np.ndarray
    direct: np.ndarray
    ablated: np.ndarray

    def through(self, chosen: slice) -> "MediationLogits":
        """The states of some of the outputs."""
        return self._replace(indirect=self.indirect[chosen], direct=self.direct[chosen], ablated=self.ablated[chosen])


def single_heads(heads: Sequence[Head], *, cls_only: bool = False) -> list[HeadOutputs]:
    """Outputs of each head alone."""
    return [HeadOutputs(head.short, (head,), cls_only) for head in heads]


def ablated_logits(target: AblationTarget, outputs: Sequence[HeadOutputs]) -> tuple[np.ndarray, np.ndarray]:
    """Logits unmasked [pair, output], and with each of the outputs zero [outputs, pair, output]."""
    masks, _, cls_only = Treatment.replacing(outputs, head_mask([], *target.shape), -1)
    result = target.engine.evaluate(target.encoded, masks, cls_only=cls_only)
    return result.unmasked_logits, result.masked_logits


def mediation_logits(test: AblationTarget, matchers: Sequence[Head], outputs: Sequence[HeadOutputs]) -> MediationLogits:
    """Logits of the states that mediation through each of the outputs compares; none of them is a matcher's."""
    unmasked, masked = head_mask([], *test.shape), head_mask(matchers, *test.shape)
    treatments = (
        Treatment.replacing([HeadOutputs("none", ())], masked, -1),
        Treatment.replacing(outputs, unmasked, 1),
        Treatment.replacing(outputs, masked, 0),
        Treatment.replacing(outputs, unmasked, -1),
    )
    masks, sources, cls_only = (np.concatenate(parts) for parts in zip(*treatments, strict=True))
    states = ActivationPatch(np.stack([unmasked, masked]))
    logits = test.engine.evaluate(test.encoded, masks, sources, states, cls_only=cls_only).masked_logits
    # Evaluated alone: among these states its last bit differs, which shows in the effects through a single head.
    unmasked_logits = test.engine.unmasked(test.encoded).unmasked_logits
    return MediationLogits(unmasked_logits, logits[0], *np.split(logits[1:], 3))


@dataclass(frozen=True)
class MediationDraws:
    """Bootstrap of mediation effects on the mean margin.

    Attributes:
        means: of EFFECTS, [outputs] each.
        draws: of their resamples, [draw, outputs] each.
        sample: the queries.
    """

    means: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]
    sample: QuerySample

    @classmethod
    def of(cls, logits: MediationLogits, measures: MeasureSet, evaluated: EvaluationSet) -> "MediationDraws":
        total = margin_changes(logits.masked[None], measures, evaluated)
        values = {
            "total": np.broadcast_to(total, (len(total), len(logits.indirect))),
            "indirect": margin_changes(logits.indirect, measures, evaluated),
            "direct": margin_changes(logits.direct, measures, evaluated),
        }  # [pair, outputs] each
        sample = evaluated.sample
        means = {name: nan_mean(changes) for name, changes in values.items()}
        draws = {name: sample.bootstrap.means(*sample.by_query(changes)) for name, changes in values.items()}
        return cls(means, draws, sample)

    def effects(self) -> dict[str, np.ndarray]:
        """The columns of EFFECTS with their intervals."""
        columns: dict[str, np.ndarray] = {}
        for name in EFFECTS:
            columns |= estimate_columns(name, self.means[name], *self.sample.bootstrap.interval(self.draws[name]))
        return columns

    def share(self, effect: str) -> tuple[np.ndarray, np.ndarray]:
        """An effect as a share of the total, [outputs] and [draw, outputs]; NaN where the total's interval holds 0."""
        low, high = self.sample.bootstrap.interval(self.draws["total"])
        certain = np.where((low > 0) | (high < 0), 1.0, np.nan)
        return certain * self.means[effect] / self.means["total"], certain * self.draws[effect] / self.draws["total"]

    def columns(self, name: str, share: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
        """The columns of a share with its interval."""
        return estimate_columns(name, share[0], *self.sample.bootstrap.interval(share[1]))


def margin_changes(masked: np.ndarray, measures: MeasureSet, evaluated: EvaluationSet) -> np.ndarray:
    """Changes of each pair's margin from the unmasked model, [pair, mask] of logits [mask, pair, output].

    NaN where a pair has none: a ranker's titles that no other of their query differs from in grade.
    """
    margins = measures.margin.pair_values
    assert margins is not None, "a margin is a mean over pairs"
    return (margins(masked, evaluated) - margins(evaluated.unmasked_logits, evaluated)).T


def mediation(logits: MediationLogits, measures: MeasureSet, evaluated: EvaluationSet) -> pd.DataFrame:
    """Mediation through each of the outputs, `total` to `mediated_high` of `pipeline.tables.dependency.MEDIATION`."""
    drawn = MediationDraws.of(logits, measures, evaluated)
    return pd.DataFrame(drawn.effects() | drawn.columns("mediated", drawn.share("indirect")))


def joint_outputs(relays: pd.DataFrame) -> list[HeadOutputs]:
    """Outputs that may mediate jointly: relay heads, other candidates, and the [CLS] rows of the upper layers.

    Args:
        relays: the candidates (layer, head, is_relay_head), by layer: all heads of the upper layers but the matchers.
    """
    relay_heads = [Head.of_row(row) for row in relays[relays["is_relay_head"].astype(bool)].itertuples()]
    candidates = [Head.of_row(row) for row in relays.itertuples()]
    others = [head for head in candidates if head not in relay_heads]
    by_layer = {f"layer {layer}": list(heads) for layer, heads in groupby(candidates, lambda head: head.layer)}
    outputs = [
        *(HeadOutputs(RELAY_HEADS, relay_heads, cls_only) for cls_only in (False, True)),
        *(HeadOutputs(OTHERS, others, cls_only) for cls_only in (False, True)),
        *(HeadOutputs(name, of_layer, cls_only=True) for name, of_layer in by_layer.items()),
        HeadOutputs(UPPER_LAYERS, candidates, cls_only=True),
    ]
    return [one for one in outputs if one.heads]


def joint_mediation(
    outputs: Sequence[HeadOutputs], logits: MediationLogits, measures: MeasureSet, evaluated: EvaluationSet
) -> pd.DataFrame:
    """Joint mediation through each of the outputs, and their plain joint ablation.

    Returns:
        The frame of `pipeline.tables.dependency.JOINT_MEDIATION`; no row without outputs.
    """
    names = {
        "outputs": [one.name for one in outputs],
        "rows": [one.rows for one in outputs],
        "heads": [len(one.heads) for one in outputs],
    }
    return pd.DataFrame(names | (_joint_effects(outputs, logits, measures, evaluated) if outputs else {}))


def _joint_effects(
    outputs: Sequence[HeadOutputs], logits: MediationLogits, measures: MeasureSet, evaluated: EvaluationSet
) -> dict[str, np.ndarray]:
    drawn = MediationDraws.of(logits, measures, evaluated)
    mediated, direct = drawn.share("indirect"), drawn.share("direct")
    ablated, headline = margin_changes(logits.ablated, measures, evaluated), measures.headline
    states = {"total": np.broadcast_to(logits.masked, logits.ablated.shape), "indirect": logits.indirect}
    states |= {"direct": logits.direct, "ablated": logits.ablated}
    return {
        **drawn.effects(),
        **drawn.columns("mediated", mediated),
        **drawn.columns("restored", (1 - direct[0], 1 - direct[1])),
        **drawn.columns("above_others", _above_others(outputs, *mediated)),
        **estimate_columns("ablated", nan_mean(ablated), *evaluated.sample.interval(ablated)),
        **{f"{name}_{headline.change}": point_changes(headline, masked, evaluated) for name, masked in states.items()},
    }


def _above_others(
    outputs: Sequence[HeadOutputs], mediated: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shares mediated minus that of the other candidates' same rows, which is 0 where there are none."""
    others = {one.cls_only: number for number, one in enumerate(outputs) if one.name == OTHERS}
    if not others:
        return mediated, draws
    against = [others[one.cls_only] for one in outputs]
    return mediated - mediated[against], draws - draws[:, against]
