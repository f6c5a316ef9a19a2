"""Combine columns of scores by their ranks; see ``greenmachine.proxies.rank_sums``.

A combined score depends on the set of networks that is ranked. So it has to be computed again
(:func:`with_rank_sums`) for a part of a score file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from greenmachine.errors import ConfigError
from greenmachine.evaluation.score_file import direction_of, score_columns, seed_columns
from greenmachine.proxies import Proxy, resolve
from greenmachine.proxies.combinations import COMBINATIONS, read_rank_sum
from greenmachine.proxies.rank_sums import RankSum

__all__ = ["proxies_and_sums", "rank_sums_of", "sums_among", "with_rank_sums"]


def proxies_and_sums(texts: Sequence[str]) -> tuple[dict[str, Proxy], list[RankSum]]:
    """Return the proxies and the rank sums that ``texts`` name.

    Args:
        texts: texts that ``greenmachine.proxies.resolve`` reads, ``rank_sum(a, b)``,
            ``log_rank_sum(a, -b)``, or names of published rank sums (``az_nas``).

    Returns:
        The proxies by text, including the components of rank sums, and the rank sums of their
        names.

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
    """Parse ``texts`` as rank sums of columns of ``frame``.

    Raises:
        ConfigError: a text is not a rank sum, or ``frame`` lacks one of its columns.
    """
    sums = []
    for text in texts:
        joined = read_rank_sum(text)
        if joined is None:
            if (name := text.strip()) in COMBINATIONS:
                raise ConfigError(
                    f"{name} is no rank sum: leave it out; the table has it if the scores have "
                    f"{' and '.join(COMBINATIONS[name].components)}"
                )
            raise ConfigError(
                f"{text.strip()[:200]!r} combines no columns: write rank_sum(a, b) or "
                "log_rank_sum(a, -b) of columns of the scores"
            )
        for name in joined.leaves:
            score_columns(frame, name)
        sums.append(joined)
    return list(dict.fromkeys(sums))


def sums_among(names: Iterable[str], columns: Iterable[str]) -> list[RankSum]:
    """Return the rank sums among ``names`` whose components are all among ``columns``.

    Names that are not rank sums, or not written exactly like one, are left out: a user may have
    chosen them.
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
    """Return ``frame`` with a column for each of ``sums``, computed over the rows of ``frame``.

    A component whose score is not finite (failed) has the lowest rank, so the combined score is
    always finite. If components have columns of seeds, the rank sum gets them too; a component
    without such columns has the same score with every seed.

    Args:
        frame: scores with the columns of all components.
        sums: rank sums. Their texts become the names of the columns; an existing column of this
            name is replaced.
        directions: directions of the columns, 1 or -1; for missing ones see ``direction_of``.
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
