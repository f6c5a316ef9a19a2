"""The benchmarks measure every part, and what they compare gives the same scores."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.performance import __main__ as command
from experiments.performance.growth import random_trees
from experiments.performance.plain import of_layers, recompute
from experiments.performance.report import PARTS, Report
from experiments.performance.settings import QUICK, Settings
from experiments.performance.workload import Workload
from greenmachine.language.grammar import Grammar
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import build_network, cached_benchmark, capture_network
from greenmachine.signals.passes import noise_images

SMALL: dict[str, Any] = {
    "networks": 5,
    "population": 8,
    "generations": 1,
    "workers": 1,
    "batch": 3,
    "plain_individuals": 8,
    "plain_networks": 3,
    "passes_individuals": 2,
    "passes_networks": 2,
    "data_bytes": 2**16,
    "copy_bytes": 2**20,
    "least_seconds": 0.0,
    "most_seconds": 0.001,
    "chains": 1,
    "above_networks": 5,
    "above_population": 8,
    "above_generations": 1,
    "growth_networks": (2, 4),
    "growth_populations": (4, 8),
    "growth_sizes": (10, 20),
    "growth_individuals": 3,
    "growth_batch": 2,
}
KEYS = {
    "engine_vs_plain", "engine_vs_recompute", "copy_fraction", "capture_ms", "kendall_us",
    "help_seconds", "help_to_torch", "candidates_per_second",
    "bank_candidates_per_second",
}  # fmt: skip
LINUX = {"peak_gb", "main_alone"}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "QUICK", {**QUICK, **SMALL})


def test_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--quick", "--json", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])
    assert set(summary) == KEYS | (LINUX if sys.platform == "linux" else set())
    assert all(math.isfinite(value) and value > 0 for value in summary.values())
    saved = json.loads((tmp_path / "performance.json").read_text())
    assert saved["settings"]["networks"] == 5 and saved["packages"]["torch"]
    parts = [letter for letter in PARTS if letter != "e" or "peak_gb" in summary]
    for letter in parts:
        assert any(line.startswith(f"{letter}. {PARTS[letter]}") for line in printed)
        assert len(list(tmp_path.glob(f"{letter}_*.csv"))) >= 1
    values = {row["what"]: row["value"] for row in saved["rows"]}
    assert all(math.isfinite(value) for value in values.values())
    assert values["plain scores that differ from the engine's"] == 0


def test_recomputed_signals_are_those_of_the_capture() -> None:
    grammar = Grammar(["noise"])
    names = [name for name in grammar.terminals if name != "depth"]
    spec = CaptureSpec("digits-tss", "digits", tuple(names), batch=3)
    benchmark = cached_benchmark("digits-tss")
    dead = max(range(len(benchmark)), key=lambda index: benchmark.archs[index].count("none"))
    for index in (0, dead):
        layers = capture_network(benchmark, index, spec)
        assert isinstance(layers, list)
        ours = of_layers(layers, grammar.terminals)
        model = build_network(benchmark, index, spec)
        theirs = recompute(model, noise_images((3, *benchmark.input_shape("digits")), spec.seed))
        assert set(ours) == set(theirs)
        for name, tensors in ours.items():
            for ourselves, others in zip(tensors, theirs[name], strict=True):
                torch.testing.assert_close(ourselves, others, rtol=1e-3, atol=1e-4)


def test_random_trees_have_the_wanted_size() -> None:
    trees = random_trees(Grammar(["noise"]), 5, 20, seed=0)
    assert [10 < tree.size <= 20 for tree in trees] == [True] * 5
    assert trees == random_trees(Grammar(["noise"]), 5, 20, seed=0)


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "measure_capture", interrupted)
    assert command.main(["--quick", "--parts", "f,g", "--json"]) == 1
    printed = capsys.readouterr().out
    assert "g. Kendall's tau" in printed
    assert list(json.loads(printed.splitlines()[-1])) == ["kendall_us"]


def test_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GREENMACHINE_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path))
    assert command.main(["--parts", "f"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--quick" in error and "GREENMACHINE_DATA" in error


def test_unknown_part(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--parts", "z"])
    assert "choose from a,b,c,d,e,f,g,h" in capsys.readouterr().err


def test_report_prints_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.add("g", "short", 1.5, "us")
    report.add("g", "much longer", 12345.6, "us", "a note")
    report.print()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "g. Kendall's tau",
        "  short           1.5 us",
        "  much longer  12,346 us  a note",
    ]


def test_an_evaluation_takes_no_longer_than_the_search_around_it(tmp_path: Path) -> None:
    """A time that is counted twice, as in an attribute that the engine uses too, exceeds it."""
    found = Workload(Settings(**{**QUICK, **SMALL}), tmp_path, lambda _: None).evolution
    evaluator = found.evaluator
    assert 0 < evaluator.worker_seconds <= evaluator.call_seconds <= found.seconds
