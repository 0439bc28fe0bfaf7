"""Every stage's results -> what people look at: reports/report.html, reports/figures/, reports/findings.json."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from pipeline import files, inputs, paths
from pipeline.analysis.findings import against_baseline, judge
from pipeline.analysis.readings import Tables
from pipeline.analysis.verdicts import VERDICTS, Finding
from pipeline.params import Params
from pipeline.reporting import gallery, html, style
from pipeline.reporting.picture import Picture
from pipeline.reporting.results import Results, Showcase
from pipeline.tracking import Record

PAIR_KEYS = ("query", "title", "grade", "tokens")
READER_KEYS = (*PAIR_KEYS, "layer", "head", "matched", "unmasked", "masked")


def main(params: Params, record: Record) -> None:
    results = read(params)
    if advice := style.advice(results.texts()):
        print(advice)
    findings = judge(results.tables, _baseline(params))
    drawn = gallery.draw(results)

    files.write_json(paths.FINDINGS, [asdict(finding) for finding in findings])
    _write_figures(paths.FIGURES, [picture for section in drawn.values() for picture in section])
    files.write_text(paths.REPORT, html.render(results, findings, drawn))
    counts = Counter(finding.verdict for finding in findings)
    record.metrics |= {f"findings_{verdict.replace(' ', '_')}": counts[verdict] for verdict in VERDICTS}
    record.artifacts += [paths.REPORT, paths.FIGURES, paths.FINDINGS]


def _baseline(params: Params) -> Finding:
    bert, baseline = map(inputs.predictions, (paths.PREDICTIONS / "test.parquet", paths.BASELINE_PREDICTIONS))
    return against_baseline(bert, baseline, params.base.draws, params.base.seed)


def read(params: Params) -> Results:
    """Everything that is shown, from the files of the stages before."""
    return Results(
        setting=_setting(params),
        grades=params.data.grades,
        tables=_tables(params),
        alone=inputs.table(paths.ALONE),
        slices=inputs.table(paths.SLICES),
        places=inputs.table(paths.PLACES),
        edges=inputs.table(paths.EDGES),
        shown=inputs.described(paths.SHOWN, READER_KEYS),
        profiles=inputs.table(paths.PROFILES),
        curve=inputs.table(paths.CURVE).dropna(subset=["train_loss"]),
        prepare=inputs.metrics(paths.PREPARE_METRICS),
        finetune=inputs.metrics(paths.FINETUNE_METRICS),
        attention=inputs.metrics(paths.ATTENTION_METRICS),
        head_ablation=inputs.metrics(paths.HEAD_METRICS, ("heads_queries",)),
        showcase=_read_showcase(),
        showcase_heads=params.report.showcase_heads,
    )


def _tables(params: Params) -> Tables:
    return Tables(
        heads=inputs.table(paths.HEADS),
        groups=inputs.table(paths.GROUPS),
        controls=inputs.table(paths.CONTROLS),
        contrasts=inputs.table(paths.CONTRASTS),
        labels=inputs.table(paths.LABELS),
        moves=inputs.table(paths.MEAN_MOVES),
        readers=inputs.readers(),
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


def _read_showcase() -> list[Showcase]:
    described = inputs.described(paths.SHOWCASE, PAIR_KEYS)
    names = [f"{phase}_{index}" for index in range(len(described)) for phase in ("before", "after")]
    maps = files.read_safetensors(paths.MAPS, names)
    return [
        Showcase(
            query=pair["query"],
            title=pair["title"],
            grade=pair["grade"],
            tokens=pair["tokens"],
            before=maps[f"before_{index}"],
            after=maps[f"after_{index}"],
        )
        for index, pair in enumerate(described)
    ]


def _write_figures(folder: Path, pictures: list[Picture]) -> None:
    """The folder holds exactly these figures, each as .png and .svg."""
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        for picture in pictures:
            (temporary / f"{picture.words.name}.png").write_bytes(picture.png)
            (temporary / f"{picture.words.name}.svg").write_bytes(picture.svg)
