"""Ablation of the search: one setting is changed, and runs are paired by seed.

    python -m experiments.ablation --runs runs/ablation --out results/ablation
    python -m experiments.ablation --study nats-tss --runs runs/ablation --out results/ablation/tss
    python -m experiments.ablation --study families --bank BANK --runs RUNS --out OUT

All variants with one seed use the same networks. They evaluate the same number of individuals,
except for the longer variant. Trials of a brood that did not become the child do not count. The
champion is selected on the validation sample, and nothing is selected on the test networks. Runs
are kept under ``--runs``: after a kill the same command continues, and finished runs are not
repeated.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from experiments.families import SEEDS
from greenmachine import Result, evolve
from greenmachine.errors import GreenMachineError
from greenmachine.files import replace_file, write_json, write_text
from greenmachine.manifest import manifest
from greenmachine.tables.writing import grid

say = partial(print, file=sys.stderr, flush=True)

SAMPLES = ("train", "validation", "test")
_ALONE = {"evolution.brood": 1, "evolution.tune": 0}
_BROODS = {"evolution.brood": 16, "evolution.tune": 0}
_ZOO = {"evolution.seeds": ["nwot_inputs", "meco_inputs", "jacov_noise", "l2_norm"]}


@dataclass(frozen=True)
class Study:
    """Runs that differ in one setting.

    Attributes:
        benchmark: name of the benchmark; None for the families of a bank.
        shared: settings of all variants.
        variants: the changed settings, by name of the variant; the first is the reference.
        seeds: number of runs of a variant, unless the command line gives another.
    """

    benchmark: str | None
    shared: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    seeds: int


def _nats(space: str) -> Study:
    """Return a study of the first population on a space of NATS-Bench: random, or with the zoo."""
    shared = {
        "passes": ["noise"],
        "samples": {
            "train": {"size": 80},
            "validation": {"size": 128},
            "test": {"size": 1000},
        },
        "capture": {"batch": 4},
        "language": {"exclude": ["noise_output", "noise_output_grad"]},
        "evolution": {"population": 120, "generations": 14},
    }
    return Study(f"{space}/cifar10", shared, {"from scratch": {}, "zoo": _ZOO}, seeds=3)


STUDIES = {
    "parts": Study(
        benchmark="digits-tss",
        shared={"evolution": {"generations": 15}, "workers": 1},
        variants={
            "no broods": _ALONE,
            "no broods, longer": {**_ALONE, "evolution.generations": 20},
            "no broods, large": {**_ALONE, "language.max_size": 45},
            "broods": _BROODS,
            "broods, large": {**_BROODS, "language.max_size": 45},
            "broods, zoo": {**_BROODS, **_ZOO},
            "broods, tuned": {"evolution.brood": 16, "evolution.tune": 0.15},
            "broods, tuned more": {"evolution.brood": 16, "evolution.tune": 0.3},
        },
        seeds=5,
    ),
    "nats-tss": _nats("nats-tss"),
    "nats-sss": _nats("nats-sss"),
    # The settings of experiments.families, and one change each.
    "families": Study(
        benchmark=None,
        shared={
            "workers": 1,
            "selection": {"scheme": "lexicase"},
            "objective": {"scheme": "kendall", "aggregate": "mean"},
            "evolution": {
                "population": 400,
                "generations": 30,
                "validate_best": 24,
                "brood": 24,
                "seeds": list(SEEDS),
            },
            "samples": {
                "train": {"size": 120},
                "validation": {"size": 80},
                "test": {"size": "rest"},
            },
        },
        variants={
            "lexicase over families": {},
            "tournament": {"selection.scheme": "tournament"},
            "worst family": {"objective.aggregate": "min"},
            "price of nodes": {"objective.parsimony": 0.002},
            "from scratch": {"evolution.seeds": []},
            "no broods, no tuning": _ALONE,
            "no min, max, comparison": {"language.exclude": ["minimum", "maximum", "greater"]},
            "larger formulas": {"language.max_size": 50, "language.max_height": 14},
        },
        seeds=3,
    ),
}


def row(
    study: Study, variant: str, seed: int, folder: Path, bank: Path | None = None
) -> dict[str, Any]:
    """Run or resume one variant, or read its finished run; return a row of the table."""
    say(f"{variant}, seed {seed}")
    on = study.benchmark or "families"
    result: Result = evolve(
        study.benchmark,
        settings={
            **study.shared,
            **study.variants[variant],
            **({"bank": str(bank)} if bank else {}),
        },
        seed=seed,
        out=folder / f"{on}-{variant.replace(', ', '-').replace(' ', '-')}-{seed}",
        verbose=True,
    )
    return {
        "variant": variant,
        "seed": seed,
        **{sample: fmean(result.tau[sample].values()) for sample in SAMPLES},
        "least": min(result.tau["test"].values()),
        "individuals": result.facts["individuals"],
        "size": result.facts["best"]["size"],
        "expression": result.best.expression,
        "direction": result.best.direction,
    }


def text_of(table: pd.DataFrame, study: Study) -> str:
    """Return the Markdown table: means over the seeds, and differences from the first variant."""
    first = table[table["variant"] == next(iter(study.variants))].set_index("seed")
    shown = []
    for name, part in table.groupby("variant", sort=False):
        own = part.set_index("seed")
        line = {"variant": name, "seeds": len(own)}
        for sample in SAMPLES:
            line[f"τ {sample}"] = f"{own[sample].mean():.3f} ± {own[sample].std():.3f}"
            over = own[sample].sub(first[sample]).dropna()
            error = over.std() / math.sqrt(len(over))
            line[f"difference, {sample}"] = f"{over.mean():+.3f} ± {error:.3f}" if error else ""
        if study.benchmark is None:
            line["τ test, worst family"] = f"{own['least'].mean():.3f}"
        shown.append({**line, "nodes": f"{own['size'].mean():.0f}"})
    changed = [{"variant": name, "settings": f"`{own}`"} for name, own in study.variants.items()]
    return "\n".join(
        [
            f"# Parts of the search on {study.benchmark or 'families of networks'}\n",
            f"{__doc__}",
            f"Here all variants have `{study.shared}`, and\n",
            grid(changed),
            "Kendall's τ of the champion: mean and standard deviation over the seeds; its "
            "differences,\npaired by seed, with their standard error:\n",
            grid(shown),
        ]
    )


def main(words: list[str] | None = None) -> int:
    """Run what is missing; write the table, the Markdown file and the manifest after every seed."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    parser.add_argument("--study", choices=STUDIES, default="parts", help="[default: parts]")
    parser.add_argument("--bank", type=Path, help="bank of the study families")
    parser.add_argument("--seeds", type=int, help="seeds 0 to N-1 [default: 5, on NATS-Bench 3]")
    choice = parser.parse_args(words)
    study = STUDIES[choice.study]
    seeds = study.seeds if choice.seeds is None else choice.seeds
    if seeds < 2:
        parser.error(f"--seeds {seeds}: a spread needs 2 or more")
    if (study.benchmark is None) != (choice.bank is not None):
        parser.error("--study families needs a --bank, and no other study takes one")
    rows = []
    try:
        for seed in range(seeds):
            rows += [
                row(study, variant, seed, choice.runs, choice.bank) for variant in study.variants
            ]
            if not seed:
                continue
            table = pd.DataFrame(rows).sort_values(
                ["variant", "seed"],
                key=lambda c: c.map(list(study.variants).index) if c.name == "variant" else c,
            )
            replace_file(choice.out / "table.csv", partial(table.to_csv, index=False))
            write_text(choice.out / "table.md", text_of(table, study))
            facts = manifest(seeds=seed + 1, settings=study.shared)
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
