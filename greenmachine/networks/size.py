"""The size space of NATS-Bench (SSS): one topology, five widths."""

from __future__ import annotations

from torch import nn

from greenmachine.errors import DataError
from greenmachine.networks.blocks import Cell, Head, ResidualBlock, stem

__all__ = ["SIZE_CELL", "build_size", "parse_size"]

SIZE_CELL: tuple[str, ...] = (
    "nor_conv_3x3",
    "nor_conv_3x3",
    "nor_conv_3x3",
    "skip_connect",
    "nor_conv_3x3",
    "nor_conv_3x3",
)
"""The operations of every cell of this space, in the edge order of the topology space."""


def parse_size(arch: str) -> tuple[int, int, int, int, int]:
    """Return the five widths of ``c1:c2:c3:c4:c5`` (positive numbers of channels).

    The benchmark contains the widths 8, 16, ..., 64; other widths can be built too.

    Raises:
        DataError: ``arch`` is not five positive integers separated by colons.
    """
    parts = arch.split(":")
    if len(parts) != 5:
        raise DataError(f"size {arch!r} has {len(parts)} widths separated by ':', not 5")
    for part in parts:
        if not (part.isascii() and part.isdigit() and int(part) > 0):
            raise DataError(f"size {arch!r}: width {part!r} is not a positive whole number")
    first, second, third, fourth, fifth = map(int, parts)
    return first, second, third, fourth, fifth


def build_size(arch: str, *, num_classes: int = 10) -> nn.Module:
    """Return the network of five widths: images (B, 3, S, S) to logits (B, num_classes).

    ``S`` is a multiple of 4. Weights are drawn from torch's global generator.

    Raises:
        DataError: ``arch`` is not five positive integers separated by colons.
    """
    first, second, third, fourth, fifth = parse_size(arch)
    return nn.Sequential(
        stem(first),
        Cell(SIZE_CELL, first, first),
        ResidualBlock(first, second),
        Cell(SIZE_CELL, second, third),
        ResidualBlock(third, fourth),
        Cell(SIZE_CELL, fourth, fifth),
        Head(fifth, num_classes),
    )
