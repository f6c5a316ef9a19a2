"""Search spaces: how an architecture becomes a network, and its costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from greenmachine.benchmarks.suggestions import (
    Suggest,
    suggest_101,
    suggest_channel_resnet,
    suggest_macro,
    suggest_size,
    suggest_topology,
)
from greenmachine.networks import (
    build_101,
    build_channel_resnet,
    build_macro,
    build_size,
    build_topology,
    canonical_macro,
    canonical_topology,
    cell_program,
    channel_resnet_costs,
    channel_widths,
    costs_101,
    function_topology,
    hash_101,
    live_topology,
    macro_costs,
    parse_101,
    parse_macro,
    parse_size,
    parse_topology,
    program_101,
    size_costs,
    topology_costs,
)

__all__ = ["CELLS_101", "CHANNEL_RESNET", "MACRO", "SIZE", "SPACES", "TOPOLOGY", "Space"]


@dataclass(frozen=True)
class Space:
    """A set of architectures written as text.

    Every callable is a function of a module, so that a space can be sent to a worker process.

    Attributes:
        name: a key of ``SPACES``, or the name of your own space.
        rows: number of architectures of the whole space; None if it is not fixed.
        build: ``build(arch, *, num_classes, **options)`` returns the network.
        costs: ``costs(archs, *, num_classes, image_size, **options)`` returns
            (parameters, flops_m).
        shape_scores: ``shape_scores(archs)`` returns scores that need no network, by name.
        canonical: returns a text that is equal for isomorphic architectures; None if not defined.
        function: returns a text that is equal for architectures that compute the same function of
            an image if their weights agree, isomorphic ones among them; None if not defined.
        program: returns a text that is equal for architectures whose networks compute the same from
            the same weights, bit for bit; None if not defined.
        live: returns whether an architecture has no unused operation; None if not defined.
        options: the options of ``build`` and ``costs``, with the paper's values.
        by_dataset: whether ``build`` and ``costs`` also take the name of the data set, ``dataset``.
        suggest: how a search chooses an architecture (``suggestions.py``); None if not defined.
    """

    name: str
    rows: int | None
    build: Callable[..., nn.Module]
    costs: Callable[..., tuple[NDArray[np.int64] | NDArray[np.float64], NDArray[np.float64]]]
    shape_scores: Callable[[Sequence[str]], dict[str, NDArray[np.float64]]]
    canonical: Callable[[str], str] | None = None
    function: Callable[[str], str] | None = None
    program: Callable[[str], str] | None = None
    live: Callable[[str], bool] | None = None
    options: Mapping[str, int] = field(default_factory=dict)
    by_dataset: bool = False
    suggest: Suggest | None = None

    @property
    def built_in(self) -> bool:
        """Return whether this is a space of ``SPACES``, and not another of the same name."""
        return SPACES.get(self.name) == self

    def isomorph(self, archs: Sequence[str]) -> NDArray[np.int64]:
        """Return for each architecture the smallest index in its class, (len(archs),)."""
        return _firsts(archs, self.canonical)

    def functions(self, archs: Sequence[str]) -> NDArray[np.int64]:
        """Return for each the smallest index that computes the same function, (len(archs),)."""
        return _firsts(archs, self.function)

    def twins(self, archs: Sequence[str]) -> NDArray[np.int64]:
        """Return for each architecture the smallest index with the same program, (len(archs),)."""
        return _firsts(archs, self.program)


def _firsts(archs: Sequence[str], text: Callable[[str], str] | None) -> NDArray[np.int64]:
    if text is None:
        return np.arange(len(archs), dtype=np.int64)
    first: dict[str, int] = {}
    rows = [first.setdefault(text(arch), row) for row, arch in enumerate(archs)]
    return np.array(rows, dtype=np.int64)


def _topology_scores(archs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    counts = [sum(op.startswith("nor_conv") for op in parse_topology(arch)) for arch in archs]
    return {"convolutions": np.array(counts, dtype=np.float64)}


def _size_scores(archs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    logs = np.log(np.array([parse_size(arch) for arch in archs], dtype=np.float64).reshape(-1, 5))
    depth = np.arange(1.0, 6.0)
    return {"sum_log_channels": logs.sum(axis=1), "depth2_log_channels": logs @ depth**2}


def _scores_101(archs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    cells = [parse_101(arch).ops for arch in archs]
    counts = {"convolutions": "13", "convolutions_3x3": "3"}
    return {
        name: np.array([sum(op in ops for op in cell) for cell in cells], dtype=np.float64)
        for name, ops in counts.items()
    }


def _macro_scores(archs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    layers = ["".join(parse_macro(arch)) for arch in archs]
    kept = [len(digits) - digits.count("0") for digits in layers]
    return {"layers_kept": np.array(kept, dtype=np.float64)}


def _channel_scores(archs: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    widths = np.array([channel_widths(arch) for arch in archs], dtype=np.float64).reshape(-1, 7)
    return {"sum_log_channels": np.log(widths).sum(axis=1)}


TOPOLOGY = Space(
    name="tss",
    rows=15_625,
    build=build_topology,
    costs=topology_costs,
    shape_scores=_topology_scores,
    canonical=canonical_topology,
    function=function_topology,
    program=cell_program,
    live=live_topology,
    options={"channels": 16, "cells": 5},
    suggest=suggest_topology,
)

SIZE = Space(
    name="sss",
    rows=32_768,
    build=build_size,
    costs=size_costs,
    shape_scores=_size_scores,
    suggest=suggest_size,
)

CELLS_101 = Space(
    name="nas-bench-101",
    rows=None,  # 423,624 are published, and any part of them is a table
    build=build_101,
    costs=costs_101,
    shape_scores=_scores_101,
    canonical=hash_101,
    program=program_101,
    options={"width": 128},
    suggest=suggest_101,
)

MACRO = Space(
    name="nas-bench-macro",
    rows=6_561,
    build=build_macro,
    costs=macro_costs,
    shape_scores=_macro_scores,
    canonical=canonical_macro,
    program=canonical_macro,
    options={"width": 32},
    suggest=suggest_macro,
)

CHANNEL_RESNET = Space(
    name="channel-resnet",
    rows=16_384,
    build=build_channel_resnet,
    costs=channel_resnet_costs,
    shape_scores=_channel_scores,
    options={"width": 256},
    suggest=suggest_channel_resnet,
)

SPACES: dict[str, Space] = {
    space.name: space for space in (TOPOLOGY, SIZE, CELLS_101, MACRO, CHANNEL_RESNET)
}
"""The spaces of this project by name; a user's own may bear any name, one of these too."""
