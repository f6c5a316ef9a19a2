"""The two languages: what a grammar is made of, and how a tree becomes a score.

The typed language is this project's. The paper language is that of the published method
(arXiv 2411.15290): 20 terminals and 38 functions of one kind, always the mean over layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from greenmachine.language.kinds import PAPER_TERMINALS, terminals_of
from greenmachine.primitives.registry import (
    NETWORK_SCALAR,
    PAPER_TENSOR,
    Registry,
    paper_registry,
    registry,
)

__all__ = ["LANGUAGES", "NUMBERS", "PAPER", "TYPED", "Language"]

NUMBERS: tuple[float, ...] = (-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 2.0, 3.0, 4.0)
"""Numbers that a random tree may contain; others come in through seeds."""


@dataclass(frozen=True)
class Language:
    """A way to write proxies.

    Attributes:
        name: of the language.
        words: its primitives.
        passes: whether a run chooses passes of the registry; else the language has its own.
        terminals: kind of every terminal of a run, by name, from the passes that it chose.
        numbers: that a random tree may contain.
        root: kind of a tree's root.
        closing: words that make a ``NetworkScalar`` of the root, innermost first. They stand in
            every expression and in no tree, so that no variation is spent on them.
    """

    name: str
    words: Registry
    passes: bool
    terminals: Callable[[Sequence[str]], dict[str, str]]
    numbers: tuple[float, ...] = ()
    root: str = NETWORK_SCALAR
    closing: tuple[str, ...] = ()


TYPED = Language("typed", registry, True, terminals_of, NUMBERS)

PAPER = Language(
    "paper",
    paper_registry,
    False,
    lambda passes: PAPER_TERMINALS,
    root=PAPER_TENSOR,
    closing=("layer_mean", "mean_valid_layers"),
)

LANGUAGES: dict[str, Language] = {language.name: language for language in (TYPED, PAPER)}
"""The languages by name."""
