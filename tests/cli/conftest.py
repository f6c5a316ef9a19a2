from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from greenmachine.cli import main

RUN = """
name: tiny
tasks: nats-tss
passes: [noise]
seed: 1
workers: 1
samples: {train: {size: 12}, validation: {size: 8}, test: {size: 12}}
capture: {batch: 2, options: {cells: 1}}
evolution: {population: 8, generations: 1, elites: 1}
"""


@dataclass
class Printed:
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Printed]


def command(*words: str) -> list[str]:
    """The command line in a process of its own."""
    return [sys.executable, "-m", "greenmachine", *words]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Type a command in ``tmp_path``, in this process: importing torch anew takes seconds."""

    def typed(*words: str) -> Printed:
        monkeypatch.setattr(sys, "argv", ["greenmachine", *words])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Printed(int(ended.value.code or 0), printed.out, printed.err)

    return typed


@pytest.fixture(scope="module")
def run_folder(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run, made in a process of its own; what it printed lies beside it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "run.yaml").write_text(RUN)
    words = command("evolve", "run.yaml", "--out", "tiny")
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder / "tiny"
