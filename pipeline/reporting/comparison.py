"""What runs are compared on: a page that needs nothing else, and its short form for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.analysis.comparing import Comparison
from pipeline.analysis.stability import Stability
from pipeline.reporting import comparison_figures, comparison_tables, html, stability_figures, stability_tables, style
from pipeline.reporting.picture import Picture
from pipeline.reporting.plain import plain
from pipeline.reporting.tables import Table
from pipeline.reporting.text import shortened

NAME = 24  # columns of a run's name in the terminal


@dataclass(frozen=True)
class Section:
    """A part of the page, by its id; `said`: sentences before its tables and figures."""

    id: str
    title: str
    said: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = field(default_factory=list)


def two_runs(comparison: Comparison, before: str, after: str) -> str:
    """The page of two runs, named as the user named them."""
    names, tables = (before, after), comparison_tables
    with style.house(style.families(names)):
        drawn = comparison_figures.two_runs(comparison, before, after)
    changed = tables.turned(comparison, names), tables.moved(comparison, names)
    return _page(
        "Two runs compared",
        f"{before} (first) and {after} (second). Each is one model from one seed: a difference between them need not "
        "come from what was set otherwise; compare several seeds of each before you say so.",
        [
            Section("set", "What was set otherwise", tables=[tables.params(comparison, names)]),
            Section("metrics", "Metrics", tables=[tables.headline(comparison, names)]),
            Section("heads", "Heads", [tables.agreement(comparison)], changed, [drawn]),
            Section("labels", "What heads do", tables=[tables.labels(comparison)]),
            Section("findings", "The article's findings", tables=[tables.verdicts(comparison, names)]),
            Section("all", "Every metric", tables=[tables.metrics(comparison, names)]),
        ],
    )


def several_runs(stability: Stability, names: Sequence[str]) -> str:
    """The page of three runs or more."""
    tables = stability_tables
    with style.house(style.families(names)):
        drawn = stability_figures.several_runs(stability)
    return _page(
        f"{stability.runs} runs compared",
        f"{', '.join(names)}: what stays the same from run to run, and what does not.",
        [
            Section("set", "What was set otherwise", tables=[tables.params(stability)]),
            Section("metrics", "Metrics", tables=[tables.headline(stability)]),
            Section("heads", "Heads", tables.agreement(stability), [tables.needed(stability)], [drawn]),
            Section("findings", "The article's findings", tables=[tables.verdicts(stability)]),
            Section("all", "Every metric", tables=[tables.metrics(stability)]),
        ],
    )


def summary_of_two(comparison: Comparison, before: str, after: str) -> str:
    """The same in short, for the terminal."""
    names, tables = (shortened(before, NAME), shortened(after, NAME)), comparison_tables
    shown = [tables.params(comparison, names), tables.headline(comparison, names), tables.turned(comparison, names)]
    shown += [tables.labels(comparison), tables.verdicts(comparison, names)]
    return "\n\n".join([tables.agreement(comparison), *map(plain, shown)])


def summary_of_several(stability: Stability) -> str:
    """The same in short, for the terminal."""
    tables = stability_tables
    shown = [tables.params(stability), tables.headline(stability), tables.needed(stability), tables.verdicts(stability)]
    return "\n\n".join(["\n".join(tables.agreement(stability)), *map(plain, shown)])


def _page(title: str, lead: str, sections: Sequence[Section]) -> str:
    template = html.environment().get_template("comparison.html.jinja")
    return template.render(title=title, lead=lead, sections=sections)
