"""The registries of primitives: what the languages can say, as data.

A primitive is a pure torch function over a *stack* of layers (or of networks) with a list of
signatures over kinds. A registry is write-once: a second primitive of one name raises.
Everything that needs to know the words of a language (grammar, tests, docs) iterates its
registry; whoever reads or evaluates an expression (parser, engine, export) looks words up in the
vocabulary, which holds those of both languages.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = [
    "BATCH_MATRIX",
    "CHANNEL_MATRIX",
    "INPUT_TENSOR",
    "KINDS",
    "LAYER_SCALAR",
    "NETWORK_MATRIX",
    "NETWORK_SCALAR",
    "NUMBER",
    "OUTPUT_TENSOR",
    "PAPER_TENSOR",
    "WEIGHT_TENSOR",
    "Primitive",
    "Registry",
    "Signature",
    "paper_registry",
    "primitive",
    "registry",
    "vocabulary",
]

WEIGHT_TENSOR = "WeightTensor"  # (K, O, I, kh, kw)
INPUT_TENSOR = "InputTensor"  # (K, B, I, H, W)
OUTPUT_TENSOR = "OutputTensor"  # (K, B, O, H', W')
CHANNEL_MATRIX = "ChannelMatrix"  # (K, C, C) symmetric
BATCH_MATRIX = "BatchMatrix"  # (K, B, B) symmetric
LAYER_SCALAR = "LayerScalar"  # (K,)
NETWORK_MATRIX = "NetworkMatrix"  # (networks, B, B) symmetric
NETWORK_SCALAR = "NetworkScalar"  # (networks,)
NUMBER = "Number"  # a float literal
PAPER_TENSOR = "PaperTensor"  # (K, ...) of the paper language; (K, 0) where a layer raised

KINDS: tuple[str, ...] = (  # of the typed language
    WEIGHT_TENSOR,
    INPUT_TENSOR,
    OUTPUT_TENSOR,
    CHANNEL_MATRIX,
    BATCH_MATRIX,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    NUMBER,
)

_OWN = "greenmachine.primitives."
_PLACE = re.compile(r"#\(?(\d)")  # of an argument in a notation


@dataclass(frozen=True)
class Signature:
    """Kinds of the arguments, in order, and the kind of the result."""

    arguments: tuple[str, ...]
    result: str

    def __str__(self) -> str:
        return f"({', '.join(self.arguments)}) -> {self.result}"


@dataclass(frozen=True)
class Primitive:
    """One word of the language.

    Attributes:
        name: the word in an expression, and the function's name.
        family: the module that defines it, such as ``spectra``.
        function: takes tensors of the argument kinds (numbers as ``float``) and returns a
            tensor of the result kind; never mutates an argument, and treats every layer (or
            network) of the stack independently of the others.
        signatures: every accepted list of argument kinds; no two share their arguments.
        domain: where the value is mathematically defined, and what protects the rest.
        reference: the paper, book or idea that it comes from.
        commutative: the two arguments may be exchanged.
        involution: applied twice it gives its argument back.
        idempotent: applied twice it gives what it gives once.
        rank_preserving: strictly monotone in its first argument over all finite floats that
            matter, so that it can be stripped at the root of an expression when rank alone
            counts (a decreasing one only turns the direction).
        spectral: the function takes ``spectra.eigenvalues(matrix)`` in the matrix's place, so
            that all spectral primitives of one matrix share one decomposition.
        across_layers: the layers of a network meet: the function takes them as (networks,
            layers, ...), in order of firing, instead of a stack of independent layers.
        notation: LaTeX in which ``#1``, ``#2`` stand for the arguments, and ``#(1)`` for one in
            brackets where it needs them, such as ``#(1)^{2}``. Empty writes the name.
    """

    name: str
    family: str
    function: Callable[..., Tensor]
    signatures: tuple[Signature, ...]
    domain: str
    reference: str
    commutative: bool = False
    involution: bool = False
    idempotent: bool = False
    rank_preserving: bool = False
    spectral: bool = False
    across_layers: bool = False
    notation: str = ""

    @property
    def doc(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    def result(self, arguments: tuple[str, ...]) -> str | None:
        """Return the result kind for ``arguments``, or None where no signature accepts them."""
        for signature in self.signatures:
            if signature.arguments == arguments:
                return signature.result
        return None


class Registry:
    """Primitives by name, in order of registration; write-once.

    Args:
        kinds: that signatures may use.
    """

    def __init__(self, kinds: Iterable[str] = KINDS) -> None:
        self._kinds = frozenset(kinds)
        self._primitives: dict[str, Primitive] = {}

    def add(self, item: Primitive) -> None:
        """Register ``item``.

        Raises:
            ValueError: the name is taken, a kind is unknown, two signatures have the same
                arguments, or the documentation is missing.
        """
        self.check(item)
        self._primitives[item.name] = item

    def check(self, item: Primitive) -> None:
        """Raise what :meth:`add` raises, and register nothing."""
        if item.name in self._primitives:
            other = inspect.unwrap(self._primitives[item.name].function)
            raise ValueError(
                f"primitive {item.name!r} is registered already, by {inspect.getfile(other)}"
            )
        kinds = {k for s in item.signatures for k in (*s.arguments, s.result)}
        unknown = sorted(kinds - self._kinds)
        if unknown:
            raise ValueError(f"primitive {item.name!r} names unknown kinds {unknown}")
        if len({s.arguments for s in item.signatures}) != len(item.signatures):
            raise ValueError(f"primitive {item.name!r} has two signatures of the same arguments")
        if not (item.signatures and item.function.__doc__ and item.domain and item.reference):
            raise ValueError(
                f"primitive {item.name!r} needs signatures, docstring, domain and reference"
            )
        arguments = {int(place) for place in _PLACE.findall(item.notation)}
        if not all(1 <= a <= len(s.arguments) for a in arguments for s in item.signatures):
            raise ValueError(
                f"primitive {item.name!r}: its notation {item.notation!r} names an argument it "
                "has not: write #1 for the first"
            )
        if item.notation.count("{") != item.notation.count("}"):
            raise ValueError(f"primitive {item.name!r}: the braces of its notation do not close")

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Remove the primitives of every module of which ``gone`` is true."""
        for item in list(self):
            if gone(item.function.__module__):
                del self._primitives[item.name]

    def __getitem__(self, name: str) -> Primitive:
        return self._primitives[name]

    def __contains__(self, name: object) -> bool:
        return name in self._primitives

    def __iter__(self) -> Iterator[Primitive]:
        return iter(self._primitives.values())

    def __len__(self) -> int:
        return len(self._primitives)


registry = Registry()
"""The words of the typed language."""

paper_registry = Registry((PAPER_TENSOR, LAYER_SCALAR, NETWORK_SCALAR))
"""The words of the paper language (``primitives/paper.py``)."""

vocabulary = Registry((*KINDS, PAPER_TENSOR))
"""The words of both, so that no word has two meanings."""


def primitive(
    *signatures: tuple[Iterable[str], str],
    domain: str = "not stated",
    reference: str = "not stated",
    into: Registry = registry,
    **traits: Any,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register the decorated function, unchanged, under its own name.

    Example:
        >>> @primitive(((WEIGHT_TENSOR,), LAYER_SCALAR))
        ... def l1(x):
        ...     'Sum of the absolute values of each layer.'
        ...     return x.flatten(1).abs().sum(1)

    Args:
        signatures: pairs of argument kinds and result kind.
        domain: see :class:`Primitive`.
        reference: see :class:`Primitive`.
        into: the registry of the language whose word it is.
        traits: the boolean attributes of :class:`Primitive`, and ``notation``.

    Raises:
        ValueError: the name is taken, a kind is unknown, the docstring is missing, the notation
            names an argument too many, or a promise of :class:`Primitive` is broken on an example
            (``contract.py``).
    """

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        item = Primitive(
            name=function.__name__,
            family=function.__module__.rpartition(".")[2],
            function=function,
            signatures=tuple(Signature(tuple(a), r) for a, r in signatures),
            domain=domain,
            reference=reference,
            **traits,
        )
        if not item.function.__module__.startswith(_OWN):  # ours are held by tests
            from greenmachine.primitives.contract import broken_promise

            if reason := broken_promise(item):
                raise ValueError(f"primitive {item.name!r} {reason}")
        into.check(item)  # before the first of two registries has it
        vocabulary.add(item)
        into.add(item)
        return function

    return register
