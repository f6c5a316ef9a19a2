"""SED: what counts in a cell, and how it ranks the real tables."""

from __future__ import annotations

import math
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.benchmarks import TOPOLOGY, load_benchmark
from greenmachine.errors import DataError
from greenmachine.fitness import directed_tau
from greenmachine.networks import OPERATIONS, build_size
from greenmachine.networks.blocks import EDGES
from greenmachine.proxies import PROXIES, ArchitectureProxy
from greenmachine.proxies.zoo.entropy import size_entropy, topology_entropy

CELLS = st.tuples(*[st.sampled_from(OPERATIONS)] * 6)
WIDTHS = st.tuples(*[st.sampled_from(range(8, 72, 8))] * 5)
NONE, SKIP, CONV1, CONV3, POOL = OPERATIONS
THREE = np.mean([math.log(9 * width) / 2 for width in (16, 32, 64)])
ONE = np.mean([math.log(width) / 2 for width in (16, 32, 64)])


def text(ops: tuple[str, ...]) -> str:
    return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops)


def paths(ops: tuple[str, ...], node: int = 0) -> list[list[int]]:
    """Every way from ``node`` to the output, as lists of edges: the plain enumeration."""
    if node == 3:
        return [[]]
    return [
        [edge, *rest]
        for edge, (source, target) in enumerate(EDGES)
        if source == node and ops[edge] != NONE
        for rest in paths(ops, target)
    ]


def live(ops: tuple[str, ...]) -> set[int]:
    return {edge for path in paths(ops) for edge in path}


def plain(ops: tuple[str, ...]) -> float:
    if not paths(ops):
        return -math.inf
    gains = {SKIP: 0.0, CONV1: ONE, CONV3: THREE, POOL: -math.log(9) / 2}
    return sum(gains[ops[edge]] for edge in live(ops))


def sed(ops: tuple[str, ...]) -> float:
    return float(topology_entropy([text(ops)])[0])


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ((NONE,) * 6, -math.inf),
        ((SKIP,) * 6, 0.0),
        ((CONV3,) * 6, 6 * THREE),
        ((NONE, NONE, NONE, POOL, NONE, NONE), -math.log(3)),
        # The convolution into node 1 goes nowhere, and the pool from node 2 comes from nowhere.
        ((CONV3, NONE, NONE, CONV1, NONE, POOL), ONE),
        # All of node 1 is dead where the only way on from it is.
        ((CONV3, NONE, CONV1, SKIP, NONE, NONE), 0.0),
        # One convolution that two paths share is one.
        ((CONV3, NONE, SKIP, NONE, SKIP, SKIP), THREE),
        ((CONV3, CONV3, CONV3, NONE, NONE, NONE), -math.inf),
        # The longest path alone.
        ((CONV1, NONE, POOL, NONE, NONE, CONV3), ONE - math.log(3) + THREE),
    ],
)
def test_cells_counted_by_hand(ops: tuple[str, ...], expected: float) -> None:
    assert sed(ops) == pytest.approx(expected, abs=1e-8)


def test_table_look_up_is_the_enumeration_of_paths() -> None:
    """On every cell of the space."""
    cells = list(product(OPERATIONS, repeat=6))
    expected = [plain(ops) for ops in cells]
    found = topology_entropy([text(ops) for ops in cells])
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert np.isneginf(found).sum() == 341


@given(CELLS)
def test_the_middle_nodes_may_trade_places_where_no_edge_joins_them(ops: tuple[str, ...]) -> None:
    a, b, _, d, e, f = ops
    assert sed((a, b, NONE, d, e, f)) == sed((b, a, NONE, d, f, e))


@given(CELLS, st.sampled_from(OPERATIONS))
def test_a_dead_operation_counts_for_nothing(ops: tuple[str, ...], op: str) -> None:
    bare = tuple(op if edge in live(ops) else NONE for edge, op in enumerate(ops))
    assert sed(bare) == sed(ops)
    for edge in range(6):
        added = (*bare[:edge], op, *bare[edge + 1 :])
        if edge not in live(bare) | live(added):
            assert sed(added) == sed(ops)


@given(CELLS)
def test_a_pool_lowers_and_a_larger_kernel_raises(ops: tuple[str, ...]) -> None:
    for edge in live(ops):
        others = [(*ops[:edge], op, *ops[edge + 1 :]) for op in (POOL, SKIP, CONV1, CONV3)]
        scores = [sed(other) for other in others]
        assert scores == sorted(scores) and len(set(scores)) == 4


def test_cells_that_compute_the_same_score_the_same() -> None:
    archs = [text(ops) for ops in product(OPERATIONS, repeat=6)]
    scores, twins = topology_entropy(archs), TOPOLOGY.twins(archs)
    assert len(set(twins.tolist())) == 8_941
    np.testing.assert_array_equal(scores, scores[twins])


@given(st.lists(CELLS, max_size=5))
def test_a_score_does_not_depend_on_its_company(cells: list[tuple[str, ...]]) -> None:
    found = topology_entropy([text(ops) for ops in cells])
    assert found.tolist() == [sed(ops) for ops in cells]


@settings(max_examples=15, deadline=None)
@given(WIDTHS)
def test_widths_are_those_of_the_normalised_convolutions(widths: tuple[int, ...]) -> None:
    """Counted on the network: every convolution with a batch normalisation right behind it."""
    arch = ":".join(map(str, widths))
    modules = list(build_size(arch).named_modules())
    total = 0.0
    for (name, module), (_, behind) in pairwise(modules):
        if type(module).__name__ == "Conv2d" and type(behind).__name__ == "BatchNorm2d":
            assert "shortcut" not in name
            total += math.log(module.weight[0].numel()) / 2
    assert size_entropy([arch])[0] == pytest.approx(total, abs=1e-8)


def test_bad_architectures_are_named() -> None:
    assert topology_entropy([]).shape == size_entropy([]).shape == (0,)
    with pytest.raises(DataError, match="unknown operation 'conv'"):
        topology_entropy([text((SKIP,) * 6), text(("conv",) * 6)])
    with pytest.raises(DataError, match="has 4 widths"):
        size_entropy(["8:8:8:8"])


def test_sed_is_these_functions() -> None:
    proxy = PROXIES.find("sed")
    assert isinstance(proxy, ArchitectureProxy)
    assert dict(proxy.functions) == {"tss": topology_entropy, "sss": size_entropy}
    assert (proxy.direction, proxy.passes) == (1, ())


@pytest.mark.data
@pytest.mark.parametrize(
    ("dataset", "least"), [("cifar10", 0.70), ("cifar100", 0.70), ("imagenet16-120", 0.67)]
)
def test_tau_on_the_whole_topology_space(dataset: str, least: float, real_folder: Path) -> None:
    benchmark = load_benchmark("nats-tss", real_folder)
    (tau,) = directed_tau(
        topology_entropy(benchmark.archs)[None], benchmark.accuracy(dataset), direction=1
    )
    assert tau >= least
