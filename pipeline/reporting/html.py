"""The report as one HTML page that needs nothing else: styles, figures and tables are all in the file."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.analysis.verdicts import VERDICTS, Finding
from pipeline.reporting import style, tables
from pipeline.reporting.picture import Picture
from pipeline.reporting.results import Results
from pipeline.reporting.text import visible

CRISP = 64 * 1024  # bytes up to which a figure goes in as SVG, sharp at any size; above it as PNG, which stays small


def render(results: Results, findings: list[Finding], gallery: dict[str, list[Picture]]) -> str:
    """The page. Every text in it is escaped, and invisible characters of the data's are written as their codes.

    Args:
        results: what the stages before found.
        findings: the article's findings judged on them.
        gallery: section -> figures, from `pipeline.reporting.gallery.draw`.
    """
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            run=tables.run(results),
            needed=tables.most_needed(results),
            harmful=tables.most_harmful(results),
            labelled=tables.labelled(results),
            worst_slices=tables.worst_slices(results),
            readers=tables.readers(results),
            stand_ins=tables.stand_ins(results),
            few=results.few_queries,
            metrics=tables.metrics(results.finetune),
            corpus=tables.corpus(results.prepare),
            findings=findings,
            counts={verdict: sum(finding.verdict == verdict for finding in findings) for verdict in VERDICTS},
            gallery=gallery,
            advice=style.advice(results.texts()),
        )
    )


def environment() -> Environment:
    """The templates of this folder; whatever they show is escaped, and what cannot be seen is written as its code."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    return environment


def _shown(value: Any) -> Any:
    """Jinja's last step before escaping: what a template wrote itself (Markup) stays as it is."""
    return value if isinstance(value, Markup) else visible(str(value))


def embedded(picture: Picture) -> str:
    """The figure as a data URI."""
    kind, content = ("svg+xml", picture.svg) if len(picture.svg) <= CRISP else ("png", picture.png)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
