"""Measure the cost of checksums and flushes, as a share of the time of one run."""

from __future__ import annotations

import cProfile
import json
import pstats
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

from experiments.faults.trial import command, forked

__all__ = ["checksum_cost"]

_WORDS = ["--seed", "1", "--set", "passes=[noise]", "--set", "evolution.generations=4"]
_WORDS += ["--workers", "1", "--set", "capture.keep_signals=true"]


def checksum_cost(work: Path) -> dict[str, Any]:
    """Time checksums and flushes in the main command, with one process so that a clock sees all."""
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
    """Run the command with the profiler, and then without it to measure the whole time."""
    from greenmachine.signals.shard_io import damage

    profiler = cProfile.Profile()
    if code := profiler.runcall(command, words):
        return code
    spent = _spent(pstats.Stats(profiler))
    shutil.rmtree(folder)
    began = time.perf_counter()
    code = command(words)
    whole = time.perf_counter() - began
    layouts = list((folder / "signals").rglob("shard-*.json"))
    stored = sum(path.with_suffix(".safetensors").stat().st_size for path in layouts)
    began = time.perf_counter()
    assert not any(damage(path) for path in layouts)
    verify = time.perf_counter() - began
    share = sum(spent.values()) / whole
    facts = {**spent, "whole": whole, "share": share, "stored": stored, "verify": verify}
    told.write_text(json.dumps(facts))
    return code


def _spent(stats: pstats.Stats) -> dict[str, float]:
    """Return the seconds in checksums and in flushes.

    The time of the functions in ``files.py`` includes the functions that they call. All other
    hashing is done while a shard is written.
    """
    seconds = {"checksums": 0.0, "flushes": 0.0}
    for (file, _, name), (_, _, _, total, callers) in stats.stats.items():  # type: ignore[attr-defined]
        ours = Path(file).name == "files.py"
        if ours and name in ("_digest", "sha256"):
            seconds["checksums"] += total
        elif ours and name == "_flush":
            seconds["flushes"] += total
        elif "update" in name and "HASH" in name:
            by_shard = (c for (place, _, _), c in callers.items() if place.endswith("shard_io.py"))
            seconds["checksums"] += sum(caller[3] for caller in by_shard)
    return seconds
