"""Energy: measured by codecarbon where it is installed, and never in the way of a run."""

from __future__ import annotations

import csv
import json
import logging
import math
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenmachine.energy import Energy, Meter, metered
from greenmachine.evolution import Run
from tests.evolution.conftest import Quiet, settings
from tests.sealed import edit

SMALL = {"population": 6, "generations": 3, "elites": 1}
KWH = st.dictionaries(st.sampled_from(["cpu", "ram", "gpu"]), st.floats(0, 1e3))


def spin(seconds: float = 0.1) -> None:
    """Work: codecarbon measures nothing new within 50 ms."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        math.sqrt(2.0)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def search_state(folder: Path) -> Any:
    return json.loads((folder / "checkpoint.json").read_text())["search"]


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if codecarbon were not installed."""
    monkeypatch.setitem(sys.modules, "codecarbon", None)


@given(st.lists(KWH, max_size=4))
def test_sittings_add_up(sittings: list[dict[str, float]]) -> None:
    energy = Energy()
    for kwh in sittings:
        energy += Energy(kwh, dict.fromkeys(kwh, "read"), 2.0)
    assert energy.total == pytest.approx(sum(sum(kwh.values()) for kwh in sittings))
    assert energy.seconds == 2.0 * len(sittings)
    assert set(energy.methods.values()) <= {"read"}
    facts = energy.facts()
    assert bool(facts) == any(sittings)
    again = Energy(**json.loads(json.dumps(facts.get("energy", {}))))
    assert again.total == pytest.approx(energy.total, abs=1e-8)


def test_text_names_every_method_and_what_was_not_measured() -> None:
    first = Energy({"cpu": 0.01}, {"cpu": "read"}, 20.0)
    energy = first + Energy({"cpu": 0.01, "gpu": 0.1}, {"cpu": "guessed", "gpu": "read"}, 20.0)
    parts = "0.12 kWh, whole machine: processor 0.02 (read; guessed), GPU 0.1 (read)"
    assert (energy + first).methods == energy.methods
    assert energy.text(40.4) == parts
    assert energy.text(80.0) == f"{parts}; 40 s of 80 s were measured"


@pytest.mark.usefixtures("absent", "synthetic_data")
def test_without_codecarbon_nothing_is_said_and_a_resumed_run_keeps_what_it_had(
    tmp_path: Path,
) -> None:
    listener = Quiet(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        Run(settings(evolution=SMALL), tmp_path / "run", [], listener).execute()
    assert not [line for line in listener.lines if "energy" in line]
    assert "energy_kwh" not in history(tmp_path / "run")[0]
    path = tmp_path / "run" / "checkpoint.json"
    assert not json.loads(path.read_text())["energy"]["kwh"]
    facts = {"kwh": {"cpu": 0.5}, "methods": {"cpu": "read"}, "seconds": 1e-3}
    edit(path, lambda saved: saved.update(energy=facts))
    result = Run.resume(tmp_path / "run", Quiet()).execute()
    assert result["energy"]["kwh"] == {"cpu": 0.5}
    rows = history(tmp_path / "run")
    assert [row["energy_kwh"] for row in rows] == ["", "", "0.5", "0.5"]


def test_broken_installation_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "codecarbon"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "codecarbon.py").write_text("raise RuntimeError('two\\nlines')")
    monkeypatch.syspath_prepend(tmp_path)
    said: list[str] = []
    with metered(True, "loky", said.append) as meter:
        assert meter.read() == Energy()
    assert said == ["energy is not measured: RuntimeError two lines"]


def test_a_cluster_elsewhere_is_not_measured() -> None:
    said: list[str] = []
    with metered(True, "dask:tcp://somewhere:8786", said.append) as meter:
        assert meter.read() == Energy()
    assert said == []


def test_codecarbon_measures_and_does_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon")
    calls: list[Any] = []

    def refuse(*address: Any) -> None:
        calls.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODECARBON_CO2_SIGNAL_API_TOKEN", "a token that would be used")
    monkeypatch.setenv("CODECARBON_EMISSIONS_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("CODECARBON_SAVE_TO_FILE", "true")
    before = set(threading.enumerate())
    said: list[str] = []
    with metered(False, "loky", said.append) as meter:
        spin()
        first = meter.read()
        spin()
        second = meter.read()
    assert said == []
    assert 0 < first.total < second.total
    assert 0.2 <= second.seconds < 60
    assert {"cpu", "ram"} >= set(second.kwh) == set(second.methods)
    assert all(how.startswith(("measured", "estimated")) for how in second.methods.values())
    assert meter.read() == second
    assert calls == []
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("codecarbon").filters == []
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_watts_that_the_user_knows_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("codecarbon")
    monkeypatch.setenv("CODECARBON_FORCE_CPU_POWER", "35")
    with metered(False, "loky", print) as meter:
        assert meter.read().methods["cpu"] == "estimated from its load, 35 W at full load"


@pytest.mark.parametrize(
    "broken",
    [
        "emissions_tracker.OfflineEmissionsTracker._set_from_conf",
        "core.resource_tracker.ResourceTracker.set_CPU_GPU_ram_tracking",
        "external.ram.RAM.total_power",
        "emissions_tracker.OfflineEmissionsTracker._prepare_emissions_data",
    ],
)
def test_failure_at_the_start_is_one_line(
    broken: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon")

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError("no meter\nhere")

    monkeypatch.setattr(f"codecarbon.{broken}", fail)
    said: list[str] = []
    with metered(False, "loky", said.append) as meter:
        spin()
        assert meter.read() == Energy()
    assert said == ["energy is not measured: PermissionError no meter here"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("where", ["read", "thread"])
def test_failure_later_keeps_what_was_measured(
    where: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon")
    name = {"read": "_do_measurements", "thread": "_monitor_power"}[where]
    failed = threading.Event()

    def fail(*_: Any) -> None:
        failed.set()
        raise OSError("the meter is gone")

    said: list[str] = []
    meter = Meter(False, said.append)
    if where == "thread":  # it looks each second
        monkeypatch.setattr(f"codecarbon.emissions_tracker.BaseEmissionsTracker.{name}", fail)
    meter.start()
    spin()
    measured = meter.read() if where == "read" else Energy()
    if where == "read":
        monkeypatch.setattr(f"codecarbon.emissions_tracker.BaseEmissionsTracker.{name}", fail)
        spin()
    else:
        assert failed.wait(timeout=20)
        time.sleep(0.1)
    after = meter.read()
    assert said == ["energy is not measured any more: OSError the meter is gone"]
    assert after.total >= measured.total
    assert after.kwh
    assert meter.read() == after
    meter.stop()
    assert len(said) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("synthetic_data")
def test_run_is_measured_over_its_sittings_and_is_the_same_run(tmp_path: Path) -> None:
    pytest.importorskip("codecarbon")
    config = settings(evolution=SMALL)
    with pytest.raises(KeyboardInterrupt):
        Run(config, tmp_path / "with", [], Quiet(stop_after=1)).execute()
    result = Run.resume(tmp_path / "with", Quiet()).execute()
    drawn = [float(row["energy_kwh"]) for row in history(tmp_path / "with")]
    assert drawn[0] > 0 and drawn == sorted(drawn)
    parts = sum(result["energy"]["kwh"].values())
    assert drawn[-1] <= result["energy_kwh"] == pytest.approx(parts, abs=1e-8)
    assert result == result_of(tmp_path / "with")
    assert result["energy"]["seconds"] == pytest.approx(result["seconds"], rel=0.2, abs=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "codecarbon", None)
        without = Run(config, tmp_path / "without", [], Quiet()).execute()
    assert search_state(tmp_path / "with") == search_state(tmp_path / "without")
    spent = {"seconds", "energy", "energy_kwh", "cache_hits", "cache_misses", "evaluated"}
    assert {k: v for k, v in result.items() if k not in spent} == {
        k: v for k, v in without.items() if k not in spent
    }
