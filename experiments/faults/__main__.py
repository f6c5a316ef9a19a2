"""Command line of the fault injection; see the package."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import experiments.faults as package
from experiments.faults.cost import checksum_cost
from experiments.faults.fuzz import KINDS, fuzz
from experiments.faults.run_faults import PARTS, unbroken_run
from experiments.faults.trial import forked
from greenmachine.files import write_json, write_text
from greenmachine.manifest import manifest
from greenmachine.tables.writing import grid

__all__ = ["main"]

_FUZZ, _COST = "hostile inputs", "cost of checksums"


def main(words: list[str] | None = None) -> int:
    """Run the command line; return 1 if something was lost, wrong, or ended in a traceback."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.faults",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*PARTS, _FUZZ, _COST]
    parser.add_argument("parts", nargs="*", metavar="PART", help="; ".join(names))
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the number of trials")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--work", type=Path, default=Path("runs/faults"), help="folder of the trials, to continue"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results/faults"), help="folder of the table"
    )
    parser.add_argument("--table", action="store_true", help="only write the table of WORK")
    choice = parser.parse_args(words)
    if unknown := set(choice.parts) - set(names):
        parser.error(f"no part {', '.join(sorted(unknown))}; there is {', '.join(names)}")
    choice.work.mkdir(parents=True, exist_ok=True)
    work = choice.work.resolve()
    if not choice.table:
        _inject(choice, work, names)
    return _write(choice, work)


def _inject(choice: argparse.Namespace, work: Path, names: list[str]) -> None:
    # Imported here, before the first fork; otherwise each child would spend seconds on it. This
    # process runs nothing of torch or Arrow, because their threads do not survive in a child.
    import greenmachine.cli.app
    import greenmachine.reports.reading  # noqa: F401

    unbroken = work / "unbroken"
    unbroken_run(unbroken)
    for name in choice.parts or names:
        if name == _FUZZ:
            _fuzz(work, choice.seed, choice.scale)
        elif name == _COST:
            _tries(work, name, 1, lambda number: checksum_cost(work))
        else:
            make, count, _ = PARTS[name]
            one = partial(_try, make, name, work, unbroken, choice.seed)
            _tries(work, name, max(1, round(count * choice.scale)), one)


def _write(choice: argparse.Namespace, work: Path) -> int:
    """Write table and manifest; return the exit code."""
    rows = _table(work)
    choice.out.mkdir(parents=True, exist_ok=True)
    write_text(choice.out / "faults.csv", rows.to_csv(index=False, lineterminator="\n"))
    write_text(choice.out / "faults.md", _markdown(rows, work))
    facts = {
        "command": f"python -m experiments.faults --scale {choice.scale:g}",
        "seed": choice.seed,
    }
    write_json(choice.out / "manifest.json", manifest(**facts, cost=_read(work, _COST)))
    print((choice.out / "faults.md").read_text())
    bad = rows[["lost or wrong", "tracebacks"]].to_numpy().sum()
    return int(bad > 0)


def _path(work: Path, name: str) -> Path:
    return work / f"{name.replace(' ', '-').replace(',', '')}.jsonl"


def _read(work: Path, name: str) -> list[dict[str, Any]]:
    path = _path(work, name)
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _tries(work: Path, name: str, count: int, one: Callable[[int], dict[str, Any]]) -> None:
    for number in range(len(_read(work, name)), count):
        began = time.monotonic()
        found = one(number)
        line = json.dumps(
            {"number": number, **found, "seconds": round(time.monotonic() - began, 1)}
        )
        with _path(work, name).open("a") as file:
            file.write(line + "\n")
        if found.get("wrong") or found.get("traceback"):
            print(f"{name} {number}: {found}", file=sys.stderr, flush=True)


def _try(
    make: Callable[..., dict[str, Any]],
    name: str,
    work: Path,
    unbroken: Path,
    seed: int,
    number: int,
) -> dict[str, Any]:
    folder = work / "try" / "run"
    if folder.is_mount():  # left by an interrupted trial of a full disk
        subprocess.run(["umount", "-l", str(folder)], check=True)
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.parent.mkdir()
    return make(folder, unbroken, random.Random(f"{seed} {name} {number}"), number)


def _fuzz(work: Path, seed: int, scale: float) -> None:
    kinds = list(KINDS)

    def one(number: int) -> dict[str, Any]:
        kind = kinds[number]
        count = max(1, round(KINDS[kind][1] * scale))
        told = work / "fuzzed.json"

        def child() -> int:
            refused, faults = fuzz(kind, seed, count, work)
            write_json(told, {"refused": refused, "faults": faults})
            return 0

        done = forked(child, kill_after=3600)
        if done.code:
            return {"note": kind, "tries": count, "traceback": count, "faults": [done.text[-2000:]]}
        found = json.loads(told.read_text())
        return {"note": kind, "tries": count, "traceback": len(found["faults"]), **found}

    _tries(work, _FUZZ, len(kinds), one)


def _table(work: Path) -> pd.DataFrame:
    rows = []
    for name, (_, _, words) in PARTS.items():
        tried = [found for found in _read(work, name) if not found.get("skipped")]
        if tried:
            rows.append(
                {
                    "fault": name,
                    "what": words,
                    "tries": len(tried),
                    "survived": sum(found["survived"] for found in tried),
                    "of these refused in one line": sum(f.get("refused", False) for f in tried),
                    "lost or wrong": sum(found["wrong"] for found in tried),
                    "tracebacks": sum(found["traceback"] for found in tried),
                }
            )
    for found in _read(work, _FUZZ):
        rows.append(
            {
                "fault": _FUZZ,
                "what": found["note"],
                "tries": found["tries"],
                "survived": found["tries"] - found["traceback"],
                "of these refused in one line": found.get("refused", 0),
                "lost or wrong": 0,
                "tracebacks": found["traceback"],
            }
        )
    return pd.DataFrame(rows)


def _markdown(rows: pd.DataFrame, work: Path) -> str:
    lines = [
        "# Faults\n",
        "    python -m experiments.faults\n",
        "A try survives where every file equals that of the unbroken run, or where one line "
        "refuses the damaged file and names it. The run has 18 small networks of its own, 8 "
        "individuals and 3 generations (with two workers 56 networks).\n",
        grid(rows.astype(str).to_dict("records")),  # type: ignore[arg-type]
    ]
    for found in _read(work, _COST):
        lines.append(
            f"Checksums and flushing to disk take {found['share']:.2%} of `{found['command']}` "
            f"({found['checksums']:.2f} s and {found['flushes']:.2f} s of {found['whole']:.1f} s); "
            f"verifying {found['stored'] / 1e6:.0f} MB of signals at resume takes "
            f"{found['verify']:.2f} s.\n"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
