"""Which runs may go where the newest rows are to stay: decided from plain data."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A pipeline's row (parent None) or a stage's run.

    start: milliseconds since 1970. is_published: a row that finished. is_busy: it may still be written.
    links: ids of the runs that computed a row's stages.
    """

    id: str
    name: str
    parent: str | None
    start: int
    is_published: bool = False
    is_busy: bool = False
    links: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """removed: stages' runs before their rows. kept: the newest published rows. shared: older rows they need."""

    removed: list[Run]
    kept: list[Run]
    shared: list[Run]


def plan(runs: Iterable[Run], keep: int, protected: Iterable[str]) -> Plan:
    """Keep the newest `keep` published rows, all that is newer than the newest of them, and what these link to.

    Older rows go, published or not, with their stages' runs; so do stages' runs without a row. A row stays if it is
    busy, or if one of its stages' runs is linked to or `protected`. Without a published row nothing goes.
    """
    runs = list(runs)
    rows = sorted((run for run in runs if run.parent is None), key=lambda row: row.start, reverse=True)
    kept = [row for row in rows if row.is_published][:keep]
    if not kept:
        return Plan([], [], [])
    busy = {run.parent or run.id for run in runs if run.is_busy}
    old = {row.id for row in rows if row not in kept and row.id not in busy and _is_older(row, kept[0])}
    needed = set(protected).union(*(row.links for row in rows if row.id not in old))
    shared = {run.parent or run.id for run in runs if run.id in needed}
    gone = old - shared
    orphans = {run.parent for run in runs if run.parent and _is_older(run, kept[0])} - {row.id for row in rows} - busy
    stages = [run for run in runs if run.parent in old | orphans and run.id not in needed]
    removed = [*stages, *(row for row in rows if row.id in gone)]
    return Plan(removed, kept, [row for row in rows if row.id in old & shared])


def _is_older(run: Run, newest: Run) -> bool:
    return run.is_published or run.start < newest.start
