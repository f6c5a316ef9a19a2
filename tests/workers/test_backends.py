"""Backends by name: opened and closed, what does not answer, workers that die."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pytest

import greenmachine
from greenmachine.config import load_config
from greenmachine.errors import ConfigError, RunError
from greenmachine.workers import backend, count_workers, run_tasks
from tests.workers.clusters import closed, dask_cluster
from tests.workers.test_tasks import killed, power, span, threads


@pytest.mark.parametrize("workers", [0, -2])
def test_workers_are_a_number(workers: int) -> None:
    with pytest.raises(ConfigError, match="give a number of processes, or -1"):
        load_config(None, {"workers": workers})


@pytest.mark.parametrize("name", ["", "dusk", "dask:", "ray:", "loky:2", "threading"])
def test_unknown_backend(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose loky, dask, dask:tcp://HOST:PORT, ray") as caught:
        greenmachine.evolve(settings={"backend": name}, out=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("kind", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_package_is_missing(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"greenmachine.workers._{kind}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    hint = re.escape(f"pip install 'greenmachine[{kind}]'")
    with pytest.raises(ConfigError, match=hint), backend(kind):
        pass


def test_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("greenmachine.workers._dask")
    monkeypatch.setitem(module._PATIENCE, "scheduler", 0.5)
    address = f"tcp://{closed()}"
    says = f"no Dask scheduler answers at {address} "
    with pytest.raises(RunError, match=says) as caught, backend(f"dask:{address}"):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "has no workers"),
        (("--nworkers", "1", "--nthreads", "2"), "has 2 threads"),
    ],
)
def test_cluster_that_does_not_fit(options: tuple[str, ...], says: str, tmp_path: Path) -> None:
    with (
        dask_cluster(tmp_path, *options) as (address, _),
        pytest.raises(RunError, match=says) as caught,
        backend(f"dask:{address}"),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_cluster_of_one_worker_does_the_work(tmp_path: Path) -> None:
    one = dask_cluster(tmp_path, "--nworkers", "1", "--nthreads", "1")
    with one as (address, _), backend(f"dask:{address}"):
        assert count_workers(-1) == 1
        for workers in (1, -1):
            assert os.getpid() not in {pid for _, pid in run_tasks(threads, [()] * 2, workers)}


@pytest.mark.slow
def test_joblib_config_of_a_user_stays(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with dask_cluster(tmp_path, "--nworkers", "2", "--nthreads", "1") as (address, _):
        client = distributed.Client(address, timeout=60)
        client.wait_for_workers(2)
        with client, joblib.parallel_config(backend="dask"), backend("loky"):
            assert os.getpid() not in {pid for _, pid in run_tasks(threads, [()] * 4, -1)}


@pytest.mark.slow
def test_scheduler_is_gone(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    from dask import config

    brief = {"distributed.comm.timeouts.connect": "1s"}  # else it looks for it for 30 seconds
    with dask_cluster(tmp_path, "--nworkers", "2", "--nthreads", "1") as (address, daemons):

        def told(done: int, total: int) -> None:
            if done == 2:
                daemons[0].kill()

        with (
            pytest.raises(RunError, match="scheduler is gone.*`score` command$"),
            backend(f"dask:{address}"),
            config.set(brief),
        ):
            run_tasks(span, [()] * 500, -1, told)


CLIENT = """
import os, sys
from greenmachine.errors import RunError
from greenmachine.workers import backend, count_workers, run_tasks
try:
    with backend(sys.argv[1], 5):
        pass
except RunError as error:
    print(error)
with backend(sys.argv[1]):
    print(count_workers(-1), os.getpid() in run_tasks(os.getpid, [()] * 4, -1))
"""


@pytest.mark.slow
def test_ray_that_runs_already() -> None:
    pytest.importorskip("ray")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # In a process of its own: Ray reads the token when it is imported.
    environment = {**os.environ, **token}
    address = closed()
    program = str(Path(sys.executable).with_name("ray"))
    words = ["start", "--head", "--port", address.rpartition(":")[2], "--num-cpus", "2", "--block"]
    daemon = subprocess.Popen(
        [program, *words, "--include-dashboard", "false"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        status = [program, "status", "--address", address]
        while subprocess.run(status, env=environment, capture_output=True).returncode:
            assert time.monotonic() < deadline
        words = [sys.executable, "-c", CLIENT, f"ray:{address}"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    finally:
        daemon.terminate()
        daemon.wait()
    expected = ["Ray has 2 CPUs for 5 workers: use fewer workers", "2 False"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_no_ray_answers() -> None:
    pytest.importorskip("ray")
    for address in (closed(), "nonsense"):
        says = f"no Ray answers at {address} "
        with pytest.raises(RunError, match=says) as caught, backend(f"ray:{address}"):
            pass
        assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dask", "ray"])
def test_workers_of_a_local_cluster(name: str, tmp_path: Path) -> None:
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[name])
    told: list[int] = []
    with backend(name, 2):
        assert count_workers(-1) == 2
        results = run_tasks(power, [(2, i) for i in range(9)], 2, lambda d, _: told.append(d))
        assert results == [2**i for i in range(9)]
        assert told == list(range(1, 10))
        tasks = [(i, str(tmp_path / "once")) for i in range(4)]
        assert run_tasks(killed, tasks, 2) == [0, 1, 2, 3]
        with pytest.raises(RunError, match="evolve --resume") as caught:
            run_tasks(killed, [(i,) for i in range(4)], 2)
        assert "\n" not in str(caught.value)
        assert run_tasks(power, [(2, 3), (3, 2)], 2) == [8, 9]
