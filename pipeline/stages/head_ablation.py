"""The fine-tuned model -> what masking every head alone does to the test grades.

Writes data/ablation/heads.safetensors and reports/head_ablation/{heads.csv,metrics.json}.
"""

from dataclasses import asdict

import pandas as pd

from pipeline import paths
from pipeline.analysis.effects import effects
from pipeline.analysis.groups import every_head, masks, single_heads
from pipeline.analysis.summaries import head_metrics
from pipeline.files import write_csv, write_json, write_safetensors
from pipeline.model.subject import load_subject
from pipeline.params import Params
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    subject = load_subject(params)
    sweep, notes = subject.sweep(masks(single_heads(*subject.shape), *subject.shape), "head_ablation")
    measured = effects(sweep.baseline, sweep.logits, subject.grades)
    heads = pd.concat([pd.DataFrame(every_head(*subject.shape), columns=["layer", "head"]), measured], axis=1)
    metrics = head_metrics(heads, sweep.baseline, subject.grades) | {f"heads_{name}": n for name, n in notes.items()}

    write_safetensors(paths.HEAD_LOGITS, asdict(sweep))
    write_csv(paths.HEADS, heads)
    write_json(paths.HEAD_METRICS, metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.HEADS, paths.HEAD_METRICS]
