"""The registries of primitives: the functions of the two languages, as data.

A primitive is a pure torch function over a *stack* of layers (or of networks) with a list of
signatures over kinds. A registry is write-once: registering a name twice raises an error. Code that
needs the functions of one language (grammar, tests, documentation) iterates that language's
registry. Code that reads or evaluates an expression (parser, engine, export) looks functions up in
``vocabulary``, which contains those of both languages.
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
_PLACE = re.compile(r"#\(?(\d)")  # the number of an argument in a notation


@dataclass(frozen=True)
class Signature:
    """Kinds of the arguments, in order, and the kind of the result."""

    arguments: tuple[str, ...]
    result: str

    def __str__(self) -> str:
        return f"({', '.join(self.arguments)}) -> {self.result}"


@dataclass(frozen=True)
class Primitive:
    """A function of the language.

    Attributes:
        name: the name of the function, as written in an expression.
        family: the module that defines it, such as ``spectra``.
        function: takes tensors of the argument kinds (numbers as ``float``) and returns a
            tensor of the result kind; never mutates an argument, and treats every layer (or
            network) of the stack independently of the others.
        signatures: every accepted list of argument kinds; no two have the same arguments.
        domain: where the value is mathematically defined, and what the function returns elsewhere.
        reference: the paper, book or idea that it comes from.
        commutative: the two arguments may be exchanged.
        involution: f(f(x)) = x.
        idempotent: f(f(x)) = f(x).
        rank_preserving: strictly monotone in its first argument over the range of floats that
            occur. It can then be removed at the root of an expression if only the ranking
            matters; a decreasing one reverses the direction.
        spectral: the function takes ``spectra.eigenvalues(matrix)`` in place of the matrix, so that
            all spectral primitives of one matrix share one decomposition.
        across_layers: the function combines the layers of a network: it takes (networks, layers,
            ...), in the order in which layers run, instead of a stack of independent layers.
        notation: LaTeX in which ``#1``, ``#2`` stand for the arguments, and ``#(1)`` for an
            argument that gets brackets if it needs them, such as ``#(1)^{2}``. If empty, the name
            is written.
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
        kinds: the kinds that signatures may use.
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
        """Raise the errors of :meth:`add`, and register nothing."""
        if item.name in self._primitives:
            other = inspect.getfile(inspect.unwrap(self._primitives[item.name].function))
            raise ValueError(
                f"primitive {item.name!r} is already registered, by {other}: choose another name"
            )
        kinds = {k for s in item.signatures for k in (*s.arguments, s.result)}
        unknown = sorted(kinds - self._kinds)
        if unknown:
            raise ValueError(f"primitive {item.name!r} has unknown kinds {unknown}")
        if len({s.arguments for s in item.signatures}) != len(item.signatures):
            raise ValueError(f"primitive {item.name!r} has two signatures with the same arguments")
        if not (item.signatures and item.function.__doc__ and item.domain and item.reference):
            raise ValueError(
                f"primitive {item.name!r} needs signatures, a docstring, a domain and a reference"
            )
        arguments = {int(place) for place in _PLACE.findall(item.notation)}
        if not all(1 <= a <= len(s.arguments) for a in arguments for s in item.signatures):
            raise ValueError(
                f"primitive {item.name!r}: its notation {item.notation!r} refers to an argument "
                "that does not exist: write #1 for the first"
            )
        if item.notation.count("{") != item.notation.count("}"):
            raise ValueError(f"primitive {item.name!r}: the braces in its notation do not match")

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Remove the primitives of every module for which ``gone`` returns true."""
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
"""The primitives of the typed language."""

paper_registry = Registry((PAPER_TENSOR, LAYER_SCALAR, NETWORK_SCALAR))
"""The primitives of the paper language (``primitives/paper.py``)."""

vocabulary = Registry((*KINDS, PAPER_TENSOR))
"""The primitives of both languages, so that no name has two meanings."""


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
        into: the registry of the language that the primitive belongs to.
        traits: the Boolean attributes of :class:`Primitive`, and ``notation``.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        ValueError: the name is taken, a kind is unknown, the docstring is missing, the notation
            refers to an argument that does not exist, or the function violates a requirement of
            :class:`Primitive` on an example (``contract.py``).
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
        if not item.function.__module__.startswith(_OWN):  # tests check those of this project
            from greenmachine.primitives.contract import broken_promise

            if reason := broken_promise(item):
                raise ValueError(f"primitive {item.name!r} {reason}")
        into.check(item)  # before either registry is changed
        vocabulary.add(item)
        into.add(item)
        return function

    return register
