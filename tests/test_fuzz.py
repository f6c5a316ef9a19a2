"""Hostile inputs, a fixed number of each kind: read, or refused by an error that we know.

``python -m experiments.faults "hostile inputs"`` tries thousands.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.faults.fuzz import KINDS
from experiments.faults.trial import RUN
from greenmachine.config import load_config
from greenmachine.errors import GreenMachineError
from greenmachine.evolution import Run
from greenmachine.language import parse
from greenmachine.proxies import resolve
from tests.evolution.conftest import Quiet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where inputs are written; beside it lies a finished run."""
    made = tmp_path_factory.mktemp("fuzz")
    Run(load_config(None, RUN), made / "unbroken", [], Quiet()).execute()
    (made / "inputs").mkdir()
    before = Path.cwd()
    yield made / "inputs"
    os.chdir(before)  # commands are typed there


COUNTS = {"JSON of a run": 40, "command lines": 30, "Parquet attributes": 20}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_inputs(kind: str, folder: Path) -> None:
    read, _ = KINDS[kind]
    refused = 0
    for number in range(COUNTS.get(kind, 150)):
        try:
            read(random.Random(f"test {kind} {number}"), folder)
        except GreenMachineError:
            refused += 1
    assert refused or kind == "command lines"  # whose errors end in `run`


BUDGET = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@BUDGET
@given(st.binary(max_size=200))
def test_any_bytes_as_settings(content: bytes) -> None:
    path = Path("any.yaml").absolute()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda self, encoding: content.decode(encoding))
        with suppress(GreenMachineError):
            load_config(path)


@BUDGET
@given(st.text(max_size=120))
def test_any_text_as_expression(text: str) -> None:
    for read in (parse, resolve):
        with suppress(GreenMachineError):
            read(text)
