"""Parts of a run, sent one by one: a file, a model or an alias that MLflow refuses holds up no other part.

What is refused waits in the outbox as a smaller record, while the run in MLflow says in a tag what it lacks.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipeline.core.errors import InputError
from pipeline.tracking.mlflow_client import brief, http_status, is_unreachable
from pipeline.tracking.run_record import PUBLISHED_TAG, RunRecord

PARAMS, METRICS, TAGS, LINKS, STATUS = "param", "metric", "tag", "links of stages", "status"
FILES, DATASET, MODEL, VERSION, ALIAS = "file", "dataset", "model", "registered model", "alias"
KINDS = (PARAMS, METRICS, TAGS, LINKS, STATUS, FILES, DATASET, MODEL, VERSION, ALIAS)
WAITING_TAG = "pipeline.waiting"  # of a run: what it still lacks
Named = tuple[str, Any]  # a value's name, and MLflow's entity of it
PATIENCE = 15.0  # seconds that refused parts of one kind may cost an execution

ADVICE = "the log of the server, or of the proxy or file store behind it, says why"
ADVICE_BY_STATUS = {
    401: "allow this user to write it",
    403: "allow this user to write it",
    404: "the server may be older than the client, and have no such thing: upgrade it",
    413: "raise the limit for uploads of the server or the proxy before it",
}


class FilesElsewhere(InputError):
    """The server names a folder of its own disk as the place for files: they would be written to this machine's."""


@dataclass(frozen=True)
class Refusal:
    """Refusal of a part. kind: one of KINDS. part: its name, such as a file's path."""

    kind: str
    part: str
    error: Exception

    @property
    def cause(self) -> str:
        """What further refusals of the same cause have in common: what is sent, and the answer."""
        what = "upload" if self.kind in (FILES, MODEL) else self.kind
        return f"refused {what} {http_status(self.error)}"

    def describe(self, run: str) -> str:
        """Describe what was refused, why, and the remedy."""
        why = brief(self.error)
        if not isinstance(self.error, InputError):
            why = f"{why}; {ADVICE_BY_STATUS.get(http_status(self.error) or 0, ADVICE)}"
        return f"MLflow answers, but refused the {self.kind} {self.part} of the run {run}: {why}"


class PartsRefused(Exception):
    """A run that MLflow has without some parts.

    left: a record of the parts that wait, None where none does. given_up: kinds whose refusals have cost too long.
    """

    def __init__(self, refusals: list[Refusal], left: RunRecord | None, given_up: Collection[str]):
        super().__init__("; ".join(f"{refusal.part}: {brief(refusal.error)}" for refusal in refusals))
        self.refusals, self.left, self.given_up = refusals, left, given_up


class PartSender:
    """Sender of a run's parts, which notes what is refused.

    Args:
        answers: asks MLflow something plain; raises where there is no answer.
        given_up: kinds of parts that are not tried, and wait.
    """

    def __init__(self, answers: Callable[[], object], given_up: Collection[str] = ()):
        self._answers = answers
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self.given_up = set(given_up)
        self.refusals: list[Refusal] = []
        self.waiting: defaultdict[str, list[str]] = defaultdict(list)  # kind -> parts

    def send(self, kind: str, part: str, task: Callable[[], object]) -> None:
        """Send a part by calling `task`, or note that it waits. Raises what `task` raises where MLflow is silent."""
        if kind in self.given_up:
            self.waiting[kind].append(part)
        elif error := self._failure(kind, task):
            self.refusals.append(Refusal(kind, part, error))
            if not isinstance(error, FilesElsewhere):  # which no later run changes
                self.waiting[kind].append(part)

    def send_values(self, kind: str, values: Sequence[Named], log: Callable[[list[Any]], object]) -> None:
        """Send (name, entity) pairs in one request; where that is refused by halves, so that only the culprits wait."""
        request = partial(log, [entity for _, entity in values])
        if len(values) < 2 or kind in self.given_up:
            for name, _ in values:
                self.send(kind, name, request)
        elif self._failure(kind, request):
            middle = len(values) // 2
            self.send_values(kind, values[:middle], log)
            self.send_values(kind, values[middle:], log)

    def _failure(self, kind: str, task: Callable[[], object]) -> Exception | None:
        began = time.monotonic()
        try:
            task()
        except Exception as error:
            if is_unreachable(error):
                self._answers()  # a server's 500, or a store's silence, may concern this part alone
            self._seconds[kind] += time.monotonic() - began
            if self._seconds[kind] > PATIENCE:
                self.given_up.add(kind)
            return error
        return None

    def lacks(self) -> str:
        """What waits, in words; empty where nothing does."""
        counts = {kind: len(set(parts)) for kind, parts in self.waiting.items() if parts}
        return ", ".join(kind if count == 1 else f"{count} {kind}s" for kind, count in counts.items())

    def check(self, record: RunRecord) -> None:
        """Raise PartsRefused where a part of `record` was refused or waits."""
        if self.refusals or self.lacks():
            raise PartsRefused(self.refusals, self.rest_of(record) if self.lacks() else None, self.given_up)

    def rest_of(self, record: RunRecord) -> RunRecord:
        """Those parts of a record that wait. What arrived is left out, as a later record may have changed it."""
        wait = self.waiting
        registers = {PUBLISHED_TAG: "true"} if record.is_published else {}
        return replace(
            record,
            status=None if record.status == "RUNNING" else record.status,  # what logs a model late changes it
            params={name: value for name, value in record.params.items() if name in wait[PARAMS]},
            metrics={name: value for name, value in record.metrics.items() if name in wait[METRICS]},
            curve=[point for point in record.curve if point[0] in wait[METRICS]],
            tags={name: value for name, value in record.tags.items() if name in wait[TAGS]} | registers,
            artifacts=[file for file in record.artifacts if file in wait[FILES]],
            dataset=[file for file in record.dataset if file in wait[DATASET]],
            model=record.model if wait[MODEL] else None,
            note=record.note if wait[LINKS] or record.is_published else "",
        )
