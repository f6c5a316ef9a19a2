r"""VKDNW agg and AZ-NAS against their published figures, on cells of the topology space.

    python -m experiments.vkdnw_published                  # VKDNW, 600 cells, CIFAR-10
    python -m experiments.vkdnw_published --score az --dataset imagenet16-120 --batch 64 \
        --networks 300
    python -m experiments.vkdnw_published --score both --networks 9445

The cells are those without dead operations, which are the population of the published table: its
FLOPs row (.623 .586 .545, nDCG .745 .576 .403) is that of the 9,445 such cells. They are drawn at
random from those of the stored scores of the zoo (3,000 cells of the space), whose columns stand
in for what is not scored here; with ``--score both`` they are drawn from the whole space. Networks
are scored in parts of 20, each written at once: killed at any moment, the same command goes on. It
prints tau, its jackknife standard error, nDCG, and the published tau, and writes them as CSV beside
the scores. Column ``scores`` says which scores a row is of: ``computed`` here, ``stored`` ones, or
both ``together``.
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
from greenmachine.proxies.combinations import COMBINATIONS, combined_scores

PART = 20
VKDNW, AZ_NAS = ("vkdnw", "trainable_layers"), COMBINATIONS["az_nas"].components
SCORED = {"vkdnw": VKDNW, "az": AZ_NAS, "both": (*VKDNW, *AZ_NAS)}
PUBLISHED = {
    "flops": {"cifar10": 0.623, "cifar100": 0.586, "imagenet16-120": 0.545},
    "trainable_layers": {"cifar10": 0.626, "cifar100": 0.646, "imagenet16-120": 0.623},
    "az_nas": {"cifar10": 0.712, "cifar100": 0.696, "imagenet16-120": 0.673},
    "vkdnw": {"cifar10": 0.618, "cifar100": 0.634, "imagenet16-120": 0.622},
    "vkdnw_agg": {"cifar10": 0.750, "cifar100": 0.753, "imagenet16-120": 0.743},
}
"""Kendall's tau of table 1 of Tybl and Neumann, CVPR 2025, mean of five runs."""


def scored(
    benchmark: Benchmark,
    dataset: str,
    names: tuple[str, ...],
    indices: npt.NDArray[np.int64],
    batch: int,
    out: Path,
) -> pd.DataFrame:
    """Return the scores of ``names`` for ``indices``; compute those that ``out`` does not have."""
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
    parser.add_argument("--score", choices=list(SCORED), default="vkdnw")
    parser.add_argument("--networks", type=int, default=600)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--stored", type=Path, default=Path("results/scores/zoo"))
    parser.add_argument("--out", type=Path, default=Path("results/scores/vkdnw"))
    given = parser.parse_args()
    benchmark = load_benchmark("nats-tss")
    stored = pd.read_parquet(given.stored / f"nats-tss-{given.dataset}.parquet")
    whole = given.score == "both"
    # Stored in the order of the space: the first ones alone would be no random sample.
    drawn = np.arange(len(benchmark)) if whole else stored["index"].to_numpy()
    drawn = np.random.default_rng(0).permutation(drawn)
    indices = drawn[benchmark.live[drawn]][: given.networks]
    given.out.mkdir(parents=True, exist_ok=True)
    out = given.out / f"{given.dataset}-{given.score}-{given.batch}.parquet"
    names = SCORED[given.score]
    frame = scored(benchmark, given.dataset, names, indices, given.batch, out)
    parts = {"computed": frame}
    if not whole:
        rest = [name for name in AZ_NAS if name not in frame]
        others = stored[["index", *(rest or AZ_NAS)]]
        kept = frame if rest else frame[["index"]]
        parts["together" if rest else "stored"] = kept.merge(others, on="index")
    table = pd.concat(
        [ranked(benchmark, given.dataset, part, name) for name, part in parts.items()]
    ).round(6)
    print(table.round(3).to_string(index=False))
    replace_file(out.with_suffix(".csv"), lambda temporary: table.to_csv(temporary, index=False))


def ranked(benchmark: Benchmark, dataset: str, frame: pd.DataFrame, scores_of: str) -> pd.DataFrame:
    """Return a row for every column of ``frame`` and for the aggregated scores."""
    columns = [name for name in frame if name not in ("index", "arch")]
    scores = {str(name): frame[name].to_numpy(np.float64) for name in columns}
    scores |= combined_scores(scores)
    accuracy = benchmark.accuracy(dataset)[frame["index"]]
    rows = [
        {
            "scores": scores_of,
            "proxy": name,
            "published": PUBLISHED.get(name, {}).get(dataset),
            **rank_row(values, accuracy, 1),
        }
        for name, values in scores.items()
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
