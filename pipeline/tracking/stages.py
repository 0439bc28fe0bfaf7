"""A stage as a child run of its execution's row."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

from pipeline.params import Params
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
        _fail(execution, row, record, error)
        raise
    _end(execution, replace(row, status="FINISHED"), record)


def _begin(execution: Execution, row: Row, params: Params) -> None:
    with never_failing():
        is_first = not execution.is_introduced
        if is_first:
            execution.introduce(params.base.experiment, row.start)
        execution.note(row.name, id=row.id, status="RUNNING", start=row.start)
        if is_first:
            deliver(execution, opening(execution.id, execution.key, params, row.start))


def _fail(execution: Execution, row: Row, record: Record, error: BaseException) -> None:
    status = "FAILED" if isinstance(error, Exception) else "KILLED"
    message = f"{type(error).__name__}: {error}"[:ERROR_LENGTH]
    _end(execution, replace(row, status=status), record)
    whole = row.of_parent()
    deliver(execution, replace(whole, status=status, end=milliseconds(), tags={"error": f"{row.name}: {message}"}))


def _end(execution: Execution, row: Row, record: Record) -> None:
    with never_failing():
        row = replace(row, end=milliseconds(), **reported(record))
        digests = file_digests(record.artifacts)
        execution.note(row.name, id=row.id, status=row.status, start=row.start, end=row.end, digests=digests)
        deliver(execution, row)
