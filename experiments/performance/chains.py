"""Part c, second half: chains of elementwise primitives, and the engine's time by primitive.

A chain is the engine's evaluation of ``mean_abs(p1(p2(...(signal))))``. Its bytes are those that
its operations move: each operation reads its arguments and writes its result, whether the result
stays in the cache or not, and ``mean_abs`` reads once.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.performance.report import Report
from experiments.performance.settings import Settings
from experiments.performance.workload import Workload, synchronised
from greenmachine.engine import layer_stage
from greenmachine.engine.graph import Graph
from greenmachine.engine.layer_stage import apply_node, evaluate_shard
from greenmachine.language import TERMINALS, Expression, apply, terminal
from greenmachine.neutral import neutral
from greenmachine.primitives import registry
from greenmachine.primitives.registry import INPUT_TENSOR, NETWORK_MATRIX, WEIGHT_TENSOR
from greenmachine.signals.shard import Shard, Stack
from greenmachine.signals.shard_io import open_shard

__all__ = ["measure_chains", "measure_nodes"]

CHEAP = (
    *("abs", "neg", "square", "cube", "relu", "sign", "positive"),
    *("add", "sub", "mul", "minimum", "maximum", "greater"),
)
"""No transcendental function, no root, no division, no statistic of the layer."""

LENGTHS = (1, 2, 4, 8)
_KINDS = (INPUT_TENSOR, WEIGHT_TENSOR)
_REPEATS = 3


def measure_chains(workload: Workload, report: Report, copy: float) -> None:
    """Report the engine's bytes per second on chains, as a fraction of those of a copy."""
    settings = workload.settings
    shard = _in_memory(open_shard(workload.store.paths[0]))
    every = [p.name for p in registry if p.family == "elementwise"]
    table: list[dict[str, Any]] = []
    for title, words in (("cheap", list(CHEAP)), ("all", every)):
        for kind in _KINDS:
            for length in LENGTHS:
                report.say(f"chains of {length} {title} elementwise primitives on {kind}")
                for chain, operands in _chains(kind, length, words, workload):
                    seconds = _seconds(shard, chain, settings)
                    rate = operands * _signal_bytes(shard, kind) / seconds
                    table.append(
                        {
                            "set": title,
                            "kind": kind,
                            "length": length,
                            "gb_per_second": round(rate / 1e9, 4),
                            "of_copy": round(rate / copy, 4),
                            "expression": chain.text,
                        }
                    )
    report.details["c_chains"] = table
    count = f"{settings.chains} random chains each of {', '.join(map(str, LENGTHS))} primitives"
    for title in ("cheap", "all"):
        for kind in _KINDS:
            chosen = [row for row in table if (row["set"], row["kind"]) == (title, kind)]
            fractions = [row["of_copy"] for row in chosen]
            by_length = [
                f"{np.median([r['of_copy'] for r in chosen if r['length'] == n]):.2f}"
                for n in LENGTHS
            ]
            median = float(np.median(fractions))
            note = f"median; by length {' '.join(by_length)}; {count}"
            report.add("c", f"{title} elementwise chains on {kind}", median, "of copy", note)
            if (title, kind) == ("cheap", INPUT_TENSOR):
                report.summary["copy_fraction"] = median


def _chains(
    kind: str, length: int, words: list[str], workload: Workload
) -> list[tuple[Expression, int]]:
    """Return random chains, and the bytes that each moves in units of one signal."""
    generator = random.Random(f"{workload.settings.seed} {kind} {length}")
    signals = [terminal(n) for n in workload.spec.terminals if TERMINALS[n] == kind]
    arities = {
        word: len(signature.arguments)
        for word in words
        for signature in registry[word].signatures
        if set(signature.arguments) == {kind}
    }
    found = []
    for _ in range(workload.settings.chains):
        chain, operands = generator.choice(signals), 1
        for word in generator.sample(sorted(arities), length):  # without repeats, to avoid overflow
            others = [generator.choice(signals) for _ in range(arities[word] - 1)]
            chain = apply(word, chain, *others)
            operands += arities[word] + 1
        found.append((apply("mean_abs", chain), operands))
    return found


def _signal_bytes(shard: Shard, kind: str) -> int:
    """Return the bytes of one signal of ``kind``; all signals of a kind have the same shape."""
    firsts = [
        next(tensor for name, tensor in stack.tensors.items() if TERMINALS[name] == kind)
        for stack in shard.stacks
    ]
    return sum(int(tensor.nbytes) for tensor in firsts)


def _seconds(shard: Shard, chain: Expression, settings: Settings) -> float:
    """Return the median seconds of several calls of the engine on ``shard``."""
    seconds = []
    with neutral(), torch.no_grad():
        for _ in range(_REPEATS):
            started = synchronised(settings.device)
            evaluate_shard(shard, [chain], settings.device)
            seconds.append(synchronised(settings.device) - started)
    return float(np.median(seconds))


def measure_nodes(workload: Workload, report: Report) -> None:
    """Report the five primitives that need the most time of the tensor computation."""
    settings, store = workload.settings, workload.store
    totals: dict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    shard = open_shard(store.paths[0])
    report.say("nodes of the run's graphs, one by one")
    with neutral(), torch.no_grad():
        for computed in workload.evolution.evaluator.computed:
            for name, seconds in _walk(shard, computed, settings).items():
                totals[name] += sum(seconds)
                calls[name] += len(seconds)
    whole = sum(totals.values())
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    report.details["c_nodes"] = [
        {"node": name, "share": round(spent / whole, 5), "ms_a_call": 1e3 * spent / calls[name]}
        for name, spent in ordered
    ]
    note = f"of the time on tensors; every {settings.chunks_step}. chunk of one shard, one thread"
    for name, spent in ordered[:5]:
        each = f"{1e3 * spent / calls[name]:.3f} ms a chunk"
        report.add("c", f"slowest in the run: {name}", 100 * spent / whole, "%", f"{each}; {note}")


def _walk(shard: Shard, boundary: list[Expression], settings: Settings) -> dict[str, list[float]]:
    """Return by primitive the seconds of each application to the chunks of the shard."""
    graph = Graph(boundary)
    device = settings.device
    found: dict[str, list[float]] = defaultdict(list)
    for stack in shard.stacks:
        for part in layer_stage.chunks(stack, device)[:: settings.chunks_step]:
            values: dict[int, Tensor | float] = {}
            uses = list(graph.uses)
            for number, node in enumerate(graph.nodes):
                if node.kind == NETWORK_MATRIX:
                    continue  # the engine applies it to whole networks, after all chunks
                started = synchronised(device)
                if node.constant is not None:
                    values[number] = node.constant
                elif node.args:
                    values[number] = apply_node(node, [values[a] for a in node.args])
                    found[node.op].append(synchronised(device) - started)
                else:
                    values[number] = stack.signal(node.op, part, shard.batch).to(device)
                for argument in node.args:
                    uses[argument] -= 1
                    if not uses[argument]:
                        values.pop(argument, None)
    return found


def _in_memory(shard: Shard) -> Shard:
    """Return a shard whose tensors are read from disk."""
    stacks = [
        Stack(stack.rows, {name: tensor.clone() for name, tensor in stack.tensors.items()})
        for stack in shard.stacks
    ]
    return replace(shard, stacks=stacks)
