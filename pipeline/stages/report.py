"""Results of every stage -> report and findings: reports/report.html, reports/figures/, reports/findings.json."""

from collections import Counter
from dataclasses import asdict

from pipeline.core import formats, paths, schemas
from pipeline.core.config import Params
from pipeline.findings.judge import bert_against_bilstm, judge_findings
from pipeline.findings.select import Tables
from pipeline.findings.verdict import VERDICTS, Finding
from pipeline.report import canvas, figures, html
from pipeline.report.results import ExamplePair, Results, run_setting
from pipeline.tracking import Record

PAIR_KEYS = ("query", "title", "grade", "tokens")
CLS_ATTENTION_KEYS = (*PAIR_KEYS, "layer", "head", "matched", "unmasked", "masked")


def main(params: Params, record: Record) -> None:
    results = read_results(params)
    if advice := canvas.font_advice(results.texts()):
        print(advice)
    findings = judge_findings(results.tables, _compare_models(params))
    gallery = figures.draw_figures(results)

    formats.write_json(paths.FINDINGS, [asdict(finding) for finding in findings])
    figures.write_figures(paths.FIGURES, gallery)
    formats.write_text(paths.REPORT, html.render_page(results, findings, gallery))
    counts = Counter(finding.verdict for finding in findings)
    record.metrics |= {f"findings_{verdict.replace(' ', '_')}": counts[verdict] for verdict in VERDICTS}
    record.artifacts += [paths.REPORT, paths.FIGURES, paths.FINDINGS]


def _compare_models(params: Params) -> Finding:
    bert, bilstm = map(schemas.predictions, (paths.PREDICTIONS / "test.parquet", paths.BASELINE_PREDICTIONS))
    return bert_against_bilstm(bert, bilstm, params.base.draws, params.base.seed)


def read_results(params: Params) -> Results:
    """Everything that the report shows, from the files of the stages before."""
    return Results(
        setting=run_setting(params),
        grades=params.data.grades,
        tables=_read_tables(params),
        kept_heads=schemas.table(paths.ALONE),
        slices=schemas.table(paths.SLICES),
        head_embedding=schemas.table(paths.PLACES),
        edges=schemas.table(paths.EDGES),
        example_cls_attention=schemas.described(paths.SHOWN, CLS_ATTENTION_KEYS),
        profiles=schemas.table(paths.PROFILES),
        curve=schemas.table(paths.CURVE).dropna(subset=["train_loss"]),
        prepare=schemas.metrics(paths.PREPARE_METRICS),
        finetune=schemas.metrics(paths.FINETUNE_METRICS),
        attention=schemas.metrics(paths.ATTENTION_METRICS),
        head_ablation=schemas.metrics(paths.HEAD_METRICS, ("heads_queries",)),
        example_pairs=_read_example_pairs(),
        example_heads=params.report.showcase_heads,
    )


def _read_tables(params: Params) -> Tables:
    return Tables(
        heads=schemas.table(paths.HEADS),
        groups=schemas.table(paths.GROUPS),
        controls=schemas.table(paths.CONTROLS),
        contrasts=schemas.table(paths.CONTRASTS),
        labels=schemas.table(paths.LABELS),
        attention_shift=schemas.table(paths.MEAN_MOVES),
        mediation=schemas.readers(),
        equivalence_margin=params.ablation.margin,
        label_threshold=params.attention.label_margin,
    )


def _read_example_pairs() -> list[ExamplePair]:
    described = schemas.described(paths.SHOWCASE, PAIR_KEYS)
    phases = [(f"before_{index}", f"after_{index}") for index in range(len(described))]
    maps = formats.read_safetensors(paths.MAPS, [name for pair in phases for name in pair])
    return [
        ExamplePair(**{key: pair[key] for key in PAIR_KEYS}, before=maps[before], after=maps[after])
        for pair, (before, after) in zip(described, phases, strict=True)
    ]
