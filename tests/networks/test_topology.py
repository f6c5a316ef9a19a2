"""Cells of the topology space: strings, what flows along their edges, isomorphism."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from greenmachine.errors import DataError
from greenmachine.networks import (
    OPERATIONS,
    build_topology,
    canonical_topology,
    function_topology,
    live_topology,
    parse_topology,
)
from greenmachine.networks.blocks import Cell, ResidualBlock, redrawn, relu_conv_bn

CELLS = st.lists(st.sampled_from(OPERATIONS), min_size=6, max_size=6)


def text(ops: list[str]) -> str:
    a, b, c, d, e, f = ops
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@given(CELLS)
def test_parsing_gives_back_the_operations(ops: list[str]) -> None:
    assert parse_topology(text(ops)) == tuple(ops)


@pytest.mark.parametrize(
    ("arch", "fault"),
    [
        ("", "1 nodes"),
        ("|none~0|+|none~0|none~1|", "2 nodes"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|", "node 3 has 2 edges"),
        ("none~0+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 does not start"),
        ("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation 'conv'"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "should end with '~1'"),
        ("|none~0|+|none|none~1|+|none~0|none~1|none~2|", "edge 'none' into node 2"),
    ],
)
def test_bad_strings_name_their_fault(arch: str, fault: str) -> None:
    for use in (parse_topology, canonical_topology, live_topology, build_topology):
        with pytest.raises(DataError, match=fault):
            use(arch)


def test_skips_add_up_along_every_path() -> None:
    x = torch.randn(2, 4, 6, 6)
    # Paths 0→3, 0→1→3, 0→2→3 and 0→1→2→3 each carry the input once.
    torch.testing.assert_close(Cell(["skip_connect"] * 6, 4, 4)(x), 4 * x)


@pytest.mark.parametrize("edge", range(6))
def test_one_edge_alone_carries_only_from_input_to_output(edge: int) -> None:
    ops = ["none"] * 6
    ops[edge] = "skip_connect"
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(Cell(ops, 4, 4)(x), x if edge == 3 else torch.zeros_like(x))


def test_pool_does_not_count_the_padding() -> None:
    ones = torch.ones(1, 2, 5, 5)
    pool = ["none", "none", "none", "avg_pool_3x3", "none", "none"]
    torch.testing.assert_close(Cell(pool, 2, 2)(ones), ones)


def test_convolution_of_an_empty_node_runs_on_zeros() -> None:
    cell = Cell(["none", "none", "none", "skip_connect", "nor_conv_3x3", "none"], 4, 4)
    seen: list[torch.Tensor] = []
    (conv,) = [module for module in cell.modules() if isinstance(module, nn.Conv2d)]
    conv.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(cell(x), x)
    assert len(seen) == 1
    assert not seen[0].any()


def test_cell_that_changes_the_width_of_nothing() -> None:
    assert Cell(["none"] * 6, 3, 7)(torch.randn(2, 3, 4, 4)).shape == (2, 7, 4, 4)


def test_residual_block_halves_the_map() -> None:
    assert ResidualBlock(3, 5)(torch.randn(2, 3, 8, 8)).shape == (2, 5, 4, 4)


@settings(max_examples=10, deadline=None)
@given(CELLS, st.sampled_from([8, 16]), st.sampled_from([2, 120]))
def test_network_maps_images_to_logits(ops: list[str], size: int, classes: int) -> None:
    network = build_topology(text(ops), num_classes=classes, channels=4, cells=1)
    assert network(torch.randn(2, 3, size, size)).shape == (2, classes)
    assert not any(module.inplace for module in network.modules() if isinstance(module, nn.ReLU))


def test_layers_fire_in_the_order_of_their_definition() -> None:
    network = build_topology(text(["nor_conv_1x1"] * 6), channels=4, cells=2)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    fired: list[nn.Module] = []
    for layer in layers:
        layer.register_forward_hook(lambda module, *_: fired.append(module))
    network(torch.randn(2, 3, 8, 8))
    assert list(map(id, fired)) == list(map(id, layers))


def test_every_parameter_of_a_live_network_gets_a_gradient() -> None:
    network = build_topology(text(["nor_conv_3x3"] * 6), channels=4, cells=1)
    network(torch.randn(4, 3, 8, 8)).square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_isomorphic_cells_share_a_text_and_others_do_not() -> None:
    # Node 1 is the input itself, so the edges 0→2 and 1→2 may trade places.
    first = text(["skip_connect", "nor_conv_3x3", "avg_pool_3x3", "none", "none", "skip_connect"])
    same = text(["skip_connect", "avg_pool_3x3", "nor_conv_3x3", "none", "none", "skip_connect"])
    other = text(["skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none", "none", "skip_connect"])
    assert canonical_topology(first) == canonical_topology(same)
    assert canonical_topology(first) != canonical_topology(other)


def output(arch: str) -> torch.Tensor:
    """Return what a cell makes of an image where all convolutions of one kind are the same."""
    cell = Cell(parse_topology(arch), 4, 4).double()
    generator = torch.Generator().manual_seed(0)
    weights = {k: torch.randn(4, 4, k, k, generator=generator).double() for k in (1, 3)}
    for module in cell.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = weights[module.kernel_size[0]]
    image = torch.randn(2, 4, 6, 6, generator=generator).double()
    with torch.no_grad():
        found: torch.Tensor = cell(image)
    return found


def test_cells_with_the_text_of_a_function_compute_it_and_others_do_not() -> None:
    cells = [text(list(ops)) for ops in product(OPERATIONS, repeat=6)]
    classes: dict[str, list[str]] = {}
    for cell in cells:
        classes.setdefault(function_topology(cell), []).append(cell)
    isomorphic = {canonical_topology(cell): function_topology(cell) for cell in cells}
    assert len(classes) == 4_660
    assert all(isomorphic[canonical_topology(cell)] == function_topology(cell) for cell in cells)
    drawn = random.Random(0).sample(sorted(classes), 120)
    outputs = [[output(cell) for cell in classes[name][:3]] for name in drawn]
    for same in outputs:
        for other in same[1:]:
            torch.testing.assert_close(other, same[0])
    for first, second in combinations((same[0] for same in outputs), 2):
        assert not torch.allclose(first, second)


@pytest.mark.parametrize(
    ("ops", "live"),
    [
        (["none"] * 6, True),
        (["skip_connect"] * 6, True),
        (["none", "none", "none", "avg_pool_3x3", "none", "none"], True),
        (["none", "none", "none", "skip_connect", "nor_conv_3x3", "none"], False),  # gets nothing
        (["nor_conv_1x1", "none", "none", "skip_connect", "none", "none"], False),  # nobody reads
        (["skip_connect", "none", "avg_pool_3x3", "none", "none", "skip_connect"], True),
    ],
)
def test_live_cells_have_no_dead_operation(ops: list[str], live: bool) -> None:
    assert live_topology(text(ops)) is live


def test_live_cells_of_the_whole_space() -> None:
    cells = [text(list(ops)) for ops in product(OPERATIONS, repeat=6)]
    assert sum(map(live_topology, cells)) == 9445


@settings(max_examples=30, deadline=None)
@given(CELLS)
def test_in_live_cells_alone_every_edge_moves_the_output(ops: list[str]) -> None:
    """Without one of its operations a cell of random edges gives another output, unless dead."""
    torch.manual_seed(0)
    scales = torch.rand(6, dtype=torch.float64) + 0.5

    def output(values: torch.Tensor) -> torch.Tensor:
        a, b, c, d, e, f = values
        return d + a * e + (b + a * c) * f

    present = torch.tensor([op != "none" for op in ops])
    values = scales * present
    moved = [bool(output(values) != output(values * (torch.arange(6) != i))) for i in range(6)]
    assert live_topology(text(ops)) == all(m or not p for m, p in zip(moved, present, strict=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cell(["nor_conv_3x3", "skip_connect", "avg_pool_3x3", *["nor_conv_1x1"] * 3], 4, 4),
        lambda: Cell(["skip_connect", "none", "nor_conv_1x1", *["none"] * 3], 4, 8),
        lambda: ResidualBlock(4, 8),
        lambda: relu_conv_bn(4, 4, 3),
    ],
    ids=["cell", "wider", "residual", "convolution"],
)
def test_redrawn_blocks_are_those_that_a_construction_makes(make: Callable[[], nn.Module]) -> None:
    images = torch.randn(2, 4, 8, 8)
    torch.manual_seed(0)
    _, constructed, after = make(), make(), torch.rand(1)
    torch.manual_seed(0)
    first = make()
    first(images)  # running statistics are not copied
    second = redrawn(first)
    assert torch.equal(torch.rand(1), after), "another number of draws"
    for name, held in constructed.state_dict().items():
        assert torch.equal(held, second.state_dict()[name]), name
    assert str(second) == str(constructed)
    tensors = [*first.parameters(), *first.buffers(), *second.parameters(), *second.buffers()]
    assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors)
    first.register_forward_hook(lambda *_: pytest.fail("hooks are shared"))
    assert torch.equal(second(images), constructed(images))
