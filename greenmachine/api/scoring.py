"""Score and rank networks that are objects, named by texts, or built by functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import pandas as pd
import torch
from torch import nn

from greenmachine.api.models import ModelText
from greenmachine.api.progress import counted
from greenmachine.api.ranking import Ranking
from greenmachine.api.scorer import (
    NO_SHAPE,
    AnyProxy,
    Network,
    Scorer,
    is_list,
    lacks_shape,
    scorer_of,
)
from greenmachine.errors import ConfigError, GreenMachineError, NetworkError, with_type
from greenmachine.evaluation import SeedScore
from greenmachine.networks.outputs import Output
from greenmachine.proxies.functions import NetworkScore

__all__ = ["rank", "ranking", "score", "score_table"]


@overload
def score(
    model: Network,
    proxy: AnyProxy,
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: None = None,
    output: Output | None = None,
    device: str | torch.device | None = None,
) -> float: ...


@overload
def score(
    model: Network,
    proxy: AnyProxy,
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: int,
    output: Output | None = None,
    device: str | torch.device | None = None,
) -> SeedScore: ...


@overload
def score(
    model: Network,
    proxy: list[Any] | tuple[Any, ...],
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: None = None,
    output: Output | None = None,
    device: str | torch.device | None = None,
) -> dict[str, float]: ...


@overload
def score(
    model: Network,
    proxy: list[Any] | tuple[Any, ...],
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: int,
    output: Output | None = None,
    device: str | torch.device | None = None,
) -> dict[str, SeedScore]: ...


def score(
    model: Network,
    proxy: AnyProxy | list[Any] | tuple[Any, ...],
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: int | None = None,
    output: Output | None = None,
    device: str | torch.device | None = None,
) -> float | SeedScore | dict[str, float] | dict[str, SeedScore]:
    """Score one network with one proxy or several.

    The score is bit for bit the one that a search or an exact export gives. The model is left
    unchanged: weights, gradients, running statistics, mode and attributes. The passes always run
    with torch's default settings on one thread, because otherwise the score would depend on the
    number of cores.

    Args:
        model: any network with convolutions or linear layers; a text that names one, such as
            ``"pytorchcv:resnet20_cifar10"`` (see :func:`load_model`); or a function without
            arguments that builds one. Networks of a text or a function get initial weights drawn
            from the seed.
        proxy: a proxy, the name of a proxy, an expression, the path of an exported ``.py`` file or
            of a finished run, a function of (model, images, labels) that returns a number, or a
            list of these. Expressions in one list share their passes through the network. A
            function gets ``images``, or noise of ``shape`` if no images are given. It gets the
            network in train mode and must not change weights in place.
        images: (B, C, H, W), a mini-batch for the network: a tensor or an array. Proxies of the
            noise pass use only its shape, proxies of the data pass need the images, and functions
            without a pass ignore it. Integers (B, T) are token ids if the network has an embedding.
        labels: (B,) class indices; only proxies of the data pass need them.
        shape: (B, C, H, W) of the noise if no images are given. None takes 8 inputs of the
            network's own input shape. It is known for networks of pytorchcv, timm and transformers,
            and for a text whose file or module defines ``INPUT_SHAPE``.
        seed: seed of the noise, of random operations in the network, and of the weights of a
            network that a text names or a function builds.
        seeds: number of seeds to score with: ``seed``, ``seed + 1``, ... A network that is given as
            an object has the same weights with all of them.
        output: which part of the network's return value is its output: an index, a key, an
            attribute or a function. None takes the tensor, ``logits``, or the only tensor in it.
        device: device of the passes, such as ``"cpu"``, ``"cuda:1"`` or ``"auto"`` (a GPU if torch
            finds one). None is the device of the network. A network on another device is copied.

    Returns:
        The score; NaN if the formula has no value or a weight is not finite. With ``seeds`` the
        scores of all seeds, with ``mean`` and ``deviation``. For a list of proxies, a dictionary by
        the names of the proxies. ``Proxy.direction`` says whether a high or a low score is good. A
        warning reports weights outside convolutions and linear layers.

    Raises:
        ConfigError: the proxy or the device does not exist, the proxy scores architectures and not
            networks, ``seeds`` is less than 1, or images, labels or shape are missing or do not fit
            together.
        ExpressionError: the expression is not valid.
        RunError: the folder contains no finished run.
        NetworkError: the network cannot be built, it raised an error, or the proxy cannot read it.

    Examples:
        >>> greenmachine.score(model, "synflow", shape=(1, 3, 32, 32))
        >>> greenmachine.score(model, ["snip", "nwot"], images=x, labels=y)
        >>> greenmachine.score("pytorchcv:resnet20_cifar10", "gm_any")
        >>> greenmachine.score(model, lambda net, x, y: net(x).var(), shape=(8, 3, 32, 32))
        >>> found = greenmachine.score(lambda: Net(), "synflow", shape=(1, 3, 32, 32), seeds=5)
        >>> found.mean, found.deviation
    """
    if not isinstance(model, nn.Module | str) and not callable(model):
        raise ConfigError(
            f"the network is {type(model).__name__}, not a torch.nn.Module: score(model, proxy)"
        )
    scorer = scorer_of(proxy, images, labels, shape, seed, output, device, seeds=seeds, sums=False)
    prefix = f"{model.strip()}: " if isinstance(model, str) else ""
    try:
        scored = scorer(model)
    except NetworkError as error:
        raise NetworkError(f"{prefix}{error}") from error.__cause__
    found: dict[str, Any] = {}
    warned: set[str] = set()
    for name, judged in scored.items():
        if isinstance(judged, GreenMachineError):
            raise judged
        if isinstance(judged, BaseException):
            said = f"{prefix}{scorer.given(name)}: {with_type(judged)}"
            raise NetworkError(said) from judged
        if judged.coverage is not None and str(judged.coverage) not in warned:
            warned.add(str(judged.coverage))
            judged.coverage.warn()
        found[name] = judged.value if seeds is None else scorer.scores[name]
    return found if is_list(proxy) else next(iter(found.values()))


def rank(
    models: Mapping[str, Network] | Iterable[Network | tuple[str, Network]],
    proxy: AnyProxy | list[Any] | tuple[Any, ...],
    *,
    images: Any = None,
    labels: Any = None,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    seeds: int | None = None,
    output: Output | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Ranking:
    """Rank networks by one proxy or several, the best network first.

    Args:
        models: a mapping from names to networks, or an iterable of networks or of (name, network).
            Each network may be an object, a text or a function, as in :func:`score`. Texts and
            functions build their networks one by one. A generator yields the networks one by one
            too, so they do not have to fit into memory together.
        proxy: one proxy or a list of proxies; see :func:`score`. With a list, the networks are
            ranked by the sum of their ranks, as with the text ``"rank_sum(nwot, synflow)"``. The
            text ``"log_rank_sum(nwot, -synflow)"`` combines ranks by their logarithms; ``-`` turns
            the direction of a proxy. A network without a score by a proxy has the lowest rank by
            this proxy.
        images: (B, C, H, W), a mini-batch for the networks; see :func:`score`.
        labels: (B,) class indices.
        shape: (B, C, H, W) of the noise if no images are given; None as for :func:`score`.
        seed: seed of the noise, of random operations in the networks, and of the weights of
            networks that a text names or a function builds.
        seeds: number of seeds to score with; see :func:`score`. The networks are ranked by their
            mean scores.
        output: which part of the networks' return values is their output; see :func:`score`.
        device: device of the passes; networks are copied to it one by one.
        progress: whether to show a progress bar on standard error, in a terminal or a notebook.

    Returns:
        A pandas data frame with one row per network and a readable print. The columns are ``name``
        (a given name, the text, or the position from 0), ``score``, ``rank`` (1 is the best; ties
        share a rank), ``coverage`` (share of the network's weights that belong to convolutions and
        linear layers; 1 if the proxy reads more than these layers) and ``failure`` (the reason why
        there is no score, or empty). A network that raises an error has the score NaN. Scores that
        are not finite rank last. With ``seeds``, ``score`` is the mean and ``deviation`` the
        standard deviation (n - 1). With a list of proxies, each proxy has a column of scores under
        its name and a column ``NAME rank``; ``rank`` is the combined rank and ``coverage`` the
        smallest coverage.

    Raises:
        ConfigError: there is no network, no shape is given and no network has a known input shape,
            or as for :func:`score`.
        ExpressionError: the expression is not valid.
        RunError: the folder contains no finished run.

    Examples:
        >>> greenmachine.rank({"small": a, "large": b}, "nwot_inputs", images=x)
        >>> greenmachine.rank(["pytorchcv:resnet20_cifar10", "pytorchcv:nin_cifar10"], "gm_any")
        >>> tss = greenmachine.load_benchmark("nats-tss")
        >>> some = ((tss.archs[i], tss.build(i, "cifar10")) for i in range(100))
        >>> greenmachine.rank(some, ["synflow", "gm_any"], shape=(1, 3, 32, 32))
    """
    scorer = scorer_of(proxy, images, labels, shape, seed, output, device, seeds=seeds)
    if isinstance(models, Mapping | Sequence):  # report invalid texts before any work
        for _, model in _named(models):
            if isinstance(model, str):
                ModelText.read(model)
    named = counted(_named(models), "networks", total=models, show=progress)
    return ranking(score_table(named, scorer), scorer)


def ranking(table: pd.DataFrame, scorer: Scorer) -> Ranking:
    """Convert the rows of :func:`score_table` to the ranking that :func:`rank` returns.

    Args:
        table: scores of :func:`score_table`.
        scorer: the scorer that computed them.
    """
    directions = {name: proxy.direction for name, proxy in scorer.proxies.items()}
    join = scorer.join
    signs = {} if join is None else dict(zip(join.components, join.signs, strict=True))
    scores = table[[*directions]]
    good = scores.where(np.isfinite(scores)) * pd.Series(directions)
    places = _places(good * pd.Series({name: signs.get(name, 1) for name in directions}))
    if join is None:
        (name,) = directions
        table = table.rename(columns={name: "score", f"{name} deviation": "deviation"})
        table.insert(2 + scorer.several, "rank", places[name])
    else:
        total = pd.Series(join({name: good[name].to_numpy() for name in directions}))
        table = table.copy()
        table.insert(1, "rank", _places(total.where(good.notna().any(axis=1))))
        for name in directions:
            after = table.columns.get_loc(name)
            assert isinstance(after, int)
            table.insert(after + 1 + scorer.several, f"{name} rank", places[name])
    return Ranking(table.sort_values("rank", kind="stable", ignore_index=True))


def _places(merit: Any) -> Any:
    """Return the rank of every value of a column, 1 for the highest; NaN ranks last."""
    return merit.rank(ascending=False, method="min", na_option="bottom").astype(int)


def score_table(models: Iterable[tuple[str | int, Network]], scorer: Scorer) -> pd.DataFrame:
    """Score networks, and return one row per network in the given order.

    Args:
        models: names and networks.
        scorer: scorer of the proxies.

    Returns:
        ``name``; a column of scores for each proxy, followed by ``NAME deviation`` if the scorer
        has several seeds; ``coverage``; and ``failure``.

    Raises:
        ConfigError: there is no network, or no shape is given and no network has a known one.
    """
    rows: list[dict[str, Any]] = []
    shapeless = 0
    for name, model in models:
        row: dict[str, Any] = {"name": name}
        for proxy in scorer.proxies:
            row |= dict.fromkeys([proxy, f"{proxy} deviation"][: 1 + scorer.several], math.nan)
        failures: dict[str, str] = {}
        shares: list[float] = []
        try:
            found = scorer(model)
        # The arguments were checked before, so the fault is in this network, or in its text.
        except GreenMachineError as error:
            failures = {"": str(error)}
        else:
            shapeless += all(map(lacks_shape, found.values()))
            for proxy, judged in found.items():
                if isinstance(judged, NetworkScore):
                    row[proxy] = judged.value
                    if scorer.several:
                        row[f"{proxy} deviation"] = scorer.scores[proxy].deviation
                    shares.append(1.0 if judged.coverage is None else judged.coverage.share)
                    if judged.failure:
                        failures[proxy] = judged.failure
                else:
                    failures[proxy] = with_type(judged)
        rows.append(
            row | {"coverage": min(shares, default=math.nan), "failure": _said(failures, scorer)}
        )
        del model
    if not rows:
        raise ConfigError("no networks to rank: models is empty")
    if shapeless == len(rows):
        raise ConfigError(NO_SHAPE)
    return pd.DataFrame(rows)


def _said(failures: Mapping[str, str], scorer: Scorer) -> str:
    """Join the failures of all proxies into one text; a reason common to all names no proxy."""
    by_reason: dict[str, list[str]] = {}
    for proxy, reason in failures.items():
        by_reason.setdefault(reason, []).append(proxy)
    return "; ".join(
        reason if names in ([""], [*scorer.proxies]) else f"{', '.join(names)}: {reason}"
        for reason, names in by_reason.items()
    )


def _named(
    models: Mapping[str, Network] | Iterable[Network | tuple[str, Network]],
) -> Iterator[tuple[str | int, Network]]:
    # Iterating over a Sequential would rank its layers.
    if isinstance(models, nn.Module | str | bytes) or not isinstance(models, Iterable):
        raise ConfigError("rank takes several networks: a mapping, a list or a generator of them")
    pairs: Iterable[Any] = models.items() if isinstance(models, Mapping) else enumerate(models)
    for place, item in pairs:
        named = isinstance(item, tuple) and not isinstance(models, Mapping)
        if named and len(item) != 2:
            raise ConfigError(
                f"network {place} is a tuple of {len(item)}: give pairs (name, network)"
            )
        name, model = item if named else (place, item)
        # A text without another name is its own name.
        yield (model.strip() if isinstance(model, str) and name is place else name), model
