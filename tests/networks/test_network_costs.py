"""Analytic costs against real modules, and the published numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from greenmachine.networks import (
    OPERATIONS,
    build_size,
    build_topology,
    module_costs,
    size_costs,
    topology_costs,
)

FIRST_CELL = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
    "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)


def test_published_costs() -> None:
    """Index 0 of both spaces on CIFAR-10, from the official NATS-Bench files."""
    params, flops = topology_costs([FIRST_CELL], num_classes=10)
    assert params.tolist() == [129_306]
    assert flops.tolist() == [15.64737]
    params, flops = size_costs(["8:8:8:8:8"], num_classes=10)
    assert params.tolist() == [11_714]
    assert flops.tolist() == [4.481114]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(OPERATIONS), min_size=6, max_size=6),
    st.sampled_from([2, 10, 120]),
    st.sampled_from([8, 16]),
    st.integers(1, 2),
    st.integers(2, 5),
)
def test_cells_cost_what_their_modules_cost(
    ops: list[str], classes: int, size: int, cells: int, channels: int
) -> None:
    a, b, c, d, e, f = ops
    arch = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
    network = build_topology(arch, num_classes=classes, channels=channels, cells=cells)
    params, flops = topology_costs(
        [arch], num_classes=classes, image_size=size, channels=channels, cells=cells
    )
    assert module_costs(network, (3, size, size)) == (params[0], flops[0])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=5, max_size=5), st.sampled_from([8, 16]))
def test_widths_cost_what_their_modules_cost(widths: list[int], size: int) -> None:
    arch = ":".join(map(str, widths))
    params, flops = size_costs([arch], num_classes=5, image_size=size)
    network = build_size(arch, num_classes=5)
    assert module_costs(network, (3, size, size)) == (params[0], flops[0])


def test_costs_are_one_a_row_in_order() -> None:
    archs = ["8:8:8:8:8", "16:16:16:16:16", "8:8:8:8:8"]
    params, flops = size_costs(archs, num_classes=10)
    assert params.dtype == np.int64
    assert params[0] == params[2] < params[1]
    assert flops[0] == flops[2] < flops[1]
    assert size_costs([], num_classes=10)[0].shape == topology_costs([], num_classes=1)[1].shape


def test_counting_leaves_the_module_as_it_was() -> None:
    network = build_size("2:2:2:2:2")
    list(network.children())[1].eval()
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    module_costs(network, (3, 8, 8))
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])


def test_counting_cleans_up_after_a_failing_forward() -> None:
    network = build_size("2:2:2:2:2")
    with pytest.raises(RuntimeError):
        module_costs(network, (4, 8, 8))
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_grouped_and_frozen_layers() -> None:
    conv = nn.Conv2d(4, 8, 3, padding=1, groups=2, bias=False)
    linear = nn.Linear(3, 2, bias=False)
    linear.weight.requires_grad_(False)
    assert module_costs(conv, (4, 5, 5)) == (8 * 2 * 9, 8 * 2 * 9 * 25 / 1e6)
    assert module_costs(linear, (3,)) == (0, 6 / 1e6)


@pytest.mark.parametrize(
    ("layer", "shape", "params", "macs"),
    [
        (nn.Conv1d(4, 6, 3, groups=2), (4, 9), 6 * 2 * 3 + 6, 6 * 2 * 3 * 7),
        (nn.Conv3d(2, 3, 2, bias=False), (2, 4, 4, 4), 3 * 2 * 8, 3 * 2 * 8 * 27),
        # Every one of the 25 inputs of a channel meets its 6 x 9 weights.
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 5, 5), 4 * 6 * 9 + 6, 4 * 6 * 9 * 25),
    ],
    ids=["one", "three", "transposed"],
)
def test_other_convolutions(
    layer: nn.Module, shape: tuple[int, ...], params: int, macs: int
) -> None:
    assert module_costs(layer, shape) == (params, macs / 1e6)


def test_a_computed_weight_counts_as_itself() -> None:
    plain, normed = nn.Linear(5, 4), nn.utils.parametrizations.weight_norm(nn.Linear(5, 4))
    assert module_costs(normed, (5,)) == module_costs(plain, (5,))
