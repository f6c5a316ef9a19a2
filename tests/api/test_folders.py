"""A command refuses the folder of another one, and leaves it alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

import greenmachine as gm
from greenmachine.api.banks import build_bank
from greenmachine.errors import RunError
from greenmachine.evaluation import capture_spec, score_to_file
from greenmachine.files import FolderKind, alone_in, write_sealed
from greenmachine.proxies import PROXIES


def _score(folder: Path) -> None:
    """Write scores whose unfinished parts would be in ``folder``."""
    spec = capture_spec("digits-tss", "digits", [], batch=2, seed=0, options={})
    score_to_file({"params": PROXIES.find("params")}, spec, [0], folder.with_suffix(""))


COMMANDS: dict[FolderKind, Callable[[Path], Any]] = {
    FolderKind.RUN: lambda folder: gm.evolve("digits-tss", out=folder),
    FolderKind.SEEDS: lambda folder: gm.evolve("digits-tss", seeds=2, out=folder),
    FolderKind.BANK: lambda folder: build_bank(folder, "digits-tss"),
    FolderKind.PARTS: _score,
    FolderKind.SEARCH: lambda folder: gm.search_networks("params", on="digits-tss", out=folder),
}


@pytest.mark.parametrize(("kind", "there"), permutations(FolderKind, 2))
def test_the_folder_of_another_command_is_refused(
    kind: FolderKind, there: FolderKind, tmp_path: Path
) -> None:
    folder = tmp_path / "scores.parquet.parts"
    with alone_in(folder, there):
        write_sealed(folder / there.mark, {})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError, match=str(folder)):
        COMMANDS[kind](folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
