"""Samples of a space: random, stratified by accuracy, and the three that a run draws.

A sample may be limited to the best networks of the space: which of those that all proxies find good
is the best is what a search asks in the end, and what tau over the whole space hardly says.

Stratified: cut the range of the accuracies into bins (10 of equal width in the tables) and draw
equally many networks from each. It stretches the accuracies of a sample over the whole range, where
a random one holds mostly good networks, and so raises tau.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from greenmachine.errors import ConfigError

__all__ = [
    "SampleSpec",
    "Split",
    "class_sample",
    "draw_split",
    "random_sample",
    "stratified_sample",
]

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SampleSpec:
    """How to draw one sample.

    Attributes:
        size: number of networks, at least 2; None takes all that is left (test sample only).
        kind: "random" (uniform over networks), or stratified in bins of equal width in accuracy
            ("equal_width") or of equally many networks of the space ("quantile").
        bins: number of accuracy bins, at least 1; not used by "random".
        best: share of the space that is drawn from, its most accurate networks, ties included;
            above 0, and 1 for all.
    """

    size: int | None
    kind: Literal["random", "equal_width", "quantile"] = "random"
    bins: int = 10
    best: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("random", "equal_width", "quantile"):
            raise ConfigError(
                f"unknown sample kind {self.kind!r}: use random, equal_width or quantile"
            )
        if self.size is not None and self.size < 2:
            raise ConfigError(
                f"a sample of {self.size} has no pair to rank: use a size of 2 or more"
            )
        if self.size is None and self.kind != "random":
            raise ConfigError("a stratified sample needs a size: give one, or use kind random")
        if self.bins < 1:
            raise ConfigError(f"{self.bins} accuracy bins cannot hold a sample: use 1 or more")
        if not 0.0 < self.best <= 1.0:
            raise ConfigError(f"a share of {self.best} best networks: use more than 0, at most 1")


@dataclass(frozen=True)
class Split:
    """Three disjoint samples: sorted int64 indices into the space."""

    train: Indices
    validation: Indices
    test: Indices


def random_sample(candidates: npt.ArrayLike, n: int, rng: np.random.Generator) -> Indices:
    """Return ``n`` of the candidate indices, uniform without replacement, sorted.

    Raises:
        ConfigError: if there are fewer than ``n`` candidates.
    """
    pool = np.asarray(candidates, dtype=np.int64)
    _check_available(n, len(pool))
    return np.sort(rng.choice(pool, size=n, replace=False))


def class_sample(groups: npt.ArrayLike, n: int, rng: np.random.Generator) -> Indices:
    """Return about ``n`` indices, sorted, that hold all members of a class or none.

    Classes come in random order, as long as all fit: the sample falls short of ``n`` by less than
    the size of one class. It is empty where the first class is larger than ``n``.

    Args:
        groups: (networks,) int, equal where two networks are of one class.
        n: most networks.
        rng: the only source of chance.

    Raises:
        ConfigError: if there are fewer than ``n`` networks.
    """
    classes, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    _check_available(n, len(place))
    order = rng.permutation(len(classes))
    chosen = order[np.cumsum(sizes[order]) <= n]
    return np.flatnonzero(np.isin(place, chosen))


def stratified_sample(
    values: npt.ArrayLike,
    n: int,
    bins: int,
    scheme: Literal["equal_width", "quantile"],
    rng: np.random.Generator,
    candidates: npt.ArrayLike | None = None,
) -> Indices:
    """Return ``n`` indices drawn as evenly as possible from bins of their values, sorted.

    Each bin gives n / bins networks. A bin with fewer gives all it has, and what it lacks is spread
    evenly over the others; a remainder that cannot be shared goes to bins drawn by ``rng``.

    Args:
        values: (networks,) accuracies of the whole space, finite; they alone place the bins.
        n: size of the sample.
        bins: number of bins.
        scheme: "equal_width" from the least to the greatest value, or "quantile".
        rng: the only source of chance.
        candidates: indices that may be drawn; all by default.

    Raises:
        ConfigError: if there are fewer than ``n`` candidates, or the scheme is unknown.
    """
    space = np.asarray(values, dtype=np.float64)
    pool = np.arange(len(space)) if candidates is None else np.asarray(candidates, dtype=np.int64)
    _check_available(n, len(pool))
    if scheme == "equal_width":
        edges = np.linspace(space.min(), space.max(), bins + 1)
    elif scheme == "quantile":
        edges = np.quantile(space, np.linspace(0.0, 1.0, bins + 1))
    else:
        raise ConfigError(f"unknown stratification {scheme!r}: use equal_width or quantile")
    place = np.searchsorted(edges[1:-1], space[pool], side="right")
    members = [pool[place == b] for b in range(bins)]
    quotas = _quotas(np.array([len(m) for m in members]), n, rng)
    chosen = [rng.choice(m, size=q, replace=False) for m, q in zip(members, quotas, strict=True)]
    return np.sort(np.concatenate(chosen))


def draw_split(
    accuracy: npt.ArrayLike,
    groups: npt.ArrayLike | None,
    *,
    train: SampleSpec,
    validation: SampleSpec,
    test: SampleSpec,
    seed: int,
) -> Split:
    """Draw the three samples of a run, so that no isomorphism class straddles two of them.

    Train is drawn first, from all networks; validation from the classes that train did not touch;
    test from those that neither did. Each has its own random stream, so train does not depend on
    the other two, nor validation on test. A random train sample is uniform over networks, not over
    classes: large classes are touched more often, so they are slightly rarer in what is left, and
    the unchosen isomorphs of a chosen cell are in no sample.

    Args:
        accuracy: (networks,) accuracies by which to stratify, finite.
        groups: (networks,) int, equal where two cells are isomorphic; None if none are.
        train: what selects.
        validation: what picks the champion.
        test: what is reported; it alone may take the whole rest (size None).
        seed: seed of the split, at least 0.

    Raises:
        ConfigError: if a sample asks for more networks than are left.
        ValueError: if ``accuracy`` is not finite, or ``groups`` has another length.
    """
    values = np.asarray(accuracy, dtype=np.float64)
    classes = np.arange(len(values)) if groups is None else np.asarray(groups)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("accuracy must be a vector of finite values")
    if classes.shape != values.shape:
        raise ValueError(f"groups must have shape {values.shape}, not {classes.shape}")
    if train.size is None or validation.size is None:
        raise ConfigError("only the test sample may take the whole rest: give the others a size")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative: use 0 or more")
    streams = np.random.SeedSequence(seed).spawn(3)
    left = np.arange(len(values))
    drawn: dict[str, Indices] = {}
    specs = {"train": train, "validation": validation, "test": test}
    for (name, spec), stream in zip(specs.items(), streams, strict=True):
        try:
            drawn[name] = _draw(spec, values, left, np.random.default_rng(stream))
        except ConfigError as error:
            raise ConfigError(f"{name} sample: {error}") from error
        left = left[~np.isin(classes[left], classes[drawn[name]])]
    return Split(**drawn)


def _draw(
    spec: SampleSpec, values: npt.NDArray[np.float64], left: Indices, rng: np.random.Generator
) -> Indices:
    if spec.best < 1.0:
        left = left[values[left] >= np.quantile(values, 1.0 - spec.best)]
    if spec.size is None and len(left) < 2:
        raise ConfigError(f"{len(left)} networks are left: draw smaller samples before it")
    size = len(left) if spec.size is None else spec.size
    if spec.kind == "random":
        return random_sample(left, size, rng)
    return stratified_sample(values, size, spec.bins, spec.kind, rng, left)


def _quotas(capacity: Indices, n: int, rng: np.random.Generator) -> Indices:
    """Share ``n`` over bins as evenly as their capacities allow."""
    quotas = np.zeros_like(capacity)
    while (rest := n - int(quotas.sum())) > 0:
        roomy = np.flatnonzero(quotas < capacity)
        if rest < len(roomy):
            quotas[rng.choice(roomy, size=rest, replace=False)] += 1
        else:
            quotas[roomy] = np.minimum(capacity[roomy], quotas[roomy] + rest // len(roomy))
    return quotas


def _check_available(n: int, available: int) -> None:
    if n > available:
        raise ConfigError(f"{n} networks asked for, {available} available: use a smaller size")
