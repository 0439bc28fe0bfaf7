"""dvc as a child process of the rerun: inherited lock, signals, output, and the pull before it."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import psutil

from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.core.process import FOR_GROUP

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 0.1  # seconds between two looks at the log
GRACE_SECONDS = 20.0  # seconds that dvc and its stage have to end by themselves
KEPT_LINES = 15  # of a failed command's output
FAILED = re.compile(r"^ERROR: failed to reproduce '([^']+)'", re.MULTILINE)
RUNNING = re.compile(r"^Running stage '([^']+)':\n> .*\n", re.MULTILINE)


class StoppedBySignal(Exception):
    """Stop of this process by a signal."""

    def __init__(self, number: int):
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")


@contextmanager
def recorded_signals() -> Iterator[list[int]]:
    """Record signals in the yielded list instead of ending; an ignored SIGHUP stays ignored (nohup)."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler != signal.SIG_IGN:
            signal.signal(number, lambda received_number, _: received.append(received_number))
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class LockHeld(Exception):
    """Lock held by another rerun or the dvc that it left behind; the message names its pid."""


@contextmanager
def rerun_lock(path: Path) -> Iterator[int]:
    """Hold the lock on the file at `path`; yields its descriptor, which a child inherits to hold the lock too.

    By flock and not filelock, whose lock ends with this process.

    Raises:
        LockHeld: at once, where another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by pipeline.core.formats: a file that is replaced is another file, and its lock another lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FOR_GROUP)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(f"another rerun is running ({_holder(path)}); this one stops") from None
        os.ftruncate(descriptor, 0)
        _sign(descriptor, os.getpid())
        yield descriptor
    finally:
        os.close(descriptor)  # never unlocked by hand: that would free it under a dvc that outlived this


def _sign(lock: int, pid: int) -> None:
    """Write a holder's pid into the lock's file, for those that find it held."""
    os.write(lock, f"{pid}\n".encode())


def _holder(path: Path) -> str:
    """The first process that signed and lives: the rerun itself, or the dvc it started where it is gone."""
    signed = [int(line) for line in path.read_text(encoding="utf-8").split()]
    return next((f"pid {pid}" for pid in signed if _lives(pid)), "its pid is not written down yet")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class DvcOutcome:
    """Outcome of a dvc command. code: 0, dvc's own, or minus the signal that ended it. output: stdout and stderr."""

    code: int
    output: str

    @property
    def ran(self) -> list[str]:
        """Stages that ran, in order."""
        return RUNNING.findall(self.output)

    @property
    def failed_stage(self) -> str | None:
        return next(iter(reversed(FAILED.findall(self.output))), None)

    @property
    def message(self) -> str:
        """The last lines of the failed stage, or else of dvc, KEPT_LINES at most, progress bars as they ended."""
        output = RUNNING.split(self.output)[-1].rstrip("\r\n")
        lines = [line.rstrip().rsplit("\r", 1)[-1] for line in output.split("\n")]
        last = [line for line in lines if line][-KEPT_LINES:]
        if self.code < 0:
            last.append(f"dvc was ended by {signal.Signals(-self.code).name}")
        return "\n".join(last)


@dataclass(frozen=True)
class Dvc:
    """Runner of dvc in the working directory.

    lock: descriptor of the rerun's lock, which dvc inherits. signals: those received so far. log: file of dvc's output,
    which stays when this process is killed.
    """

    lock: int
    signals: list[int]
    log: Path

    def run(self, *arguments: str) -> DvcOutcome:
        """Run a command to its end, or stop it.

        Raises:
            StoppedBySignal: a signal came; dvc and its stages have ended.
        """
        # A file and no pipe: dvc goes on where this process is killed. A new one: the last may be another user's.
        self.log.unlink(missing_ok=True)
        with self.log.open("wb") as sink:
            process = subprocess.Popen(
                command(*arguments),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=[self.lock],
                start_new_session=True,  # one group with its stages, which Ctrl-C reaches through this process only
            )
        try:
            _sign(self.lock, process.pid)
            self._follow(process)
        except BaseException:
            _end(process)
            raise
        if process.returncode < 0:
            _kill(process)  # the stage that it left behind
        return DvcOutcome(process.returncode, self.log.read_bytes().decode("utf-8", "replace"))

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        with self.log.open("rb") as source:
            while process.poll() is None:
                if self.signals:
                    raise StoppedBySignal(self.signals[0])
                _print_new(source)
                time.sleep(POLL_SECONDS)
            _print_new(source)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *arguments]


def environment() -> dict[str, str]:
    """Environment of dvc, in which `python` is this interpreter, whatever cron's PATH is."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return os.environ | {"PATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}


def _print_new(source: BufferedReader) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(source.read())
    sys.stdout.buffer.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop dvc like Ctrl-C, so that a stage drops partial files and closes its MLflow run; by force if that fails."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def pull(dvc: Dvc) -> str | None:
    """Pull from the default remote, if any. Returns the failure's message, or None."""
    remote = _default_remote()
    if remote is None:
        return None
    if missing := _missing_folder(*remote):
        return missing
    inputs = sorted(path.as_posix() for path in Path("data").glob("**/*.dvc") if path.is_file())
    # What a killed stage left is replaced; a table that was edited and not added is not.
    return (_pull(dvc, *inputs) if inputs else None) or _pull(dvc, "--force", str(paths.DVC_YAML))


def _default_remote() -> tuple[str, str] | None:
    """Name and address of the default remote; None also where dvc cannot read the project (dvc repro reports that).

    Raises:
        InputError: the project is in no git repository.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            name = repo.config["core"].get("remote")
            return (name, repo.config["remote"].get(name, {}).get("url", "")) if name else None
    except SCMError as error:
        raise InputError(f"{error}: git init && git add -A && git commit -m Start") from None
    except DvcException:
        return None


def _pull(dvc: Dvc, *arguments: str) -> str | None:
    done = dvc.run("pull", "--allow-missing", *arguments)  # what was never pushed is computed
    return done.message if done.code else None


def _missing_folder(name: str, url: str) -> str | None:
    """Message on a missing folder, such as a share not mounted, which dvc takes for an empty remote."""
    folder = url.removeprefix("file://")
    if "://" in folder or Path(folder).is_dir():
        return None
    return f"the DVC remote {name} is the folder {folder}, which does not exist: mount it, or make it if it is new"
