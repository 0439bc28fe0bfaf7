"""The fine-tuned model -> what masking every head alone does to the test grades, and what every head does alone.

Writes data/ablation/heads.safetensors and reports/head_ablation/{heads.csv,alone.csv,metrics.json}. heads.csv also has
what changes where a head's mean or its output on another pair takes its place, and its gradient importance on dev.
data/ablation/head_rows.safetensors keeps what each mask does to the later heads' [CLS] attention.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline.ablation.encoder import from_pretrained_model
from pipeline.ablation.engine import AblationEngine, same_length_chunks
from pipeline.ablation.head_groups import group_masks, kept_heads, single_head_groups
from pipeline.ablation.head_importance import gradient_importance
from pipeline.ablation.patching import ResampleAblation, draw_donors, mean_head_outputs, pair_layouts
from pipeline.ablation.sweep import AblationTarget, load_targets, observed_sweep, target_kinds
from pipeline.analysis import ablation_effects
from pipeline.analysis.ablation_effects import Judged, compare_ablation_types, effect_significance, measure_effects
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.core import paths
from pipeline.core.config import Params
from pipeline.core.formats import write_json, write_safetensors
from pipeline.core.heads import every_head
from pipeline.stats.bootstrap import sample_queries
from pipeline.tables.head_ablation import HEADS, KEPT_HEADS
from pipeline.tracking import Record

GRADIENT_TOKENS = 1024  # tokens in a batch of gradients: more is slower, and all that a batch computes is kept


def main(params: Params, record: Record) -> None:
    subject, dev = load_targets(params, paths.TEST, paths.DEV)
    shape, draws = subject.shape, params.base.draws
    every = pd.DataFrame(every_head(*shape), columns=["layer", "head"])
    single, kept = group_masks(single_head_groups(*shape), *shape), group_masks(kept_heads(*shape), *shape)
    swept, changes = observed_sweep(subject, single, "head_ablation", target_kinds(subject))
    sweep, logits = swept.sweep, swept.sweep.logits
    logits_alone = subject.sweep(kept, "alone").sweep.logits
    judged = Judged(subject.grades, subject.query_ids, sweep.baseline, draws, subject.seed)
    stand_ins = _replaced(subject, dev, single, logits, judged)
    heads = pd.concat([every, measure_effects(logits, judged), effect_significance(logits, judged), stand_ins], axis=1)
    heads["gradient_importance"] = _importance(dev).ravel()
    kept_alone = pd.concat([every, measure_effects(logits_alone, judged)], axis=1)
    metrics = ablation_effects.head_metrics(heads, judged) | {
        f"heads_{name}": value for name, value in swept.notes.items()
    }

    write_safetensors(paths.HEAD_LOGITS, asdict(sweep))
    write_safetensors(paths.HEAD_ROWS, asdict(ClsAttentionSums.of(changes, subject.query_ids)))
    HEADS.write(heads)
    KEPT_HEADS.write(kept_alone)
    write_json(paths.HEAD_METRICS, metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.HEADS, paths.ALONE, paths.HEAD_METRICS]


def _replaced(
    subject: AblationTarget, dev: AblationTarget, single: np.ndarray, zero: np.ndarray, judged: Judged
) -> pd.DataFrame:
    """The heads masked on a few pairs with nothing, with their mean on dev, and with another pair's output."""
    seed, size = subject.seed, subject.settings.batch_tokens
    form = pair_layouts(subject.encoded)
    shared = np.flatnonzero(np.bincount(form)[form] > 1)
    pairs = shared[sample_queries(form[shared], subject.settings.replaced_pairs, seed)]
    here = subject.encoded.take(pairs)
    engine = AblationEngine(from_pretrained_model(subject.model), size)
    means = mean_head_outputs(engine.blocks, dev.encoded, same_length_chunks(dev.encoded.lengths, size))
    logits = {
        "zero": zero[:, pairs],
        "mean": engine.evaluate(here, single, replacement=means)["logits"],
        "resample": engine.evaluate(here, single, replacement=ResampleAblation(draw_donors(here, seed)))["logits"],
    }
    return compare_ablation_types(logits, judged.of(pairs))


def _importance(dev: AblationTarget) -> np.ndarray:
    """Gradient importance, [layer, head]."""
    return gradient_importance(dev.model, dev.encoded, dev.grades, dev.model.config.pad_token_id, GRADIENT_TOKENS)
