"""The fine-tuned model -> what masking every head alone does to the test grades, and what every head does alone.

Writes data/ablation/heads.safetensors and reports/head_ablation/{heads.csv,alone.csv,metrics.json}. heads.csv also has
what changes where a head's mean or its output on another pair takes its place, and its gradient importance on dev.
data/ablation/head_rows.safetensors keeps what each mask does to the later heads' [CLS] attention.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline import paths
from pipeline.analysis import summaries
from pipeline.analysis.edges import Rows
from pipeline.analysis.effects import Judged, effects, significance
from pipeline.analysis.groups import alone, every_head, masks, single_heads
from pipeline.analysis.replaced import replaced
from pipeline.corpus.split import sample_queries
from pipeline.files import write_csv, write_json, write_safetensors
from pipeline.model.blocks import take_apart
from pipeline.model.engine import Engine, chunks_of_one_length
from pipeline.model.importance import gradient_importance
from pipeline.model.replacements import Resample, draw_donors, forms, head_means
from pipeline.model.subject import Subject, load_subjects
from pipeline.params import Params
from pipeline.stages.reading import observed_sweep, subject_kinds
from pipeline.tracking import Record

GRADIENT_TOKENS = 1024  # tokens in a batch of gradients: more is slower, and all that a batch computes is kept


def main(params: Params, record: Record) -> None:
    subject, dev = load_subjects(params, paths.TEST, paths.DEV)
    shape, draws = subject.shape, params.base.draws
    every = pd.DataFrame(every_head(*shape), columns=["layer", "head"])
    single, kept = masks(single_heads(*shape), *shape), masks(alone(*shape), *shape)
    swept, changes = observed_sweep(subject, single, "head_ablation", subject_kinds(subject))
    sweep, logits = swept.sweep, swept.sweep.logits
    logits_alone = subject.sweep(kept, "alone").sweep.logits
    judged = Judged(subject.grades, subject.query_ids, sweep.baseline, draws, subject.seed)
    stand_ins = _replaced(subject, dev, single, logits, judged)
    heads = pd.concat([every, effects(logits, judged), significance(logits, judged), stand_ins], axis=1)
    heads["gradient_importance"] = _importance(dev).ravel()
    kept_alone = pd.concat([every, effects(logits_alone, judged)], axis=1)
    metrics = summaries.head_metrics(heads, judged) | {f"heads_{name}": value for name, value in swept.notes.items()}

    write_safetensors(paths.HEAD_LOGITS, asdict(sweep))
    write_safetensors(paths.HEAD_ROWS, asdict(Rows.of(changes, subject.query_ids)))
    write_csv(paths.HEADS, heads)
    write_csv(paths.ALONE, kept_alone)
    write_json(paths.HEAD_METRICS, metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.HEADS, paths.ALONE, paths.HEAD_METRICS]


def _replaced(subject: Subject, dev: Subject, single: np.ndarray, zero: np.ndarray, judged: Judged) -> pd.DataFrame:
    """The heads masked on a few pairs with nothing, with their mean on dev, and with another pair's output."""
    seed, size = subject.seed, subject.settings.batch_tokens
    form = forms(subject.encoded)
    shared = np.flatnonzero(np.bincount(form)[form] > 1)
    pairs = shared[sample_queries(form[shared], subject.settings.replaced_pairs, seed)]
    here = subject.encoded.take(pairs)
    engine = Engine(take_apart(subject.model), size)
    means = head_means(engine.blocks, dev.encoded, chunks_of_one_length(dev.encoded.lengths, size))
    logits = {
        "zero": zero[:, pairs],
        "mean": engine.evaluate(here, single, replacement=means)["logits"],
        "resample": engine.evaluate(here, single, replacement=Resample(draw_donors(here, seed)))["logits"],
    }
    return replaced(logits, judged.of(pairs))


def _importance(dev: Subject) -> np.ndarray:
    """Gradient importance, [layer, head]."""
    return gradient_importance(dev.model, dev.encoded, dev.grades, dev.model.config.pad_token_id, GRADIENT_TOKENS)
