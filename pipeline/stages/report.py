"""Every stage's results -> what people look at: reports/report.html, reports/figures/, reports/findings.json."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from pipeline.core import atomic, formats, paths, schemas
from pipeline.core.config import Params
from pipeline.findings.judge import bert_against_bilstm, judge_findings
from pipeline.findings.select import Tables
from pipeline.findings.verdict import VERDICTS, Finding
from pipeline.report import canvas, figures, html
from pipeline.report.canvas import RenderedFigure
from pipeline.report.results import ExamplePair, Results
from pipeline.tables import attention, dependency, finetune, group_ablation, head_ablation, predictions
from pipeline.tables.report import FINDINGS
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    results = read(params)
    if advice := canvas.font_advice(results.texts()):
        print(advice)
    findings = judge_findings(results.tables, _baseline(params))
    drawn = figures.draw_figures(results)

    FINDINGS.write([asdict(finding) for finding in findings])
    _write_figures(paths.FIGURES, [picture for section in drawn.values() for picture in section])
    formats.write_text(paths.REPORT, html.render_page(results, findings, drawn))
    counts = Counter(finding.verdict for finding in findings)
    record.metrics |= {f"findings_{verdict.replace(' ', '_')}": counts[verdict] for verdict in VERDICTS}
    record.artifacts += [paths.REPORT, paths.FIGURES, paths.FINDINGS]


def _baseline(params: Params) -> Finding:
    bert, baseline = predictions.PREDICTIONS["test"].read(), predictions.BILSTM_PREDICTIONS.read()
    return bert_against_bilstm(bert, baseline, params.base.draws, params.base.seed)


def read(params: Params) -> Results:
    """Everything that is shown, from the files of the stages before."""
    return Results(
        setting=_setting(params),
        grades=params.data.grades,
        tables=_tables(params),
        alone=head_ablation.KEPT_HEADS.read(),
        slices=group_ablation.SLICES.read(),
        places=attention.HEAD_EMBEDDING.read(),
        edges=dependency.EDGES.read(),
        shown=dependency.EXAMPLE_CLS_ATTENTION.read(),
        profiles=attention.PROFILES.read(),
        curve=finetune.CURVE.read().dropna(subset=["train_loss"]),
        prepare=schemas.metrics(paths.PREPARE_METRICS),
        finetune=schemas.metrics(paths.FINETUNE_METRICS),
        attention=schemas.metrics(paths.ATTENTION_METRICS),
        head_ablation=schemas.metrics(paths.HEAD_METRICS, ("heads_queries",)),
        showcase=_read_showcase(),
        showcase_heads=params.report.showcase_heads,
    )


def _tables(params: Params) -> Tables:
    return Tables(
        heads=head_ablation.HEADS.read(),
        groups=group_ablation.GROUPS.read(),
        controls=group_ablation.CONTROLS.read(),
        contrasts=group_ablation.CONTRASTS.read(),
        labels=attention.LABELS.read(),
        moves=attention.ATTENTION_SHIFT_MEAN.read(),
        readers=dependency.MEDIATION.read(),
        margin=params.ablation.margin,
        label_margin=params.attention.label_margin,
    )


def _setting(params: Params) -> list[tuple[str, str]]:
    source = params.data.source
    generated = f"generated, language {params.data.generated.language}" if source == "generated" else source
    epochs = params.finetune.epochs
    return [
        ("Data", generated),
        ("Grades, worst to best", ", ".join(params.data.grades)),
        ("Model", params.model.name),
        ("Fine-tuning", f"{epochs} epochs" if epochs else "none: the checkpoint was fine-tuned already"),
    ]


def _read_showcase() -> list[ExamplePair]:
    described = attention.EXAMPLE_PAIRS.read()
    names = [f"{phase}_{index}" for index in range(len(described)) for phase in ("before", "after")]
    maps = formats.read_safetensors(paths.MAPS, names)
    return [
        ExamplePair(
            query=pair["query"],
            title=pair["title"],
            grade=pair["grade"],
            tokens=pair["tokens"],
            before=maps[f"before_{index}"],
            after=maps[f"after_{index}"],
        )
        for index, pair in enumerate(described)
    ]


def _write_figures(folder: Path, pictures: list[RenderedFigure]) -> None:
    """The folder holds exactly these figures, each as .png and .svg."""
    with atomic.replace_atomically(folder) as temporary:
        temporary.mkdir()
        for picture in pictures:
            (temporary / f"{picture.words.name}.png").write_bytes(picture.png)
            (temporary / f"{picture.words.name}.svg").write_bytes(picture.svg)
