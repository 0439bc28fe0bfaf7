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
from pipeline.tables import attention, dependency, finetune, group_ablation, head_ablation, predictions
from pipeline.tables.report import FINDINGS
from pipeline.tracking import Record

PAIR_KEYS = ("query", "title", "grade", "tokens")


def main(params: Params, record: Record) -> None:
    results = read_results(params)
    if advice := canvas.font_advice(results.texts()):
        print(advice)
    findings = judge_findings(results.tables, _compare_models(params))
    gallery = figures.draw_figures(results)

    FINDINGS.write([asdict(finding) for finding in findings])
    figures.write_figures(paths.FIGURES, gallery)
    formats.write_text(paths.REPORT, html.render_page(results, findings, gallery))
    counts = Counter(finding.verdict for finding in findings)
    record.metrics |= {f"findings_{verdict.replace(' ', '_')}": counts[verdict] for verdict in VERDICTS}
    record.artifacts += [paths.REPORT, paths.FIGURES, paths.FINDINGS]


def _compare_models(params: Params) -> Finding:
    bert, bilstm = predictions.PREDICTIONS["test"].read(), predictions.BILSTM_PREDICTIONS.read()
    return bert_against_bilstm(bert, bilstm, params.base.draws, params.base.seed)


def read_results(params: Params) -> Results:
    """Everything that the report shows, from the files of the stages before."""
    return Results(
        setting=run_setting(params),
        grades=params.data.grades,
        tables=_read_tables(params),
        slices=group_ablation.SLICES.read(),
        head_embedding=attention.HEAD_EMBEDDING.read(),
        edges=dependency.EDGES.read(),
        example_cls_attention=dependency.EXAMPLE_CLS_ATTENTION.read(),
        profiles=attention.PROFILES.read(),
        curve=finetune.CURVE.read().dropna(subset=["train_loss"]),
        prepare=schemas.metrics(paths.PREPARE_METRICS),
        finetune=schemas.metrics(paths.FINETUNE_METRICS),
        attention=schemas.metrics(paths.ATTENTION_METRICS),
        head_ablation=schemas.metrics(paths.HEAD_METRICS, ("heads_queries",)),
        example_pairs=_read_example_pairs(),
        example_heads=params.report.showcase_heads,
    )


def _read_tables(params: Params) -> Tables:
    return Tables(
        heads=head_ablation.HEADS.read(),
        groups=group_ablation.GROUPS.read(),
        controls=group_ablation.CONTROLS.read(),
        contrasts=group_ablation.CONTRASTS.read(),
        labels=attention.LABELS.read(),
        attention_shift=attention.ATTENTION_SHIFT_MEAN.read(),
        mediation=dependency.MEDIATION.read(),
        equivalence_margin=params.ablation.margin,
        label_threshold=params.attention.label_margin,
    )


def _read_example_pairs() -> list[ExamplePair]:
    described = attention.EXAMPLE_PAIRS.read()
    phases = [(f"before_{index}", f"after_{index}") for index in range(len(described))]
    maps = formats.read_safetensors(paths.MAPS, [name for pair in phases for name in pair])
    return [
        ExamplePair(**{key: pair[key] for key in PAIR_KEYS}, before=maps[before], after=maps[after])
        for pair, (before, after) in zip(described, phases, strict=True)
    ]
