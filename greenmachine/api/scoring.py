"""What a proxy says of networks that are at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import pandas as pd
import torch
from torch import nn

from greenmachine.engine import evaluate_model
from greenmachine.errors import ConfigError, GreenMachineError, NetworkError, one_line
from greenmachine.evaluation import SeedScore, SeedScorer, check_seeds
from greenmachine.language import parse
from greenmachine.networks.batches import label_batch
from greenmachine.networks.outputs import Output
from greenmachine.neutral import neutral
from greenmachine.proxies import ArchitectureProxy, FunctionProxy, Proxy, resolve
from greenmachine.proxies.functions import NetworkScore, evaluate_function
from greenmachine.signals.passes import noise_images

__all__ = ["rank", "score"]

Builder: TypeAlias = Callable[[], nn.Module]
"""Builds a network whose initial weights torch draws."""

Network: TypeAlias = nn.Module | Builder


@overload
def score(
    model: nn.Module | Builder,
    proxy: Proxy | str | Path,
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: None = None,
    output: Output | None = None,
) -> float: ...


@overload
def score(
    model: nn.Module | Builder,
    proxy: Proxy | str | Path,
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: int,
    output: Output | None = None,
) -> SeedScore: ...


def score(
    model: nn.Module | Builder,
    proxy: Proxy | str | Path,
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: int | None = None,
    output: Output | None = None,
) -> float | SeedScore:
    """Return the score of one network: the same, bit for bit, as in a search or an export.

    The model is left as it was found: weights, gradients, running statistics, mode, attributes.
    The passes run on its device, with torch's default settings and on one thread, whatever is set
    around the call: else the score would move with the cores.

    Args:
        model: any network with convolutions or linear layers, or a function without arguments
            that builds one: its initial weights are then those of the seed.
        proxy: a proxy, the name of one, an expression, or the path of an exported ``.py`` or of
            a finished run.
        images: (B, C, H, W), a mini-batch as the network takes it: a tensor or an array. Proxies
            of noise use its shape alone; those of the data pass need the images themselves, and
            functions without a pass nothing at all. Whole numbers (B, T) are token ids where the
            network has an embedding.
        labels: (B,) class indices; needed by proxies of the data pass alone.
        shape: (B, C, H, W) of the noise where no images are given.
        seed: of the noise, and of randomness inside the network.
        seeds: how many seeds to score with, from ``seed`` on. A network keeps its weights with all
            of them; give a function that builds it to average over initialisations.
        output: which part of what the network returns is its output: an index, a key, an
            attribute or a function. None takes a tensor, ``logits``, or the only tensor there is.

    Returns:
        The score; NaN where the formula has no value or a weight is not finite. With ``seeds``
        their scores, with ``mean`` and ``deviation``.
        ``Proxy.direction`` says whether high or low is good. Warns where the network uses weights
        that belong to no convolution or linear layer.

    Raises:
        ConfigError: no such proxy, it scores architectures and no networks, ``seeds`` is less than
            1, or images, labels or shape are missing or do not fit together.
        ExpressionError: the expression has a fault.
        RunError: the folder holds no finished run.
        NetworkError: the network raised, or the proxy cannot read it.

    Examples:
        >>> greenmachine.score(model, "synflow", shape=(1, 3, 32, 32))
        >>> greenmachine.score(model, "snip", images=x, labels=y)
        >>> greenmachine.score(model, "sum_layers(l2_norm(noise_weight_grad))", images=x)
        >>> found = greenmachine.score(lambda: Net(), "synflow", shape=(1, 3, 32, 32), seeds=5)
        >>> found.mean, found.deviation
    """
    scorers = _scorers(_proxy(proxy), images, labels, shape, seed, seeds, output)
    scorer = SeedScorer(scorers)
    try:
        judged = scorer(model)
    except GreenMachineError:
        raise
    except Exception as error:  # a network may raise anything
        raise NetworkError(
            f"{scorers[seed].given}: {type(error).__name__}: {one_line(error)}"
        ) from error
    if judged.coverage is not None:
        judged.coverage.warn()
    return judged.value if seeds is None else scorer.found[0]


def rank(
    models: Mapping[str, Network] | Iterable[Network | tuple[str, Network]],
    proxy: Proxy | str | Path,
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: int | None = None,
    output: Output | None = None,
) -> pd.DataFrame:
    """Return the networks, the best by ``proxy`` first.

    Args:
        models: networks by name, or an iterable of them or of (name, network). From a generator
            they come and go one by one, so that they need not fit into memory together. A function
            that builds a network stands for it, with initial weights of the seed.
        proxy: see :func:`score`, as for the other arguments.
        images: (B, C, H, W).
        labels: (B,) class indices.
        shape: (B, C, H, W) of the noise where no images are given.
        seed: of the noise, and of randomness inside the networks.
        seeds: how many seeds to score with; see :func:`score`. The networks are ranked by their
            mean scores.
        output: which part of what the networks return is their output.

    Returns:
        A row a network with ``name`` (its place, from 0, where it has none), ``score``, with
        ``seeds`` ``deviation`` (``score`` is the mean then, this the standard deviation), ``rank``
        (1 is the best, ties share one), ``coverage`` (the share of the weights it uses that
        belong to convolutions and linear layers; 1 where the proxy reads more than layers) and
        ``failure``: why there is no score, else empty. A network that raises has the score NaN;
        scores that are not finite rank last.

    Raises:
        ConfigError: there is no network, or as for :func:`score`.
        ExpressionError: the expression has a fault.
        RunError: the folder holds no finished run.

    Examples:
        >>> greenmachine.rank({"small": a, "large": b}, "nwot_inputs", images=x)
        >>> tss = greenmachine.load_benchmark("nats-tss")
        >>> some = ((tss.archs[i], tss.build(i, "cifar10")) for i in range(100))
        >>> greenmachine.rank(some, "synflow", shape=(1, 3, 32, 32))
    """
    chosen = _proxy(proxy)
    scorer = SeedScorer(_scorers(chosen, images, labels, shape, seed, seeds, output))
    rows: list[tuple[str | int, float, float, str]] = []
    for name, model in _named(models):
        try:
            value, coverage = scorer(model)
        except GreenMachineError:  # not the network's fault
            raise
        except Exception as error:  # a network may raise anything
            rows.append((name, math.nan, math.nan, f"{type(error).__name__}: {one_line(error)}"))
        else:
            failure = "" if math.isfinite(value) else f"the score is {value}"
            rows.append((name, value, 1.0 if coverage is None else coverage.share, failure))
    if not rows:
        raise ConfigError("no networks to rank: models is empty")
    frame = pd.DataFrame(rows, columns=["name", "score", "coverage", "failure"])
    merit = (chosen.direction * frame["score"]).where(np.isfinite(frame["score"]))
    places = merit.rank(ascending=False, method="min", na_option="bottom").astype(int)
    frame.insert(2, "rank", places)
    if seeds is not None:
        frame.insert(2, "deviation", [found.deviation for found in scorer.found])
    return frame.sort_values("rank", kind="stable", ignore_index=True)


def _proxy(proxy: Proxy | str | Path) -> Proxy:
    return proxy if isinstance(proxy, Proxy) else resolve(str(proxy))


def _named(
    models: Mapping[str, Network] | Iterable[Network | tuple[str, Network]],
) -> Iterator[tuple[str | int, Network]]:
    if isinstance(models, nn.Module):  # iterating over a Sequential would rank its layers
        raise ConfigError("rank takes several networks: a mapping, a list or a generator of them")
    if isinstance(models, Mapping):
        yield from models.items()
        return
    for place, item in enumerate(models):
        yield item if isinstance(item, tuple) else (place, item)


def _scorers(
    proxy: Proxy,
    images: Any,
    labels: Any,
    shape: Sequence[int] | None,
    seed: int,
    seeds: int | None,
    output: Output | None,
) -> dict[int, _Scorer]:
    """Return a scorer for each seed, by seed."""
    number = check_seeds(1 if seeds is None else seeds)
    with neutral():  # a default device would move images and labels
        return {
            one: _Scorer(proxy, images, labels, shape, one, output)
            for one in range(seed, seed + number)
        }


class _Scorer:
    """Scores networks; faults of the other arguments are found before the first network."""

    def __init__(
        self,
        proxy: Proxy,
        images: Any,
        labels: Any,
        shape: Sequence[int] | None,
        seed: int,
        output: Output | None,
    ) -> None:
        if isinstance(proxy, ArchitectureProxy):
            raise ConfigError(
                f"{proxy.name} scores architectures of {' or '.join(proxy.functions)}, no "
                f"networks: use `greenmachine score {proxy.name} --on BENCHMARK`"
            )
        self.proxy, self.seed, self.output = proxy, seed, output
        self.images = self.labels = None
        self.shape: tuple[int, ...] = ()
        if isinstance(proxy, FunctionProxy) and not proxy.passes:
            return
        images = images if images is None else _array(images)
        self.shape = _shape(images, shape)
        needs_images = "data" in proxy.passes
        needs_labels = proxy.needs_labels if isinstance(proxy, FunctionProxy) else needs_images
        if (needs_images and images is None) or (needs_labels and labels is None):
            wanted = "images and labels" if needs_labels else "images"
            raise ConfigError(f"{proxy.name} looks at data: give {wanted}")
        if labels is not None:
            try:
                self.labels = label_batch(labels, self.shape[0])
            except ValueError as error:
                raise ConfigError(str(error)) from None
        self.images = images if needs_images else None

    @property
    def given(self) -> str:
        """What the network was given, for a message."""
        return (
            f"{self.proxy.name} on images of shape {self.shape}" if self.shape else self.proxy.name
        )

    def __call__(self, model: nn.Module) -> NetworkScore:
        if isinstance(self.proxy, FunctionProxy):
            batch = self.images
            if batch is None and self.proxy.passes:
                batch = noise_images(self.shape, self.seed)
            return evaluate_function(
                self.proxy, model, batch, self.labels, self.seed, output=self.output
            )
        scores = evaluate_model(
            model,
            [parse(self.proxy.expression)],
            self.shape,
            images=self.images,
            labels=self.labels,
            seed=self.seed,
            output=self.output,
        )
        return NetworkScore(float(scores.values[0]), scores.coverage)


def _array(images: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(
            f"images are {type(images).__name__}, which torch cannot read: give a tensor"
        ) from None


def _shape(images: torch.Tensor | None, shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of the images, given or to be drawn."""
    if images is None and shape is None:
        raise ConfigError("give images, or the shape=(B, C, H, W) of the noise")
    try:
        size = tuple(images.shape if images is not None else shape or ())
        whole = all(side == int(side) for side in size)
    except (TypeError, ValueError):
        raise ConfigError(f"shape {shape!r} is no shape: write (B, C, H, W)") from None
    if len(size) < 2 or not whole or any(side < 1 for side in size):
        raise ConfigError(f"images of shape {size} are no batch: it is (B, C, H, W)")
    if images is not None and shape is not None and tuple(shape) != size:
        raise ConfigError(f"shape {tuple(shape)} is not that of the images, {size}: give one")
    return tuple(int(side) for side in size)
