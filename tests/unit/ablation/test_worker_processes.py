"""Worker processes and Ray actors: real ones, killed ones, and what is left of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import numpy as np
import psutil
import pytest

from pipeline.ablation import sweep_cache
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.local_workers import LocalBackend
from pipeline.ablation.ray_workers import RayBackend
from pipeline.ablation.workers import ThisProcess, WorkerFailed, WorkerPool
from pipeline.core.errors import InputError
from tests.support.builders import ablation_engine, random_classifier, random_pairs, save_checkpoint
from tests.support.servers import free_port
from tests.support.shell import REPOSITORY, awaited

pytestmark = pytest.mark.slow  # each process imports torch and transformers

MODEL = random_classifier("bert", layers=3)
PAIRS = random_pairs([5, 9, 5, 12, 7, 6, 9, 5, 30, 11])
NO_RAY = "Ray is an extra: pip install '.[cluster]'"
LATE = 6  # length of the pair with the fewest tokens of all units, which is evaluated behind the others
MASKS = np.random.default_rng(0).choice([0.0, 1.0], (20, 3, 3))


@dataclass
class LogUnits:
    """Observer that logs each unit; an event is what happens in the middle of a late one."""

    log: Path
    event: str = ""
    length: int = 0
    layers = (1,)

    def reduce(self, layer, rows):
        if self.length == LATE and self.event:
            self._happen()
        with self.log.open("a") as log:
            log.write(f"{os.getpid()}\n")
        return rows[..., :4]

    def take(self, pairs):
        return LogUnits(self.log, self.event, int(PAIRS.lengths[pairs[0]]))

    def _happen(self):
        if self.event == "sleep":
            self.log.with_name("asleep").touch()
            time.sleep(600)
        if self.event == "error":
            raise ValueError("of a worker")
        once = self.log.with_name("killed")
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def engine(workers, **settings) -> AblationEngine:
    """An engine on one thread."""
    return ablation_engine(MODEL, 60, workers=workers, unit_interventions=7, **settings)


def sweep(workers, log: Path, event: str = "") -> bytes:
    result = engine(workers).evaluate(PAIRS, MASKS, observer=LogUnits(log, event))
    return result.logits.tobytes() + result.cls_attention.tobytes()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_checkpoint(folder, MODEL)
    return folder


@pytest.fixture
def alone(tmp_path) -> bytes:
    """The sweep in this process."""
    return sweep(ThisProcess(threads=1), tmp_path / "alone")


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "local_workers" in " ".join(child.cmdline())]


def test_a_killed_process_costs_its_unit_and_none_is_left(alone, tmp_path, model_folder):
    log = tmp_path / "log"
    pool = WorkerPool(LocalBackend(model_folder, "cpu", threads=1), 2)
    assert sweep(pool, log, "kill") == alone
    assert (tmp_path / "killed").exists()
    assert len(log.read_text().split()) == len((tmp_path / "alone").read_text().split())
    workers = workers_of(psutil.Process())
    assert len(workers) == 2
    pool.close()
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_any_number_of_processes_gives_the_same_bytes(alone, tmp_path, model_folder, size):
    pool = WorkerPool(LocalBackend(model_folder, "cpu", threads=1), size)
    assert sweep(pool, tmp_path / "log") == alone
    before = set(workers_of(psutil.Process()))
    assert sweep(pool, tmp_path / "log") == alone
    assert set(workers_of(psutil.Process())) == before  # persistent


def test_an_error_in_a_process_ends_all_and_what_was_finished_is_resumed(alone, tmp_path, model_folder):
    cache = sweep_cache.SweepCache(tmp_path / "sweep")
    pool = WorkerPool(LocalBackend(model_folder, "cpu", threads=1), 2)
    with pytest.raises(WorkerFailed, match="ValueError: of a worker"):
        engine(pool, cache=cache).evaluate(PAIRS, MASKS, observer=LogUnits(tmp_path / "log", "error"))
    assert workers_of(psutil.Process()) == []
    finished, units = len(list(cache.folder.iterdir())), len((tmp_path / "alone").read_text().split())
    assert finished > 0
    log = tmp_path / "resumed"
    result = engine(pool, cache=cache).evaluate(PAIRS, MASKS, observer=LogUnits(log))
    assert result.logits.tobytes() + result.cls_attention.tobytes() == alone
    assert 0 < len(log.read_text().split()) < units
    pool.close()


@dataclass
class WaitOffNode(LogUnits):
    """Observer by which the first unit on another node than `event` never ends."""

    def reduce(self, layer, rows):
        import ray

        waits = self.log.with_name("waits")
        if ray.get_runtime_context().get_node_id() != self.event and not waits.exists():
            waits.touch()
            time.sleep(600)
        return super().reduce(layer, rows)

    def take(self, pairs):
        return WaitOffNode(self.log, self.event)


@pytest.fixture
def cluster():
    """Ray cluster of two nodes on this machine: the cluster, the second node, and the port for clients."""
    ray = pytest.importorskip("ray", reason=NO_RAY)
    from ray.cluster_utils import Cluster

    port = free_port()
    first = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port}
    nodes = Cluster(initialize_head=True, head_node_args=first)
    second = nodes.add_node(num_cpus=1)
    yield nodes, second, port
    ray.shutdown()
    nodes.shutdown()


def test_a_ray_node_that_is_killed_costs_its_unit(alone, tmp_path, cluster):
    import ray

    nodes, other, _ = cluster
    pool = WorkerPool(RayBackend(MODEL, threads=1, address=nodes.address), 2)
    log = tmp_path / "before"
    awaited(lambda: sweep(pool, log) == alone and len(set(log.read_text().split())) == 2)  # until both have started

    killer = Thread(target=lambda: awaited((tmp_path / "waits").exists) and nodes.remove_node(other))
    killer.start()
    observer = WaitOffNode(tmp_path / "log", nodes.head_node.node_id)
    result = engine(pool).evaluate(PAIRS, MASKS, observer=observer)
    killer.join()
    assert [node["Alive"] for node in ray.nodes()].count(False) == 1
    assert result.logits.tobytes() + result.cls_attention.tobytes() == alone
    units = len((tmp_path / "alone").read_text().split())
    assert len((tmp_path / "log").read_text().split()) == units
    pool.close()


def test_a_client_of_a_ray_cluster_gets_the_same_bytes(cluster):
    """Its workers know of this project what is sent to them: no tests, so no observer of theirs."""
    pytest.importorskip("grpc", reason=NO_RAY)
    *_, port = cluster

    def listens() -> bool:
        with closing(socket.socket()) as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    awaited(listens)
    pool = WorkerPool(RayBackend(MODEL, threads=1, address=f"ray://127.0.0.1:{port}"), 2)
    alone, found = (engine(workers).evaluate(PAIRS, MASKS).logits for workers in (ThisProcess(threads=1), pool))
    assert found.tobytes() == alone.tobytes()
    pool.close()


def test_ray_that_is_started_here_gives_the_same_bytes_and_ends(alone, tmp_path):
    ray = pytest.importorskip("ray", reason=NO_RAY)
    pool = WorkerPool(RayBackend(MODEL, threads=1, address=None), 2)
    assert sweep(pool, tmp_path / "log") == alone
    with pytest.raises(WorkerFailed, match="ValueError: of a worker"):
        sweep(pool, tmp_path / "log", "error")
    ray.shutdown()


def test_a_cluster_that_does_not_answer_is_named():
    pytest.importorskip("ray", reason=NO_RAY)
    address = f"ray://127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=rf"compute.address '{address}': no Ray cluster answers"):
        RayBackend(MODEL, 1, address)


def asleep(folder: str, model_folder: str) -> None:
    """A sweep on two processes, one of which never ends; for the tests below, in a process of its own."""
    pool = WorkerPool(LocalBackend(Path(model_folder), "cpu", threads=1), 2)
    sweep(pool, Path(folder) / "log", "sleep")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_workers_end_with_the_process_that_started_them(tmp_path, model_folder, number):
    script = (  # a shell starts what runs in the background with SIGINT ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from pipeline.core.process import raise_on_sigterm; from tests.unit.ablation import test_worker_processes;"
        f"raise_on_sigterm(); test_worker_processes.asleep({str(tmp_path)!r}, {str(model_folder)!r})"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    log, process = tmp_path / "log", psutil.Process(parent.pid)
    awaited(lambda: log.exists() and (tmp_path / "asleep").exists())
    workers = workers_of(process)
    assert len(workers) == 2
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)  # as Ctrl-C in a terminal
    else:
        parent.send_signal(number)
    _, errors = parent.communicate(timeout=60)
    awaited(lambda: not any(worker.is_running() for worker in workers), patience=10)
    assert errors.count("Traceback") == (number == signal.SIGINT)
