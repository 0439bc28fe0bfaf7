"""The report as one self-contained HTML page: styles, figures and tables are all in the file."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.findings.verdict import VERDICTS, Finding
from pipeline.report import canvas, pruning, tables
from pipeline.report.canvas import RenderedFigure
from pipeline.report.results import Results
from pipeline.report.subgroup_charts import why_no_head_slices
from pipeline.report.tables import Table
from pipeline.report.text import visible
from pipeline.stats.measure_sets import RANKER

TEMPLATES = Path(__file__).parent / "templates"
# Finding -> the section with its figure, and what the link to it says.
SHOWN_IN = {
    "R0": ("run", "run settings"),
    "R1": ("random", "figure: random heads"),
    "R2": ("layers", "figure: layers and halves"),
    "F1": ("figure-functions", "figure: functions"),
    "F2": ("figure-functions", "figure: functions"),
    "F3": ("figure-functions", "figure: functions"),
    "T1": ("profiles", "figures: attention"),
    "S1": ("single", "figure: single heads"),
    "S2": ("single", "figure: single heads"),
    "D1": ("dependency", "figures: dependence"),
    "D1-direction": ("dependency", "figures: dependence"),
}

MAX_SVG = 192 * 1024  # bytes up to which a figure goes in as SVG, sharp at any size; above it as PNG, which stays small


def render_page(
    results: Results,
    findings: list[Finding],
    gallery: dict[str, list[RenderedFigure]],
    reordered: Sequence[Table] = (),
) -> str:
    """Render the report's page; every text is escaped, invisible characters are written as their codes.

    `gallery`: section -> figures, from `figures.draw_figures`; `reordered`: tables of `reordered_queries`.
    """
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            words=results.words,
            identity=results.identity,
            no_slices=why_no_head_slices(results.tables.head_slices, results.primary, results.words),
            needed_heads=tables.needed_summary(results),
            shown_in=SHOWN_IN,
            is_ranker=results.measures is RANKER,
            reordered=reordered,
            run=tables.run_table(results),
            measures=tables.measure_scales(results),
            needed=tables.most_needed(results),
            harmful=tables.most_harmful(results),
            active=tables.active_heads(results),
            inert=tables.inert_heads(results),
            unlabelled=tables.unlabelled_heads(results),
            sure_slices=tables.sure_slices(results),
            groups=tables.group_effects(results),
            labelled=tables.labelled_heads(results),
            term_match_shift=tables.term_match_shift(results),
            worst_slices=tables.worst_slices(results),
            can_go=pruning.summary(results),
            served=pruning.served(results),
            ladder=pruning.ladder_table(results),
            pruning_controls=pruning.controls_table(results),
            relay_heads=tables.relay_heads(results),
            joint_mediation=tables.joint_mediation(results),
            ablation_types=tables.ablation_types(results),
            warnings=results.warnings,
            metrics=tables.metric_table(results.finetune),
            corpus=tables.corpus_table(results.prepare),
            findings=findings,
            counts={verdict: sum(finding.verdict == verdict for finding in findings) for verdict in VERDICTS},
            gallery=gallery,
            advice=canvas.font_advice(results.texts()),
        )
    )


def environment() -> Environment:
    """Jinja environment of the report's templates; output is escaped, invisible characters written as their codes."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    environment.filters["hashed"] = _hashed
    environment.globals["script"] = Markup((TEMPLATES / "page.js").read_text(encoding="utf-8"))
    return environment


def _visible(value: Any) -> Any:
    """Jinja's last step before escaping: a template's own Markup stays as it is."""
    return value if isinstance(value, Markup) else visible(str(value))


def _hashed(script: str) -> Markup:
    """The script's name in a Content-Security-Policy."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return Markup(f"'sha256-{digest}'")


def embedded(picture: RenderedFigure) -> str:
    """The figure as a data URI."""
    kind, content = ("svg+xml", picture.svg) if len(picture.svg) <= MAX_SVG else ("png", picture.png)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
