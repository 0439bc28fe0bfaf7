"""The pipeline's row as far as its stages came: what stands there where publish does not follow."""

from dataclasses import replace
from typing import Any

from pipeline.tracking.record import Row

Notes = dict[str, dict[str, Any]]


def closed(row: Row, notes: Notes) -> Row:
    """The row with the stages' status, the end of the last of them, and a description that says how far it came."""
    status = "FINISHED"
    tags = {}
    notes = dict(sorted(notes.items(), key=lambda item: item[1]["start"]))
    for stage, note in notes.items():
        if note["status"] != "FINISHED":
            status = "KILLED" if note["status"] == "RUNNING" else note["status"]
            tags["error"] = f"{stage}: {note.get('error', 'killed')}"
    end = max([row.start, *(note.get("end") or note["start"] for note in notes.values())])
    return replace(row, status=status, end=end, tags=tags | {"mlflow.note.content": _description(status, tags, notes)})


def _description(status: str, tags: dict[str, str], notes: Notes) -> str:
    finished = [stage for stage, note in notes.items() if note["status"] == "FINISHED"]
    how_far = f"Finished: {', '.join(finished) or 'no stage'}."
    if status == "FINISHED":
        return f"Not published: this execution ended before the stage publish. {how_far}"
    return f"{status.capitalize()}, not published. {tags['error']}. {how_far}"
