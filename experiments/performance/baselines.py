"""Parts a and b: compare the engine with two ways to evaluate individuals without an engine."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.performance.plain import PlainLanguage, Signals, of_layers, recompute
from experiments.performance.report import Report
from experiments.performance.workload import Evolution, Workload, synchronised
from greenmachine.engine.graph import TENSOR_KINDS, Graph, boundary_of
from greenmachine.language import Expression
from greenmachine.neutral import neutral
from greenmachine.signals.network_capture import build_network, capture_network
from greenmachine.signals.passes import noise_images
from greenmachine.workers import count_workers

__all__ = ["measure_plain", "measure_recompute"]

TOLERANCE = 1e-4


def measure_plain(workload: Workload, report: Report) -> None:
    """Report the time of the engine, and of plain evaluation for some of the individuals."""
    settings, evolution, store = workload.settings, workload.evolution, workload.store
    engine = evolution.evaluator.call_seconds / evolution.individuals
    workers = count_workers(settings.workers)
    distinct = evolution.distinct
    report.add(
        "a",
        "engine: individuals a second",
        1 / engine,
        "1/s",
        f"{evolution.individuals} individuals on {len(store.indices)} networks, "
        f"{workers} workers, evaluation {evolution.evaluator.call_seconds:.1f} s",
    )
    aggregating = evolution.evaluator.call_seconds - evolution.evaluator.worker_seconds
    report.add(
        "a",
        "engine: time after the workers' part",
        100 * aggregating / evolution.evaluator.call_seconds,
        "%",
        "of the evaluation: the main process goes on from the values of layers",
    )
    report.add(
        "a",
        "whole evolution: individuals a second",
        evolution.individuals / evolution.seconds,
        "1/s",
        f"{evolution.seconds:.1f} s with tau, selection and variation, without capture",
    )
    chosen = _drawn(workload, distinct, settings.plain_individuals)
    places = _places(workload, settings.plain_networks)
    networks = []
    for place in places:
        with neutral():
            layers = capture_network(workload.benchmark, store.indices[place], workload.spec)
        if isinstance(layers, str):
            raise RuntimeError(f"network {store.indices[place]} failed: {layers}")
        networks.append(of_layers(layers, workload.grammar.terminals))
    seconds, scores = _plain(workload, chosen, networks, report)
    scale = len(store.indices) / len(places)
    alone = float(seconds.mean()) * scale
    spread = float(seconds.std(ddof=1)) * scale / np.sqrt(len(seconds))
    subset = f"{len(chosen)} random distinct individuals on {len(places)} random networks, scaled"
    report.add(
        "a",
        "plain: seconds an individual",
        alone,
        "s",
        f"one thread; standard error {spread:.2g} over individuals; {subset}",
    )
    ratio = alone / engine
    report.add(
        "a",
        "engine against plain",
        ratio,
        "x",
        f"engine with {workers} workers, plain in one process; its signals in memory",
    )
    report.add(
        "a",
        "the same, per worker",
        ratio / workers,
        "x",
        f"as if plain had {workers} processes and scaled perfectly",
    )
    report.add(
        "a",
        "the same, counting distinct individuals",
        ratio * len(distinct) / evolution.individuals,
        "x",
        f"{len(distinct)} of {evolution.individuals} individuals differ",
    )
    report.summary["engine_vs_plain"] = ratio
    apart, shared = _operations(evolution)
    report.add(
        "a",
        "operations on tensors: of the plain way, for one of the engine",
        apart / shared,
        "x",
        f"{apart:,} in the trees of all individuals, {shared:,} evaluated; "
        "what is left of the ratio are stacks and workers",
    )
    truth = evolution.evaluator.scores(chosen)[:, places]
    with np.errstate(invalid="ignore"):
        off = np.abs(scores - truth) > TOLERANCE * np.abs(truth)
    off |= np.isfinite(scores) != np.isfinite(truth)
    report.add(
        "a",
        "plain scores that differ from the engine's",
        int(off.sum()),
        "",
        f"of {off.size}; relative tolerance {TOLERANCE:g}",
    )


def _plain(
    workload: Workload, chosen: list[Expression], networks: list[Signals], report: Report
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return seconds (individuals,) on all ``networks``, and scores (individuals, networks)."""
    language, device = PlainLanguage(workload.grammar), workload.settings.device
    seconds = np.empty(len(chosen))
    scores = np.empty((len(chosen), len(networks)))
    with neutral():
        language.compile(chosen[0])(networks[0])  # a first call that includes torch's own start
        for row, expression in enumerate(chosen):
            started = synchronised(device)
            function = language.compile(expression)
            scores[row] = [function(signals) for signals in networks]
            seconds[row] = synchronised(device) - started
            report.say(f"plain: individual {row + 1} of {len(chosen)}, {seconds[row]:.2f} s")
    return seconds, scores


def _operations(evolution: Evolution) -> tuple[int, int]:
    """Count the tensor operations in all individuals, and those that the engine evaluated."""
    trees = sum(_count(boundary_of([tree], TENSOR_KINDS)) for tree in evolution.distinct)
    apart = round(trees * evolution.individuals / len(evolution.distinct))
    return apart, sum(_count(computed) for computed in evolution.evaluator.computed)


def _count(boundary: list[Expression]) -> int:
    return sum(bool(node.args) for node in Graph(boundary).nodes)


def measure_recompute(workload: Workload, report: Report) -> None:
    """Report the time of an evaluation that builds and runs every network for every individual."""
    settings, evolution = workload.settings, workload.evolution
    chosen = _drawn(workload, evolution.distinct, settings.passes_individuals)
    places = _places(workload, settings.passes_networks)
    scale = len(workload.store.indices) / (len(chosen) * len(places))
    default = torch.get_num_threads()
    alone = np.inf
    for threads in dict.fromkeys((default, 1)):
        torch.set_num_threads(threads)
        try:
            seconds, passes, scores = _recomputed(workload, chosen, places, report)
        finally:
            torch.set_num_threads(default)
        alone = min(alone, seconds * scale)
        report.add(
            "b",
            f"recomputed: seconds an individual, {threads} thread{'s' if threads > 1 else ''}",
            seconds * scale,
            "s",
            f"{passes * scale:.3g} s of it build, forward, backward; one process, NCHW; "
            f"{len(chosen)} random individuals on {len(places)} random networks, scaled",
        )
    once = workload.capture_seconds + evolution.evaluator.call_seconds
    ratio = alone / (once / evolution.individuals)
    report.add(
        "b",
        "engine against recomputed",
        ratio,
        "x",
        f"against the faster of torch's default threads and one; engine: capture "
        f"{workload.capture_seconds:.1f} s and evaluation {evolution.evaluator.call_seconds:.1f} s "
        f"of {evolution.individuals} individuals",
    )
    report.summary["engine_vs_recompute"] = ratio
    truth = evolution.evaluator.scores(chosen)[:, places]
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.abs(scores / truth - 1)
    report.add(
        "b",
        "median relative difference to the engine's scores",
        float(np.nanmedian(difference)),
        "",
        "another layout sums in another order, which deep networks amplify",
    )


def _recomputed(
    workload: Workload, chosen: list[Expression], places: list[int], report: Report
) -> tuple[float, float, NDArray[np.float64]]:
    """Return total seconds, seconds of building and passes, and scores (individuals, networks)."""
    spec, language = workload.spec, PlainLanguage(workload.grammar)
    shape = (spec.batch, *workload.benchmark.input_shape(spec.dataset))
    noise = noise_images(shape, spec.seed).to(spec.device)
    recompute(build_network(workload.benchmark, workload.store.indices[0], spec), noise)
    scores = np.empty((len(chosen), len(places)))
    passes = 0.0
    begun = synchronised(spec.device)
    for row, expression in enumerate(chosen):
        function = language.compile(expression)
        for column, place in enumerate(places):
            started = synchronised(spec.device)
            model = build_network(workload.benchmark, workload.store.indices[place], spec)
            signals = recompute(model, noise)
            passes += synchronised(spec.device) - started
            scores[row, column] = function(signals)
        report.say(f"recomputed passes: individual {row + 1} of {len(chosen)}")
    return synchronised(spec.device) - begun, passes, scores


def _drawn(workload: Workload, distinct: list[Expression], count: int) -> list[Expression]:
    """Return random distinct individuals, or all of them if there are too few."""
    order = np.random.default_rng(workload.settings.seed + 1).permutation(len(distinct))
    return [distinct[place] for place in order[:count]]


def _places(workload: Workload, count: int) -> list[int]:
    """Return the places of random networks in the store, whose order is already random."""
    return list(range(min(count, len(workload.store.indices))))
