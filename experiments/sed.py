"""The terms of SED for one cell, and which scores tie (docs/results/sed.md).

``python -m experiments.sed`` prints both; ``GREENMACHINE_DATA`` must name the folder of the
benchmark tables. ``greenmachine reproduce sed`` measures how well SED ranks.
"""

from __future__ import annotations

import numpy as np

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.networks import OPERATIONS
from greenmachine.networks.blocks import EDGES
from greenmachine.proxies.zoo.entropy import CHANGES, topology_entropy
from greenmachine.tables.entropies import live_edges

EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"


def example() -> None:
    """Print the terms of one cell."""
    (ops,), (live,), _ = live_edges([EXAMPLE])
    print(f"{EXAMPLE}\n")
    for (source, target), op, alive in zip(EDGES, ops, live, strict=True):
        term = f"{CHANGES[OPERATIONS[op]]:+.3f}" if alive else "not live"
        print(f"    {source}→{target} {OPERATIONS[op]:12} {term}")
    print(f"    SED {topology_entropy([EXAMPLE])[0]:29.3f}")


def ties(benchmark: Benchmark) -> None:
    """Print the number of distinct scores, and of classes of isomorphic cells with two scores."""
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
    ties(load_benchmark("nats-tss"))


if __name__ == "__main__":
    main()
