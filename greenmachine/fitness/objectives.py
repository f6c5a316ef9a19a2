"""Objectives: measures of how well scores rank networks by accuracy, which a search maximises.

fitness = aggregate over tasks of measure(direction * score, accuracy) - parsimony * size

An objective is a part of a search (``parts.py``): ``{scheme: tau_of_best, share: 0.2}`` in YAML.
The rules for all of them (direction, failures, ties) are in ``objective.py``. A plugin adds one by
deriving from :class:`Objective`, or by one call of :func:`objective`.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from pydantic import Field

from greenmachine.errors import ConfigError, RunError, with_type
from greenmachine.fitness.kendall import TauReference
from greenmachine.fitness.measures import best_share, gain, places, spearman, tied, weighted_tau
from greenmachine.parts import Part

__all__ = [
    "BestShareNDCG",
    "BestShareTau",
    "KendallTau",
    "Measure",
    "Objective",
    "Spearman",
    "WeightedTau",
    "objective",
]

Floats: TypeAlias = npt.NDArray[np.float64]

Measure = Callable[[Floats], Floats]
"""Maps (P, n) scores to (P,) values. High scores are good, minus infinity is a failed network. A
value that is not finite means undefined."""

_LEAST = 3  # least number of networks; tau of two is always 1 or -1
_SHUFFLES = 200  # unrelated rankings from which the spread of an objective is estimated


class Objective(Part, family="objective"):
    """Measures how well scores rank networks; a subclass defines :meth:`measure`.

    Attributes:
        odd: whether reversed scores have the opposite value, so that one direction determines the
            other.
    """

    odd: ClassVar[bool] = False
    aggregate: Literal["mean", "min"] = Field(
        default="mean", description="how values are aggregated over the tasks"
    )
    parsimony: float = Field(
        default=0.0005,
        ge=0,
        allow_inf_nan=False,
        description="penalty for each node of an expression, in units of the objective",
    )

    @abstractmethod
    def measure(self, truth: Floats) -> Measure:
        """Return the function that measures rankings of one sample.

        Args:
            truth: (n,) true accuracies in percent, finite, not all equal.

        Raises:
            ConfigError: the sample is too small for this objective.
        """

    def worst(self, truth: Floats) -> float:
        """Return the value of scores that do not rank: those that are all tied or mostly failed."""
        return -1.0

    def chance(self, truth: Floats) -> float:
        """Return the standard deviation of the value over rankings unrelated to ``truth``."""
        ranks = np.tile(np.arange(len(truth), dtype=np.float64), (_SHUFFLES, 1))
        values = self.measure(truth)(np.random.default_rng(0).permuted(ranks, axis=1))
        return float(np.nanstd(np.where(np.isfinite(values), values, np.nan)))

    def combine(self, values: Floats) -> Floats:
        """Return the mean or minimum over the tasks: (P, T) -> (P,)."""
        return np.asarray(values.mean(axis=1) if self.aggregate == "mean" else values.min(axis=1))

    def value(self, scores: npt.ArrayLike, truth: npt.ArrayLike, direction: int = 1) -> float:
        """Return the value of one ranking.

        Args:
            scores: (n,); a score that is not finite means failed, and ranks below all others.
            truth: (n,) true accuracies in percent.
            direction: 1 if a high score is good, -1 if a low score is good.

        Returns:
            NaN if it is undefined: all scores are tied, or there are too few networks.
        """
        matrix, true = np.asarray(scores, np.float64)[None], np.asarray(truth, np.float64)
        directed = np.where(np.isfinite(matrix), direction * matrix, -np.inf)
        if tied(directed)[0] or np.ptp(true) == 0:
            return math.nan
        try:
            found = float(self.measure(true)(directed)[0])
        except ConfigError:
            return math.nan
        return found if math.isfinite(found) else math.nan


class KendallTau(Objective, scheme="kendall"):
    """Kendall's tau-b, the rank correlation that the papers report."""

    odd: ClassVar[bool] = True

    def measure(self, truth: Floats) -> Measure:
        """Return tau-b with ``truth``."""
        return TauReference(truth)

    def chance(self, truth: Floats) -> float:
        """Return the standard deviation of tau between unrelated rankings (Kendall 1938)."""
        n = len(truth)
        return math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))


class Spearman(Objective, scheme="spearman"):
    """Spearman's rho, the correlation of the ranks."""

    odd: ClassVar[bool] = True

    def measure(self, truth: Floats) -> Measure:
        """Return rho with ``truth``."""
        return lambda scores: spearman(scores, truth)


class WeightedTau(Objective, scheme="weighted_tau"):
    """Kendall's tau with larger weights for pairs that contain a good network (Vigna 2015)."""

    def measure(self, truth: Floats) -> Measure:
        """Return the weighted tau with ``truth``."""
        return lambda scores: weighted_tau(scores, truth)


class _OfShare(Objective):
    share: float = Field(
        default=0.1, gt=0, le=1, description="share of the networks that counts, rounded up"
    )


class BestShareTau(_OfShare, scheme="tau_of_best"):
    """Kendall's tau-b among the most accurate networks."""

    odd: ClassVar[bool] = True

    def measure(self, truth: Floats) -> Measure:
        """Return tau-b with the best of ``truth``."""
        best = best_share(truth, self.share)
        inside = truth[best]
        if len(inside) < _LEAST or np.ptp(inside) == 0:
            raise ConfigError(
                f"objective {self.scheme}: the best {self.share:g} of {len(truth)} networks are "
                f"{len(inside)} with {len(np.unique(inside))} distinct accuracies, too few to "
                "rank: give a larger share, or a larger sample"
            )
        reference = TauReference(inside)
        return lambda scores: reference(scores[:, best])


class BestShareNDCG(_OfShare, scheme="ndcg_of_best"):
    """Normalised discounted cumulative gain (nDCG) of the networks that rank first."""

    def measure(self, truth: Floats) -> Measure:
        """Return the nDCG of the first ranks, a share of all networks."""
        first = places(len(truth), self.share)
        return lambda scores: gain(scores, truth, first)


Function: TypeAlias = Callable[..., Any]
"""(scores (n,), truth (n,)) -> float; or, vectorised, (scores (P, n), truth (n,)) -> (P,)."""


class _OfFunction(Objective):
    """An objective defined by a user's function; see :func:`objective`."""

    function: ClassVar[Function]
    sign: ClassVar[float] = 1.0
    vectorised: ClassVar[bool] = False

    def measure(self, truth: Floats) -> Measure:
        """Return the values of the function, with the sign such that greater is better."""
        truth = truth.copy()
        truth.setflags(write=False)  # the function receives the same array in every call
        return lambda scores: self._values(scores, truth)

    def worst(self, truth: Floats) -> float:
        """Return the value of the reversed order, because the function may have any range."""
        value = float(self.measure(truth)(-truth[None])[0])
        if not math.isfinite(value):
            raise RunError(
                f"objective {self.scheme}: it returns {value} for the reversed true order: return "
                "a finite number"
            )
        return value

    def _values(self, scores: Floats, truth: Floats) -> Floats:
        found = np.full(len(scores), np.nan)
        some = ~tied(scores)  # a row of ties may have no finite score
        given = _finite(scores[some])
        function = type(self).function
        try:
            if self.vectorised:
                values = np.asarray(function(given, truth), dtype=np.float64)
                if values.shape != (len(given),):
                    raise ValueError(f"shape {values.shape} for {len(given)} rows of scores")
            else:
                values = np.array([_number(function(row, truth)) for row in given], np.float64)
        except Exception as error:
            raise RunError(f"objective {self.scheme}: {with_type(error, 200)}") from error
        found[some] = self.sign * values
        return found


@overload
def objective(
    function: Function,
    greater_is_better: bool = True,
    *,
    name: str | None = None,
    vectorised: bool = False,
) -> type[Objective]: ...


@overload
def objective(
    function: None = None,
    greater_is_better: bool = True,
    *,
    name: str | None = None,
    vectorised: bool = False,
) -> Callable[[Function], type[Objective]]: ...


def objective(
    function: Function | None = None,
    greater_is_better: bool = True,
    *,
    name: str | None = None,
    vectorised: bool = False,
) -> type[Objective] | Callable[[Function], type[Objective]]:
    """Make an objective from a function, also as a decorator.

    The new class has the settings ``aggregate`` and ``parsimony``. If a plugin makes it, YAML and
    ``--set objective=NAME`` can name it, and resumed runs find it.

    Args:
        function: takes scores (n,) and true accuracies (n,) in percent, float64, and returns a
            number. High scores are good; the function is called for both directions of a proxy.
            Failed networks have one finite score below all others. The function must not change
            its arguments. A value that is not finite counts like that of the reversed true order.
            Scores that are all tied count like that too, without a call.
        greater_is_better: whether a high value is good.
        name: letters, digits and _; by default the name of the function.
        vectorised: whether the function takes (P, n) scores and returns (P,) values.

    Returns:
        The class of the objective, or a decorator that returns it.

    Raises:
        ConfigError: the name is taken or not allowed, or the function fails on an example.

    Examples:
        >>> @greenmachine.objective(greater_is_better=False)
        ... def regret(scores, truth):
        ...     return truth.max() - truth[scores.argmax()]
        >>> greenmachine.Search("nats-tss", objective=regret(parsimony=0.01))
    """
    if function is None:
        return lambda given: objective(given, greater_is_better, name=name, vectorised=vectorised)
    if not callable(function):
        raise ConfigError(f"objective: {function!r} is not a function of scores and accuracies")
    name = str(getattr(function, "__name__", "")) if name is None else name
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise ConfigError(f"objective {name!r}: use a name of letters, digits and _: name=...")
    if name in Objective.members:
        raise ConfigError(f"there is an objective {name!r} already: choose another name")
    sign = 1.0 if greater_is_better else -1.0
    _check(function, sign, name, vectorised)
    body: dict[str, Any] = {
        "__module__": getattr(function, "__module__", None) or __name__,
        "__doc__": function.__doc__,
        "__annotations__": {},
        "function": staticmethod(function),
        "sign": sign,
        "vectorised": vectorised,
    }
    return type(name, (_OfFunction,), body, scheme=name)


def _check(function: Function, sign: float, name: str, vectorised: bool) -> None:
    """Reject a function that is not an objective, by its values on an example."""
    truth = np.array([10.0, 31.5, 47.0, 52.25, 63.0, 71.0, 88.5, 90.0])
    order = np.arange(len(truth), dtype=np.float64)
    mixed = order[[3, 1, 4, 0, 5, 2, 7, 6]]
    failing = np.maximum(order, 2.0)  # like scores of which three failed

    def called(*rows: Floats) -> list[float]:
        scores, true = np.stack(rows), truth.copy()
        given = scores.copy() if vectorised else scores[0].copy()
        try:
            found = function(given, true)
            values = np.asarray(found, dtype=np.float64) if vectorised else [_number(found)]
        except Exception as error:
            shape = given.shape
            raise ConfigError(
                f"objective {name}: it fails on scores {shape} and accuracies {true.shape}: "
                f"{with_type(error, 200)}"
            ) from error
        if vectorised and np.shape(values) != (len(rows),):
            raise ConfigError(
                f"objective {name}: for scores {given.shape} it returns shape {np.shape(values)}: "
                f"return ({len(rows)},), one value per row"
            )
        if not (np.array_equal(given, scores.reshape(given.shape)) and (true == truth).all()):
            raise ConfigError(f"objective {name}: it changes its arguments: work on a copy")
        return [float(value) for value in values]

    rows = (order, order[::-1], mixed, failing)
    alone = [called(row)[0] for row in rows]
    if not np.isfinite(alone).all():
        raise ConfigError(
            f"objective {name}: it returns {next(v for v in alone if not math.isfinite(v))} for "
            "scores that can be ranked: return a finite number"
        )
    if [called(row)[0] for row in rows] != alone:
        raise ConfigError(f"objective {name}: two calls with the same scores return two values")
    if vectorised and not np.allclose(called(*rows), alone):
        raise ConfigError(f"objective {name}: the value of a row depends on the other rows")
    right, reverse = alone[:2]
    if not sign * right > sign * reverse:
        which = "greater" if sign > 0 else "smaller"
        raise ConfigError(
            f"objective {name}: the true order has the value {right:g} and its reverse {reverse:g},"
            f" although {which} should be better: set greater_is_better"
        )


def _number(value: Any) -> float:
    """Return ``value`` as a float if it is a number, or an array without dimensions."""
    if np.ndim(value) != 0 or isinstance(value, str | bytes):
        raise TypeError(f"it returns {type(value).__name__}: return one number")
    return float(value)


def _finite(scores: Floats) -> Floats:
    """Return (P, n) scores in which failed networks have a finite score below all others."""
    failed = np.isneginf(scores)
    result = scores.copy()
    for row in np.flatnonzero(failed.any(axis=1)):
        finite = scores[row][~failed[row]]
        low = finite.min()
        with np.errstate(over="ignore"):
            below = low - max(finite.max() - low, abs(low) * 1e-9, 1e-9)
            if not math.isfinite(below):
                below = np.nextafter(low, -np.inf)
        if not math.isfinite(below):  # no float is lower; use ranks, which keep the order
            result[row] = np.unique(scores[row], return_inverse=True)[1]
        else:
            result[row, failed[row]] = below
    return result
