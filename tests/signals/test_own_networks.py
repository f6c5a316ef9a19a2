"""Capture of networks that we built ourselves: no copies, no collector, and the same signals."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch

from greenmachine.benchmarks import SPACES
from greenmachine.neutral import seeded
from greenmachine.signals import CaptureSpec
from greenmachine.signals.capture import KEEPS_VALUES, Layer
from greenmachine.signals.network_capture import (
    attempt,
    build_network,
    cached_benchmark,
    capture_network,
)
from greenmachine.signals.run_passes import run_passes

SHAPE = (2, 3, 16, 16)
PASSES = ("noise", "perturbed", "ones")
SIGNALS = ("input", "output", "norm_output", "input_grad", "output_grad", "weight_grad")
NETWORKS: dict[str, tuple[str, dict[str, int]]] = {
    "tss": (
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_1x1~1|none~2|",
        {"cells": 2, "channels": 4},
    ),
    "sss": ("8:16:24:32:40", {}),
    "nas-bench-101": ("100110100001001010101;3m331", {"width": 8}),
    "nas-bench-macro": ("12012012", {"width": 4}),
    "channel-resnet": ("1213121", {"width": 8}),
}


@pytest.mark.parametrize("space", SPACES)
def test_what_hooks_saw_stays_in_networks_of_every_space(space: str) -> None:
    arch, options = NETWORKS[space]
    torch.manual_seed(0)
    model = SPACES[space].build(arch, num_classes=10, **options)
    wanted = {f"{name}_{signal}" for name in PASSES for signal in SIGNALS}
    copied = run_passes(model, wanted, SHAPE)
    vars(model)[KEEPS_VALUES] = True
    kept = run_passes(model, wanted, SHAPE)
    assert len(kept) == len(copied) > 1
    for ours, theirs in zip(kept, copied, strict=True):
        assert ours.signals.keys() == theirs.signals.keys() == wanted
        for name, value in ours.signals.items():
            assert torch.equal(value, theirs.signals[name]), (ours.name, name)


@pytest.mark.parametrize("pass_", PASSES)
def test_captured_networks_have_the_signals_of_restored_ones(pass_: str) -> None:
    terminals = ("weight", *(f"{pass_}_{signal}" for signal in SIGNALS))
    spec = CaptureSpec("digits-tss", "digits", terminals, 2)
    benchmark = cached_benchmark(spec.benchmark)
    shape = (2, *benchmark.input_shape("digits"))
    for index in (0, 17):
        model = build_network(benchmark, index, spec)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        expected = run_passes(model, set(terminals), shape)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), name
        captured = capture_network(benchmark, index, spec)
        assert len(captured) == len(expected) > 1
        for ours, theirs in zip(captured, expected, strict=True):
            assert isinstance(ours, Layer)
            for name in terminals:
                assert torch.equal(ours.signals[name], theirs.signals[name]), (ours.name, name)


def test_networks_of_a_users_file_are_copied(tmp_path: Any) -> None:
    (tmp_path / "space.py").write_text(
        "from torch import nn\nINPUT_SHAPE = (4,)\n"
        "def build(arch):\n"
        "    return nn.Sequential(nn.Linear(4, int(arch)), nn.ReLU(inplace=True),"
        " nn.Linear(int(arch), 2))\n"
    )
    (tmp_path / "table.csv").write_text("arch,accuracy\n3,50\n4,60\n5,70\n")
    name = f"{tmp_path / 'space.py'}:{tmp_path / 'table.csv'}"
    spec = CaptureSpec(name, "own", ("noise_output",), 2)
    theirs = build_network(cached_benchmark(name), 0, spec)
    assert KEEPS_VALUES not in vars(theirs)
    first, _ = run_passes(theirs, {"noise_output"}, (2, 4))
    assert (first.signals["noise_output"] < 0).any()  # before the activation that works in place
    ours = build_network(
        cached_benchmark("digits-tss"), 0, CaptureSpec("digits-tss", "digits", (), 2)
    )
    assert KEEPS_VALUES in vars(ours)


@pytest.mark.parametrize("running", [True, False])
def test_collector_is_as_it_was_after_a_network(running: bool) -> None:
    def fail() -> bool:
        raise ValueError("no such network")

    before = gc.isenabled()
    (gc.enable if running else gc.disable)()
    try:
        assert attempt(0, gc.isenabled) is False
        assert gc.isenabled() == running
        assert attempt(0, fail) == "ValueError: no such network"
        assert gc.isenabled() == running
    finally:
        (gc.enable if before else gc.disable)()


def test_seeding_leaves_nothing_behind() -> None:
    queued = vars(torch.cuda).get("_queued_calls")
    if queued is None or torch.cuda.is_initialized():
        pytest.skip("torch keeps no calls for a GPU here")
    before = len(queued)
    torch.manual_seed(7)
    expected = torch.rand(3)
    with seeded(7):
        assert torch.equal(torch.rand(3), expected)
    with seeded(7), seeded(8), seeded(7):
        assert torch.equal(torch.rand(3), expected)
    assert len(queued) - before <= 1  # of the plain call above
