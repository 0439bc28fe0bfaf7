"""The prepared splits -> data/predictions/baseline_test.parquet and reports/baseline/metrics.json.

The article's own baseline, a BiLSTM with interactive attention, is trained on the words of the training pairs and
evaluated as the fine-tuned model is.
"""

from pipeline import files, inputs, paths
from pipeline.analysis.metrics import metrics_by_split
from pipeline.model.baseline import baseline_logits, build_baseline, train_baseline
from pipeline.model.prediction import prediction_table
from pipeline.model.words import build_vocabulary, encode_words
from pipeline.params import Params
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    train, dev, test = map(inputs.pairs, (paths.TRAIN, paths.DEV, paths.TEST))
    vocabulary = build_vocabulary([*train["query"], *train["title"]])
    train_words, dev_words, test_words = (
        encode_words(vocabulary, split["query"], split["title"]) for split in (train, dev, test)
    )

    model = build_baseline(len(vocabulary), len(params.data.grades), params.baseline, params.base.seed)
    best = train_baseline(
        model,
        train_words,
        train["grade"].to_numpy(),
        lambda: float((baseline_logits(model, dev_words).argmax(axis=1) == dev["grade"]).mean()),
        params.baseline,
        params.base.seed,
    )
    logits = {"baseline_dev": baseline_logits(model, dev_words), "baseline_test": baseline_logits(model, test_words)}
    scores, undefined = metrics_by_split({"baseline_dev": dev, "baseline_test": test}, logits)
    metrics: dict[str, float | None] = {
        "baseline_best_epoch": best,
        "baseline_parameters": sum(weight.numel() for weight in model.parameters()),
        **scores,
    }

    files.write_parquet(paths.BASELINE_PREDICTIONS, prediction_table(test, logits["baseline_test"]))
    files.write_json(paths.BASELINE_METRICS, {**metrics, "undefined": undefined})
    record.metrics = metrics
    record.artifacts = [paths.BASELINE_METRICS]
