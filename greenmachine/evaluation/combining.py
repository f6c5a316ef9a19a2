"""Columns of scores that join others by their ranks.

``greenmachine.proxies.rank_sums`` says how. A joined score depends on the set of networks that is
ranked, so whoever takes a part of a score file joins anew (:func:`with_rank_sums`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from greenmachine.errors import ConfigError
from greenmachine.evaluation.score_file import direction_of, score_columns, seed_columns
from greenmachine.proxies import Proxy, resolve
from greenmachine.proxies.joins import read_rank_sum
from greenmachine.proxies.rank_sums import RankSum

__all__ = ["proxies_and_sums", "rank_sums_of", "sums_among", "with_rank_sums"]


def proxies_and_sums(texts: Sequence[str]) -> tuple[dict[str, Proxy], list[RankSum]]:
    """Return the proxies that ``texts`` name or join, by text, and the rank sums among them.

    Args:
        texts: each what ``greenmachine.proxies.resolve`` reads, ``rank_sum(a, b)``,
            ``log_rank_sum(a, -b)``, or the name of a published rank sum (``az_nas``).

    Returns:
        The proxies, those that a rank sum joins too, and rank sums of the proxies' names.

    Raises:
        GreenMachineError: a text is none of these.
    """
    found: dict[str, Proxy] = {}
    sums: list[RankSum] = []
    for text in texts:
        joined = read_rank_sum(text)
        names = (text,) if joined is None else joined.leaves
        found |= {name: resolve(name) for name in names if name not in found}
        if joined is not None:
            sums.append(joined.renamed({name: found[name].name for name in names}))
    return found, list(dict.fromkeys(sums))


def rank_sums_of(frame: pd.DataFrame, texts: Iterable[str]) -> list[RankSum]:
    """Return the rank sums that ``texts`` are, of columns of ``frame``.

    Raises:
        ConfigError: a text is no rank sum, or ``frame`` lacks a column that it joins.
    """
    sums = []
    for text in texts:
        joined = read_rank_sum(text)
        if joined is None:
            raise ConfigError(
                f"{text.strip()[:200]!r} joins nothing: write rank_sum(a, b) or "
                "log_rank_sum(a, -b) of columns of the scores"
            )
        for name in joined.leaves:
            score_columns(frame, name)
        sums.append(joined)
    return list(dict.fromkeys(sums))


def sums_among(names: Iterable[str], columns: Iterable[str]) -> list[RankSum]:
    """Return the rank sums among ``names`` whose components are all among ``columns``.

    A name that is no rank sum, or not written as rank sums are, is somebody's own: it is left out.
    """
    known, found = {*columns}, []
    for name in names:
        try:
            joined = read_rank_sum(name)
        except ConfigError:
            continue
        if joined is not None and joined.text == name and {*joined.leaves} <= known:
            found.append(joined)
    return found


def with_rank_sums(
    frame: pd.DataFrame, sums: Sequence[RankSum], directions: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Return ``frame`` with a column for each of ``sums``, which rank the networks of ``frame``.

    A component whose score is not finite = failed has the lowest rank there, so a joined score is
    always finite. Where components have columns of seeds, the rank sum has them too; a component
    without any is the same with every seed.

    Args:
        frame: with the columns that are joined.
        sums: by their texts the columns are called; one that is there already is replaced.
        directions: of the columns, 1 or -1; of those that are missing see ``direction_of``.
    """
    told = directions or {}
    columns: dict[str, np.ndarray] = {}

    def merit(name: str, of: str) -> np.ndarray:
        sign = told[of] if of in told else direction_of(frame, of)
        return sign * frame[name].to_numpy(dtype=np.float64)

    of_seeds = seed_columns(frame)
    for joined in sums:
        leaves = joined.leaves
        columns[joined.text] = joined({name: merit(name, name) for name in leaves})
        seeds = {
            column.removeprefix(name): None for name in leaves for column in of_seeds.get(name, [])
        }
        for seed in seeds:
            chosen = {n: f"{n}{seed}" if f"{n}{seed}" in frame else n for n in leaves}
            columns[f"{joined.text}{seed}"] = joined({n: merit(c, n) for n, c in chosen.items()})
    made = frame.drop(columns=[name for name in columns if name in frame])
    made = pd.concat([made, pd.DataFrame(columns, index=frame.index)], axis=1)
    made.attrs = dict(frame.attrs)
    return made
