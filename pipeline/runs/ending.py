"""How a rerun ended: its exit code, and the few lines of Markdown that say why."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import InputError

KEPT, TO_MEND, LIMIT_BROKEN, STAGE_FAILED, LOCK_HELD, PULL_FAILED = 0, 2, 3, 4, 5, 6
SIGNALLED = 128  # plus the signal's number


@dataclass(frozen=True)
class Ending:
    """code: of the exit. title: how it ended, a few words. points: one a line. output: of what failed, verbatim."""

    code: int
    title: str
    points: list[str] = field(default_factory=list)
    output: str = ""

    def markdown(self) -> str:
        verbatim = "\n".join(f"    {line}" for line in self.output.splitlines())
        listed = "\n".join(f"- {point}" for point in self.points)
        parts = [f"# Rerun: {self.title}", f"Exit code {self.code}.", listed, verbatim]
        return "\n\n".join(part for part in parts if part) + "\n"

    def tell(self, path: Path) -> None:
        """Print it, write it to `path`, and append it to GitHub's summary of the job where there is one.

        A place that cannot be written to is told, and changes nothing about the ending.
        """
        from pipeline.files import write_text

        text = self.markdown()
        print(f"\n{text}", end="", flush=True)
        try:
            write_text(path, text)
            if job := os.environ.get("GITHUB_STEP_SUMMARY"):
                with open(job, "a", encoding="utf-8") as shared:  # other steps write there too
                    shared.write(text)
        except (InputError, OSError) as error:
            print(f"rerun: the summary was not kept: {error}", file=sys.stderr)
