"""Workers: the same bytes from any number of them, lost ones replaced, none left over."""

import sys
from dataclasses import dataclass, field, replace
from threading import Barrier, Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.ablation import sweep_cache
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.local_workers import LocalBackend
from pipeline.ablation.precision import BFLOAT16, FLOAT32
from pipeline.ablation.ray_workers import RayBackend
from pipeline.ablation.sweep import AblationTarget, TunedModel, rounded_sweep, sweep_workers
from pipeline.ablation.unit_worker import UnitWorker
from pipeline.ablation.work_units import Sweep, Treatments
from pipeline.ablation.workers import MAX_LOSSES, GivenUp, Task, ThisProcess, WorkerFailed, WorkerLost, WorkerPool
from pipeline.core.errors import InputError
from tests.support.builders import ablation_engine, params_with, random_classifier, random_pairs

MODEL = random_classifier("bert", layers=3)
PAIRS = random_pairs([5, 9, 5, 12, 7, 6, 9, 5, 30, 11])
MASKS = np.random.default_rng(0).choice([0.0, 1.0], (20, 3, 3))
UNITS = 24


def engine(workers) -> AblationEngine:
    """An engine whose sweeps are of 8 lengths x 3 runs."""
    return ablation_engine(MODEL, 60, workers=workers, unit_interventions=7)


def sweep(workers) -> bytes:
    return engine(workers).evaluate(PAIRS, MASKS).logits.tobytes()


@dataclass(eq=False)
class Simulated:
    """A worker in this process."""

    evaluator: AblationEngine
    fails_on: list[int]
    error: type[Exception]
    task: Task | None = None
    is_stopped: bool = False

    def submit(self, task):
        self.task = task

    def receive(self):
        task, self.task = self.task, None
        if task is None:
            return None
        if task.number in self.fails_on:
            self.fails_on.remove(task.number)
            raise self.error(f"on unit {task.number}")
        return self.evaluator.evaluate_unit(task.unit)

    def stop(self):
        self.is_stopped = True


@dataclass
class Simulation:
    """Workers in this process; each of the units named fails as often as it is named."""

    fails_on: list[int] = field(default_factory=list)
    error: type[Exception] = WorkerLost
    started: list[Simulated] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        """Of the units tried, in order."""
        return sorted(task.number for task in self.tasks)

    def start(self, place):
        self.started.append(Simulated(engine(ThisProcess()), self.fails_on, self.error))
        return self.started[-1]

    def wait(self, workers):
        last = list(workers)[-1]  # so that results come in another order than the units
        if last.task is not None:
            self.tasks.append(last.task)
        return [last]


def engine_of(evaluate_unit) -> SimpleNamespace:
    """What this process asks of an engine."""
    return SimpleNamespace(evaluate_unit=evaluate_unit)


def test_this_process_has_the_threads_asked_for_while_it_evaluates():
    counts, before = engine_of(lambda unit, given_up=None: torch.get_num_threads()), torch.get_num_threads()
    assert list(ThisProcess(threads=before + 1).evaluate(counts, [(4, None)])) == [(4, before + 1)]
    assert list(ThisProcess().evaluate(counts, [(5, None)])) == [(5, before)]
    assert list(ThisProcess(1, 3).evaluate(counts, [(n, None) for n in range(20)])) == [(n, 1) for n in range(20)]
    assert torch.get_num_threads() == before


def test_units_are_evaluated_side_by_side_and_few_ahead():
    """All meet at a barrier that opens for three; of a hundred units no more are drawn than may soon be evaluated."""
    drawn, together = [], Barrier(3)

    def meet(unit, given_up):
        together.wait(timeout=30)
        return unit

    units = ((number, drawn.append(number) or number) for number in range(99))
    results = ThisProcess(1, 3).evaluate(engine_of(meet), units)
    assert next(results) == (0, 0)
    assert len(drawn) <= 7
    assert [number for number, _ in results] == list(range(1, 99))


def test_what_is_not_begun_is_given_up_after_an_error():
    begun, before = [], torch.get_num_threads()

    def fail(unit, given_up):
        begun.append(unit)
        raise ValueError(unit)

    with pytest.raises(ValueError, match="0"):
        list(ThisProcess(1, 2).evaluate(engine_of(fail), [(number, number) for number in range(99)]))
    assert len(begun) <= 4
    assert torch.get_num_threads() == before


def test_what_is_begun_is_given_up_once_nobody_waits():
    """As after Ctrl-C: the caller goes on at once, and no thread evaluates any more."""
    given_up_units = []

    def wait(unit, given_up):
        if unit == 0:
            return unit
        assert given_up.wait(timeout=30)
        given_up_units.append(unit)

    results = ThisProcess(1, 3).evaluate(engine_of(wait), [(number, number) for number in range(99)])
    assert next(results) == (0, 0)
    results.close()
    assert 1 <= len(given_up_units) <= 3


def test_the_engine_stops_within_a_unit_that_is_given_up():
    given_up = Event()
    given_up.set()
    sweep = Sweep(PAIRS, Treatments.of_masks(MASKS))
    with pytest.raises(GivenUp):
        ablation_engine(MODEL, 60).evaluate_unit(sweep.unit(sweep.places(15, 100)[0]), given_up)


def test_side_by_side_gives_the_bytes_of_one_after_another():
    assert sweep(ThisProcess(1, 4)) == sweep(ThisProcess(1))


@pytest.mark.parametrize("size", [1, 3])
def test_single_calls_are_the_same_bytes_whoever_evaluates_them(size):
    calls, simulation = np.random.default_rng(2).random((1 + len(MASKS), len(PAIRS))) < 0.2, Simulation()
    here, side_by_side, pool = (
        engine(workers).evaluate_calls(PAIRS, MASKS, calls).tobytes()
        for workers in (ThisProcess(), ThisProcess(torch.get_num_threads(), 3), WorkerPool(simulation, size))
    )
    assert here == side_by_side == pool
    assert len(simulation.tasks) > 8


@pytest.mark.parametrize("precision", [FLOAT32, BFLOAT16], ids=lambda precision: precision.name)
def test_a_worker_evaluates_in_the_precision_of_its_task(precision):
    here = ablation_engine(MODEL, 60, precision)
    everything = Sweep(PAIRS, Treatments.of_masks(MASKS))
    unit = everything.unit(everything.places(15, 100)[0])
    threads = torch.get_num_threads()
    found = UnitWorker(MODEL, threads).evaluate(Task(0, precision, 60, unit))
    assert found["logits"].tobytes() == here.evaluate_unit(unit)["logits"].tobytes()


@pytest.mark.parametrize("change", [{"threads": 3}, {"unit_interventions": 5}, {"batch_tokens": 512}])
def test_what_moves_last_bits_is_part_of_the_sweeps_key(change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = []
    monkeypatch.setattr(sweep_cache, "sweep_key", lambda model, settings, *arrays: keys.append(settings) or "key")
    for settings in ({}, change):
        ablation = params_with(**{f"ablation__{key}": value for key, value in settings.items()}).ablation
        target = AblationTarget(TunedModel(MODEL, None), PAIRS, *[None] * 4, ablation)
        target.sweep(MASKS, "stage")
    assert len(set(keys)) == 2


@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_results_are_the_same_bytes_in_whatever_order_they_come(size):
    simulation = Simulation()
    assert sweep(WorkerPool(simulation, size)) == sweep(ThisProcess())
    assert simulation.numbers == list(range(UNITS))
    assert len(simulation.started) <= size


@pytest.mark.parametrize("size", [1, 3])
def test_a_lost_worker_costs_its_unit_only(size):
    simulation = Simulation(fails_on=[4, 11, 11])
    pool = WorkerPool(simulation, size)
    assert sweep(pool) == sweep(ThisProcess())
    assert simulation.numbers == sorted([*range(UNITS), 4, 11, 11])
    assert sum(worker.is_stopped for worker in simulation.started) == 3


def test_workers_end_with_their_pool():
    simulation = Simulation()
    sweep(WorkerPool(simulation, 3))
    assert [worker.is_stopped for worker in simulation.started] == [True] * 3


def test_a_unit_that_takes_its_workers_along_is_given_up_with_a_message():
    simulation = Simulation(fails_on=[4] * MAX_LOSSES)
    with pytest.raises(InputError, match=r"3 workers on unit 4 were lost, the last one so: on unit 4\."):
        sweep(WorkerPool(simulation, 2))
    assert all(worker.is_stopped for worker in simulation.started)


def test_workers_that_do_not_start_are_given_up():
    class Stillborn(Simulation):
        def start(self, place):
            worker = super().start(place)
            worker.receive = lambda: (_ for _ in ()).throw(WorkerLost("no memory"))
            return worker

    with pytest.raises(InputError, match=r"3 workers that start were lost, the last one so: no memory"):
        sweep(WorkerPool(Stillborn(), 2))


def test_an_error_in_a_worker_ends_all_of_them_and_the_pool_starts_anew():
    simulation = Simulation(fails_on=[6], error=WorkerFailed)
    pool = WorkerPool(simulation, 2)
    with pytest.raises(WorkerFailed, match="on unit 6"):
        sweep(pool)
    assert all(worker.is_stopped for worker in simulation.started)
    assert sweep(pool) == sweep(ThisProcess())


def test_a_killed_sweep_resumes_with_another_number_of_workers(tmp_path):
    cache = sweep_cache.SweepCache(tmp_path)
    pool = WorkerPool(Simulation(fails_on=[6], error=WorkerFailed), 2)
    with pytest.raises(WorkerFailed):
        replace(engine(pool), cache=cache).evaluate(PAIRS, MASKS)
    finished = {int(file.stem) for file in tmp_path.iterdir()}
    assert 0 < len(finished) < UNITS
    simulation = Simulation()
    resumed = replace(engine(WorkerPool(simulation, 4)), cache=cache).evaluate(PAIRS, MASKS)
    assert simulation.numbers == sorted(set(range(UNITS)) - finished)
    assert resumed.logits.tobytes() == sweep(ThisProcess())


def test_close_calls_of_a_killed_sweep_resume(tmp_path):
    close = np.random.default_rng(2).random((1 + len(MASKS), len(PAIRS))) < 0.5
    decisions = SimpleNamespace(margins=lambda logits: np.where(close, 0, np.inf))
    rounded = ablation_engine(MODEL, 60, BFLOAT16, cache=sweep_cache.SweepCache(tmp_path), unit_interventions=7)
    pool = WorkerPool(Simulation(fails_on=[9], error=WorkerFailed), 1)  # of the unmasked model there are 8 units
    with pytest.raises(WorkerFailed, match="on unit 9"):
        rounded_sweep(engine(pool), rounded, PAIRS, MASKS, decisions)
    simulation = Simulation()
    resumed = rounded_sweep(engine(WorkerPool(simulation, 1)), rounded, PAIRS, MASKS, decisions)
    numbers = [task.number for task in simulation.tasks]
    assert numbers == [*range(8), *range(9, 3 * len(set(PAIRS.lengths)))]
    whole = rounded_sweep(engine(ThisProcess()), replace(rounded, cache=None), PAIRS, MASKS, decisions)
    assert resumed.logits.tobytes() == whole.logits.tobytes()


def test_no_worker_is_started_where_nothing_is_left_to_do(tmp_path):
    cache, simulation = sweep_cache.SweepCache(tmp_path), Simulation()
    replace(engine(ThisProcess()), cache=cache).evaluate(PAIRS, MASKS)
    replace(engine(WorkerPool(simulation, 2)), cache=cache).evaluate(PAIRS, MASKS)
    assert simulation.started == []


def test_a_task_holds_nothing_of_other_pairs_and_masks():
    simulation = Simulation()
    sweep(WorkerPool(simulation, 2))
    units = [task.unit for task in simulation.tasks]
    assert {len(unit.treatments) for unit in units} == {7}
    assert sum(len(unit.encoded.ids) for unit in units) == 3 * len(PAIRS.ids)
    assert max(len(unit.encoded) for unit in units) == 3  # pairs of 5 tokens


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        ({}, ThisProcess),
        ({"workers": 3}, LocalBackend),
    ],
)
def test_params_choose_the_workers(compute, expected):
    params = params_with(**{f"compute__{key}": value for key, value in compute.items()})
    workers = sweep_workers(MODEL, params.compute, params.ablation.threads)
    assert isinstance(workers._backend if isinstance(workers, WorkerPool) else workers, expected)


def test_without_ray_a_message_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"backend is ray, but ray is not installed; pip install '\.\[cluster\]'"):
        RayBackend(MODEL, 1, None)


def test_an_address_without_ray_is_refused():
    with pytest.raises(ValueError, match="address 'ray://a:1' is a Ray cluster's, but backend is 'local'"):
        params_with(compute__address="ray://a:1")
