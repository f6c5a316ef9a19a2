"""Goals of a search for networks: objectives, constraints, and the columns that they read.

A column is one number for each architecture: the score of a proxy, ``params``, ``flops`` (in
millions), ``accuracy`` (the true one, from the benchmark's table), or the value of a user's
function, ``FILE.py:FUNCTION``. An objective is a column, or a rank sum of several
(``greenmachine/proxies/rank_sums.py``); a constraint compares a column with a number. In Python a
column may also be a proxy, or a function of the network (``functions.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from greenmachine.errors import ConfigError
from greenmachine.proxies import (
    PROXIES,
    ArchitectureProxy,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    resolve,
)
from greenmachine.proxies.combinations import read_rank_sum
from greenmachine.proxies.rank_sums import RankSum
from greenmachine.search.functions import ArchFunction

__all__ = [
    "ACCURACY",
    "COSTS",
    "Column",
    "Constraint",
    "Goal",
    "Objective",
    "columns_of",
    "read_goal",
]

COSTS = ("params", "flops")
ACCURACY = "accuracy"

Kind: TypeAlias = Literal["proxy", "cost", "accuracy", "function"]

Objective: TypeAlias = str | Proxy | Callable[..., float]
"""An objective: a text for :func:`read_goal`, a proxy, or a function of the network."""

_FUNCTION = re.compile(r"(.+\.py):([A-Za-z_]\w*)")
_CONSTRAINT = re.compile(r"(.+?)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Column:
    """A number for each architecture.

    Attributes:
        text: the text that the user wrote, which is the name of the column.
        kind: kind of source.
        source: text that a worker reads: the expression or name of a proxy, or a function's file.
        direction: 1 if higher is better, -1 if lower is better.
        at_once: whether the number needs no network, at least in the built-in spaces.
        function: function that was given as an object; it is sent to the workers with the column.
    """

    text: str
    kind: Kind
    source: str
    direction: int
    at_once: bool
    function: ArchFunction | None = None

    @classmethod
    def read(cls, text: str) -> Column:
        """Return the column that ``text`` names.

        Raises:
            ConfigError: the text does not name a column.
        """
        if text in COSTS:
            return cls(text, "cost", text, -1, True)
        if text == ACCURACY:
            return cls(text, "accuracy", text, 1, True)
        if found := _FUNCTION.fullmatch(text):
            path = Path(found[1]).expanduser().resolve()
            return cls(text, "function", f"{path}:{found[2]}", -1, False)
        return cls._of_named(text, resolve(text))

    @classmethod
    def of(cls, given: Proxy | Callable[..., Any]) -> Column:
        """Return the column of a proxy or of a function; for a function higher is better.

        Raises:
            ConfigError: ``given`` is neither, or is a function with an unknown parameter.
        """
        if isinstance(given, Proxy):
            known = given.name in PROXIES and PROXIES.find(given.name) == given
            if known or isinstance(given, ExpressionProxy):
                return cls._of_named(given.name, given)
        if isinstance(given, ArchitectureProxy):
            raise ConfigError(
                f"workers would not find {given.name!r}: call greenmachine.register_proxy first"
            )
        if not isinstance(given, FunctionProxy) and not callable(given):
            raise ConfigError(
                f"{given!r} is not an objective: give a text, a proxy, or a function of the network"
            )
        function = ArchFunction.of(given)
        inner: Any = given.function if isinstance(given, FunctionProxy) else given
        source = f"{getattr(inner, '__module__', '')}:{getattr(inner, '__qualname__', '')}"
        return cls(
            function.proxy.name, "function", source, function.proxy.direction, False, function
        )

    @classmethod
    def _of_named(cls, text: str, proxy: Proxy) -> Column:
        at_once = isinstance(proxy, ArchitectureProxy)
        return cls(text, "proxy", proxy.text, proxy.direction, at_once)


@dataclass(frozen=True)
class Goal:
    """An objective of a search.

    Attributes:
        text: the text that the user wrote.
        direction: 1 to maximise the value, -1 to minimise it.
        columns: columns that the objective reads.
        join: rank sum of several columns; None if the objective is a single column.
    """

    text: str
    direction: int
    columns: tuple[Column, ...]
    join: RankSum | None = None

    def values(self, scores: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the value of every network, (networks,); NaN if a column failed.

        Args:
            scores: scores by the text of their column, (networks,). A rank sum ranks these
                networks.
        """
        if self.join is None:
            return scores[self.columns[0].text]
        # As in AZ-NAS, more FLOPs or parameters count as better; `-params` reverses this.
        signs = [1 if c.kind == "cost" else c.direction for c in self.columns]
        signed = {c.text: s * scores[c.text] for c, s in zip(self.columns, signs, strict=True)}
        failed = ~np.isfinite(np.stack(list(signed.values()))).all(axis=0)
        return np.where(failed, np.nan, self.join(signed))


@dataclass(frozen=True)
class Constraint:
    """A bound on a column that every network has to satisfy.

    Attributes:
        text: the text, such as ``params<=1e6``.
        column: column to compare with the bound.
        at_most: whether ``bound`` is the largest allowed value; otherwise it is the smallest.
        bound: the bound.
    """

    text: str
    column: Column
    at_most: bool
    bound: float

    @classmethod
    def read(cls, text: str, known: Sequence[Column] = ()) -> Constraint:
        """Read a constraint such as ``params<=1e6``.

        Args:
            text: text of the constraint.
            known: columns of the objectives. A constraint may name them, also those of objects.

        Raises:
            ConfigError: the text is not a constraint.
        """
        found = _CONSTRAINT.fullmatch(text.strip())
        if found is None:
            raise ConfigError(
                f"constraint {text!r}: write COLUMN<=NUMBER or COLUMN>=NUMBER, such as "
                "params<=1e6 or flops<=100"
            )
        name = found[1].strip()
        column = next((each for each in known if each.text == name), None) or Column.read(name)
        return cls(text.strip(), column, found[2] == "<=", float(found[3]))

    def violation(self, value: float) -> float:
        """Return by how much ``value`` violates the bound; 0 or less if it is satisfied.

        NaN violates every bound.
        """
        over = value - self.bound if self.at_most else self.bound - value
        return over if over == over else float("inf")


def read_goal(text: Objective) -> Goal:
    """Return the objective that ``text`` names.

    Args:
        text: a proxy or a function, see :meth:`Column.of`; or the text of a column,
            ``rank_sum(...)``, ``log_rank_sum(...)``, or the name of a published rank sum
            (``az_nas``, ``vkdnw_agg``). ``max:`` or ``min:`` before it sets its direction.

    Raises:
        ConfigError: the text does not name an objective.
    """
    if not isinstance(text, str):
        column = Column.of(text)
        return Goal(column.text, column.direction, (column,))
    text = text.strip()
    turned, _, rest = text.partition(":")
    wanted = {"max": 1, "min": -1}.get(turned)
    bare = rest.strip() if wanted else text
    join = read_rank_sum(bare)
    names: Sequence[str] = join.leaves if join else [bare]
    columns = tuple(map(Column.read, names))
    direction = 1 if join else columns[0].direction
    return Goal(text, wanted or direction, columns, join)


def columns_of(goals: Sequence[Goal], constraints: Sequence[Constraint]) -> list[Column]:
    """Return the columns of all goals and constraints, without duplicates.

    Raises:
        ConfigError: two different columns have the same name.
    """
    read: list[Column] = [column for goal in goals for column in goal.columns]
    read += [constraint.column for constraint in constraints]
    columns: dict[str, Column] = {}
    for column in read:
        if columns.setdefault(column.text, column) != column:
            raise ConfigError(f"two objectives are called {column.text!r}: name them differently")
    return list(columns.values())
