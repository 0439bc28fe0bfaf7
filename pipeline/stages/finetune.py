"""The prepared splits -> data/model/, data/predictions/test.parquet, reports/finetune/{metrics.json,curve.csv}.

A checkpoint is fine-tuned to grade query-title pairs, or where it is fine-tuned already taken as it is, and evaluated
with the accuracies that need no model.
"""

from pipeline.baselines.lexical import lexical_baseline_accuracies
from pipeline.core import formats, paths
from pipeline.core.config import Params
from pipeline.models.checkpoints import load_start, pick_device, save_tuned
from pipeline.models.early_stopping import EarlyStopping, Epoch, LearningCurve, Scores
from pipeline.models.finetuning import fine_tune
from pipeline.models.inference import predict, prediction_table
from pipeline.models.tokenization import encode_split
from pipeline.stats.metrics import metrics_by_split, split_metrics
from pipeline.tables.grading import CURVE, TEST_PREDICTIONS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    train, dev, test = (split.read() for split in SPLIT_TABLES.values())
    evaluated = {"dev": dev, "test": test}
    model, tokenizer = load_start(params, [*train["query"], *train["title"]], pick_device(params.run.device))
    splits = {"train": train, **evaluated}
    encoded = {name: encode_split(tokenizer, split, params.model.max_length) for name, split in splits.items()}
    pad_id = tokenizer.pad_token_id

    def judge() -> Scores:
        return split_metrics(dev, predict(model, encoded["dev"], pad_id))[0]

    if params.model.fine_tuned:
        curve = LearningCurve([Epoch(0, None, judge())], best=0, max_epochs=0)
    else:
        stopping = EarlyStopping("finetune", judge, params.training)
        grades = train["grade"].to_numpy()
        curve = fine_tune(model, encoded["train"], grades, pad_id, stopping, params.finetune, params.run.seed)
    logits = {name: predict(model, encoded[name], pad_id) for name in evaluated}
    scores, undefined = metrics_by_split(evaluated, logits)
    metrics: dict[str, float | None] = {
        **curve.metrics(),
        "parameters": model.num_parameters(),
        **{f"{name}_truncated_pairs": int(pairs.truncated.sum()) for name, pairs in encoded.items()},
        **scores,
        **lexical_baseline_accuracies(train, evaluated),
    }

    save_tuned(model, tokenizer, paths.MODEL)
    TEST_PREDICTIONS["grader"].write(prediction_table(test, logits["test"]))
    formats.write_json(paths.stage_metrics("finetune"), {**metrics, "undefined": undefined})
    CURVE.write(curve.table())

    record.metrics = metrics
    record.artifacts = [paths.stage_metrics("finetune"), paths.CURVE]
    record.curve = curve.points()
    if not params.model.fine_tuned:
        record.model = paths.MODEL
