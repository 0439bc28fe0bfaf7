"""The MLflow runs of one execution: a stage run opened and closed around each stage, the parent run that publish fills.

An execution that ended without publishing leaves its parent run to the next one, which closes it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.core.config import Params, flatten_params
from pipeline.tracking import mlflow_client, provenance
from pipeline.tracking.execution import (
    Execution,
    current,
    milliseconds,
    others,
    tracking_folder,
    tracking_lock,
    write_state,
)
from pipeline.tracking.mlflow_reader import open_client
from pipeline.tracking.model_registry import REGISTRATIONS, rollback_alias
from pipeline.tracking.outbox import deliver, flush, never_fail, print_notice
from pipeline.tracking.provenance import Lock, stage_fingerprints, whole_fingerprint
from pipeline.tracking.run_record import PUBLISHED_TAG, Record, RunRecord, declared_params, open_parent

Notes = dict[str, dict[str, Any]]
ERROR_LENGTH = 500  # characters of an error's message that its tag keeps


@contextmanager
def stage(name: str, params: Params) -> Iterator[Record]:
    """Record the block as a stage run. An exception fails it and its parent run, and is raised again.

    publish has no run of its own: it fills the parent run.
    """
    execution = current()
    if not execution.is_introduced:
        catch_up(execution)
    record = Record()
    if name == provenance.PUBLISH:
        yield record
        execution.forget()
        return
    run = RunRecord(uuid4().hex, name, params.run.experiment, milliseconds(), parent=execution.id)
    run = replace(run, params=declared_params(flatten_params(params), name))
    _open_stage_run(execution, run, params)
    run = replace(run, start=milliseconds())  # opening the parent run is not part of the stage's duration
    try:
        yield record
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        message = f"{type(error).__name__}: {error}"[:ERROR_LENGTH]
        message = message.encode("utf-8", "replace").decode()  # no database takes half a surrogate pair
        _close_stage_run(execution, replace(run, status=status, tags={"error": message}), record)
        raise
    _close_stage_run(execution, replace(run, status="FINISHED"), record)


def _open_stage_run(execution: Execution, run: RunRecord, params: Params) -> None:
    with never_fail():
        is_first = not execution.is_introduced
        if is_first:
            execution.introduce(params.run.experiment, run.start)
            if advice := provenance.ownership_advice():
                print_notice(f"this run is recorded without its git commit: {advice}")
        execution.note(run.name, id=run.id, status="RUNNING", start=run.start)
        parent = open_parent(execution.id, execution.key, params, run.start) if is_first else run.of_parent()
        deliver(execution, replace(parent, status="RUNNING"))


def _close_stage_run(execution: Execution, run: RunRecord, record: Record) -> None:
    with never_fail():
        run = replace(run.filled(record), end=milliseconds())
        note = {"id": run.id, "status": run.status, "start": run.start, "end": run.end}
        execution.note(run.name, **note, digests=provenance.file_digests(record.artifacts), error=run.tags.get("error"))
        deliver(execution, run)
        deliver(execution, closed_parent(run.of_parent(), execution.notes()))


def closed_parent(parent: RunRecord, notes: Notes) -> RunRecord:
    """Close a parent run with its stages' status, the end of the last of them, and a description of how far it came."""
    notes = dict(sorted(notes.items(), key=lambda item: item[1]["start"]))
    finished = [stage for stage, note in notes.items() if note["status"] == "FINISHED"]
    status, tags = "FINISHED", {}
    text = "Not published: this execution ended before the stage publish."
    if unfinished := [stage for stage in notes if stage not in finished]:
        stage, note = unfinished[-1], notes[unfinished[-1]]
        status = "KILLED" if note["status"] == "RUNNING" else note["status"]
        tags["error"] = f"{stage}: {note.get('error', 'killed')}"
        text = f"{status.capitalize()}, not published. {tags['error']}."
    tags["mlflow.note.content"] = f"{text} Finished: {', '.join(finished) or 'no stage'}."
    end = max([parent.start, *(note.get("end") or note["start"] for note in notes.values())])
    return replace(parent, status=status, end=end, tags=tags)


def catch_up(mine: Execution) -> None:
    """Send what earlier executions left in the outbox, and close the runs of those whose process is gone."""
    # Locked since two at once would send a run's entries out of their order.
    with never_fail(), tracking_lock("catch_up", timeout=0):
        flush(mine)
        for execution in others(mine):
            if not execution.is_running():
                _close_runs(mine, execution)
                execution.forget()


def _close_runs(mine: Execution, ended: Execution) -> None:
    """Close the runs of an ended execution, with fingerprints of its finished stages for later runs that skip them."""
    about, notes = ended.about(), ended.notes()
    experiment = about["experiment"]
    for stage, note in notes.items():
        if note["status"] == "RUNNING":
            killed = RunRecord(note["id"], stage, experiment, note["start"], ended.id, "KILLED", note["start"])
            deliver(mine, killed)
    stages = _computed(notes) if about["workspace"] == str(Path.cwd()) else {}
    ran = {stage: notes[stage]["id"] for stage in stages}
    parent = RunRecord(ended.id, "pipeline", experiment, about["start"], stages=stages, ran=ran)
    deliver(mine, closed_parent(parent, notes))


def _computed(notes: Notes) -> dict[str, str]:
    """Fingerprints of those finished stages whose outputs dvc.lock still names: it may have changed since."""
    lock = provenance.read_lock()
    digests = {stage: note.get("digests", {}) for stage, note in notes.items() if stage in lock}
    unchanged = [stage for stage, md5s in digests.items() if provenance.wrote(lock[stage], md5s)]
    return stage_fingerprints({stage: lock[stage] for stage in unchanged})


def is_published(lock: Lock) -> bool:
    """Whether no stage ran in this execution and a run of the same fingerprint has been published before."""
    database = mlflow_client.own_database()
    return not current().notes() and _marker(lock).exists() and (database is None or database.exists())


def publish(params: Params, record: Record, lock: Lock) -> None:
    """Fill and close this execution's parent run, and link skipped stages to the runs that computed them."""
    with never_fail():
        execution = current()
        notes, stages = execution.notes(), stage_fingerprints(lock)
        start = min([note["start"] for note in notes.values()], default=milliseconds())
        parent = open_parent(execution.id, execution.key, params, start).filled(record)
        parent = replace(
            parent,
            status="FINISHED" if all(note["status"] == "FINISHED" for note in notes.values()) else "FAILED",
            end=milliseconds(),
            tags=parent.tags | {PUBLISHED_TAG: "true", "pipeline.fingerprint": whole_fingerprint(stages)},
            stages=stages,
            ran={stage: notes[stage]["id"] for stage in stages if stage in notes},
        )
        if deliver(execution, parent):
            write_state(_marker(lock), {"row": execution.id})


def markers() -> dict[Path, str]:
    """Markers, files of published states of the project -> id of the parent run."""
    ids = {}
    for path in sorted(_marker_folder().glob("*.json")):
        with suppress(ValueError, KeyError, TypeError):  # a damaged one marks nothing
            ids[path] = json.loads(path.read_text(encoding="utf-8"))["row"]
    return ids


def _marker(lock: Lock) -> Path:
    return _marker_folder() / f"{whole_fingerprint(stage_fingerprints(lock))}.json"


def _marker_folder() -> Path:
    """Folder of markers, one for each MLflow that runs are published to."""
    uri = mlflow_client.tracking_uri()
    name = "here" if mlflow_client.own_database() else sha256(uri.encode()).hexdigest()[:12]
    return tracking_folder() / "published" / name


def roll_back_model(experiment: str, stage: str, since: int) -> str | None:
    """Withdraw the model that a stage logged below a parent run started since then (milliseconds since 1970).

    Returns the version that the alias is back at; None where there is none, or MLflow does not answer (with a notice).
    """
    with never_fail(), open_client() as client:
        if client is not None:
            return rollback_alias(client, REGISTRATIONS[stage], experiment, since)
    return None
