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
from greenmachine.proxies.joins import read_rank_sum
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
"""What a search is for: a text of :func:`read_goal`, a proxy, or a function of the network."""

_FUNCTION = re.compile(r"(.+\.py):([A-Za-z_]\w*)")
_CONSTRAINT = re.compile(r"(.+?)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Column:
    """A number of one architecture.

    Attributes:
        text: as the user wrote it; the name of the column.
        kind: where it comes from.
        source: what a worker reads: the expression or name of a proxy, the file of a function.
        direction: 1 where more is better, -1 where less is.
        at_once: whether it is known without a network, in the built-in spaces at least.
        function: that was given as an object; it travels to the workers with the column.
    """

    text: str
    kind: Kind
    source: str
    direction: int
    at_once: bool
    function: ArchFunction | None = None

    @classmethod
    def read(cls, text: str) -> Column:
        """Return the column that ``text`` means.

        Raises:
            ConfigError: it means none.
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
        """Return the column of a proxy, or of a function, of which a high value is good.

        Raises:
            ConfigError: it is neither, or a function that takes something unknown.
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
                f"{given!r} is no objective: give a text, a proxy, or a function of the network"
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
    """An objective.

    Attributes:
        text: as the user wrote it.
        direction: 1 where a high value is searched for, -1 where a low one is.
        columns: that it reads.
        join: of several columns; None where there is one, which is the value.
    """

    text: str
    direction: int
    columns: tuple[Column, ...]
    join: RankSum | None = None

    def values(self, scores: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the value of every network, (networks,); NaN where a column failed.

        Args:
            scores: by the text of a column, (networks,). A rank sum ranks these networks.
        """
        if self.join is None:
            return scores[self.columns[0].text]
        # As in AZ-NAS more FLOPs or parameters count as better: `-params` turns that round.
        signs = [1 if c.kind == "cost" else c.direction for c in self.columns]
        signed = {c.text: s * scores[c.text] for c, s in zip(self.columns, signs, strict=True)}
        failed = ~np.isfinite(np.stack(list(signed.values()))).all(axis=0)
        return np.where(failed, np.nan, self.join(signed))


@dataclass(frozen=True)
class Constraint:
    """What a network has to keep.

    Attributes:
        text: such as ``params<=1e6``.
        column: that is compared.
        at_most: whether ``bound`` is the largest allowed value, else the smallest.
        bound: of the value.
    """

    text: str
    column: Column
    at_most: bool
    bound: float

    @classmethod
    def read(cls, text: str, known: Sequence[Column] = ()) -> Constraint:
        """Read a constraint such as ``params<=1e6``.

        Args:
            text: of the constraint.
            known: columns of the objectives: a constraint may name those that are objects.

        Raises:
            ConfigError: the text is no constraint.
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
        """Return by how much ``value`` breaks it: at most 0 where it is kept, NaN breaks it."""
        over = value - self.bound if self.at_most else self.bound - value
        return over if over == over else float("inf")


def read_goal(text: Objective) -> Goal:
    """Return the objective that ``text`` means.

    Args:
        text: a proxy or a function, see :meth:`Column.of`; or a column, ``rank_sum(...)``,
            ``log_rank_sum(...)``, or the name of a published rank sum (``az_nas``, ``vkdnw_agg``);
            ``max:`` or ``min:`` before it turns its direction.

    Raises:
        ConfigError: it means none.
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
    """Return the columns that are read, each once.

    Raises:
        ConfigError: two of them have one name.
    """
    read: list[Column] = [column for goal in goals for column in goal.columns]
    read += [constraint.column for constraint in constraints]
    columns: dict[str, Column] = {}
    for column in read:
        if columns.setdefault(column.text, column) != column:
            raise ConfigError(f"two objectives are called {column.text!r}: name them differently")
    return list(columns.values())
