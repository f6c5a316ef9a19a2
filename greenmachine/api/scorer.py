"""Score networks with proxies: what all arguments mean, and one network at a time.

``scoring.py`` has the functions for users, which print, rank and warn.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeAlias

import torch
from torch import nn

from greenmachine.api.models import Built, ModelText, known_shape
from greenmachine.engine import evaluate_model
from greenmachine.errors import ConfigError, NetworkError, one_line, with_type
from greenmachine.evaluation import SeedScore, check_seeds
from greenmachine.evaluation.seeds import initialised
from greenmachine.language import parse
from greenmachine.networks.batches import label_batch
from greenmachine.networks.outputs import Output
from greenmachine.networks.untouched import refuse_unreadable, untouched
from greenmachine.neutral import neutral
from greenmachine.proxies import ArchitectureProxy, FunctionProxy, Proxy, resolve
from greenmachine.proxies.combinations import read_rank_sum
from greenmachine.proxies.functions import NetworkScore, evaluate_function, name_of
from greenmachine.proxies.rank_sums import RankSum
from greenmachine.signals.passes import noise_images
from greenmachine.workers.gpus import deterministic_gpu, resolve_device

__all__ = [
    "NO_SHAPE",
    "AnyProxy",
    "Network",
    "Scorer",
    "is_list",
    "lacks_shape",
    "scorer_of",
]

AnyProxy: TypeAlias = Proxy | str | Path | Callable[..., float]
"""A proxy; a text or path that names one; or a function of (model, images, labels)."""

Network: TypeAlias = nn.Module | str | Callable[[], nn.Module]
"""A network; a text for :func:`greenmachine.load_model`; or a function that builds a network."""

_COLUMNS = ("name", "score", "deviation", "rank", "coverage", "failure")

NO_SHAPE = (
    "the network does not say the size of its input: give images, or the shape of the noise, "
    "shape=(B, C, H, W) (--shape 3x32x32 on the command line)"
)


def lacks_shape(found: NetworkScore | BaseException) -> bool:
    """Whether scoring failed because the input shape is unknown; it may be known for others."""
    return isinstance(found, ConfigError) and str(found) == NO_SHAPE


def is_list(proxy: Any) -> bool:
    """Return whether a proxy argument is a list of proxies."""
    return isinstance(proxy, list | tuple)


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
    elif is_list(proxy):
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
                raise ConfigError(f"{proxy.name} needs data: give {wanted}")
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
                    found |= dict.fromkeys(names, ConfigError(NO_SHAPE))
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
            name: NetworkScore(value, scores.coverage, scores.finite)
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
    # What torch raises: of a name that is none, without CUDA, for a device without tensors.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"device {str(device)!r}: {one_line(error, 200)}; take cpu, cuda, cuda:1 or auto"
        ) from None
    if found.type == "meta":
        raise ConfigError(
            "tensors on the device 'meta' have no values: give cpu, cuda, cuda:1 or auto"
        )
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
    given = None if shape is None else _sides(shape)
    if images is None:
        return given or ()
    size = _sides(images.shape, "images of shape")
    if given is not None and given != size:
        raise ConfigError(f"shape {given} is not that of the images, {size}: give one")
    return size


def _sides(shape: Any, what: str = "shape") -> tuple[int, ...]:
    """Return a shape as integers; it may be a sequence, an array or a tensor of them."""
    sides: list[int] = []
    try:
        if isinstance(shape, str | bytes | Set | Mapping):
            raise TypeError
        for side in shape:
            if isinstance(side, bool | str) or int(side) != side or side < 1:
                raise ValueError
            sides.append(int(side))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        sides = []
    if len(sides) < 2:
        raise ConfigError(
            f"{what} {short(shape)} is no batch: give a tuple of integers (B, C, H, W), such as "
            "(8, 3, 32, 32)"
        )
    return tuple(sides)


def _proxies(given: Any, *, images: bool) -> dict[str, Proxy]:
    """Return proxies by name; a function becomes a proxy of the data pass if there are images."""
    several = is_list(given)
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
    if isinstance(given, Iterable) and not isinstance(given, bytes) and not callable(given):
        raise ConfigError(
            f"the proxies are in a {type(given).__name__}: give one flat list of them, such as "
            '["nwot", "synflow"]'
        )
    if not callable(given) or isinstance(given, nn.Module):
        raise ConfigError(
            f"the proxy is {type(given).__name__}: give a name, an expression, a file, a proxy or "
            "a function of (model, images, labels)"
        )
    try:
        inspect.signature(given).bind(None, None, None)
    except TypeError:
        raise ConfigError(
            f"{name_of(given)} is not a proxy: give a function of (model, images, labels)"
        ) from None
    except ValueError:
        pass  # a C function may have no signature
    passes = ("data",) if images else ("noise",)
    return FunctionProxy(name=name_of(given), function=_Called(given), passes=passes)


@dataclass(frozen=True)
class _Called:
    """Call a user's function of (model, images, labels) like the function of a proxy."""

    function: Callable[..., Any]

    def __call__(self, model: nn.Module, images: Any, labels: Any, seed: int) -> Any:
        with untouched(model, seed):
            return self.function(model, images, labels)


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
        raise NetworkError(f"cannot be built: {with_type(error)}") from error
    return Built(model, known_shape(model))
