"""What checksums and flushes cost, as a share of the time of one run."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from experiments.faults.trial import command, forked

__all__ = ["checksum_cost"]

_WORDS = ["--seed", "1", "--set", "passes=[noise]", "--set", "evolution.generations=4"]
_WORDS += ["--workers", "1", "--set", "capture.keep=true"]


def checksum_cost(work: Path) -> dict[str, Any]:
    """Time them inside the main command; one process, so that a clock sees all of it."""
    folder, told = work / "cost", work / "cost.json"
    shutil.rmtree(folder, ignore_errors=True)
    words = ["evolve", "--out", str(folder), *_WORDS]
    done = forked(partial(_timed, words, folder, told), kill_after=1800)
    if done.code:
        raise SystemExit(f"the main command failed: {done.text}")
    found: dict[str, Any] = json.loads(told.read_text())
    shutil.rmtree(folder, ignore_errors=True)
    shown = "greenmachine evolve " + " ".join(w if w[0] != "p" else f"'{w}'" for w in _WORDS)
    return {"command": shown, **found}


def _timed(words: list[str], folder: Path, told: Path) -> int:
    from greenmachine import files
    from greenmachine.signals import shard_io

    spent = {"checksums": 0.0, "flushes": 0.0}

    def clocked(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                spent[name] += time.perf_counter() - began

        return call

    class Hash:
        """hashlib's, with a clock."""

        def __init__(self) -> None:
            import hashlib

            self._hash = hashlib.sha256()
            self.update = clocked("checksums", self._hash.update)
            self.hexdigest = self._hash.hexdigest

    class Hashlib:
        sha256 = Hash

    files._digest = clocked("checksums", files._digest)
    files.sha256 = clocked("checksums", files.sha256)
    files._flush = clocked("flushes", files._flush)
    shard_io.hashlib = Hashlib  # type: ignore[attr-defined]
    began = time.perf_counter()
    code = command(words)
    whole = time.perf_counter() - began
    layouts = list((folder / "signals").rglob("shard-*.json"))
    stored = sum(path.with_suffix(".safetensors").stat().st_size for path in layouts)
    began = time.perf_counter()
    assert not any(shard_io.damage(path) for path in layouts)
    verify = time.perf_counter() - began
    share = sum(spent.values()) / whole
    facts = {**spent, "whole": whole, "share": share, "stored": stored, "verify": verify}
    told.write_text(json.dumps(facts))
    return code
