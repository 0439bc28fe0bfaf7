"""A stage's run in MLflow, opened and closed around it, and the pipeline's run filled in by publish."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.core.config import Params
from pipeline.tracking import mlflow_client
from pipeline.tracking.execution import Execution, current, milliseconds, others, tracking_folder, write_state
from pipeline.tracking.mlflow_reader import open_client
from pipeline.tracking.model_registry import rollback_alias
from pipeline.tracking.outbox import deliver, exclusively, flush, never_fail
from pipeline.tracking.provenance import (
    PUBLISH,
    Lock,
    file_digests,
    read_lock,
    stage_fingerprints,
    whole_fingerprint,
    wrote,
)
from pipeline.tracking.run_record import (
    PUBLISHED_TAG,
    Record,
    RunRecord,
    declared_params,
    flatten_params,
    open_parent,
    recorded_values,
)

Notes = dict[str, dict[str, Any]]


def closed_parent(row: RunRecord, notes: Notes) -> RunRecord:
    """The row with the stages' status, the end of the last of them, and a description that says how far it came."""
    status = "FINISHED"
    tags = {}
    notes = dict(sorted(notes.items(), key=lambda item: item[1]["start"]))
    for stage, note in notes.items():
        if note["status"] != "FINISHED":
            status = "KILLED" if note["status"] == "RUNNING" else note["status"]
            tags["error"] = f"{stage}: {note.get('error', 'killed')}"
    end = max([row.start, *(note.get("end") or note["start"] for note in notes.values())])
    return replace(
        row, status=status, end=end, tags=tags | {"mlflow.note.content": _closing_description(status, tags, notes)}
    )


def _closing_description(status: str, tags: dict[str, str], notes: Notes) -> str:
    finished = [stage for stage, note in notes.items() if note["status"] == "FINISHED"]
    how_far = f"Finished: {', '.join(finished) or 'no stage'}."
    if status == "FINISHED":
        return f"Not published: this execution ended before the stage publish. {how_far}"
    return f"{status.capitalize()}, not published. {tags['error']}. {how_far}"


def close_abandoned_runs(mine: Execution) -> None:
    """Close the rows of executions whose process is gone, and say of their finished stages what they computed."""
    with never_fail():
        if not others(mine):
            return
        with exclusively("leftovers"):
            for execution in others(mine):
                if not execution.is_running():
                    _close_run(mine, execution)
                    execution.forget()


def _close_run(mine: Execution, ended: Execution) -> None:
    about, notes = ended.about(), ended.notes()
    experiment = about["experiment"]
    for stage, note in notes.items():
        if note["status"] == "RUNNING":
            killed = RunRecord(note["id"], stage, experiment, note["start"], ended.id, "KILLED", note["start"])
            deliver(mine, killed)
    known = _computed(notes) if about["workspace"] == str(Path.cwd()) else {}
    ran = {stage: notes[stage]["id"] for stage in known}
    row = RunRecord(ended.id, "pipeline", experiment, about["start"], stages=known, ran=ran)
    deliver(mine, closed_parent(row, notes))


def _computed(notes: Notes) -> dict[str, str]:
    """Fingerprints of those finished stages whose outputs dvc.lock still names, later edits being possible."""
    lock = read_lock()
    mine = {stage for stage in notes if stage in lock and wrote(lock[stage], notes[stage].get("digests", {}))}
    return {stage: value for stage, value in stage_fingerprints(lock).items() if stage in mine}


ERROR_LENGTH = 500  # characters of an error's message that its tag keeps


@contextmanager
def stage(name: str, params: Params) -> Iterator[Record]:
    """Record what happens inside as one stage. An exception fails the stage and its execution's row, and goes on.

    publish leaves no run of its own: it fills the execution's row.
    """
    execution = current()
    if not execution.is_introduced:
        flush(execution)
        close_abandoned_runs(execution)
    record = Record()
    if name == PUBLISH:
        yield record
        execution.forget()
        return
    row = RunRecord(uuid4().hex, name, params.base.experiment, milliseconds(), parent=execution.id)
    row = replace(row, params=declared_params(flatten_params(params), name))
    _open_stage(execution, row, params)
    row = replace(row, start=milliseconds())  # opening the pipeline's row is no part of the stage's duration
    try:
        yield record
    except BaseException as error:
        message = _storable(f"{type(error).__name__}: {error}"[:ERROR_LENGTH])
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        _close_stage(execution, replace(row, status=status, tags={"error": message}), record)
        raise
    _close_stage(execution, replace(row, status="FINISHED"), record)


def _open_stage(execution: Execution, row: RunRecord, params: Params) -> None:
    with never_fail():
        is_first = not execution.is_introduced
        if is_first:
            execution.introduce(params.base.experiment, row.start)
        execution.note(row.name, id=row.id, status="RUNNING", start=row.start)
        whole = open_parent(execution.id, execution.key, params, row.start) if is_first else row.of_parent()
        deliver(execution, replace(whole, status="RUNNING"))


def _close_stage(execution: Execution, row: RunRecord, record: Record) -> None:
    with never_fail():
        found = recorded_values(record)
        row = replace(row, end=milliseconds(), **found | {"tags": row.tags | found["tags"]})
        note = {"id": row.id, "status": row.status, "start": row.start, "end": row.end}
        execution.note(row.name, **note, digests=file_digests(record.artifacts), error=row.tags.get("error"))
        deliver(execution, row)
        deliver(execution, closed_parent(row.of_parent(), execution.notes()))


def _storable(text: str) -> str:
    """Without halves of surrogate pairs, which a message may quote from a table and no database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def is_published(lock: Lock) -> bool:
    """Whether no stage ran in this execution and a row of the same fingerprint has been published before."""
    database = mlflow_client.own_database()
    return not current().notes() and _marker(lock).exists() and (database is None or database.exists())


def publish(params: Params, record: Record, lock: Lock) -> None:
    """Fill and close this execution's row; the stages that DVC skipped are linked to the runs that computed them."""
    with never_fail():
        execution = current()
        notes = execution.notes()
        start = min([note["start"] for note in notes.values()], default=milliseconds())
        row = open_parent(execution.id, execution.key, params, start)
        if deliver(execution, _filled(row, recorded_values(record), notes, lock)):
            write_state(_marker(lock), {"row": execution.id})


def _filled(row: RunRecord, found: dict[str, Any], notes: dict[str, dict[str, Any]], lock: Lock) -> RunRecord:
    stages = stage_fingerprints(lock)
    has_failed = any(note["status"] != "FINISHED" for note in notes.values())
    tags = row.tags | found["tags"]
    tags |= {PUBLISHED_TAG: "true", "pipeline.fingerprint": whole_fingerprint(stages)}
    return replace(
        row,
        **found | {"tags": tags},
        status="FAILED" if has_failed else "FINISHED",
        end=milliseconds(),
        stages=stages,
        ran={stage: notes[stage]["id"] for stage in stages if stage in notes},
    )


def markers() -> dict[Path, str]:
    """The files that say of a state of the project that it is published -> the id of its row."""
    found = {}
    for path in sorted(_markers().glob("*.json")):
        with suppress(ValueError, KeyError, TypeError):  # a damaged one marks no row
            found[path] = json.loads(path.read_text(encoding="utf-8"))["row"]
    return found


def _marker(lock: Lock) -> Path:
    return _markers() / f"{whole_fingerprint(stage_fingerprints(lock))}.json"


def _markers() -> Path:
    """A folder for each place that rows are published to."""
    uri = mlflow_client.tracking_uri()
    place = "here" if mlflow_client.own_database() else sha256(uri.encode()).hexdigest()[:12]
    return tracking_folder() / "published" / place


def roll_back_model(experiment: str, since: int) -> str | None:
    """Withdraw the model of a row started since then (milliseconds since 1970).

    Returns the version that the alias is back at; None where there is none, or MLflow does not answer, which is told.
    """
    with never_fail(), open_client() as client:
        if client is not None:
            return rollback_alias(client, experiment, since)
    return None
