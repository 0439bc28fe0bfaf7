"""The pipeline's row, filled at the end with what every stage found, whether it ran now or earlier."""

import json
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.params import Params
from pipeline.tracking import connection
from pipeline.tracking.delivery import deliver, never_failing
from pipeline.tracking.execution import current, milliseconds, state, write_state
from pipeline.tracking.fingerprint import Lock, stage_fingerprints, whole_fingerprint
from pipeline.tracking.record import PUBLISHED_TAG, Record, Row, opening, reported


def is_published(lock: Lock) -> bool:
    """Whether no stage ran in this execution and a row of the same fingerprint has been published before."""
    database = connection.own_database()
    return not current().notes() and _marker(lock).exists() and (database is None or database.exists())


def publish(params: Params, record: Record, lock: Lock) -> None:
    """Fill and close this execution's row; the stages that DVC skipped are linked to the runs that computed them."""
    with never_failing():
        execution = current()
        notes = execution.notes()
        start = min([note["start"] for note in notes.values()], default=milliseconds())
        row = opening(execution.id, execution.key, params, start)
        if deliver(execution, _filled(row, reported(record), notes, lock)):
            write_state(_marker(lock), {"row": execution.id})


def _filled(row: Row, found: dict[str, Any], notes: dict[str, dict[str, Any]], lock: Lock) -> Row:
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
    uri = connection.tracking_uri()
    place = "here" if connection.own_database() else sha256(uri.encode()).hexdigest()[:12]
    return state() / "published" / place
