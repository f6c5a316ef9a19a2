"""The published method against this project's, on the same networks and at the same budget.

    python -m experiments.paper_against_typed --runs runs/languages --out results/languages

Three arms, seeds 0 to 4, both NATS-Bench spaces, CIFAR-10. An arm differs from the one before it in
one thing:

- **paper**: ``experiments/paper_language/{tss,sss}_cifar10.yaml``, GreenMachine's terminals and
  functions with the generation loop of EZNAS;
- **typed**: the same loop, this project's language, its passes and its limits of a tree;
- **typed, own loop**: this project's loop too, as many individuals.

Of a seed all arms see the same 40 + 40 networks (the files say 64 + 64) and the same 1,000 test
networks, which choose nothing. Batches hold 2 images (the files say 16), and networks of the
topology space one cell a stage instead of five: an expression of the paper language is long, and
reads all signals of three passes. Runs are kept under ``--runs``: the same command goes on after a
kill, and skips what is finished.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine import Result, evolve
from greenmachine.errors import GreenMachineError
from greenmachine.files import replace_file, write_json, write_text
from greenmachine.manifest import manifest
from greenmachine.tables.sources import SPACES
from greenmachine.tables.writing import grid

say = partial(print, file=sys.stderr, flush=True)

SEEDS = range(5)
FILES = {
    "nats-tss": Path("experiments/paper_language/tss_cifar10.yaml"),
    "nats-sss": Path("experiments/paper_language/sss_cifar10.yaml"),
}
_SHARED: dict[str, Any] = {
    "capture.batch": 2,
    "samples.train.size": 40,
    "samples.validation.size": 40,
    "samples.test.size": 1000,
}
_SPACE: dict[str, dict[str, Any]] = {"nats-tss": {"capture.options": {"cells": 1}}, "nats-sss": {}}
_TYPED = {"language": {"name": "typed"}}
# What the file sets, as `greenmachine evolve` has it by default; 50 first trees and ten times 50
# new ones are 550 individuals, as in the paper's loop.
_OWN = {"evolution": {"population": 55, "generations": 10, "elites": 5}, "objective": {}}
ARMS: dict[str, dict[str, Any]] = {
    "paper": {},
    "typed": _TYPED,
    "typed, own loop": {**_TYPED, **_OWN},
}


def run(space: str, arm: str, seed: int, folder: Path) -> Result:
    """Run or resume one arm, or read its finished run."""
    say(f"{space}, {arm}, seed {seed}")
    return evolve(
        config=FILES[space],
        settings={**_SHARED, **_SPACE[space], **ARMS[arm]},
        seed=seed,
        out=folder / f"{space}-{arm.replace(', ', '-').replace(' ', '-')}-{seed}",
        verbose=True,
    )


def row(space: str, arm: str, seed: int, result: Result) -> dict[str, object]:
    """Return the row of one run."""
    tau = result.tau
    return {
        "space": space,
        "arm": arm,
        "seed": seed,
        "train": tau["train"]["cifar10"],
        "validation": tau["validation"]["cifar10"],
        "test": tau["test"]["cifar10"],
        "test_params": result.test.loc[("cifar10", "params"), "tau"],
        "individuals": result.facts["individuals"],
        "seconds": result.facts["seconds"],
        "expression": result.best.expression,
        "direction": result.best.direction,
    }


def text_of(table: pd.DataFrame) -> str:
    """Return the Markdown: mean and spread over the seeds."""
    shown = []
    for (space, arm), part in table.groupby(["space", "arm"], sort=False):
        spread = {name: f"{part[name].mean():.3f} ± {part[name].std():.3f}" for name in _TAUS}
        seconds = f"{part['seconds'].mean():.0f}"
        individuals = f"{part['individuals'].mean():.0f}"
        shown.append(
            {"space": space, "arm": arm, "seeds": len(part), **spread}
            | {"individuals": individuals, "seconds": seconds}
        )
    note = "Kendall's τ, mean and standard deviation over the seeds; `test_params` is the number\n"
    note += "of parameters on the same test networks.\n\n"
    return f"# Languages at equal budget\n\n{__doc__}\n{note}{grid(shown)}"


_TAUS = ("train", "validation", "test", "test_params")


def main(words: list[str] | None = None) -> int:
    """Run what is missing; write the table, the Markdown file and the manifest."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.paper_against_typed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    choice = parser.parse_args(words)
    rows = []
    try:
        for seed in SEEDS:
            for space in SPACES:
                for arm in ARMS:
                    rows.append(row(space, arm, seed, run(space, arm, seed, choice.runs)))
            table = pd.DataFrame(rows)  # after every seed: a kill leaves whole ones
            order = {"space": list(SPACES), "arm": list(ARMS)}
            table = table.sort_values(
                ["space", "arm", "seed"],
                key=lambda column: column.map(order.get(str(column.name), list(SEEDS)).index),
            )
            write = partial(table.to_csv, index=False)
            replace_file(choice.out / "table.csv", write)
            write_text(choice.out / "table.md", text_of(table))
            write_json(choice.out / "manifest.json", manifest(seeds=seed + 1))
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 1
    except (GreenMachineError, OSError) as error:
        print(f"paper_against_typed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
