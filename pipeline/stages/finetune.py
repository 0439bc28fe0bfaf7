"""The prepared splits -> data/model/, data/predictions/test.parquet, reports/finetune/{metrics.json,curve.csv}.

A checkpoint is fine-tuned to grade or to rank query-title pairs, or where it is fine-tuned already taken as it is, and
evaluated with the baselines that need no neural network: of a grader accuracies of lexical ones, of a ranker BM25's
NDCG.
"""

import numpy as np
import pandas as pd

from pipeline.ablation.engine_check import check_model
from pipeline.baselines.bm25 import bm25_ndcg, bm25_scores
from pipeline.baselines.lexical import lexical_baseline_accuracies
from pipeline.core import formats, paths
from pipeline.core.config import Params
from pipeline.models.checkpoints import load_start, pick_device, save_tuned
from pipeline.models.early_stopping import EarlyStopping, Epoch, LearningCurve, Scores
from pipeline.models.families import family_of
from pipeline.models.finetuning import fine_tune_by_objective
from pipeline.models.inference import predict, prediction_table
from pipeline.models.last_layer import last_layer_at_cls
from pipeline.models.output_order import check_output_order
from pipeline.models.tokenization import encode_split
from pipeline.stats.measure_sets import measure_set
from pipeline.stats.metrics import UNDEFINED
from pipeline.stats.split_metrics import metrics_by_split, split_metrics
from pipeline.tables.grading import CURVE, TEST_PREDICTIONS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record

NO_TRAINING_PAIRS = "there are no training pairs to fit it on"
Splits = dict[str, pd.DataFrame]
# Metrics of baselines on dev and test, why one would be undefined, and columns of the test predictions.
Baselines = tuple[dict[str, float | None], str, dict[str, np.ndarray]]


def main(params: Params, record: Record) -> None:
    train, dev, test = (split.read() for split in SPLIT_TABLES.values())
    kind = measure_set(params.is_ranker).kind
    model, tokenizer = load_start(params, [*train["query"], *train["title"]], pick_device(params.run.device))
    splits = {"train": train, "dev": dev, "test": test}
    encoded = {
        name: encode_split(tokenizer, split, params.model.max_length) for name, split in splits.items() if len(split)
    }
    pad_id = tokenizer.pad_token_id
    check_model(model, encoded["dev"])

    def judge() -> Scores:
        return split_metrics(dev, predict(model, encoded["dev"], pad_id))[0]

    if params.model.fine_tuned:
        curve = LearningCurve([Epoch(0, None, judge())], best=0, max_epochs=0)
    else:
        stopping = EarlyStopping("finetune", judge, params.training, kind)
        curve = fine_tune_by_objective(model, encoded["train"], train, pad_id, stopping, params)
    with last_layer_at_cls(model):
        logits = {name: predict(model, encoded[name], pad_id) for name in _evaluated(splits)}
    if params.model.fine_tuned:
        check_output_order(dev["grade"].to_numpy(), logits["dev"], dev["query_id"].to_numpy(), params)
    scores, undefined = metrics_by_split(_evaluated(splits), logits)
    baselines, reason, columns = (_bm25 if params.is_ranker else _lexical)(splits)
    truncated = {name: int(encoded[name].truncated.sum()) if name in encoded else 0 for name in splits}
    metrics: dict[str, float | None] = {
        **curve.metrics(),
        "parameters": model.num_parameters(),
        **{f"{name}_truncated_pairs": pairs for name, pairs in truncated.items()},
        **scores,
        **baselines,
    }
    described = {}
    if params.is_ranker:
        metrics["score_standard_deviation"] = float(logits["test"].std(dtype=np.float64))
        described["pooling"] = family_of(model).pooling(model)
    undefined |= {name: reason for name, value in baselines.items() if value is None}

    save_tuned(model, tokenizer, paths.MODEL)
    TEST_PREDICTIONS[kind].write(prediction_table(test, logits["test"]).assign(**columns))
    formats.write_json(paths.stage_metrics("finetune"), {**metrics, **described, "undefined": undefined})
    CURVE[kind].write(curve.table())

    record.metrics = metrics
    record.artifacts = [paths.stage_metrics("finetune"), paths.CURVE]
    record.curve = curve.points()
    if not params.model.fine_tuned:
        record.model = paths.MODEL


def _lexical(splits: Splits) -> Baselines:
    return lexical_baseline_accuracies(splits["train"], _evaluated(splits)), NO_TRAINING_PAIRS, {}


def _bm25(splits: Splits) -> Baselines:
    scores = bm25_scores(splits)
    return bm25_ndcg(_evaluated(splits), scores), UNDEFINED["ndcg_at_10"], {"bm25": scores["test"]}


def _evaluated(splits: Splits) -> Splits:
    return {name: split for name, split in splits.items() if name != "train"}
