"""VKDNW agg and AZ-NAS against the published figures, on cells of the topology space.

    python -m experiments.vkdnw_published --networks 600

takes the networks of the stored scores of the zoo (their AZ-NAS components, 3,000 random cells),
keeps those without dead operations, which are the population of the published table (its FLOPs row,
.623 / .586 / .545, is that of the 9,445 such cells), and scores VKDNW on ``--networks`` of them,
drawn at random. Networks are scored in parts of 20, each written at once: killed at any moment, the
same command goes on. ``--all`` scores the five components on all 9,445 cells instead. Then it
prints tau, its jackknife standard error and nDCG.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.files import replace_file
from greenmachine.fitness import rank_row
from greenmachine.language import parse
from greenmachine.proxies import PROXIES, ExpressionProxy
from greenmachine.proxies.joins import joined_scores
from greenmachine.proxies.zoo.vkdnw import AGG, vkdnw_agg

PART = 20
PUBLISHED = {
    "flops": {"cifar10": 0.623, "cifar100": 0.586, "imagenet16-120": 0.545},
    "trainable_layers": {"cifar10": 0.626, "cifar100": 0.646, "imagenet16-120": 0.623},
    "az_nas": {"cifar10": 0.712, "cifar100": 0.696, "imagenet16-120": 0.673},
    "vkdnw": {"cifar10": 0.618, "cifar100": 0.634, "imagenet16-120": 0.622},
    "vkdnw_agg": {"cifar10": 0.750, "cifar100": 0.753, "imagenet16-120": 0.743},
}
"""Kendall's tau of VKDNW's table 1, mean of five runs."""


def scored(
    benchmark: Benchmark,
    dataset: str,
    names: list[str],
    indices: npt.NDArray[np.int64],
    batch: int,
    out: Path,
) -> pd.DataFrame:
    """Return the scores of ``names`` for ``indices``, from ``out`` and what it lacked."""
    done = pd.read_parquet(out) if out.is_file() else pd.DataFrame({"index": []}, dtype=np.int64)
    proxies = {name: PROXIES.find(name) for name in names}
    found = [proxy for proxy in proxies.values() if isinstance(proxy, ExpressionProxy)]
    expressions = [parse(proxy.expression) for proxy in found]
    spec = capture_spec(benchmark.name, dataset, expressions, batch=batch, seed=0, options={})
    missing = indices[~np.isin(indices, done["index"])]
    for start in range(0, len(missing), PART):
        part = score_networks(dict(proxies), spec, missing[start : start + PART], workers=1)
        done = pd.concat([done, part], ignore_index=True)
        replace_file(out, lambda temporary, table=done: table.to_parquet(temporary, index=False))
        print(f"{start + len(part)} of {len(missing)} scored", flush=True)
    return done[done["index"].isin(indices)].reset_index(drop=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=600)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--scores", type=Path, default=Path("results/scores/zoo"))
    parser.add_argument("--out", type=Path, default=Path("results/scores/vkdnw"))
    given = parser.parse_args()
    benchmark = load_benchmark("nats-tss")
    given.out.mkdir(parents=True, exist_ok=True)
    names = ["vkdnw", "trainable_layers"]
    stored = pd.read_parquet(given.scores / f"nats-tss-{given.dataset}.parquet")
    if given.all:
        names += [name for name in AGG if name != "vkdnw"]
        indices = np.flatnonzero(benchmark.live)
    else:
        # Stored in the order of the space: the first ones alone would be no random sample.
        indices = np.random.default_rng(0).permutation(stored["index"].to_numpy())
        indices = indices[benchmark.live[indices]][: given.networks]
    out = given.out / f"{given.dataset}{'.all' * given.all}.parquet"
    frame = scored(benchmark, given.dataset, names, indices, given.batch, out)
    if not given.all:
        frame = frame.merge(stored[["index", *(n for n in AGG if n != "vkdnw")]], on="index")
    report(benchmark, given.dataset, frame)


def report(benchmark: Benchmark, dataset: str, frame: pd.DataFrame) -> None:
    """Print tau, its standard error and nDCG of every row, beside the published tau."""
    columns = ("vkdnw", "trainable_layers", *(name for name in AGG if name != "vkdnw"))
    scores = {name: frame[name].to_numpy(np.float64) for name in columns}
    scores |= joined_scores(scores)
    entropy = scores["vkdnw"] - scores["trainable_layers"]
    scores["vkdnw_agg, entropy alone"] = vkdnw_agg({**scores, "vkdnw": entropy})
    accuracy = benchmark.accuracy(dataset)[frame["index"]]
    rows = []
    for name, values in scores.items():
        row = rank_row(values, accuracy, 1)
        published = PUBLISHED.get(name.partition(",")[0], {}).get(dataset)
        rows.append({"proxy": name, "published": published, **row})
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
