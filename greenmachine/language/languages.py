"""The two languages: the terminals and primitives of a grammar, and the form of a score.

The typed language is this project's. The paper language is that of the published method
(arXiv 2411.15290): 20 terminals and 38 functions of one kind, and always the mean over layers.
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
"""Numbers that a random tree may contain; seeds may contain others."""


@dataclass(frozen=True)
class Language:
    """A language for proxies.

    Attributes:
        name: its name.
        registry: its primitives.
        passes: whether a run chooses passes of the registry; otherwise the language has its own.
        terminals: returns the kind of every terminal of a run, by name, for its passes.
        numbers: the numbers that a random tree may contain.
        root: kind of a tree's root.
        closing: primitives that turn the root into a ``NetworkScalar``, innermost first. They are
            part of every expression and of no tree, so that variation does not change them.
    """

    name: str
    registry: Registry
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
