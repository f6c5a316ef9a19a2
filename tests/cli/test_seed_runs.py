"""``greenmachine evolve --seeds``: runs with several seeds, and one summary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import greenmachine

from .conftest import Call

WORDS = [
    *("evolve", "--on", "nats-tss", "--seed", "3", "--seeds", "2", "--out", "tiny"),
    *("--workers", "1", "--set", "passes=noise", "--set", "capture.batch=2"),
    *("--set", "capture.options={cells: 1, channels: 4}"),
    *("--set", "samples={train: {size: 6}, validation: {size: 5}, test: {size: 6}}"),
    *("--set", "evolution={population: 5, generations: 1, elites: 1}"),
]


@pytest.fixture
def made(call: Call, tmp_path: Path, synthetic_data: Path) -> greenmachine.SeedRuns:
    done = call(*WORDS)
    assert done.returncode == 0, done.stderr
    found = greenmachine.SeedRuns.open(tmp_path / "tiny")
    assert f"{found.tau.loc[('cifar10', 'champion'), ('test', 'mean')]:.3f} ±" in done.stdout
    return found


def test_the_same_command_reads_what_it_made(call: Call, made: greenmachine.SeedRuns) -> None:
    done = call(*WORDS, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == made.facts


@pytest.mark.slow  # charts
def test_the_runs_can_be_compared(call: Call, made: greenmachine.SeedRuns, tmp_path: Path) -> None:
    compared = call("report", "--compare", str(made.folder), "--out", "both.html")
    assert compared.returncode == 0, compared.stderr
    rows = [line.split() for line in compared.stdout.splitlines()]
    assert rows == [["setting", "seed-3", "seed-4"], ["seed", "3", "4"]]
    assert (tmp_path / "both.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--seeds", "0"], 2, "--seeds"),
        (["--seeds", "many"], 2, "--seeds"),
        (["--seeds", "2", "--resume", "runs/x"], 1, "--resume"),
        (["--seeds", "2", "--seed", "-1"], 1, "seed"),
    ],
)
def test_mistakes_of_the_command_are_one_line(
    call: Call, words: list[str], code: int, says: str
) -> None:
    done = call("evolve", *words)
    assert done.returncode == code
    (line,) = done.stderr.strip().splitlines()
    assert says in line
