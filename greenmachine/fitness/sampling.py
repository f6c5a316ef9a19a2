"""Samples of a space: random, stratified by accuracy, and the three samples of a run.

A sample may be limited to the best networks of the space. A search has to choose among networks
that most proxies rank high, and tau over the whole space hardly measures this.

Stratified sampling divides the range of the accuracies into bins (10 of equal width in the tables)
and draws equally many networks from each. A random sample contains mostly good networks; a
stratified one covers the whole range of accuracies, and so has a higher tau.
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
        size: number of networks, at least 2; None takes all remaining networks (test sample only).
        kind: "random" (uniform over networks), or stratified in bins of equal width in accuracy
            ("equal_width") or of equally many networks of the space ("quantile").
        bins: number of accuracy bins, at least 1; not used by "random".
        best: share of the space to draw from, its most accurate networks, ties included; above 0,
            and 1 for all.
        groups: number of groups of networks that are drawn first; the sample is then drawn from
            their networks. None draws networks whatever their groups.
    """

    size: int | None
    kind: Literal["random", "equal_width", "quantile"] = "random"
    bins: int = 10
    best: float = 1.0
    groups: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("random", "equal_width", "quantile"):
            raise ConfigError(
                f"unknown sample kind {self.kind!r}: use random, equal_width or quantile"
            )
        if self.size is not None and self.size < 2:
            raise ConfigError(
                f"a sample of {self.size} has no pair of networks: use a size of 2 or more"
            )
        if self.size is None and self.kind != "random":
            raise ConfigError("a stratified sample needs a size: give one, or use kind random")
        if self.bins < 1:
            raise ConfigError(f"{self.bins} accuracy bins cannot hold a sample: use 1 or more")
        if not 0.0 < self.best <= 1.0:
            raise ConfigError(f"best is {self.best}: use a share above 0 and at most 1")
        if self.groups is not None and self.groups < 1:
            raise ConfigError(f"a sample of {self.groups} functions is empty: use 1 or more")


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
    """Return about ``n`` indices, sorted, that contain all members of a class or none.

    Classes are added in random order as long as all fit, so the sample is smaller than ``n`` by
    less than the size of one class. It is empty if the first class is larger than ``n``.

    Args:
        groups: (networks,) int, equal for two networks of the same class.
        n: largest number of networks.
        rng: the only source of randomness.

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

    Each bin contributes n / bins networks. A bin with fewer contributes all it has, and the
    shortfall is spread evenly over the other bins; a remainder goes to bins drawn by ``rng``.

    Args:
        values: (networks,) accuracies of the whole space, finite; only they determine the bins.
        n: size of the sample.
        bins: number of bins.
        scheme: "equal_width" from the least to the greatest value, or "quantile".
        rng: the only source of randomness.
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
    own: npt.ArrayLike | None = None,
) -> Split:
    """Draw the three samples of a run so that no group of networks is in two of them.

    Train is drawn first, from all networks; validation from the groups without a network in train;
    test from the groups without a network in either. Each has its own random stream, so train does
    not depend on the other two, nor validation on test. A random train sample is uniform over
    networks, not over groups. Large groups are more likely to have a network in train, so they are
    underrepresented in the rest: slightly if train is a small part of the space. Samples that draw
    groups first (:attr:`SampleSpec.groups`) do not have this bias.

    Args:
        accuracy: (networks,) accuracies by which to stratify, finite.
        groups: (networks,) int, equal for networks that belong together, such as those that compute
            the same function; None if there are none.
        train: the sample that selects individuals.
        validation: the sample that selects the champion.
        test: the sample that is reported; only this one may take all remaining networks (size
            None).
        seed: seed of the split, at least 0.
        own: (networks,) bool, the networks from which samples that do not draw groups first are
            drawn; all by default.

    Raises:
        ConfigError: if a sample is larger than the number of remaining networks.
        ValueError: if ``accuracy`` is not finite, or ``groups`` has another length.
    """
    values = np.asarray(accuracy, dtype=np.float64)
    classes = np.arange(len(values)) if groups is None else np.asarray(groups)
    single = np.ones(len(values), dtype=bool) if own is None else np.asarray(own, dtype=bool)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("accuracy must be a vector of finite values")
    if classes.shape != values.shape:
        raise ValueError(f"groups must have shape {values.shape}, not {classes.shape}")
    if train.size is None or validation.size is None:
        raise ConfigError(
            "only the test sample may take all remaining networks: give the others a size"
        )
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative: use 0 or more")
    streams = np.random.SeedSequence(seed).spawn(3)
    left = np.arange(len(values))
    drawn: dict[str, Indices] = {}
    specs = {"train": train, "validation": validation, "test": test}
    for (name, spec), stream in zip(specs.items(), streams, strict=True):
        rng = np.random.default_rng(stream)
        try:
            if spec.groups is None:
                pool = left[single[left]]
            else:
                pool = _of_groups(spec.groups, classes, left, rng)
            drawn[name] = _draw(spec, values, pool, rng)
        except ConfigError as error:
            raise ConfigError(f"{name} sample: {error}") from error
        used = drawn[name] if spec.groups is None else pool
        left = left[~np.isin(classes[left], classes[used])]
    return Split(**drawn)


def _of_groups(n: int, classes: Indices, left: Indices, rng: np.random.Generator) -> Indices:
    """Return all networks of ``n`` random groups among those that are left."""
    groups = np.unique(classes[left])
    if n > len(groups):
        raise ConfigError(f"functions: {n}, but {len(groups)} are available: use a smaller number")
    chosen = rng.choice(groups, size=n, replace=False)
    return left[np.isin(classes[left], chosen)]


def _draw(
    spec: SampleSpec, values: npt.NDArray[np.float64], left: Indices, rng: np.random.Generator
) -> Indices:
    if spec.best < 1.0:
        left = left[values[left] >= np.quantile(values, 1.0 - spec.best)]
    if spec.size is None and len(left) < 2:
        raise ConfigError(
            f"{len(left)} networks remain: make the samples that are drawn before it smaller"
        )
    size = len(left) if spec.size is None else spec.size
    if spec.kind == "random":
        return random_sample(left, size, rng)
    return stratified_sample(values, size, spec.bins, spec.kind, rng, left)


def _quotas(capacity: Indices, n: int, rng: np.random.Generator) -> Indices:
    """Distribute ``n`` over bins as evenly as their capacities allow."""
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
        raise ConfigError(f"size {n}, but {available} networks are available: use a smaller size")
