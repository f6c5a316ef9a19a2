"""Cells of NAS-Bench-101: pruning, keys, widths, networks."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from greenmachine.errors import ConfigError, DataError
from greenmachine.networks import build_101, costs_101, hash_101, module_costs, program_101
from greenmachine.networks.nas_bench_101 import cell_widths, parse_101

FULL = "100110100001001010101;3m331"


def random_cell(seed: int) -> str:
    """A cell of two to seven vertices that reaches its output."""
    draw = random.Random(seed)
    while True:
        inner = draw.randrange(6)
        vertices = inner + 2
        bits = "".join(draw.choice("01") for _ in range(vertices * (vertices - 1) // 2))
        arch = f"{bits};{''.join(draw.choice('31m') for _ in range(inner))}"
        try:
            parse_101(arch)
        except DataError:
            continue
        return arch


def permuted(arch: str, seed: int) -> str:
    """The same cell with its inner vertices in another order, edges still going up."""
    cell = parse_101(arch)
    inner = list(range(1, cell.last))
    orders = [
        order
        for order in itertools.permutations(inner)
        if all(order.index(s) < order.index(t) for s, t in cell.edges if s in inner and t in inner)
    ]
    order = (0, *random.Random(seed).choice(orders), cell.last)
    edges = {(order.index(s), order.index(t)) for s, t in cell.edges}
    pairs = itertools.combinations(range(cell.last + 1), 2)
    bits = "".join("01"[pair in edges] for pair in pairs)
    return f"{bits};{''.join(cell.ops[v - 1] for v in order[1:-1])}"


@pytest.mark.parametrize(
    ("arch", "key"),
    [  # rows of the published table
        ("100110100001001010101;3m331", "00005c142e6f48ac74fdcf73e3439874"),
        ("100000100001000111101;11313", "0000718c96730a92ea6d5242f8ce77e2"),
        ("100010100101000101101;3m1m1", "0000cb5372fad9d62c470df699ac6d52"),
    ],
)
def test_keys_are_the_published_ones(arch: str, key: str) -> None:
    assert hash_101(arch) == key


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_isomorphic_cells_share_their_key(cell: int, order: int) -> None:
    arch = random_cell(cell)
    assert hash_101(permuted(arch, order)) == hash_101(arch)


def test_vertices_on_no_path_are_dropped() -> None:
    # 0 → 1 → 3, and vertex 2, which reads 0 and is read by nothing.
    assert parse_101("110010;31") == parse_101("101;3")
    assert program_101("110010;31") == "101;3"
    assert hash_101("110010;31") == hash_101("101;3")


@pytest.mark.parametrize(
    ("arch", "fault"),
    [
        ("101;x", "unknown operation 'x'; known: 3, 1, m"),
        ("10;3", "has 1 operations, so it needs 3 bits"),
        ("102;3", "3 bits, 0 or 1"),
        ("100;3", "its input does not reach its output"),
        ("", "has 0 operations, so it needs 1 bits"),
    ],
)
def test_what_is_no_cell_is_said(arch: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        parse_101(arch)


@pytest.mark.parametrize(
    ("arch", "inputs", "outputs", "widths"),
    [
        ("1;", 8, 16, [8, 16]),
        ("101;3", 8, 16, [8, 16, 16]),
        ("111;3", 8, 16, [8, 16, 16]),  # the input is added, and takes no share
    ],
)
def test_widths(arch: str, inputs: int, outputs: int, widths: list[int]) -> None:
    assert cell_widths(parse_101(arch), inputs, outputs) == widths


def test_shares_are_even_and_the_first_take_the_remainder() -> None:
    # 0 → 1; 1 → 2, 3, 4; 2, 3, 4 → 5.
    cell = parse_101("100001110001011;1331")
    assert cell_widths(cell, 8, 17) == [8, 6, 6, 6, 5, 17]
    with pytest.raises(ConfigError, match="2 channels cannot be shared by 3 vertices"):
        cell_widths(cell, 2, 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([7, 8, 12]), st.sampled_from([8, 16]))
def test_cells_cost_what_their_modules_cost(cell: int, width: int, size: int) -> None:
    arch = random_cell(cell)
    network = build_101(arch, num_classes=3, width=width)
    params, flops = costs_101([arch], num_classes=3, image_size=size, width=width)
    assert module_costs(network, (3, size, size)) == (params[0], flops[0])


def test_a_vertex_works_on_the_sum_of_what_it_reads_cut_to_its_width() -> None:
    """The second cell of a network, step by step."""
    # 0 → 1, 3, 4; 1 → 2, 3, 4; 2 → 3; 3 → 4: vertices 1 and 3 share the output's 9 channels.
    arch = "1011111101;1m3"
    torch.manual_seed(0)
    network = build_101(arch, width=9).eval()
    cell = list(network.children())[2]
    assert cell.widths == [9, 5, 4, 4, 9]
    x = torch.randn(2, 9, 8, 8)
    step = dict(cell.vertices.items())
    first = step["1"](cell.projections["1"](x))
    second = nn.functional.max_pool2d(first[:, :4], 3, 1, 1)
    third = step["3"](first[:, :4] + second + cell.projections["3"](x))
    expected = torch.cat([first, third], dim=1) + cell.projections["4"](x)
    torch.testing.assert_close(cell(x), expected)


def test_maps_shrink_and_widths_double_between_stacks() -> None:
    shapes: list[torch.Size] = []
    network = build_101(FULL, width=8)
    for module in network.children():
        module.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    found = [tuple(shape[1:3]) for shape in shapes[:12]]
    assert found[:4] == [(8, 32)] * 4
    assert found[4:8] == [(8, 16), *[(16, 16)] * 3]
    assert found[8:] == [(16, 8), *[(32, 8)] * 3]
