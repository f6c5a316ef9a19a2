"""GreenFactory on NATS-Bench: what a forest over proxies is worth, under three protocols.

    python -m experiments.green_factory --scores DIR --out results/green_factory

DIR holds files of ``greenmachine score --out``, called ``<space>-<dataset>.parquet`` (space
nats-tss or nats-sss; data set cifar10, cifar100 or imagenet16-120); which are missing is said.
``green_factory`` is a forest over all proxies of a file; ``(encoding)``, the score to beat, is the
same forest over the architecture's string alone: the operation of every edge, one-hot, or the five
widths. Both are fitted on some numbers of networks, for some seeds of sample and forest, and judged
on all networks (``all``), on those not in training (``held_out``), and on cells of which no
isomorphic one is in training (``held_out_classes``). The published tau (arXiv 2505.09344) stands
beside every protocol and number, since the paper's own are not known to us.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.score_files import DATASETS, ScoreFile, markdown, save, say, score_files
from greenmachine.benchmarks import Benchmark
from greenmachine.errors import GreenMachineError
from greenmachine.evaluation import score_columns, try_forest
from greenmachine.networks import OPERATIONS, parse_size, parse_topology

FACTORY, ENCODING = "green_factory", "(encoding)"

# arXiv 2505.09344, Kendall's tau: CIFAR-10, CIFAR-100, ImageNet16-120.
PUBLISHED = {"nats-tss": (0.921, 0.929, 0.908), "nats-sss": (0.907, 0.945, 0.920)}

SIZES = (100, 1000, 0.8)
METRICS = ("tau", "r2", "mae")


def encoding(benchmark: Benchmark, indices: pd.Series) -> pd.DataFrame:
    """Return what the strings say, (networks, features)."""
    archs = [benchmark.archs[index] for index in indices]
    if benchmark.name == "nats-sss":
        widths = np.array([parse_size(arch) for arch in archs])
        return pd.DataFrame({f"width {n}": column for n, column in enumerate(widths.T)})
    ops = np.array([parse_topology(arch) for arch in archs])
    return pd.DataFrame(
        {f"{op} {n}": column == op for n, column in enumerate(ops.T) for op in OPERATIONS},
        dtype=np.float64,
    )


def measure(
    scores: ScoreFile, sizes: tuple[float, ...], seeds: int, trees: int, workers: int
) -> pd.DataFrame:
    """Return the long rows of one file."""
    space, frame = scores.benchmark.name, scores.frame
    accuracy = scores.benchmark.accuracy(scores.dataset)[frame["index"]]
    groups = scores.benchmark.groups[frame["index"]]
    inputs = {
        FACTORY: frame[score_columns(frame)],
        ENCODING: encoding(scores.benchmark, frame["index"]),
    }
    published = dict(zip(DATASETS, PUBLISHED[space], strict=True))[scores.dataset]
    rows = []
    for size in sizes:
        networks = round(size * len(frame)) if size <= 1 else int(size)
        if not 2 <= networks < len(frame) - 1:
            say(f"{scores.path}: {len(frame)} networks are too few to train on {networks}")
            continue
        for proxy, columns in inputs.items():
            say(f"{space} {scores.dataset}: {proxy}, {networks} in training, {seeds} seeds")
            runs = [
                try_forest(
                    columns, accuracy, groups, networks, seed=seed, trees=trees, workers=workers
                ).measures
                for seed in range(seeds)
            ]
            for protocol, part in pd.concat(runs).groupby("protocol", sort=False):
                for metric in METRICS:
                    known = proxy == FACTORY and metric == "tau"
                    rows.append(
                        {
                            "proxy": proxy,
                            "space": space,
                            "dataset": scores.dataset,
                            "protocol": protocol,
                            "train": networks,
                            "metric": metric,
                            "mean": part[metric].mean(),
                            "std": part[metric].std(),
                            "n": part[metric].count(),
                            "published": published if known else None,
                        }
                    )
    return pd.DataFrame(rows)


def text_of(table: pd.DataFrame) -> str:
    """Return the Markdown: a table for every space and data set."""
    seeds = table["n"].max()
    lines = ["# GreenFactory on NATS-Bench\n", f"{__doc__.strip()}\n"]
    lines.append(f"Mean and standard deviation over {seeds} seeds; MAE in percent.\n")
    for (space, dataset), part in table.groupby(["space", "dataset"], sort=False):
        lines.append(f"## {space}, {dataset}\n")
        shown = []
        for (proxy, protocol, train), rows in part.groupby(
            ["proxy", "protocol", "train"], sort=False
        ):
            by = rows.set_index("metric")
            cells = {m: f"{by.loc[m, 'mean']:.3f} ± {by.loc[m, 'std']:.3f}" for m in METRICS}
            known = by.loc["tau", "published"]
            shown.append(
                {
                    "proxy": proxy,
                    "protocol": protocol,
                    "train": train,
                    "τ": cells["tau"],
                    "τ published": "–" if pd.isna(known) else f"{known:.3f}",
                    "R²": cells["r2"],
                    "MAE": cells["mae"],
                }
            )
        lines.append(markdown(shown))
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Fit, judge, write, and say what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.green_factory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scores", type=Path, required=True, help="folder of the score files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument(
        "--train",
        type=float,
        nargs="+",
        default=list(SIZES),
        help="numbers of networks, or shares up to 1 (default 100 1000 0.8)",
    )
    parser.add_argument("--seeds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--trees", type=int, default=100, help="default %(default)s")
    parser.add_argument("--workers", type=int, default=-1, help="threads; default every core")
    choice = parser.parse_args(words)
    if min(choice.seeds, choice.trees) < 1 or min(choice.train) <= 0:
        parser.error("--seeds, --trees and --train must be positive")
    settings = {name: getattr(choice, name) for name in ("train", "seeds", "trees")}
    settings["scikit-learn"] = version("scikit-learn")
    try:
        files, tables = [], []
        for scores in score_files(choice.scores):
            table = measure(scores, tuple(choice.train), choice.seeds, choice.trees, choice.workers)
            if table.empty:
                continue
            files.append(scores.path)
            tables.append(table)
            whole = pd.concat(tables)  # after every file: what took long is not lost by Ctrl-C
            command = "experiments.green_factory"
            save(choice.out, whole, text_of(whole), files, command=command, settings=settings)
        if not tables:
            raise GreenMachineError("no file has networks enough to train on")
    except (GreenMachineError, OSError) as error:
        print(f"green_factory: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
