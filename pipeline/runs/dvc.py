"""dvc as a child: its output shown while it runs, the rerun's lock handed on, ended with its stages if need be."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from pipeline.runs.lock import Lock
from pipeline.runs.signals import Signals

LOOK = 0.1  # seconds between two looks at the log
GRACE = 20.0  # seconds that dvc and its stage have to end by themselves
LINES = 15  # of a failed command's output that are told
FAILED = re.compile(r"^ERROR: failed to reproduce '([^']+)'", re.MULTILINE)
RUNNING = re.compile(r"^Running stage '([^']+)':\n> .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Done:
    """One finished dvc command. code: 0, dvc's own, or minus the signal that ended it. output: stdout and stderr."""

    code: int
    output: str

    @property
    def ran(self) -> list[str]:
        """The stages that it ran, in order."""
        return RUNNING.findall(self.output)

    @property
    def failed_stage(self) -> str | None:
        found = FAILED.findall(self.output)
        return found[-1] if found else None

    @property
    def message(self) -> str:
        """What the failed stage, or else dvc, said last: at most LINES lines, progress bars as they ended."""
        said = RUNNING.split(self.output)[-1].rstrip("\r\n")
        lines = [line.rstrip().rsplit("\r", 1)[-1] for line in said.split("\n")]
        told = [line for line in lines if line][-LINES:]
        if self.code < 0:
            told.append(f"dvc was ended by {signal.Signals(-self.code).name}")
        return "\n".join(told)


@dataclass(frozen=True)
class Dvc:
    """Runs dvc in the working directory. log: its output, which stays when this process is killed."""

    lock: Lock
    signals: Signals
    log: Path

    def run(self, *arguments: str) -> Done:
        """Run one command to its end, or end it.

        Raises:
            Stopped: a signal came; dvc and its stages have ended.
        """
        # A file and no pipe: dvc goes on where this process is killed.
        with self.log.open("wb") as sink:
            process = subprocess.Popen(
                command(*arguments),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=[self.lock.descriptor],
                start_new_session=True,  # one group with its stages, which Ctrl-C reaches through this process only
            )
        try:
            self.lock.sign(process.pid)
            self._follow(process)
        except BaseException:
            _end(process)
            raise
        if process.returncode < 0:
            _kill(process)  # the stage that it left behind
        return Done(process.returncode, self.log.read_bytes().decode("utf-8", "replace"))

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        with self.log.open("rb") as source:
            while process.poll() is None:
                self.signals.check()
                _show(source)
                time.sleep(LOOK)
            _show(source)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *arguments]


def environment() -> dict[str, str]:
    """Stages are started as `python`: the interpreter that runs this, whatever cron's PATH is."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return os.environ | {"PATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"}


def _show(source: BufferedReader) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(source.read())
    sys.stdout.buffer.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does, so that a stage drops half-written files and closes its MLflow row; by force if that fails."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
