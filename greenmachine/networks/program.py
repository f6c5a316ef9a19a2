"""Find cells of the topology space that compute the same function, step by step.

A cell runs as a list of steps: convolutions, pools and sums, in the order of its edges. Other cells
may run the same list. ``none`` and ``skip_connect`` are not steps: an edge from an empty node
carries nothing, and a skip returns its input. Pools and sums that neither a convolution nor the
output reads have no effect. Convolutions always have one: they are layers, and the random numbers
drawn for their weights change the weights of later convolutions.

Two cells with the same list, initialised with the same seed, therefore have the same layers bit for
bit, and every pass gives the same signals: activations, and gradients too, because autograd
records the same steps in the same order.
"""

from __future__ import annotations

from greenmachine.networks.blocks import EDGES
from greenmachine.networks.topology import parse_topology

__all__ = ["cell_program"]

_Step = tuple[str, list[str]]


def cell_program(arch: str) -> str:
    """Return the steps of a cell as text, equal for cells that compute the same function.

    There are 8,941 programs among the 15,625 cells. ``x`` is the input of the cell, ``0`` an empty
    node, a number is the step that made the tensor, and the last word is the output:

    >>> cell_program("|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|nor_conv_1x1~2|")
    'nor_conv_1x1(x) 1'

    Raises:
        DataError: ``arch`` is not a cell of this space.
    """
    steps, output = _steps(parse_topology(arch))
    names = {"x": "x", "0": "0"}
    lines = []
    for number in sorted(_traces(steps, output)):
        op, args = steps[number]
        # The two tensors of a sum commute bit for bit, and so do their gradients.
        lines.append(f"{op}({','.join(sorted(names[arg] for arg in args))})")
        names[str(number + 1)] = str(len(lines))
    return " ".join([*lines, names[output]])


def _steps(ops: tuple[str, ...]) -> tuple[list[_Step], str]:
    """Return all steps in the order in which ``Cell.forward`` takes them, and the output."""
    steps: list[_Step] = []
    nodes = ["x", "0", "0", "0"]
    for (source, target), op in zip(EDGES, ops, strict=True):
        value = nodes[source]
        if op == "none" or (value == "0" and not op.startswith("nor_conv")):
            continue
        if op != "skip_connect":
            steps.append((op, [value]))
            value = str(len(steps))
        if nodes[target] != "0":
            steps.append(("sum", [nodes[target], value]))
            value = str(len(steps))
        nodes[target] = value
    return steps, nodes[-1]


def _traces(steps: list[_Step], output: str) -> set[int]:
    """Return the numbers of the steps that have an effect: convolutions, and what is read."""
    read = {output}
    kept = set()
    for number in reversed(range(len(steps))):
        op, args = steps[number]
        if op.startswith("nor_conv") or str(number + 1) in read:
            kept.add(number)
            read.update(args)
    return kept
