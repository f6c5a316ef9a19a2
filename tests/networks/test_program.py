"""Cells that compute the same, step by step: their texts, and the signals of real networks."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import product

import pytest
import torch

from greenmachine.errors import DataError
from greenmachine.networks import OPERATIONS, build_topology, cell_program
from greenmachine.signals.capture import Layer
from greenmachine.signals.registry import PASSES
from greenmachine.signals.run_passes import run_passes

SHAPE = (3, 3, 4, 4)
SIGNALS = ("input", "output", "norm_output", "weight_grad", "input_grad", "output_grad")
TERMINALS = {"weight"} | {f"{name}_{signal}" for name in PASSES for signal in SIGNALS}


def text(*ops: str) -> str:
    return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops)


@pytest.fixture(scope="module")
def classes() -> list[list[str]]:
    """The cells of the whole space by their program."""
    found = defaultdict(list)
    for ops in product(OPERATIONS, repeat=6):
        found[cell_program(text(*ops))].append(text(*ops))
    return list(found.values())


def signals(arch: str) -> list[Layer]:
    torch.manual_seed(1)
    model = build_topology(arch, num_classes=4, channels=2, cells=1)
    generator = torch.Generator().manual_seed(2)
    images, labels = torch.randn(SHAPE, generator=generator), torch.tensor([0, 1, 3])
    return run_passes(model, TERMINALS, SHAPE, images=images, labels=labels, seed=3)


def test_programs_of_the_space(classes: list[list[str]]) -> None:
    assert len(classes) == 8_941


@pytest.mark.parametrize(
    ("ops", "program"),
    [
        (["none"] * 6, "0"),
        (["skip_connect"] * 6, "sum(x,x) sum(x,x) sum(1,2) 3"),
        (["avg_pool_3x3", *["none"] * 5], "0"),
        (["none", "none", "skip_connect", "skip_connect", "none", "none"], "x"),
        (["nor_conv_1x1", *["none"] * 5], "nor_conv_1x1(x) 0"),
        (["none", "none", "nor_conv_3x3", *["none"] * 3], "nor_conv_3x3(0) 0"),
    ],
)
def test_steps_that_leave_no_trace_are_left_out(ops: list[str], program: str) -> None:
    assert cell_program(text(*ops)) == program


def test_a_bad_string_names_its_fault() -> None:
    with pytest.raises(DataError, match="unknown operation 'conv'"):
        cell_program(text("conv", *["none"] * 5))


def test_one_program_leaves_the_same_signals_bit_for_bit(classes: list[list[str]]) -> None:
    chosen = random.Random(0)
    shared = [cells for cells in classes if len(cells) > 1]
    for cells in chosen.sample(shared, 32):
        one, two = (signals(arch) for arch in chosen.sample(cells, 2))
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            assert first.signals.keys() == second.signals.keys() == TERMINALS
            for name, value in first.signals.items():
                assert torch.equal(value, second.signals[name]), (cells, first.name, name)
