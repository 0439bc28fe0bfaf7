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
from pipeline.tracking import Record

PAIR_KEYS = ("query", "title", "grade", "tokens")
READER_KEYS = (*PAIR_KEYS, "layer", "head", "matched", "unmasked", "masked")


def main(params: Params, record: Record) -> None:
    results = read(params)
    if advice := canvas.font_advice(results.texts()):
        print(advice)
    findings = judge_findings(results.tables, _baseline(params))
    drawn = figures.draw_figures(results)

    formats.write_json(paths.FINDINGS, [asdict(finding) for finding in findings])
    _write_figures(paths.FIGURES, [picture for section in drawn.values() for picture in section])
    formats.write_text(paths.REPORT, html.render_page(results, findings, drawn))
    counts = Counter(finding.verdict for finding in findings)
    record.metrics |= {f"findings_{verdict.replace(' ', '_')}": counts[verdict] for verdict in VERDICTS}
    record.artifacts += [paths.REPORT, paths.FIGURES, paths.FINDINGS]


def _baseline(params: Params) -> Finding:
    bert, baseline = map(schemas.predictions, (paths.PREDICTIONS / "test.parquet", paths.BASELINE_PREDICTIONS))
    return bert_against_bilstm(bert, baseline, params.base.draws, params.base.seed)


def read(params: Params) -> Results:
    """Everything that is shown, from the files of the stages before."""
    return Results(
        setting=_setting(params),
        grades=params.data.grades,
        tables=_tables(params),
        alone=schemas.table(paths.ALONE),
        slices=schemas.table(paths.SLICES),
        places=schemas.table(paths.PLACES),
        edges=schemas.table(paths.EDGES),
        shown=schemas.described(paths.SHOWN, READER_KEYS),
        profiles=schemas.table(paths.PROFILES),
        curve=schemas.table(paths.CURVE).dropna(subset=["train_loss"]),
        prepare=schemas.metrics(paths.PREPARE_METRICS),
        finetune=schemas.metrics(paths.FINETUNE_METRICS),
        attention=schemas.metrics(paths.ATTENTION_METRICS),
        head_ablation=schemas.metrics(paths.HEAD_METRICS, ("heads_queries",)),
        showcase=_read_showcase(),
        showcase_heads=params.report.showcase_heads,
    )


def _tables(params: Params) -> Tables:
    return Tables(
        heads=schemas.table(paths.HEADS),
        groups=schemas.table(paths.GROUPS),
        controls=schemas.table(paths.CONTROLS),
        contrasts=schemas.table(paths.CONTRASTS),
        labels=schemas.table(paths.LABELS),
        moves=schemas.table(paths.MEAN_MOVES),
        readers=schemas.readers(),
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
    described = schemas.described(paths.SHOWCASE, PAIR_KEYS)
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
