"""What runs are compared on: a page that needs nothing else, and its short form for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    pictures: Sequence[RenderedFigure] = field(default_factory=list)


def diff_page(comparison: RunDiff, before: str, after: str) -> str:
    """The page of two runs, named as the user named them."""
    names = (before, after)
    with canvas.report_style(canvas.font_families(names)):
        drawn = figures.diff_figure(comparison, before, after)
    changed = tables.diff_needed(comparison, names), tables.diff_largest(comparison, names)
    return _page(
        "Two runs compared",
        f"{before} (first) and {after} (second). Each is one model from one seed: a difference between them need not "
        "come from what was set otherwise; compare several seeds of each before you say so.",
        [
            Section("set", "What was set otherwise", tables=[tables.diff_params(comparison, names)]),
            Section("metrics", "Metrics", tables=[tables.diff_headline(comparison, names)]),
            Section("heads", "Heads", [tables.diff_agreement(comparison)], changed, [drawn]),
            Section("labels", "What heads do", tables=[tables.diff_labels(comparison)]),
            Section("findings", "The article's findings", tables=[tables.diff_verdicts(comparison, names)]),
            Section("all", "Every metric", tables=[tables.diff_metrics(comparison, names)]),
        ],
    )


def stability_page(stability: Stability, names: Sequence[str]) -> str:
    """The page of three runs or more."""
    with canvas.report_style(canvas.font_families(names)):
        drawn = figures.stability_figure(stability)
    return _page(
        f"{stability.runs} runs compared",
        f"{', '.join(names)}: what stays the same from run to run, and what does not.",
        [
            Section("set", "What was set otherwise", tables=[tables.stability_params(stability)]),
            Section("metrics", "Metrics", tables=[tables.stability_headline(stability)]),
            Section(
                "heads", "Heads", tables.stability_agreement(stability), [tables.stability_needed(stability)], [drawn]
            ),
            Section("findings", "The article's findings", tables=[tables.stability_verdicts(stability)]),
            Section("all", "Every metric", tables=[tables.stability_metrics(stability)]),
        ],
    )


def diff_summary(comparison: RunDiff, before: str, after: str) -> str:
    """The same in short, for the terminal."""
    names = (shortened(before, NAME), shortened(after, NAME))
    shown = [
        tables.diff_params(comparison, names),
        tables.diff_headline(comparison, names),
        tables.diff_needed(comparison, names),
    ]
    shown += [tables.diff_labels(comparison), tables.diff_verdicts(comparison, names)]
    return "\n\n".join([tables.diff_agreement(comparison), *map(plain_text, shown)])


def stability_summary(stability: Stability) -> str:
    """The same in short, for the terminal."""
    shown = [
        tables.stability_params(stability),
        tables.stability_headline(stability),
        tables.stability_needed(stability),
        tables.stability_verdicts(stability),
    ]
    return "\n\n".join(["\n".join(tables.stability_agreement(stability)), *map(plain_text, shown)])


def _page(title: str, lead: str, sections: Sequence[Section]) -> str:
    template = html.environment().get_template("comparison.html.jinja")
    return template.render(title=title, lead=lead, sections=sections)
