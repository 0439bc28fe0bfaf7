"""Workers that evaluate a sweep's units: this process alone, or a pool whose lost workers are replaced."""

import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Event
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from pipeline.ablation.precision import Precision
from pipeline.ablation.work_units import WorkUnit
from pipeline.core.errors import InputError
from pipeline.models.threads import torch_threads

Arrays = dict[str, np.ndarray]
MAX_LOSSES = 3  # of workers on one unit, or of workers that start: then the sweep is given up


class GivenUp(Exception):
    """Nobody waits any more for a unit that is being evaluated."""


class UnitEngine(Protocol):
    """Engine that evaluates units in this process, and the settings by which a worker builds the same."""

    @property
    def precision(self) -> Precision: ...

    @property
    def batch_tokens(self) -> int: ...

    def evaluate_unit(self, unit: WorkUnit, given_up: Event | None = None) -> Arrays:
        """Named results [row, pair, ...] of a unit. Raises GivenUp: soon after `given_up` is set."""
        ...


class Workers(Protocol):
    """Whoever evaluates units."""

    def evaluate(self, engine: UnitEngine, units: Iterable[tuple[int, WorkUnit]]) -> Iterator[tuple[int, Arrays]]:
        """Results of numbered units, in the order in which they come."""
        ...


@dataclass(frozen=True)
class ThisProcess:
    """This process as the only worker.

    Attributes:
        threads: of torch that evaluate a unit; None: as many as torch has.
        at_once: units that are evaluated side by side. On a CPU many units of one thread each take less time than one
            after another on all threads, which wait for each other behind every product.
    """

    threads: int | None = None
    at_once: int = 1

    def evaluate(self, engine: UnitEngine, units: Iterable[tuple[int, WorkUnit]]) -> Iterator[tuple[int, Arrays]]:
        if self.at_once > 1:
            yield from self._side_by_side(engine, iter(units))
            return
        for number, unit in units:
            with torch_threads(self.threads):
                arrays = engine.evaluate_unit(unit)
            yield number, arrays

    def _side_by_side(self, engine: UnitEngine, units: Iterator[tuple[int, WorkUnit]]) -> Iterator[tuple[int, Arrays]]:
        # Torch's own number is a thread's, but for that of MKL's products, which is the process's.
        threads, given_up = self.threads or torch.get_num_threads(), Event()
        with torch_threads(threads), _torch_executor(self.at_once, threads, given_up) as executor:

            def submitted(count: int) -> list[tuple[int, Future[Arrays]]]:
                evaluate = partial(engine.evaluate_unit, given_up=given_up)
                return [(number, executor.submit(evaluate, unit)) for number, unit in islice(units, count)]

            waiting = deque(submitted(2 * self.at_once))  # so that no thread waits for what the caller does
            while waiting:
                number, future = waiting.popleft()
                arrays = future.result()
                waiting.extend(submitted(1))
                yield number, arrays


@contextmanager
def _torch_executor(size: int, threads: int, given_up: Event) -> Iterator[ThreadPoolExecutor]:
    """So many Python threads, each with `threads` of torch's; what is not done when the block ends is given up."""
    executor = ThreadPoolExecutor(size, "units", torch.set_num_threads, (threads,))
    try:
        yield executor
    finally:
        given_up.set()  # a unit may take minutes, and Ctrl-C would wait for those that are begun
        executor.shutdown(cancel_futures=True)


THIS_PROCESS = ThisProcess()


@dataclass(frozen=True)
class Task:
    """A numbered unit and the settings of the engine that evaluates it."""

    number: int
    precision: Precision
    batch_tokens: int
    unit: WorkUnit


class WorkerLost(Exception):
    """A worker ended, or cannot be reached: the message says how."""


class WorkerFailed(RuntimeError):
    """An unexpected error in a worker: the message holds its traceback."""


class Worker(Protocol):
    """A process that holds the model. Once it is started it reports None; then it takes tasks, one at a time."""

    def submit(self, task: Task) -> None:
        """Send a task. Raises WorkerLost."""
        ...

    def receive(self) -> Arrays | None:
        """What the worker reports, once `Backend.wait` says that it does.

        Raises:
            WorkerLost: it ended.
            WorkerFailed: its task, or its start, did.
        """
        ...

    def stop(self) -> None:
        """End the worker at once, whatever it does."""
        ...


AnyWorker = TypeVar("AnyWorker", bound=Worker)


class Backend(Protocol[AnyWorker]):
    """Where workers run."""

    def start(self, place: int) -> AnyWorker:
        """Start the worker of a place in the pool."""
        ...

    def wait(self, workers: Sequence[AnyWorker]) -> list[AnyWorker]:
        """Wait until at least one of the workers reports or is lost: those that do."""
        ...


@dataclass
class _Place(Generic[AnyWorker]):
    """A place in the pool: its worker, whether that is started, and its task."""

    worker: AnyWorker
    is_started: bool = False
    task: Task | None = None


class WorkerPool(Generic[AnyWorker]):
    """Persistent workers, started at the first unit; they end with the pool, an error or this process.

    A lost worker costs its unit only, which another worker evaluates again.
    """

    def __init__(self, backend: Backend[AnyWorker], size: int):
        self._backend, self._size = backend, size
        self._places: dict[int, _Place[AnyWorker]] = {}
        self._lost_starts = 0  # since a worker last started
        weakref.finalize(self, _stop, self._places)

    def evaluate(self, engine: UnitEngine, units: Iterable[tuple[int, WorkUnit]]) -> Iterator[tuple[int, Arrays]]:
        """Results of numbered units, in the order in which they come.

        Raises:
            InputError: a unit's workers, or those that start, are lost again and again.
            WorkerFailed: a worker met an unexpected error.
        """
        queue = _Queue(Task(number, engine.precision, engine.batch_tokens, unit) for number, unit in units)
        finished: list[tuple[int, Arrays]] = []
        try:
            while queue or self._busy() or finished:
                self._assign(queue)
                yield from finished  # kept by the caller while the workers go on
                finished = self._collect(queue) if queue or self._busy() else []
        except BaseException:  # also where the caller stops early: what is still computed is nobody's
            self.close()
            raise

    def close(self) -> None:
        """End all workers."""
        _stop(self._places)

    def _busy(self) -> bool:
        return any(place.task for place in self._places.values())

    def _assign(self, queue: "_Queue") -> None:
        """Start what workers are missing, and give each that is idle a task, as long as there are any."""
        for number in range(self._size):
            if not queue:
                return
            if number not in self._places:
                self._places[number] = _Place(self._backend.start(number))
            place = self._places[number]
            if place.is_started and place.task is None:
                place.task = queue.take()
                try:
                    place.worker.submit(place.task)
                except WorkerLost as error:
                    self._lose(number, queue, error)

    def _collect(self, queue: "_Queue") -> list[tuple[int, Arrays]]:
        """Wait for reports: the results among them."""
        awaited = {place.worker: number for number, place in self._places.items() if place.task or not place.is_started}
        results = []
        for worker in self._backend.wait(list(awaited)):
            number = awaited[worker]
            place = self._places[number]
            try:
                arrays = worker.receive()
            except WorkerLost as error:
                self._lose(number, queue, error)
                continue
            if place.task is not None and arrays is not None:
                results.append((place.task.number, arrays))
            place.is_started, place.task, self._lost_starts = True, None, 0
        return results

    def _lose(self, number: int, queue: "_Queue", error: WorkerLost) -> None:
        place = self._places.pop(number)
        place.worker.stop()
        if place.task is not None:
            queue.put_back(place.task, error)
        elif not place.is_started:
            self._lost_starts += 1
            _check_losses(self._lost_starts, "workers that start", error)


class _Queue:
    """Tasks to do, those of lost workers first; true while there are any."""

    def __init__(self, tasks: Iterator[Task]):
        self._tasks, self._ahead, self._losses = tasks, deque[Task](), Counter[int]()

    def __bool__(self) -> bool:
        if not self._ahead:
            self._ahead.extend(islice(self._tasks, 1))
        return bool(self._ahead)

    def take(self) -> Task:
        return self._ahead.popleft()

    def put_back(self, task: Task, error: WorkerLost) -> None:
        self._losses[task.number] += 1
        _check_losses(self._losses[task.number], f"workers on unit {task.number}", error)
        self._ahead.appendleft(task)


def _check_losses(count: int, what: str, error: WorkerLost) -> None:
    if count >= MAX_LOSSES:
        raise InputError(
            f"compute.workers: {count} {what} were lost, the last one so: {error}. The machine may lack memory: lower "
            "compute.workers or ablation.batch_tokens; dvc repro goes on where this sweep was"
        ) from error


def _stop(places: dict[int, _Place]) -> None:
    for place in places.values():
        place.worker.stop()
    places.clear()
