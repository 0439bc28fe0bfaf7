"""Every stage's results -> what people look at: reports/report.html, reports/figures/, reports/findings.json."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipeline import files, paths
from pipeline.analysis.findings import against_baseline, judge
from pipeline.analysis.readings import Tables
from pipeline.analysis.verdicts import VERDICTS, Finding
from pipeline.params import Params
from pipeline.reporting import gallery, html, style
from pipeline.reporting.picture import Picture
from pipeline.reporting.results import Results, Showcase
from pipeline.tracking import Record


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
    bert, baseline = (
        pd.read_parquet(path) for path in (paths.PREDICTIONS / "test.parquet", paths.BASELINE_PREDICTIONS)
    )
    return against_baseline(bert, baseline, params.base.draws, params.base.seed)


def read(params: Params) -> Results:
    """Everything that is shown, from the files of the stages before."""
    return Results(
        setting=_setting(params),
        grades=params.data.grades,
        tables=_tables(params),
        alone=pd.read_csv(paths.ALONE),
        slices=_read_groups(paths.SLICES),
        places=pd.read_csv(paths.PLACES),
        edges=pd.read_csv(paths.EDGES),
        shown=files.read_json(paths.SHOWN),
        profiles=pd.read_csv(paths.PROFILES),
        curve=pd.read_csv(paths.CURVE).dropna(subset=["train_loss"]),
        prepare=files.read_json(paths.PREPARE_METRICS),
        finetune=files.read_json(paths.FINETUNE_METRICS),
        attention=files.read_json(paths.ATTENTION_METRICS),
        head_ablation=files.read_json(paths.HEAD_METRICS),
        showcase=_read_showcase(),
        showcase_heads=params.report.showcase_heads,
    )


def _tables(params: Params) -> Tables:
    return Tables(
        heads=pd.read_csv(paths.HEADS, keep_default_na=False, na_values=[""]),
        groups=_read_groups(paths.GROUPS),
        controls=_read_groups(paths.CONTROLS),
        contrasts=pd.read_csv(paths.CONTRASTS),
        labels=pd.read_csv(paths.LABELS),
        moves=pd.read_csv(paths.MEAN_MOVES),
        readers=pd.read_csv(paths.READERS),
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


def _read_groups(path: Path) -> pd.DataFrame:
    """Group names as text: "0.1" is a share and "NA" may be a user's."""
    return pd.read_csv(path, dtype={"group": str, "members": str, "value": str}, keep_default_na=False, na_values=[""])


def _read_showcase() -> list[Showcase]:
    maps = files.read_safetensors(paths.MAPS)
    return [
        Showcase(
            query=pair["query"],
            title=pair["title"],
            grade=pair["grade"],
            tokens=pair["tokens"],
            before=maps[f"before_{index}"],
            after=maps[f"after_{index}"],
        )
        for index, pair in enumerate(files.read_json(paths.SHOWCASE))
    ]


def _write_figures(folder: Path, pictures: list[Picture]) -> None:
    """The folder holds exactly these figures, each as .png and .svg."""
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        for picture in pictures:
            (temporary / f"{picture.words.name}.png").write_bytes(picture.png)
            (temporary / f"{picture.words.name}.svg").write_bytes(picture.svg)
