"""A stage as a child run of its execution's row.

The row is open while a stage runs and closed between stages, since no stage knows whether another one follows:
`dvc repro STAGE` ends without one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

from pipeline.params import Params
from pipeline.tracking.closing import closed
from pipeline.tracking.delivery import catch_up, deliver, never_failing
from pipeline.tracking.execution import Execution, current, milliseconds
from pipeline.tracking.fingerprint import PUBLISH, file_digests
from pipeline.tracking.leftovers import close_leftovers
from pipeline.tracking.record import Record, Row, declared, flattened, opening, reported

ERROR_LENGTH = 500  # characters of an error's message that its tag keeps


@contextmanager
def stage(name: str, params: Params) -> Iterator[Record]:
    """Record what happens inside as one stage. An exception fails the stage and its execution's row, and goes on.

    publish leaves no run of its own: it fills the execution's row.
    """
    execution = current()
    if not execution.is_introduced:
        catch_up(execution)
        close_leftovers(execution)
    record = Record()
    if name == PUBLISH:
        yield record
        execution.forget()
        return
    row = Row(uuid4().hex, name, params.base.experiment, milliseconds(), parent=execution.id)
    row = replace(row, params=declared(flattened(params), name))
    _begin(execution, row, params)
    row = replace(row, start=milliseconds())  # opening the pipeline's row is no part of the stage's duration
    try:
        yield record
    except BaseException as error:
        message = _storable(f"{type(error).__name__}: {error}"[:ERROR_LENGTH])
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        _end(execution, replace(row, status=status, tags={"error": message}), record)
        raise
    _end(execution, replace(row, status="FINISHED"), record)


def _begin(execution: Execution, row: Row, params: Params) -> None:
    with never_failing():
        is_first = not execution.is_introduced
        if is_first:
            execution.introduce(params.base.experiment, row.start)
        execution.note(row.name, id=row.id, status="RUNNING", start=row.start)
        whole = opening(execution.id, execution.key, params, row.start) if is_first else row.of_parent()
        deliver(execution, replace(whole, status="RUNNING"))


def _end(execution: Execution, row: Row, record: Record) -> None:
    with never_failing():
        found = reported(record)
        row = replace(row, end=milliseconds(), **found | {"tags": row.tags | found["tags"]})
        note = {"id": row.id, "status": row.status, "start": row.start, "end": row.end}
        execution.note(row.name, **note, digests=file_digests(record.artifacts), error=row.tags.get("error"))
        deliver(execution, row)
        deliver(execution, closed(row.of_parent(), execution.notes()))


def _storable(text: str) -> str:
    """Without halves of surrogate pairs, which a message may quote from a table and no database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")
