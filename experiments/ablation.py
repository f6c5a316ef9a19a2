"""What parts of the search are worth: one setting changed, paired by seed.

    python -m experiments.ablation --runs runs/ablation --out results/ablation
    python -m experiments.ablation --on digits-tss --runs runs/digits --out results/ablation-digits

By default on the topology space of NATS-Bench, CIFAR-10 and ImageNet16-120, with one cell a stage
instead of five, for time. Of a seed all variants see the same networks and, but for the longer one,
judge the same number of individuals; what they cost differs, as the seconds of one core tell. Tries
of a brood that did not become the child are no individuals. The champion is chosen on validation;
the test networks choose nothing. Runs are kept under ``--runs``: the same command goes
on after a kill, and skips what is finished.
"""

from __future__ import annotations

import argparse
import math
import sys
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from greenmachine import Result, evolve
from greenmachine.errors import GreenMachineError
from greenmachine.files import replace_file, write_json, write_text
from greenmachine.manifest import manifest
from greenmachine.tables.writing import grid

say = partial(print, file=sys.stderr, flush=True)

SAMPLES = ("train", "validation", "test")
ON: dict[str, dict[str, Any]] = {
    "nats-tss": {
        "datasets": ["cifar10", "imagenet16-120"],
        "passes": ["noise"],
        "capture": {"batch": 4, "options": {"cells": 1}},
        "samples": {"train": {"size": 64}, "validation": {"size": 64}, "test": {"size": 500}},
        "evolution": {"population": 150, "generations": 15},
    },
    "digits-tss": {"evolution": {"generations": 15}},
}
"""Settings by benchmark."""

_ALONE = {"evolution.brood": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "no broods": _ALONE,
    "no broods, longer": {**_ALONE, "evolution.generations": 20},
    "no broods, large": {**_ALONE, "language.max_size": 45},
    "broods": {"evolution.brood": 16},
    "broods, large": {"evolution.brood": 16, "language.max_size": 45},
    "broods, zoo": {
        "evolution.brood": 16,
        "evolution.seeds": ["nwot_inputs", "meco_inputs", "jacov_noise", "l2_norm"],
    },
}
"""What they change; the first is what the others are compared with."""


def row(variant: str, seed: int, on: str, folder: Path) -> dict[str, Any]:
    """Run one variant, or go on with it, or read it where it is finished; say what it found."""
    say(f"{variant}, seed {seed}")
    result: Result = evolve(
        on,
        settings={**ON[on], **VARIANTS[variant], "workers": 1},
        seed=seed,
        out=folder / f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}",
        verbose=True,
    )
    return {
        "variant": variant,
        "seed": seed,
        **{sample: fmean(result.tau[sample].values()) for sample in SAMPLES},
        "individuals": result.facts["individuals"],
        "seconds": result.seconds,
        "size": result.facts["best"]["size"],
        "expression": result.best.expression,
        "direction": result.best.direction,
    }


def text_of(table: pd.DataFrame, on: str) -> str:
    """Return the Markdown: means over the seeds, and differences to the first variant."""
    first = table[table["variant"] == next(iter(VARIANTS))].set_index("seed")
    shown = []
    for name, part in table.groupby("variant", sort=False):
        own = part.set_index("seed")
        line = {"variant": name, "seeds": len(own)}
        for sample in SAMPLES:
            line[f"τ {sample}"] = f"{own[sample].mean():.3f} ± {own[sample].std():.3f}"
            over = own[sample].sub(first[sample]).dropna()
            error = over.std() / math.sqrt(len(over))
            line[f"difference, {sample}"] = f"{over.mean():+.3f} ± {error:.3f}" if error else ""
        line |= {"nodes": f"{own['size'].mean():.0f}", "seconds": f"{own['seconds'].mean():.0f}"}
        shown.append(line)
    changed = [{"variant": name, "settings": f"`{VARIANTS[name]}`"} for name in VARIANTS]
    return "\n".join(
        [
            f"# Parts of the search on {on}\n",
            f"{__doc__}",
            grid(changed),
            "Kendall's τ of the champion, the mean over the data sets: mean and standard deviation "
            "over the seeds;\nits differences, paired by seed, with their standard error:\n",
            grid(shown),
        ]
    )


def main(words: list[str] | None = None) -> int:
    """Run what is missing, and write table, Markdown and manifest after every seed."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    parser.add_argument("--on", choices=list(ON), default="nats-tss", help="[default: nats-tss]")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N-1 [default: 5]")
    choice = parser.parse_args(words)
    if choice.seeds < 2:
        parser.error(f"--seeds {choice.seeds}: a spread needs 2 or more")
    rows = []
    try:
        for seed in range(choice.seeds):
            rows += [row(variant, seed, choice.on, choice.runs) for variant in VARIANTS]
            if not seed:
                continue
            table = pd.DataFrame(rows).sort_values(
                ["variant", "seed"],
                key=lambda c: c.map(list(VARIANTS).index) if c.name == "variant" else c,
            )
            replace_file(choice.out / "table.csv", partial(table.to_csv, index=False))
            write_text(choice.out / "table.md", text_of(table, choice.on))
            facts = manifest(seeds=seed + 1, settings=ON[choice.on])
            write_json(choice.out / "manifest.json", facts)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 1
    except (GreenMachineError, OSError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
