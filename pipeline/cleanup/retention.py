"""Retention plan: which runs to remove and which to keep, from plain data."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.tracking.mlflow_writer import RECORD_ID_TAG
from pipeline.tracking.run_record import PUBLISHED_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

OPEN = ("RUNNING", "SCHEDULED")
LINK_TAG = re.compile(r"stage\..*\.run_id")  # tags of a parent run: the runs that computed its stages


@dataclass(frozen=True)
class Run:
    """A parent run (parent None) or a stage run.

    start: milliseconds since 1970. is_published: a parent run that finished. is_busy: it may still be written.
    links: ids of the runs that computed a parent run's stages.
    """

    id: str
    name: str
    parent: str | None
    start: int
    is_published: bool = False
    is_busy: bool = False
    links: frozenset[str] = frozenset()

    @classmethod
    def from_mlflow(cls, run: "MlflowRun", running: Collection[str]) -> Self:
        """`running` holds the ids of executions that have not ended."""
        info, tags = run.info, run.data.tags
        return cls(
            info.run_id,
            info.run_name or "",
            tags.get("mlflow.parentRunId"),
            info.start_time,
            is_published=info.status == "FINISHED" and tags.get(PUBLISHED_TAG) == "true",
            is_busy=info.status in OPEN or tags.get(RECORD_ID_TAG) in running,
            links=frozenset(id for name, id in tags.items() if LINK_TAG.fullmatch(name)),
        )


@dataclass(frozen=True)
class Plan:
    """removed: stage runs, then parent runs. kept: the newest published parents. shared: older parents they need."""

    removed: list[Run]
    kept: list[Run]
    shared: list[Run]


def plan(runs: Iterable[Run], keep: int, protected: Iterable[str]) -> Plan:
    """Keep the newest `keep` published parent runs, all newer than the newest of them, and what these link to.

    Older parent runs go, published or not, with their stage runs; so do stage runs without a parent run. A parent run
    stays if it is busy, or if one of its stage runs is linked to or `protected`. Before one is published nothing goes.
    """
    runs = list(runs)
    parents = sorted((run for run in runs if run.parent is None), key=lambda run: run.start, reverse=True)
    kept = [run for run in parents if run.is_published][:keep]
    if not kept:
        return Plan([], [], [])
    busy = {run.parent or run.id for run in runs if run.is_busy}
    old = {run.id for run in parents if run not in kept and run.id not in busy and _is_older(run, kept[0])}
    needed = set(protected).union(*(run.links for run in parents if run.id not in old))
    shared = {run.parent or run.id for run in runs if run.id in needed}
    lost = {run.parent for run in runs if run.parent and _is_older(run, kept[0])} - {run.id for run in parents} - busy
    stages = [run for run in runs if run.parent in old | lost and run.id not in needed]
    removed = [*stages, *(run for run in parents if run.id in old - shared)]
    return Plan(removed, kept, [run for run in parents if run.id in old & shared])


def _is_older(run: Run, newest: Run) -> bool:
    return run.is_published or run.start < newest.start
