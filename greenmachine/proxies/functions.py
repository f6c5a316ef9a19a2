"""Scores of function proxies: of one network, and of a shard of a benchmark's.

Tasks name their proxies: a worker finds them in the zoo, so that no code travels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor, nn

from greenmachine.benchmarks import Benchmark
from greenmachine.errors import ConfigError
from greenmachine.proxies.base import FunctionProxy
from greenmachine.proxies.zoo import PROXIES
from greenmachine.signals import CaptureSpec
from greenmachine.signals.passes import noise_images
from greenmachine.signals.sample import attempt, build_network, cached_benchmark
from greenmachine.workers import one_thread

__all__ = ["function_score", "score_shard"]


def function_score(
    proxy: FunctionProxy,
    model: nn.Module,
    images: Tensor | None,
    labels: Tensor | None = None,
    seed: int = 0,
) -> float:
    """Return what ``proxy`` says of ``model``, which is left as it was found.

    On the CPU it runs on one thread, as in a sweep: else the score would move with the cores.

    Args:
        proxy: of the zoo, or your own.
        model: any network that the proxy can read, on any device.
        images: (B, C, H, W): those of the data set where ``proxy.passes`` says ``data``, noise
            else (``greenmachine.signals.passes.noise_images``).
        labels: (B,) class indices, where ``proxy.needs_labels``.
        seed: of everything random.

    Returns:
        The score as it is: not finite where the proxy's notes say so.

    Raises:
        ConfigError: images or labels are missing.
        ValueError: the proxy cannot read this network.
    """
    if images is None:
        raise ConfigError(f"proxy {proxy.name!r} needs images: give a mini-batch")
    if proxy.needs_labels and labels is None:
        raise ConfigError(f"proxy {proxy.name!r} needs labels: give those of the images")
    with one_thread(), torch.inference_mode(False):
        parameter = next(model.parameters(), torch.zeros(()))
        # Copies: autograd refuses tensors that were made in inference mode.
        batch = images.detach().clone().to(parameter)
        target = None if labels is None else labels.clone().to(parameter.device)
        return float(proxy.function(model, batch, target, seed))


def score_shard(
    names: Sequence[str], spec: CaptureSpec, indices: Sequence[int], folder: Path | None = None
) -> list[list[float | str]]:
    """Build some networks, as the engine's capture does, and score each with every function.

    Args:
        names: function proxies of the zoo.
        spec: of the networks and images; its terminals are not read.
        indices: the networks, in the benchmark.
        folder: the data folder; see ``greenmachine.signals.sample.capture_shard``.

    Returns:
        For each network a score or, where it failed, a message, in the order of ``names``. A
        score that is not finite is a failure.

    Raises:
        GreenMachineError: the fault is not the network's: data, a build option, memory.
    """
    benchmark = cached_benchmark(spec.benchmark, folder)
    proxies = [proxy for name in names if isinstance(proxy := PROXIES.find(name), FunctionProxy)]
    batches: dict[tuple[str, ...], tuple[Tensor, Tensor | None]] = {}
    for passes in {proxy.passes for proxy in proxies}:
        if passes == ("data",):
            batches[passes] = benchmark.images(spec.dataset, spec.batch, seed=spec.seed)
        else:
            shape = (spec.batch, *benchmark.input_shape(spec.dataset))
            batches[passes] = noise_images(shape, spec.seed), None
    return [_score_network(proxies, benchmark, spec, index, batches) for index in indices]


def _score_network(
    proxies: Sequence[FunctionProxy],
    benchmark: Benchmark,
    spec: CaptureSpec,
    index: int,
    batches: Mapping[tuple[str, ...], tuple[Tensor, Tensor | None]],
) -> list[float | str]:
    model = attempt(index, partial(build_network, benchmark, index, spec))
    if isinstance(model, str):
        return [model] * len(proxies)
    scores = []
    for proxy in proxies:
        work = partial(function_score, proxy, model, *batches[proxy.passes], spec.seed)
        score = attempt(index, work)
        finite = isinstance(score, str) or isfinite(score)
        scores.append(score if finite else f"the score is {score}")
    return scores
