"""How well every column of score files ranks NATS-Bench, beside the published figures.

    python -m experiments.zoo_tables --scores DIR --out results/zoo

DIR holds files of ``greenmachine score --out``, called ``<space>-<dataset>.parquet`` (space
nats-tss or nats-sss; data set cifar10, cifar100 or imagenet16-120); which are missing is said.
Kendall's tau-b with its jackknife standard error, and Spearman's rho, over all networks of a file
(``all``), and on the topology space over those of its cells without dead operations (``live``).
Trivial scores of the same networks stand in brackets. A negative figure of a proxy means that it
ranks against the direction that it is said to have.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from experiments.score_files import DATASETS, ScoreFile, markdown, save, say, score_files
from greenmachine.errors import GreenMachineError
from greenmachine.evaluation import LEAST_RANKED, direction_of, score_columns, tau_table
from greenmachine.proxies.zoo.az_nas import az_nas

_TSS, _SSS = "nats-tss", "nats-sss"

# By space, cells, metric and proxy: CIFAR-10, CIFAR-100, ImageNet16-120.
PUBLISHED: dict[tuple[str, str, str, str], tuple[float, ...]] = {
    # Jiang et al., NeurIPS 2023: the authors' protocol, every module's output.
    (_TSS, "all", "spearman", "meco_modules"): (0.894, 0.883, 0.845),
    (_SSS, "all", "spearman", "meco_modules"): (-0.79, -0.87, -0.86),
    # Not in the papers of these proxies: scores of one seed that others have published.
    (_TSS, "all", "tau", "az_nas"): (0.741,),
    (_TSS, "live", "tau", "nwot"): (0.623, 0.648, 0.614),
    (_TSS, "live", "tau", "(params)"): (0.621, 0.586, 0.547),
    (_TSS, "live", "tau", "jacov"): (0.614, 0.636, 0.602),
    (_TSS, "live", "tau", "synflow"): (0.578, 0.559, 0.539),
    (_TSS, "live", "tau", "epe_nas"): (0.577, 0.596, 0.217),
    (_TSS, "live", "tau", "(flops)"): (0.572, 0.538, 0.500),
    (_TSS, "live", "tau", "flops"): (0.572, 0.538, 0.500),
    (_TSS, "live", "tau", "l2_norm"): (0.550, 0.567, 0.545),
    (_TSS, "live", "tau", "snip"): (0.441, 0.439, 0.404),
    (_TSS, "live", "tau", "grad_norm"): (0.440, 0.438, 0.404),
    (_TSS, "live", "tau", "fisher"): (0.399, 0.397, 0.358),
    (_TSS, "live", "tau", "grasp"): (0.377, 0.375, 0.374),
    (_TSS, "live", "tau", "zen"): (0.109, 0.084, 0.092),
    (_TSS, "live", "tau", "plain"): (-0.233, -0.243, -0.229),
}

_AZ_NAS = ("az_expressivity", "az_progressivity", "az_trainability", "flops")  # joined by rank
_MEASURES = {"tau": "standard_error", "spearman": None}


def published(space: str, dataset: str, cells: str, metric: str, proxy: str) -> float | None:
    """Return the published figure; None where there is none."""
    found = dict(zip(DATASETS, PUBLISHED.get((space, cells, metric, proxy), ()), strict=False))
    return found.get(dataset)


def measure(scores: ScoreFile) -> Iterator[dict[str, object]]:
    """Yield the long rows of one file."""
    whole = scores.frame
    directions = {name: direction_of(whole, name) for name in score_columns(whole)}
    if set(_AZ_NAS) <= set(directions):
        directions["az_nas"] = 1
        whole = whole.assign(az_nas=az_nas({name: whole[name] for name in _AZ_NAS}))
    parts = {"all": whole}
    if scores.benchmark.space.live is not None:
        parts["live"] = whole[scores.benchmark.live[whole["index"]]]
    for cells, frame in parts.items():
        if len(frame) < LEAST_RANKED:
            say(f"{scores.path}: {len(frame)} networks are too few ({cells})")
            continue
        table = tau_table(frame, scores.benchmark, scores.dataset, directions)
        for row in table.to_dict("records"):
            for metric, error in _MEASURES.items():
                where = (scores.benchmark.name, scores.dataset, cells, metric, str(row["proxy"]))
                yield {
                    "proxy": row["proxy"],
                    "space": scores.benchmark.name,
                    "dataset": scores.dataset,
                    "cells": cells,
                    "metric": metric,
                    "value": row[metric],
                    "standard_error": None if error is None else row[error],
                    "networks": row["networks"],
                    "failed": row["failed"],
                    "published": published(*where),
                }


def text_of(table: pd.DataFrame) -> str:
    """Return the Markdown: a table for every space, data set and part of its cells."""
    lines = ["# How well proxies rank NATS-Bench\n", f"{__doc__.strip()}\n"]
    for (space, dataset, cells), part in table.groupby(["space", "dataset", "cells"], sort=False):
        networks = part["networks"].iloc[0]
        lines.append(f"## {space}, {dataset}, {cells}: {networks} networks\n")
        shown = []
        for proxy, rows in part.groupby("proxy", sort=False):
            by = rows.set_index("metric")
            tau, error = by.loc["tau", "value"], by.loc["tau", "standard_error"]
            shown.append(
                {
                    "proxy": f"`{proxy}`",
                    "τ": f"{tau:.3f} ± {error:.3f}",
                    "τ published": _or_dash(by.loc["tau", "published"]),
                    "Spearman": f"{by.loc['spearman', 'value']:.3f}",
                    "Spearman published": _or_dash(by.loc["spearman", "published"]),
                    "failed": by.loc["tau", "failed"],
                }
            )
        lines.append(markdown(shown))
    return "\n".join(lines)


def _or_dash(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"


def main(words: list[str] | None = None) -> int:
    """Measure, write, and say what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.zoo_tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scores", type=Path, required=True, help="folder of the score files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    choice = parser.parse_args(words)
    try:
        files, rows = [], []
        for scores in score_files(choice.scores):
            files.append(scores.path)
            rows += measure(scores)
        if not rows:
            raise GreenMachineError("no file has networks enough to rank")
        table = pd.DataFrame(rows)
        save(choice.out, table, text_of(table), files, command="experiments.zoo_tables")
    except (GreenMachineError, OSError) as error:
        print(f"zoo_tables: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
