"""What the reconstructed SED ranks, beside its alternatives (docs/sed.md).

``python -m experiments.sed`` prints every table of that document; ``GREENMACHINE_DATA`` must name
the folder of the benchmark tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import greenmachine
from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.fitness import directed_tau
from greenmachine.networks import OPERATIONS
from greenmachine.networks.blocks import EDGES
from greenmachine.proxies.entropy import (
    CHANGES,
    ON_PATH,
    PATHS,
    live_paths,
    size_entropy,
    topology_entropy,
)
from greenmachine.workers import one_thread

Scores = NDArray[np.float64]
POOL, CONV1, CONV3 = (
    OPERATIONS.index(op) for op in ("avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
)
EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"


def live_edges(archs: list[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return operations (n, 6), which of them are live (n, 6), and which paths are (n, 4)."""
    ops, paths = live_paths(archs)
    return ops, paths @ ON_PATH, paths


def counted(archs: list[str], values: dict[int, float]) -> Scores:
    """Return the sum of ``values`` of operations over live edges; minus infinity without a path."""
    ops, live, paths = live_edges(archs)
    total = sum(value * (live & (ops == op)).sum(axis=1) for op, value in values.items())
    return np.where(paths.any(axis=1), total, -np.inf)


def path_sums(archs: list[str]) -> tuple[Scores, NDArray[np.bool_]]:
    """Return the sum of the changes along each path (n, 4), and which paths are live."""
    ops, paths = live_paths(archs)
    changes = np.array([CHANGES[name] for name in OPERATIONS])[ops]
    return np.stack([changes[:, path].sum(axis=1) for path in PATHS], axis=1), paths


def over_paths(archs: list[str]) -> dict[str, Scores]:
    """Return the three alternatives that combine paths."""
    sums, paths = path_sums(archs)
    number = paths.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.where(number > 0, (sums * paths).sum(axis=1), -np.inf)
        mean = np.where(number > 0, total / number, -np.inf)
        power = np.log((np.exp(2 * sums) * paths).sum(axis=1)) / 2
    return {"paths, sum": total.round(9), "paths, mean": mean.round(9), "power": power.round(9)}


def output_entropy(archs: list[str]) -> Scores:
    """Return ½·log of the variance of the output, where a convolution sets it to 1."""
    ops, _ = live_paths(archs)
    variance = np.zeros((len(archs), 4))
    variance[:, 0] = 1
    for edge, (source, target) in enumerate(EDGES):
        given, op = variance[:, source], ops[:, edge]
        convolved = ((op == CONV1) | (op == CONV3)) & (given > 0)
        made = np.where(convolved, 1.0, np.where(op == POOL, given / 9, given))
        variance[:, target] += np.where(op == OPERATIONS.index("none"), 0.0, made)
    with np.errstate(divide="ignore"):
        return (np.log(variance[:, 3]) / 2).round(9)


def topology_scores(archs: list[str]) -> dict[str, Scores]:
    """Return SED, its alternatives and the additive count."""
    return {
        "**SED**": topology_entropy(archs),
        "spatial": counted(archs, {CONV3: np.log(3), POOL: -np.log(3)}),
        **over_paths(archs),
        "output": output_entropy(archs),
        "(additive count)": counted(archs, {CONV3: 2, CONV1: 1, POOL: -1}),
    }


def report(title: str, scores: dict[str, Scores], benchmark: Benchmark, rows: Scores) -> None:
    """Print tau-b and Spearman's rho of each score on the networks ``rows``, every data set."""
    print(f"\n{title}, {len(rows)} networks: Kendall's τ-b, then Spearman's ρ\n")
    print("| score | " + " | ".join([f"τ {d}" for d in benchmark.datasets]), end=" | ")
    print(" | ".join([f"ρ {d}" for d in benchmark.datasets]) + " |")
    print("|---" * (1 + 2 * len(benchmark.datasets)) + "|")
    for name, values in scores.items():
        truth = [benchmark.accuracy(dataset)[rows] for dataset in benchmark.datasets]
        taus = [directed_tau(values[rows][None], t, 1)[0] for t in truth]
        rhos = [stats.spearmanr(values[rows], t).statistic for t in truth]
        figures = [f"{figure:.3f}".replace("0.", ".", 1) for figure in [*taus, *rhos]]
        print(f"| {name} | " + " | ".join(figures) + " |")


def seconds(work: Callable[[], object], times: int) -> float:
    """Return the least CPU time of ``times`` calls: the machine may be a shared one."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def speed(benchmark: Benchmark, networks: int = 16, batch: int = 8) -> None:
    """Print the CPU time of all cells, and of MeCo on a few full-depth networks."""
    whole = seconds(lambda: topology_entropy(benchmark.archs), 7)
    chosen = np.random.default_rng(0).choice(len(benchmark), networks, replace=False)
    shape = (batch, *benchmark.input_shape("cifar10"))
    building = passing = 0.0
    greenmachine.score(benchmark.build(0, "cifar10"), "meco_outputs", shape=shape)  # warms up
    with one_thread():
        for index in chosen.tolist():
            start = time.process_time()
            model = benchmark.build(index, "cifar10")
            built = time.process_time()
            greenmachine.score(model, "meco_outputs", shape=shape)
            building += (built - start) / networks
            passing += (time.process_time() - built) / networks
    each = whole / len(benchmark)
    print(
        f"\nSED, all {len(benchmark)} cells: {1e3 * whole:.0f} ms of CPU, {1e6 * each:.1f} µs each"
    )
    print(f"MeCo (meco_outputs, batch {batch}), mean of {networks} full-depth networks:")
    print(f"- {1e3 * passing:.0f} ms without building: {passing / each:,.0f} times SED")
    print(f"- {1e3 * (building + passing):.0f} ms with: {(building + passing) / each:,.0f} times")


def example() -> None:
    """Print the terms of one cell."""
    (ops,), (live,), _ = live_edges([EXAMPLE])
    print(f"{EXAMPLE}\n")
    for (source, target), op, alive in zip(EDGES, ops, live, strict=True):
        term = f"{CHANGES[OPERATIONS[op]]:+.3f}" if alive else "not live"
        print(f"    {source}→{target} {OPERATIONS[op]:12} {term}")
    print(f"    SED {topology_entropy([EXAMPLE])[0]:29.3f}")


def ties(benchmark: Benchmark) -> None:
    """Print how many scores there are, and how many classes of isomorphic cells hold two."""
    scores = topology_entropy(benchmark.archs)
    finite = np.isfinite(scores)
    print(
        f"\n{(~finite).sum()} cells without a path; {len(np.unique(scores[finite]))} other scores"
    )
    for name, groups in (("compute the same", benchmark.twins), ("share a text", benchmark.groups)):
        held: dict[int, set[float]] = {}
        for group, score in zip(groups.tolist(), scores.tolist(), strict=True):
            held.setdefault(group, set()).add(score)
        mixed = sum(len(found) > 1 for found in held.values())
        print(f"{mixed} of {len(held)} classes of cells that {name} hold more than one score")


def main() -> None:
    example()
    topology, size = load_benchmark("nats-tss"), load_benchmark("nats-sss")
    scores = topology_scores(topology.archs)
    report("Topology space, all", scores, topology, np.arange(len(topology)))
    ops, live, _ = live_edges(topology.archs)
    dead = ((ops != OPERATIONS.index("none")) & ~live).any(axis=1)
    report("Topology space without dead operations", scores, topology, np.flatnonzero(~dead))
    sizes = {"**SED**": size_entropy(size.archs)}
    sizes |= {f"({name})": found for name, found in size.space.shape_scores(size.archs).items()}
    report("Size space", sizes, size, np.arange(len(size)))
    ties(topology)
    speed(topology)


if __name__ == "__main__":
    main()
