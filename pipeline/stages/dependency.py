"""The states that the ablation stages saw -> how high heads read low ones, edge by edge, and how much they mediate.

Writes reports/dependency/edges.csv (every head masked alone, on every later head), group.csv (the term-match heads
masked together, on every later head), readers.csv (the high heads: chosen on dev, judged on test), metrics.json, and
data/dependency/shown.json ([CLS]'s attention of one reader on a few pairs, unmasked and masked).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ablation import head_groups
from pipeline.ablation.cls_attention import MATCH_SHARE, MATCHED, ClsAttention, chance_match_share, kinds
from pipeline.ablation.encoder import from_pretrained_model
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.patching import ActivationPatch
from pipeline.ablation.sweep import AblationTarget, load_targets, observed_sweep, target_kinds, target_tokens
from pipeline.analysis import attention_edges, mediation
from pipeline.analysis.mediation import dependency_metrics
from pipeline.attention import example_pairs
from pipeline.attention.head_functions import Tokens
from pipeline.attention.head_labels import Sample
from pipeline.attention.maps import readable_tokens
from pipeline.core import formats, paths, schemas
from pipeline.core.config import Params
from pipeline.core.heads import Head, every_head
from pipeline.stats.metrics import logit_margins
from pipeline.tables.dependency import EDGES, EDGES_TERM_MATCH, EXAMPLE_CLS_ATTENTION, MEDIATION
from pipeline.tables.group_ablation import GROUPS
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    test, dev = load_targets(params, paths.TEST, paths.DEV)
    layers, heads = test.shape
    sample = Sample.of(test.query_ids, params.base.draws, params.base.seed)
    by_head, by_group = (
        schemas.arrays(file, attention_edges.ClsAttentionSums) for file in (paths.HEAD_ROWS, paths.GROUP_ROWS)
    )
    low, targets = _low_heads(), list(range(1, layers))
    every = attention_edges.head_edges(by_head, every_head(layers, heads), targets, sample.drawn, params.base.seed)
    together = attention_edges.attention_changes(
        by_group, by_group.differences(int(len(low) > 0)), targets, sample.drawn
    )

    high = [head for head in every_head(layers, heads)[layers // 2 * heads :] if head[0] and head not in low]
    candidates = high if low else []
    tokens = target_tokens(test)
    found = [_chosen(dev, candidates, params)]
    if candidates:
        chances = chance_match_share([kinds(one) for one in tokens])
        found.append(mediation.relay_dependence(candidates, by_group, targets, chances, sample))
        found.append(_mediation(test, low, candidates, sample))
    table = pd.concat(found, axis=1)
    shown = _shown(test, tokens, low, table, params.attention.showcase_pairs)
    metrics = dependency_metrics(every, table)

    EDGES.write(every)
    EDGES_TERM_MATCH.write(together)
    MEDIATION.write(table)
    EXAMPLE_CLS_ATTENTION.write(shown)
    formats.write_json(paths.DEPENDENCY_METRICS, metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.EDGES, paths.GROUP_EDGES, paths.READERS, paths.DEPENDENCY_METRICS]


def _low_heads() -> tuple[Head, ...]:
    """The term-match heads that group_ablation masked together; none where no pair defines the function."""
    masked = GROUPS.read()
    own = masked[(masked["experiment"] == "function") & (masked["group"] == head_groups.MATCHERS)]
    return tuple(Head.from_short(member) for members in own["members"] for member in members.split())


def _mask(heads: tuple[Head, ...], layers: int, count: int) -> np.ndarray:
    return head_groups.group_masks([head_groups.Group("", "", heads)], layers, count)[0]


def _chosen(dev: AblationTarget, candidates: list[Head], params: Params) -> pd.DataFrame:
    """The candidates with what dev says of them; see `mediation.choose_relay_heads`."""
    alone = head_groups.group_masks([head_groups.Group("", "", (head,)) for head in candidates], *dev.shape)
    kinds_of = target_kinds(dev)
    swept, values = observed_sweep(dev, alone, "dependency", kinds_of)
    at = tuple(np.array(candidates, dtype=int).reshape(-1, 2).T)
    shares = values[0][:, at[0] - 1, at[1], MATCH_SHARE].astype(np.float64)
    unmasked = logit_margins(swept.sweep.baseline[None], dev.grades)
    losses = (logit_margins(swept.sweep.logits, dev.grades) - unmasked).T
    sample = Sample.of(dev.query_ids, params.base.draws, params.base.seed)
    return mediation.choose_relay_heads(
        candidates, shares, chance_match_share(kinds_of), losses, sample, params.attention.label_margin
    )


def _mediation(test: AblationTarget, low: tuple[Head, ...], candidates: list[Head], sample: Sample) -> pd.DataFrame:
    """Each candidate's output taken from the other state: the low heads masked, or the unmasked model."""
    without, count = _mask(low, *test.shape), len(candidates)
    multipliers = np.stack([without, *[np.ones_like(without)] * count, *[without] * count])
    sources = np.full(multipliers.shape, -1)
    for number, (layer, head) in enumerate(candidates, start=1):
        for place, source in ((number, 1), (number + count, 0)):
            multipliers[place, layer, head], sources[place, layer, head] = 0, source
    engine = AblationEngine(from_pretrained_model(test.model), test.settings.batch_tokens)
    states = ActivationPatch(np.stack([np.ones_like(without), without]))
    logits = engine.evaluate(test.encoded, multipliers, sources, states)["logits"]
    unmasked = engine.evaluate(test.encoded, np.ones_like(without)[None])["logits"][0]
    patched, restored = logits[1 : 1 + count], logits[1 + count :]
    return mediation.mediation(unmasked, logits[0], patched, restored, test.grades, sample)


def _shown(
    test: AblationTarget, tokens: Sequence[Tokens], low: tuple[Head, ...], table: pd.DataFrame, count: int
) -> list[dict[str, Any]]:
    """[CLS]'s attention of the reader that dev needs most, on pairs chosen as those of the attention maps are."""
    own = table[table["reader"]]
    if own.empty:
        return []
    reader = own.iloc[int(own["dev_margin_change"].abs().to_numpy().argmax())]
    layer, head = int(reader["layer"]), int(reader["head"])
    shared = np.array([example_pairs.shared_terms(one) for one in tokens])
    pairs = np.array(
        example_pairs.choose_example_pairs(test.query_ids, test.grades, test.encoded.lengths, shared, count), dtype=int
    )
    if not len(pairs):
        return []
    few = test.encoded.take(pairs)
    states = np.stack([np.ones(test.shape, dtype=np.float32), _mask(low, *test.shape)])
    observer = ClsAttention((layer,), int(few.lengths.max()))
    rows = AblationEngine(from_pretrained_model(test.model), test.settings.batch_tokens).evaluate(
        few, states, observers=[observer]
    )["rows"]
    described = []
    for place, pair in enumerate(pairs):
        row, size = test.table.iloc[pair], int(few.lengths[place])
        described.append(
            {
                "query": row["query"],
                "title": row["title"],
                "grade": int(row["grade"]),
                "layer": layer,
                "head": head,
                "tokens": readable_tokens(test.tokenizer, few, place, (row["query"], row["title"])),
                "matched": (kinds(tokens[pair]) == MATCHED).tolist(),
                "unmasked": rows[0, place, 0, head, :size].round(6).tolist(),
                "masked": rows[1, place, 0, head, :size].round(6).tolist(),
            }
        )
    return described
