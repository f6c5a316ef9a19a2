"""The layer stage: from the tensors of one shard to boundary values.

It works on a chunk of layers at a time that fits the processor's cache, because over 90 % of the
time is memory traffic. Chunks depend only on the shard, so a value is the same bit for bit
whichever worker computes it, and whatever else is computed with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from greenmachine.engine.graph import EIGENVALUES, Graph, Node
from greenmachine.language import Expression
from greenmachine.primitives import eigenvalues, vocabulary
from greenmachine.primitives.registry import BATCH_MATRIX, LAYER_SCALAR, NETWORK_MATRIX
from greenmachine.signals.shard import Shard, Stack

__all__ = ["CHUNK_ELEMENTS", "apply_node", "chunks", "evaluate_shard", "network_groups"]

CHUNK_ELEMENTS = {"cpu": 2**18, "cuda": 2**26}
"""Elements of the largest signal in a chunk: 1 MiB of float32 on a CPU (measured: whole stacks
ran 2.2x slower, single layers up to 35x); whole stacks, in effect, on a GPU."""


def network_groups(counts: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Group networks by their number of layers.

    Aggregations see a dense (networks, layers) block per group. For counts 2, 1, 2 the groups
    are ``([1], [[2]])`` and ``([0, 2], [[0, 1], [3, 4]])``: the networks, and the rows of their
    layers in the vector of all layers. Networks without layers (failed) are in no group.
    """
    starts = torch.tensor([0, *counts]).cumsum(0)
    groups = []
    for count in sorted(set(counts) - {0}):
        networks = torch.tensor([i for i, c in enumerate(counts) if c == count])
        groups.append((networks, starts[networks].unsqueeze(1) + torch.arange(count)))
    return groups


def evaluate_shard(
    shard: Shard, boundary: Sequence[Expression], device: str = "cpu", *, shrink: int = 1
) -> list[Tensor]:
    """Return the value of every boundary expression on ``shard``.

    Args:
        shard: the shard; its tensors may already be on ``device``.
        boundary: the expressions.
        device: device on which they are computed.
        shrink: divides the size of a chunk, if memory is short.

    Returns:
        Tensors on the CPU, in the shard's order of layers: (layers,) float64 for a
        ``LayerScalar``; (layers, B, B) in its own precision for a ``BatchMatrix``; (networks, B, B)
        float64 for a ``NetworkMatrix``, NaN where a network failed.
    """
    graph = Graph(boundary)
    # A sum of matrices needs whole networks, so its argument is first collected over all chunks.
    sources = [
        root if _per_layer(graph, root) else graph.nodes[root].args[0] for root in graph.roots
    ]
    crossing = {root for root in graph.roots if graph.nodes[root].kind == BATCH_MATRIX}
    buffers: dict[int, Tensor] = {}
    for stack in shard.stacks:
        for part in chunks(stack, device, shrink):
            rows = stack.rows[part].to(device)
            leaves = {
                name: stack.signal(name, part, shard.batch).to(device) for name in graph.terminals
            }
            for number, value in _evaluate(graph, leaves, set(sources)).items():
                dtype = value.dtype if number in crossing else torch.float64
                if number not in buffers:
                    shape = (shard.layers, *value.shape[1:])
                    buffers[number] = torch.full(shape, torch.nan, dtype=dtype, device=device)
                # Networks may differ in precision; the buffer takes the wider one.
                wider = torch.promote_types(dtype, buffers[number].dtype)
                buffers[number] = buffers[number].to(wider)
                buffers[number][rows] = value.to(wider)
    # Copied together at the end, because a GPU waits for every copy.
    groups = network_groups(shard.layer_counts)
    results = []
    for root, source in zip(graph.roots, sources, strict=True):
        # If all networks failed there is no layer.
        none = (0,) if graph.nodes[root].kind == LAYER_SCALAR else (0, shard.batch, shard.batch)
        buffer = buffers.get(source, torch.empty(none, dtype=torch.float64)).cpu()
        if not _per_layer(graph, root):
            layers, shape = buffer, (len(shard.networks), *buffer.shape[1:])
            buffer = torch.full(shape, torch.nan, dtype=torch.float64)
            for networks, rows in groups:
                buffer[networks] = vocabulary[graph.nodes[root].op].function(layers[rows])
        results.append(buffer)
    return results


def apply_node(node: Node, args: Sequence[Tensor | float]) -> Tensor:
    """Return the value of ``node``; arguments are converted to the widest precision among them."""
    if node.op == EIGENVALUES:
        matrix = args[0]
        assert isinstance(matrix, Tensor)
        return _eigenvalues(matrix)
    dtypes = {a.dtype for a in args if isinstance(a, Tensor)}
    if len(dtypes) > 1:  # the ones pass is float64; matrix products refuse a mixture
        args = [a.to(torch.float64) if isinstance(a, Tensor) else a for a in args]
    return vocabulary[node.op].function(*args)


def _eigenvalues(matrix: Tensor) -> Tensor:
    """Return the eigenvalues of a stack (k, n, n); NaN where LAPACK does not converge."""
    try:
        return eigenvalues(matrix)
    except LinAlgError:  # one matrix of the stack fails the whole call
        if len(matrix) > 1:
            return torch.cat([_eigenvalues(one[None]) for one in matrix])
        return matrix.new_full(matrix.shape[:-1], torch.nan, dtype=torch.float64)


def _per_layer(graph: Graph, root: int) -> bool:
    return graph.nodes[root].kind != NETWORK_MATRIX


def chunks(stack: Stack, device: str, shrink: int = 1) -> list[slice]:
    """Return the slices of ``stack`` that form its chunks; see :func:`evaluate_shard`."""
    layers = len(stack.rows)
    # Over all signals, not only those in use, so that chunks do not depend on the expressions.
    widest = max((tensor[0].numel() for tensor in stack.tensors.values()), default=1)
    step = max(1, CHUNK_ELEMENTS[torch.device(device).type] // shrink // widest)
    return [slice(start, min(start + step, layers)) for start in range(0, layers, step)]


def _evaluate(graph: Graph, leaves: dict[str, Tensor], kept: set[int]) -> dict[int, Tensor]:
    """Return the values of the nodes in ``kept`` on one chunk; others are freed after last use."""
    values: dict[int, Tensor | float] = {}
    uses = list(graph.uses)
    results: dict[int, Tensor] = {}
    for number, node in enumerate(graph.nodes):
        if node.kind == NETWORK_MATRIX:
            continue
        if node.constant is not None:
            values[number] = node.constant
            continue
        value = apply_node(node, [values[a] for a in node.args]) if node.args else leaves[node.op]
        if uses[number]:
            values[number] = value
        if number in kept:
            results[number] = value
        for argument in node.args:
            uses[argument] -= 1
            if not uses[argument]:
                values.pop(argument, None)
    return results
