"""The prepared splits -> data/predictions/bilstm_test.parquet, reports/bilstm/{metrics.json,curve.csv}.

The article compares BERT with a BiLSTM with interactive attention. It is trained on the words of the training pairs
by the objective and the rule of fine-tuning, and evaluated as the fine-tuned model is. Where there are no training
pairs there is no BiLSTM: its tables have no rows, its metrics no values.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.baselines.bilstm import (
    InteractiveBiLSTM,
    WordPairs,
    bilstm_logits,
    build_bilstm,
    build_word_vocabulary,
    encode_words,
    train_bilstm,
    train_ranking_bilstm,
)
from pipeline.core import formats, paths
from pipeline.core.config import Params
from pipeline.models.early_stopping import EarlyStopping, LearningCurve, Scores
from pipeline.models.inference import prediction_table
from pipeline.models.threads import few_threads
from pipeline.stats.measure_sets import measure_set
from pipeline.stats.split_metrics import metrics_by_split, split_metrics
from pipeline.tables.grading import BILSTM_CURVE, BILSTM_PREDICTIONS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record

THREADS = 2  # at most: on 16 the BiLSTM is slower
NO_TRAINING_PAIRS = "there are no training pairs"


@dataclass(frozen=True)
class Results:
    """Results of the training: predictions and learning curve as they are written, and the metrics with reasons."""

    predictions: pd.DataFrame
    epochs: pd.DataFrame
    metrics: Scores
    undefined: dict[str, str]
    points: list[tuple[str, float, int]] = field(default_factory=list)


def main(params: Params, record: Record) -> None:
    train, dev, test = (split.read() for split in SPLIT_TABLES.values())
    kind = measure_set(params.is_ranker).kind
    with few_threads(THREADS):
        results = _trained(params, train, dev, test) if len(train) else _untrained(params, test)

    BILSTM_PREDICTIONS[kind].write(results.predictions)
    formats.write_json(paths.stage_metrics("bilstm"), {**results.metrics, "undefined": results.undefined})
    BILSTM_CURVE[kind].write(results.epochs)

    record.metrics = results.metrics
    record.artifacts = [paths.stage_metrics("bilstm"), paths.BILSTM_CURVE]
    record.curve = results.points


def _trained(params: Params, train: pd.DataFrame, dev: pd.DataFrame, test: pd.DataFrame) -> Results:
    vocabulary = build_word_vocabulary([*train["query"], *train["title"]])
    train_words, dev_words, test_words = (
        encode_words(vocabulary, split["query"], split["title"]) for split in (train, dev, test)
    )
    model = build_bilstm(len(vocabulary), _outputs(params), params.bilstm, params.run.seed)

    def judge() -> Scores:
        return split_metrics(dev, bilstm_logits(model, dev_words))[0]

    stopping = EarlyStopping("bilstm", judge, params.training, measure_set(params.is_ranker).kind)
    curve = _train(model, train_words, train, stopping, params)
    logits = {"dev": bilstm_logits(model, dev_words), "test": bilstm_logits(model, test_words)}
    scores, undefined = metrics_by_split({"dev": dev, "test": test}, logits)
    parameters = sum(weight.numel() for weight in model.parameters())
    metrics = {**curve.metrics(), "parameters": parameters, **scores}
    predictions = prediction_table(test, logits["test"])
    return Results(predictions, curve.table(), metrics, undefined, curve.points())


def _train(
    model: InteractiveBiLSTM, words: WordPairs, train: pd.DataFrame, stopping: EarlyStopping, params: Params
) -> LearningCurve:
    settings, seed = params.bilstm, params.run.seed
    if params.is_ranker:
        return train_ranking_bilstm(model, words, train, params.finetune.objective, stopping, settings, seed)
    return train_bilstm(model, words, train["grade"].to_numpy(), stopping, settings, seed)


def _untrained(params: Params, test: pd.DataFrame) -> Results:
    curve = BILSTM_CURVE[measure_set(params.is_ranker).kind]
    of_dev = [column.name for column in curve.columns if column.name.startswith("dev_")]
    names = [f"{split}_{name.removeprefix('dev_')}" for split in ("dev", "test") for name in of_dev]
    predictions = prediction_table(test[:0], np.zeros((0, _outputs(params)), dtype=np.float32))
    metrics = {**LearningCurve([], best=0, max_epochs=0).metrics(), "parameters": None, **dict.fromkeys(names)}
    return Results(predictions, curve.empty(), metrics, dict.fromkeys(names, NO_TRAINING_PAIRS))


def _outputs(params: Params) -> int:
    return 1 if params.is_ranker else len(params.data.grade_names)
