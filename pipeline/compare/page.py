"""Comparison as a self-contained HTML page, and as a summary for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from pipeline.compare import figures, tables
from pipeline.compare.diff import RunDiff
from pipeline.compare.stability import Stability
from pipeline.report import canvas, html
from pipeline.report.canvas import RenderedFigure
from pipeline.report.tables import Table, plain_text
from pipeline.report.text import shortened

NAME = 24  # columns of a run's name in the terminal


@dataclass(frozen=True)
class Section:
    """A part of the page, by its id; `said`: sentences before its tables and figures."""

    id: str
    title: str
    said: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[RenderedFigure] = ()


@dataclass(frozen=True)
class ExplorerLink:
    """The explorer of two runs, a file beside the page; None and why where there is none."""

    path: Path | None
    text: str

    @property
    def href(self) -> str | None:
        return quote(self.path.name) if self.path else None


def diff_page(comparison: RunDiff, before: str, after: str, explorer: ExplorerLink | None = None) -> str:
    """Page of the differences of two runs, named as the user named them."""
    names = (before, after)
    pictures = []
    if not comparison.changed_heads.empty:
        with canvas.report_style(canvas.font_families(names)):
            pictures = [figures.diff_figure(comparison, before, after)]
    changed = tables.diff_needed(comparison, names), tables.diff_largest(comparison, names)
    return _page(
        "Two runs compared",
        f"{before} (first) and {after} (second). Each is one model from one seed: a difference between them need not "
        "come from the params that differ; compare several seeds of each before concluding that.",
        [
            Section("set", "Params", tables=[tables.diff_params(comparison, names)]),
            Section("metrics", "Metrics", tables=[tables.diff_headline(comparison, names)]),
            Section("heads", "Heads", _said_of_heads(comparison), changed, pictures),
            Section("labels", "Labels of heads", tables=[tables.diff_labels(comparison)]),
            Section("findings", "The article's findings", tables=[tables.diff_verdicts(comparison, names)]),
            Section("all", "All metrics", tables=[tables.diff_metrics(comparison, names)]),
        ],
        explorer,
    )


def _said_of_heads(comparison: RunDiff) -> list[str]:
    differs = comparison.heads["difference"].abs() > 0
    return [tables.diff_agreement(comparison), *([tables.INTERVALS] if differs.any() else [])]


def stability_page(stability: Stability, names: Sequence[str]) -> str:
    """Page of the spread over three runs or more."""
    with canvas.report_style(canvas.font_families(names)):
        picture = figures.stability_figure(stability)
    needed = [tables.stability_needed(stability)]
    return _page(
        f"{stability.runs} runs compared",
        f"{', '.join(names)}: stability of results over the runs.",
        [
            Section("set", "Params", tables=[tables.stability_params(stability)]),
            Section("metrics", "Metrics", tables=[tables.stability_headline(stability)]),
            Section("heads", "Heads", tables.stability_agreement(stability), needed, [picture]),
            Section("findings", "The article's findings", tables=[tables.stability_verdicts(stability)]),
            Section("all", "All metrics", tables=[tables.stability_metrics(stability)]),
        ],
    )


def diff_summary(comparison: RunDiff, before: str, after: str) -> str:
    """Summary of the differences for the terminal."""
    names = (shortened(before, NAME), shortened(after, NAME))
    return _summary(
        [tables.diff_agreement(comparison)],
        [
            tables.diff_params(comparison, names),
            tables.diff_headline(comparison, names),
            tables.diff_needed(comparison, names),
            tables.diff_labels(comparison),
            tables.diff_verdicts(comparison, names),
        ],
    )


def stability_summary(stability: Stability) -> str:
    """Summary of the spread over the runs for the terminal."""
    return _summary(
        tables.stability_agreement(stability),
        [
            tables.stability_params(stability),
            tables.stability_headline(stability),
            tables.stability_needed(stability),
            tables.stability_verdicts(stability),
        ],
    )


def _summary(sentences: Sequence[str], shown: Sequence[Table]) -> str:
    """Sentences, tables with rows, and one line that names those without."""
    empty = [table.caption[0].lower() + table.caption[1:] for table in shown if not table.rows]
    last = f"None: {'; '.join(empty)}."
    if len(empty) == len(shown):
        last = "No difference in params, headline metrics, verdicts and labels."
    texts = [plain_text(table) for table in shown if table.rows]
    return "\n\n".join(["\n".join(sentences), *texts, *([last] if empty else [])])


def _page(title: str, lead: str, sections: Sequence[Section], explorer: ExplorerLink | None = None) -> str:
    template = html.environment().get_template("comparison.html.jinja")
    shown = [_without_empty_tables(section) for section in sections]
    return template.render(title=title, lead=lead, sections=shown, explorer=explorer)


def _without_empty_tables(section: Section) -> Section:
    shown = [table for table in section.tables if table.rows]
    return replace(section, tables=shown, said=section.said if shown else [*section.said, "No difference."])
