"""Which cells of the topology space compute the same, step by step.

A cell runs as a list of steps: convolutions, pools and sums, in the order of its edges. Other
cells may run the very same list. ``none`` and ``skip_connect`` are no steps: an edge that leaves
an empty node carries nothing, and a skip hands its tensor on. Pools and sums that neither a
convolution nor the output reads leave no trace. Convolutions always do: they fire, and what they
draw as weights moves the weights of those after them.

So two cells with one list, drawn from one seed, have bit for bit the same layers, and every pass
leaves the same signals there: values, and gradients too, because autograd sees the same steps in
the same order.
"""

from __future__ import annotations

from greenmachine.networks.blocks import EDGES
from greenmachine.networks.topology import parse_topology

__all__ = ["cell_program"]

_Step = tuple[str, list[str]]


def cell_program(arch: str) -> str:
    """Return the steps of a cell as text, equal for cells that compute the same.

    There are 8,941 programs among the 15,625 cells. ``x`` is the input of the cell, ``0`` an empty
    node, a number the step that made the tensor, the last word the output:

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
        # The two tensors of a sum commute, to the bit, and so do their gradients.
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
    """Return the places of the steps that leave a trace: convolutions, and what is read."""
    read = {output}
    kept = set()
    for number in reversed(range(len(steps))):
        op, args = steps[number]
        if op.startswith("nor_conv") or str(number + 1) in read:
            kept.add(number)
            read.update(args)
    return kept
