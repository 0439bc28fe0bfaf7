"""The prepared splits -> data/predictions/bilstm_test.parquet, reports/bilstm/{metrics.json,curve.csv}.

The article compares BERT with a BiLSTM with interactive attention. It is trained on the words of the training pairs
by the rule of fine-tuning, and evaluated as the fine-tuned model is.
"""

from pipeline.baselines.bilstm import bilstm_logits, build_bilstm, build_word_vocabulary, encode_words, train_bilstm
from pipeline.core import formats, paths
from pipeline.core.config import Params
from pipeline.models.early_stopping import EarlyStopping
from pipeline.models.inference import prediction_table
from pipeline.stats.metrics import metrics_by_split, split_metrics
from pipeline.tables.grading import BILSTM_CURVE, BILSTM_PREDICTIONS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    train, dev, test = (split.read() for split in SPLIT_TABLES.values())
    vocabulary = build_word_vocabulary([*train["query"], *train["title"]])
    train_words, dev_words, test_words = (
        encode_words(vocabulary, split["query"], split["title"]) for split in (train, dev, test)
    )

    model = build_bilstm(len(vocabulary), len(params.data.grades), params.bilstm, params.run.seed)
    stopping = EarlyStopping("bilstm", lambda: split_metrics(dev, bilstm_logits(model, dev_words))[0], params.training)
    curve = train_bilstm(model, train_words, train["grade"].to_numpy(), stopping, params.bilstm, params.run.seed)
    logits = {"dev": bilstm_logits(model, dev_words), "test": bilstm_logits(model, test_words)}
    scores, undefined = metrics_by_split({"dev": dev, "test": test}, logits)
    metrics: dict[str, float | None] = {
        **curve.metrics(),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        **scores,
    }

    BILSTM_PREDICTIONS["grader"].write(prediction_table(test, logits["test"]))
    formats.write_json(paths.stage_metrics("bilstm"), {**metrics, "undefined": undefined})
    BILSTM_CURVE.write(curve.table())

    record.metrics = metrics
    record.artifacts = [paths.stage_metrics("bilstm"), paths.BILSTM_CURVE]
    record.curve = curve.points()
