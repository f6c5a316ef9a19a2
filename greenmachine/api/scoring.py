"""Score and rank networks that are objects, named by texts, or built by functions."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import pandas as pd
import torch
from torch import nn

from greenmachine.api.models import Built, ModelText, known_shape
from greenmachine.api.progress import counted
from greenmachine.api.ranking import Ranking
from greenmachine.engine import evaluate_model
from greenmachine.errors import ConfigError, GreenMachineError, NetworkError, one_line
from greenmachine.evaluation import SeedScore, check_seeds
from greenmachine.evaluation.seeds import initialised
from greenmachine.language import parse
from greenmachine.networks.batches import label_batch
from greenmachine.networks.outputs import Output
from greenmachine.networks.untouched import refuse_unreadable, untouched
from greenmachine.neutral import neutral
from greenmachine.proxies import ArchitectureProxy, FunctionProxy, Proxy, resolve
from greenmachine.proxies.functions import NetworkScore, evaluate_function
from greenmachine.proxies.joins import read_rank_sum
from greenmachine.proxies.rank_sums import RankSum
from greenmachine.signals.passes import noise_images
from greenmachine.workers.gpus import deterministic_gpu, resolve_device

__all__ = ["Network", "Scorer", "rank", "ranking", "score", "score_table", "scorer_of"]


AnyProxy: TypeAlias = Proxy | str | Path | Callable[..., float]
"""A proxy; a text or path that names one; or a function of (model, images, labels)."""

Network: TypeAlias = nn.Module | str | Callable[[], nn.Module]
"""A network; a text for :func:`greenmachine.load_model`; or a function that builds a network."""

_COLUMNS = ("name", "score", "deviation", "rank", "coverage", "failure")


@overload
def score(  # type: ignore[overload-overlap]  # a text is a sequence of texts
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
def score(  # type: ignore[overload-overlap]  # a text is a sequence of texts
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
    proxy: Sequence[AnyProxy],
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
    proxy: Sequence[AnyProxy],
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
    proxy: AnyProxy | Sequence[AnyProxy],
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
            said = f"{prefix}{scorer.given(name)}: {_reason(judged)}"
            raise NetworkError(said) from judged
        if judged.coverage is not None and str(judged.coverage) not in warned:
            warned.add(str(judged.coverage))
            judged.coverage.warn()
        found[name] = judged.value if seeds is None else scorer.scores[name]
    return found if _is_list(proxy) else next(iter(found.values()))


def rank(
    models: Mapping[str, Network] | Iterable[Network | tuple[str, Network]],
    proxy: AnyProxy | Sequence[AnyProxy],
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
        GreenMachineError: the other arguments do not fit together.
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
        except NetworkError as error:
            failures = {"": str(error)}
        else:
            shapeless += all(map(_lacks_shape, found.values()))
            for proxy, judged in found.items():
                if isinstance(judged, NetworkScore):
                    row[proxy] = judged.value
                    if scorer.several:
                        row[f"{proxy} deviation"] = scorer.scores[proxy].deviation
                    shares.append(1.0 if judged.coverage is None else judged.coverage.share)
                    if not math.isfinite(judged.value):
                        failures[proxy] = f"the score is {judged.value}"
                elif isinstance(judged, GreenMachineError) and not _lacks_shape(judged):
                    raise judged  # the arguments are wrong, not the network
                else:
                    failures[proxy] = _reason(judged)
        rows.append(
            row | {"coverage": min(shares, default=math.nan), "failure": _said(failures, scorer)}
        )
        del model
    if not rows:
        raise ConfigError("no networks to rank: models is empty")
    if shapeless == len(rows):
        raise ConfigError(_NO_SHAPE)
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


def _reason(error: BaseException) -> str:
    if isinstance(error, GreenMachineError):
        return str(error)
    return f"{type(error).__name__}: {one_line(error)}"


_NO_SHAPE = (
    "the network does not say the size of its input: give images, or the shape of the noise, "
    "shape=(B, C, H, W) (--shape 3x32x32 on the command line)"
)


def _lacks_shape(found: NetworkScore | BaseException) -> bool:
    """Whether scoring failed because the input shape is unknown; it may be known for others."""
    return isinstance(found, ConfigError) and str(found) == _NO_SHAPE


def _is_list(proxy: Any) -> bool:
    return isinstance(proxy, Sequence) and not isinstance(proxy, str)


def _proxies(given: Any, *, images: bool) -> dict[str, Proxy]:
    """Return proxies by name; a function becomes a proxy of the data pass if there are images."""
    several = _is_list(given)
    found: dict[str, Proxy] = {}
    for one in given if several else [given]:
        if several and isinstance(one, str) and read_rank_sum(one) is not None:
            raise ConfigError(
                f"{one.strip()} stands beside other proxies: give a rank sum alone, with all "
                "proxies in it"
            )
        proxy = _proxy(one, images=images)
        if several and (found.get(proxy.name, proxy) != proxy or proxy.name in _COLUMNS):
            raise ConfigError(
                f"a proxy cannot be called {proxy.name!r} here, beside the others: rename it"
            )
        found[proxy.name] = proxy
    if not found:
        raise ConfigError("no proxies: the list is empty")
    return found


def _proxy(given: Any, *, images: bool) -> Proxy:
    if isinstance(given, Proxy):
        return given
    if isinstance(given, str | Path):
        return resolve(str(given))
    if not callable(given) or isinstance(given, nn.Module):
        raise ConfigError(
            f"the proxy is {type(given).__name__}: give a name, an expression, a file, a proxy or "
            "a function of (model, images, labels)"
        )
    try:
        inspect.signature(given).bind(None, None, None)
    except TypeError:
        raise ConfigError(
            f"{_called(given)} is no proxy: write a function of (model, images, labels)"
        ) from None
    except ValueError:
        pass  # a C function may have no signature
    passes = ("data",) if images else ("noise",)
    return FunctionProxy(name=_called(given), function=_Called(given), passes=passes)


def _called(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


@dataclass(frozen=True)
class _Called:
    """Call a user's function of (model, images, labels) like the function of a proxy."""

    function: Callable[..., Any]

    def __call__(self, model: nn.Module, images: Any, labels: Any, seed: int) -> float:
        with untouched(model, seed):
            value = self.function(model, images, labels)
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            return float(value.detach() if isinstance(value, torch.Tensor) else value)
        except (TypeError, ValueError, RuntimeError):
            kind = type(value).__name__
            raise ValueError(f"{_called(self.function)} returned {kind}, not a number") from None


def _built(model: Any, seed: int) -> Built:
    """Return a network with the shape of its input; build it if it is a text or a function.

    Raises:
        ConfigError: the text is not valid.
        NetworkError: the network cannot be built, or the result is not a network.
    """
    if isinstance(model, str):
        return ModelText.read(model).build(seed)
    try:
        model = initialised(model, seed)
    except ConfigError as error:
        raise NetworkError(str(error)) from None
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise NetworkError(f"cannot be built: {_reason(error)}") from error
    return Built(model, known_shape(model))


def _named(
    models: Mapping[str, Network] | Iterable[Network | tuple[str, Network]],
) -> Iterator[tuple[str | int, Network]]:
    if isinstance(models, nn.Module | str):  # iterating over a Sequential would rank its layers
        raise ConfigError("rank takes several networks: a mapping, a list or a generator of them")
    pairs: Iterable[Any] = models.items() if isinstance(models, Mapping) else enumerate(models)
    for place, item in pairs:
        named = isinstance(item, tuple) and not isinstance(models, Mapping)
        name, model = item if named else (place, item)
        # A text without another name is its own name.
        yield (model.strip() if isinstance(model, str) and name is place else name), model


def scorer_of(
    proxy: Any,
    images: Any,
    labels: Any,
    *rest: Any,
    seeds: int | None = None,
    sums: bool = True,
) -> Scorer:
    """Return the :class:`Scorer` for the ``proxy`` argument of :func:`score` or :func:`rank`.

    Args:
        proxy: a proxy, a list of proxies, or a rank sum.
        images: see :class:`Scorer`.
        labels: see :class:`Scorer`.
        rest: further arguments of :class:`Scorer`.
        seeds: number of seeds.
        sums: whether a rank sum is allowed. A single network has no rank.

    Raises:
        GreenMachineError: see :func:`score`.
    """
    join = read_rank_sum(proxy) if isinstance(proxy, str) else None
    if join is not None and not sums:
        raise ConfigError(f"{join.text} compares networks: use rank, which takes several of them")
    proxies = _proxies(proxy if join is None else join.leaves, images=images is not None)
    if join is not None:
        if len(proxies) < len(join.leaves):
            raise ConfigError(f"{join.text} has a proxy twice: give different ones")
        join = join.renamed(dict(zip(join.leaves, proxies, strict=True)))
    elif _is_list(proxy):
        join = RankSum("rank_sum", tuple(proxies), (1,) * len(proxies))
    with neutral():  # a default device of torch would move images and labels
        scorer = Scorer(proxies, images, labels, *rest, seeds=seeds)
    scorer.join = join
    return scorer


class Scorer:
    """Score networks with proxies; check all arguments before the first network.

    Args:
        proxies: proxies by name.
        images: (B, C, H, W); see :func:`score`.
        labels: (B,) class indices.
        shape: (B, C, H, W) of the noise.
        seed: seed of the noise, and of weights that are drawn.
        output: which part of the networks' return values is their output.
        device: device of the passes.
        batch: number of noise inputs if the shape of one input comes from the network.
        seeds: number of seeds, beginning with ``seed``; None is one.

    Attributes:
        join: rank sum of several proxies; None for a single proxy.
        several: whether ``seeds`` was given.
        scores: scores of the last network, by proxy.
    """

    def __init__(
        self,
        proxies: Mapping[str, Proxy],
        images: Any,
        labels: Any,
        shape: Sequence[int] | None,
        seed: int = 0,
        output: Output | None = None,
        device: str | torch.device | None = None,
        batch: int = 8,
        *,
        seeds: int | None = None,
    ) -> None:
        self.proxies, self.output, self.batch = proxies, output, batch
        self.several = seeds is not None
        self.seeds = range(seed, seed + check_seeds(1 if seeds is None else seeds))
        self.scores: dict[str, SeedScore] = {}
        self.join: RankSum | None = None
        self._built_shape: tuple[int, ...] | None = None
        self.device = None if device is None else _device(device)
        self.images = self.labels = None
        self.shape: tuple[int, ...] | None = None
        for proxy in proxies.values():
            if isinstance(proxy, ArchitectureProxy):
                raise ConfigError(
                    f"{proxy.name} scores architectures of {' or '.join(proxy.functions)}, no "
                    f"networks: use `greenmachine score {proxy.name} --on BENCHMARK`"
                )
        reading = [proxy for proxy in proxies.values() if _reads_images(proxy)]
        if not reading:
            return
        self.images = images if images is None else _array(images)
        if images is not None or shape is not None:
            self.shape = _shape(self.images, shape)
        for proxy in reading:
            needs_images = "data" in proxy.passes
            needs_labels = proxy.needs_labels if isinstance(proxy, FunctionProxy) else needs_images
            if (needs_images and images is None) or (needs_labels and labels is None):
                wanted = "images and labels" if needs_labels else "images"
                raise ConfigError(f"{proxy.name} looks at data: give {wanted}")
        if labels is not None:
            if self.shape is None:
                raise ConfigError("labels without images: give the images that they belong to")
            try:
                self.labels = label_batch(labels, self.shape[0])
            except ValueError as error:
                raise ConfigError(str(error)) from None

    def given(self, name: str) -> str:
        """Describe the input of the last network for a proxy, for an error message."""
        batch = self._batch_shape(self._built_shape)
        reads = _reads_images(self.proxies[name])
        return f"{name} on images of shape {batch}" if batch and reads else name

    def __call__(self, network: Network) -> dict[str, NetworkScore | BaseException]:
        """Return by proxy the mean score of a network over the seeds, or the error.

        Raises:
            ConfigError: the text that names the network is not valid.
            NetworkError: the network cannot be built.
        """
        values: dict[str, dict[int, float]] = {name: {} for name in self.proxies}
        found: dict[str, NetworkScore | BaseException] = {}
        for seed in self.seeds:
            built = _built(network, seed)
            self._built_shape = built.shape
            for name, judged in self._with_seed(built.model, built.shape, seed).items():
                if isinstance(found.get(name), BaseException):
                    continue  # the proxy failed with an earlier seed
                found[name] = judged
                if isinstance(judged, NetworkScore):
                    values[name][seed] = judged.value
        self.scores = {name: SeedScore(scores) for name, scores in values.items()}
        return {
            name: judged._replace(value=self.scores[name].mean)
            if isinstance(judged, NetworkScore)
            else judged
            for name, judged in found.items()
        }

    def _with_seed(
        self, model: nn.Module, shape: tuple[int, ...] | None, seed: int
    ) -> dict[str, NetworkScore | BaseException]:
        """Return by proxy the score of a network with one seed, or the error."""
        found: dict[str, NetworkScore | BaseException] = {}
        batch = self._batch_shape(shape)
        with deterministic_gpu():
            try:
                placed = self._placed(model)
            except (Exception, SystemExit) as error:  # copying runs the network's own code
                return dict.fromkeys(self.proxies, error)
            for names in self._together():
                if batch is None and _reads_images(self.proxies[names[0]]):
                    found |= dict.fromkeys(names, ConfigError(_NO_SHAPE))
                    continue
                try:
                    found |= self._judged(names, placed, batch or (), seed)
                except (Exception, SystemExit) as error:  # a network may raise anything
                    if len(names) == 1:
                        found[names[0]] = error
                        continue
                    for name in names:  # find the proxies that fail
                        try:
                            found |= self._judged([name], placed, batch or (), seed)
                        except (Exception, SystemExit) as own:
                            found[name] = own
        return {name: found[name] for name in self.proxies}

    def _together(self) -> list[list[str]]:
        """Group the names of proxies whose passes are shared."""
        groups: dict[object, list[str]] = {}
        for name, proxy in self.proxies.items():
            alone = isinstance(proxy, FunctionProxy)
            groups.setdefault(name if alone else "data" in proxy.passes, []).append(name)
        return list(groups.values())

    def _judged(
        self, names: Sequence[str], model: nn.Module, shape: tuple[int, ...], seed: int
    ) -> dict[str, NetworkScore]:
        """Return the scores of one group of proxies."""
        chosen = [self.proxies[name] for name in names]
        data = "data" in chosen[0].passes
        if isinstance(chosen[0], FunctionProxy):
            batch = self.images if data else None
            if batch is None and chosen[0].passes:
                batch = noise_images(shape, seed)
            judged = evaluate_function(
                chosen[0], model, batch, self.labels, seed, output=self.output
            )
            return {names[0]: judged}
        scores = evaluate_model(
            model,
            [parse(proxy.expression) for proxy in chosen],
            shape,
            images=self.images if data else None,
            labels=self.labels,
            seed=seed,
            output=self.output,
        )
        values = map(float, scores.values)
        return {
            name: NetworkScore(value, scores.coverage)
            for name, value in zip(names, values, strict=True)
        }

    def _batch_shape(self, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if self.shape is not None:
            return self.shape
        return None if shape is None else (self.batch, *shape)

    def _placed(self, model: nn.Module) -> nn.Module:
        """Return the network if it is on the device, else a copy on the device."""
        tensors = [*model.parameters(), *model.buffers()] if self.device else []
        if all(tensor.device == self.device for tensor in tensors):
            return model
        refuse_unreadable(model)
        return copy.deepcopy(model).to(self.device)


def _reads_images(proxy: Proxy) -> bool:
    """Whether a pass runs for ``proxy``; an expression needs at least the one that finds layers."""
    return bool(proxy.passes) if isinstance(proxy, FunctionProxy) else True


def _device(device: str | torch.device) -> torch.device:
    """Return the named device, with its index.

    Raises:
        ConfigError: the device does not exist.
    """
    try:
        found = torch.empty(0, device=resolve_device(str(device))).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"device {str(device)!r}: {one_line(error, 200)}; take cpu, cuda, cuda:1 or auto"
        ) from None
    if found.type == "meta":
        raise ConfigError("device 'meta' holds no values: take cpu, cuda, cuda:1 or auto")
    return found


def _array(images: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(
            f"images are {type(images).__name__}, which torch cannot read: give a tensor"
        ) from None


def _shape(images: torch.Tensor | None, shape: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of the given images, or of the noise."""
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
