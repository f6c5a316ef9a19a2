"""Stacks of layers with equal shapes, from many networks, with one tensor per signal.

A primitive is applied to a stack, so Python code runs once per stack and chunk instead of once per
layer and network. A :class:`Shard` is the part of a sample that one worker handles: some networks,
their stacks, and the error messages of networks that failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from greenmachine.signals.capture import Layer
from greenmachine.signals.paper_passes import MODE_SIGNALS
from greenmachine.signals.registry import is_weight

__all__ = ["LayerGroups", "Shard", "Stack", "group_layers", "stack_layers", "stacked"]


_HALF = (torch.float16, torch.bfloat16)


@dataclass
class Stack:
    """K layers with equal shapes and precisions.

    Attributes:
        rows: (K,) int64, the index of each layer in the order of the shard: networks in order, then
            layers in execution order.
        tensors: contiguous, by terminal name: weights (K, O, I, kh, kw), maps (K, B, H, W, C),
            and those of the paper language in torch's shapes.
    """

    rows: Tensor
    tensors: dict[str, Tensor]

    def signal(self, name: str, part: slice, batch: int) -> Tensor:
        """Return some layers of a signal in the layout of its kind.

        The result is a view, except that signals stored in half precision are converted to float32.
        Weights are (k, O, I, kh, kw), maps (k, B, C, H, W); signals of the paper language have
        torch's shapes. The single image of the ``ones`` pass is repeated to ``batch`` (stride 0),
        because two tensors of one kind must have the same shape.
        """
        stored = self.tensors[name][part]
        if stored.dtype in _HALF:
            stored = stored.float()
        if is_weight(name) or name in MODE_SIGNALS:
            return stored
        if stored.shape[1] != batch:
            stored = stored.expand(-1, batch, -1, -1, -1)
        return stored.permute(0, 1, 4, 2, 3)


@dataclass
class Shard:
    """Signals of some networks.

    Attributes:
        networks: positions of the networks in their sample.
        layer_counts: number of layers of each network; 0 if the network failed.
        batch: number of images in each pass.
        stacks: the stacks, which together contain every layer of every network once.
        failures: error message by position in the sample.
    """

    networks: list[int]
    layer_counts: list[int]
    batch: int
    stacks: list[Stack]
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def layers(self) -> int:
        """Number of layers in the shard."""
        return sum(self.layer_counts)


@dataclass
class LayerGroups:
    """The layers of some networks, grouped by equal shapes: a shard before it is stacked.

    Attributes:
        networks: as for :class:`Shard`.
        layer_counts: as for :class:`Shard`.
        batch: as for :class:`Shard`.
        groups: for each future stack, the indices of its layers, and the layers.
        failures: as for :class:`Shard`.
    """

    networks: list[int]
    layer_counts: list[int]
    batch: int
    groups: list[tuple[list[int], list[Layer]]]
    failures: dict[int, str]

    @property
    def nbytes(self) -> int:
        """Bytes of all signals."""
        layers = [layer for _, members in self.groups for layer in members]
        return sum(value.nbytes for layer in layers for value in layer.signals.values())


def group_layers(networks: Mapping[int, list[Layer] | str], batch: int) -> LayerGroups:
    """Group layers by shape; ``networks`` has layers or an error message for each position."""
    groups: dict[tuple[object, ...], tuple[list[int], list[Layer]]] = {}
    counts: list[int] = []
    failures: dict[int, str] = {}
    row = 0
    for position, layers in networks.items():
        if isinstance(layers, str):
            failures[position] = layers
            counts.append(0)
            continue
        counts.append(len(layers))
        for layer in layers:
            # Sorted, because the order of signals depends on whether a normalisation follows.
            key = tuple(
                sorted((n, tuple(v.shape), str(v.dtype)) for n, v in layer.signals.items())
            )  # with the precision, in which networks may differ
            rows, members = groups.setdefault(key, ([], []))
            rows.append(row)
            members.append(layer)
            row += 1
    return LayerGroups(list(networks), counts, batch, list(groups.values()), failures)


def stack_layers(networks: Mapping[int, list[Layer] | str], batch: int) -> Shard:
    """Stack layers by shape; ``networks`` has layers or an error message for each position."""
    return stacked(group_layers(networks, batch))


def stacked(found: LayerGroups) -> Shard:
    """Stack the layers of every group."""
    stacks = [
        Stack(
            torch.tensor(rows),
            {n: torch.stack([layer.signals[n] for layer in layers]) for n in layers[0].signals},
        )
        for rows, layers in found.groups
    ]
    return Shard(found.networks, found.layer_counts, found.batch, stacks, found.failures)
