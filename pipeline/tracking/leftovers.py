"""Executions that ended without publishing (one stage alone, a failure, a kill) are closed by the next one."""

from pathlib import Path

from pipeline.tracking.closing import Notes, closed
from pipeline.tracking.delivery import alone, deliver, never_failing
from pipeline.tracking.execution import Execution, others
from pipeline.tracking.fingerprint import read_lock, stage_fingerprints, wrote
from pipeline.tracking.record import Row


def close_leftovers(mine: Execution) -> None:
    """Close the rows of executions whose process is gone, and say of their finished stages what they computed."""
    with never_failing():
        if not others(mine):
            return
        with alone("leftovers"):
            for execution in others(mine):
                if not execution.is_running():
                    _close(mine, execution)
                    execution.forget()


def _close(mine: Execution, ended: Execution) -> None:
    about, notes = ended.about(), ended.notes()
    experiment = about["experiment"]
    for stage, note in notes.items():
        if note["status"] == "RUNNING":
            killed = Row(note["id"], stage, experiment, note["start"], ended.id, "KILLED", note["start"])
            deliver(mine, killed)
    known = _computed(notes) if about["workspace"] == str(Path.cwd()) else {}
    ran = {stage: notes[stage]["id"] for stage in known}
    row = Row(ended.id, "pipeline", experiment, about["start"], stages=known, ran=ran)
    deliver(mine, closed(row, notes))


def _computed(notes: Notes) -> dict[str, str]:
    """Fingerprints of those finished stages whose outputs dvc.lock still names, later edits being possible."""
    lock = read_lock()
    mine = {stage for stage in notes if stage in lock and wrote(lock[stage], notes[stage].get("digests", {}))}
    return {stage: value for stage, value in stage_fingerprints(lock).items() if stage in mine}
