"""Worker processes of this machine, which end with the process that started them."""

import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import torch

from pipeline.ablation.unit_worker import UnitWorker
from pipeline.ablation.workers import Arrays, Task, WorkerFailed, WorkerLost
from pipeline.core.errors import InputError
from pipeline.models.checkpoints import load_tuned


@dataclass(frozen=True)
class LocalBackend:
    """Processes of this machine; on several GPUs they take them in turn.

    Attributes:
        model: the folder that each loads it from, see `load_tuned`.
        device: kind of it, cpu or cuda.
        threads: of each.
    """

    model: Path
    device: str
    threads: int

    def start(self, place: int) -> "LocalWorker":
        device = f"cuda:{place % torch.cuda.device_count()}" if self.device == "cuda" else self.device
        own, its = Pipe()
        with its:  # closed here, so that the pipe ends where the worker does
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.ablation.local_workers", str(its.fileno())],
                env=os.environ
                | {"PYTHONPATH": os.pathsep.join(sys.path)},  # this process's, and by -P nothing before it
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                process_group=0,  # Ctrl-C is for this process, which ends its workers
            )
        worker = LocalWorker(process, own)
        worker.send((self.model.resolve(), device, self.threads))
        return worker

    def wait(self, workers: Sequence["LocalWorker"]) -> list["LocalWorker"]:
        ready = wait([worker.connection for worker in workers])
        return [worker for worker in workers if worker.connection in ready]


@dataclass(frozen=True, eq=False)
class LocalWorker:
    """A process and the pipe to it."""

    process: subprocess.Popen
    connection: Connection

    def submit(self, task: Task) -> None:
        self.send(task)

    def receive(self) -> Arrays | None:
        try:
            reply = self.connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if isinstance(reply, Exception):
            raise reply
        return reply

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except OSError:
            raise self._lost() from None

    def _lost(self) -> WorkerLost:
        return WorkerLost(f"process {self.process.pid} ended with code {self.process.wait()}")


def main() -> None:
    """Report None once started, then the results of each task; or the error, and end."""
    connection: Connection = Connection(int(sys.argv[1]))
    messages: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_receive, args=(connection, messages), name="messages", daemon=True).start()
    try:
        folder, device, threads = messages.get()
        worker = UnitWorker(load_tuned(folder, torch.device(device))[0], threads)
        connection.send(None)
        while True:
            connection.send(worker.evaluate(messages.get()))
    except BrokenPipeError:  # the parent is gone
        return
    except InputError as error:
        connection.send(error)
    except Exception:
        connection.send(WorkerFailed(traceback.format_exc()))


def _receive(connection: Connection, messages: SimpleQueue) -> None:
    """Queue what the parent sends; where it is gone, end this process at once, whatever it computes."""
    try:
        while True:
            messages.put(connection.recv())
    except (EOFError, OSError):
        os._exit(1)
    except Exception:  # a message that cannot be read
        connection.send(WorkerFailed(traceback.format_exc()))


if __name__ == "__main__":
    main()
