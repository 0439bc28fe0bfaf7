"""Worker processes of this machine, which end with the process that started them."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Thread

import torch

from pipeline.ablation.unit_worker import UnitWorker
from pipeline.ablation.workers import Arrays, Task, WorkerFailed, WorkerLost
from pipeline.core.errors import InputError
from pipeline.models.checkpoints import load_tuned

SPAWN = multiprocessing.get_context("spawn")  # a forked copy of a process that has threads, or CUDA, may hang


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
        own, its = SPAWN.Pipe()
        arguments = (its, self.model.resolve(), device, self.threads)
        process = SPAWN.Process(target=_serve, args=arguments, name=f"worker {place}", daemon=True)
        with _interrupts_held():
            process.start()
        its.close()  # so that the pipe ends where the worker does
        return LocalWorker(process, own)

    def wait(self, workers: Sequence["LocalWorker"]) -> list["LocalWorker"]:
        ready = wait([worker.connection for worker in workers])
        return [worker for worker in workers if worker.connection in ready]


@dataclass(frozen=True, eq=False)
class LocalWorker:
    """A process and the pipe to it."""

    process: SpawnProcess
    connection: Connection

    def submit(self, task: Task) -> None:
        try:
            self.connection.send(task)
        except OSError:
            raise self._lost() from None

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
        self.process.join()
        self.connection.close()

    def _lost(self) -> WorkerLost:
        self.process.join()
        return WorkerLost(f"process {self.process.pid} ended with code {self.process.exitcode}")


def _serve(connection: Connection, folder: Path, device: str, threads: int) -> None:
    """Report None once started, then the results of each task, or the error."""
    Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    try:
        model, _ = load_tuned(folder, torch.device(device))
        worker = UnitWorker(model, threads)
        connection.send(None)
        while True:
            connection.send(worker.evaluate(connection.recv()))
    except (EOFError, BrokenPipeError):  # the pool closed
        return
    except InputError as error:
        connection.send(error)
    except Exception:
        connection.send(WorkerFailed(traceback.format_exc()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is started by another process"
    parent.join()
    os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back SIGINT; a process started meanwhile never gets it: Ctrl-C is for the parent, which ends its workers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
