"""Workers on a Ray cluster: actors, on whichever machines have room."""

import io
import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from transformers import PreTrainedModel

import pipeline
from pipeline.ablation.unit_worker import UnitWorker
from pipeline.ablation.workers import Arrays, Task, WorkerFailed, WorkerLost
from pipeline.core.errors import InputError

KNOCK_SECONDS = 10.0  # for a cluster's machine to answer
PATIENCE = 30.0  # seconds without a worker after which a message says what is waited for


class RayBackend:
    """Actors of a Ray cluster, each with `threads` CPUs, and a GPU where the model is on one.

    The machines need this project's packages; its code and the model are sent to them.

    Args:
        model: its device's kind is the workers'.
        threads: of each worker.
        address: of the cluster, "auto" or ray://HOST:PORT; None: one of this machine alone, which ends with this
            process.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, model: PreTrainedModel, threads: int, address: str | None):
        self._ray = _connect(address)
        self._needs = {"num_cpus": threads, "num_gpus": int(model.device.type == "cuda")}
        self._actors = self._ray.remote(**self._needs)(_Actor)
        self._arguments = self._ray.put(_packed(model)), model.device.type, threads

    def start(self, place: int) -> "RayWorker":
        actor = self._actors.remote(*self._arguments)
        return RayWorker(self._ray, actor, actor.start.remote())

    def wait(self, workers: Sequence["RayWorker"]) -> list["RayWorker"]:
        by_report = {worker.report: worker for worker in workers}
        ready, _ = self._ray.wait(list(by_report), timeout=PATIENCE)
        if not ready and not any(worker.has_started for worker in workers):
            print(f"compute.workers: Ray has started none yet; each needs {self._needs}", file=sys.stderr)
        return [by_report[report] for report in ready]


@dataclass(eq=False)
class RayWorker:
    """An actor, and the reference of what it reports next."""

    ray: ModuleType
    actor: Any
    report: Any
    has_started: bool = False

    def submit(self, task: Task) -> None:
        self.report = self.actor.evaluate.remote(task)

    def receive(self) -> Arrays | None:
        try:
            arrays = self.ray.get(self.report)
        except InputError as error:  # of the worker: Ray's class for it is a subclass of it and of RayTaskError
            raise InputError(str(getattr(error, "cause", error))) from None
        except self.ray.exceptions.RayTaskError as error:
            raise WorkerFailed(str(error)) from None
        except self.ray.exceptions.RayError as error:
            raise WorkerLost(" ".join(str(error).split())) from None
        self.has_started = True
        return arrays

    def stop(self) -> None:
        if self.ray.is_initialized():  # else kill() starts Ray again
            with suppress(self.ray.exceptions.RayError):  # where the actor's machine is gone
                self.ray.kill(self.actor)


class _Actor(UnitWorker):
    """The worker of an actor, from a model as `_packed` returns it."""

    def __init__(self, model: bytes, device: str, threads: int):
        # No safetensors, as for files of others: these are the driver's own bytes.
        super().__init__(torch.load(io.BytesIO(model), map_location=device, weights_only=False), threads)

    def start(self) -> None:
        """What a worker reports first."""


def _packed(model: PreTrainedModel) -> bytes:
    """The model with its code's names, for machines without its files."""
    buffer = io.BytesIO()
    torch.save(model, buffer)
    return buffer.getvalue()


def _knock(address: str) -> None:
    """Raise OSError where nothing listens at HOST:PORT, which Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _connect(address: str | None) -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError(
            f"compute.backend is ray, but {error.name} is not installed; pip install '.[cluster]', or set it to local"
        ) from error
    if ray.is_initialized():
        return ray
    code = {"py_modules": [str(Path(pipeline.__file__).parent)], "excludes": ["**/node_modules"]}
    try:
        _knock(address or "")
        ray.init(address or "local", runtime_env=code, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"compute.address {address!r}: no Ray cluster answers ({error}); name one that runs, or set it to null"
        ) from error
    return ray
