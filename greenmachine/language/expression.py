"""Expressions: typed trees over signals, written as text, of either language.

``sum_layers(min_eigenvalue(channel_correlation(noise_input)))`` is parsed into an
:class:`Expression`, which prints as the same text. Equality and hash are those of the text.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator
from difflib import get_close_matches

from greenmachine.errors import ExpressionError
from greenmachine.language.kinds import ALIASES, LEAVES
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import NETWORK_SCALAR, NUMBER

__all__ = ["Expression", "apply", "canonical", "number", "parse", "rank_canonical", "terminal"]

_text = operator.attrgetter("text")

MAX_NESTING = 100  # deeper text is an error, because it would exhaust Python's stack


class Expression:
    """A node of the language with its arguments; immutable.

    Attributes:
        op: name of the primitive or terminal, or the text of a number.
        args: the arguments.
        kind: kind of the value.
        text: the whole expression as text.
        size: number of nodes.
        height: number of edges on the longest path from the root to a leaf.
    """

    # No __dict__: a search makes a hundred thousand of these objects per minute. `_form` is the
    # result of `canonical`, or the class itself if the expression is canonical (a reference to
    # itself would keep it alive until the garbage collector runs).
    __slots__ = ("_form", "args", "height", "kind", "op", "size", "text")

    def __init__(self, op: str, args: tuple[Expression, ...], kind: str) -> None:
        self.op = op
        self.args = args
        self.kind = kind
        self._form: Expression | type[Expression] | None = None
        self.size = 1
        self.height = 0
        for argument in args:
            self.size += argument.size
            if argument.height >= self.height:
                self.height = argument.height + 1
        self.text: str = f"{op}({', '.join([a.text for a in args])})" if args else op

    def __reduce__(self) -> tuple[type[Expression], tuple[str, tuple[Expression, ...], str]]:
        return Expression, (self.op, self.args, self.kind)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def value(self) -> float:
        """The float value of a number."""
        return float(self.op)

    def walk(self) -> Iterator[Expression]:
        """Yield every node, the root first."""
        yield self
        for argument in self.args:
            yield from argument.walk()

    @property
    def terminals(self) -> set[str]:
        """Names of the signals that the expression reads (and ``depth``), not their aliases."""
        leaves = {node.op for node in self.walk() if not node.args and node.kind != NUMBER}
        return {ALIASES.get(name, name) for name in leaves}


def terminal(name: str) -> Expression:
    """Return the terminal ``name``; raise a KeyError if there is none."""
    return Expression(name, (), LEAVES[name])


def number(value: float) -> Expression:
    """Return a number whose text is parsed to the same float.

    Raises:
        ValueError: infinity and NaN have no text in the language.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number of the language")
    return Expression(repr(float(value)), (), NUMBER)


def apply(name: str, *args: Expression) -> Expression:
    """Return primitive ``name`` applied to ``args``.

    Raises:
        TypeError: no signature of the primitive accepts the arguments' kinds.
        KeyError: there is no such primitive.
    """
    kinds = tuple(a.kind for a in args)
    result = vocabulary[name].result(kinds)
    if result is None:
        accepted = " or ".join(f"({', '.join(s.arguments)})" for s in vocabulary[name].signatures)
        raise TypeError(f"{name} takes {accepted}, not ({', '.join(kinds)})")
    return Expression(name, args, result)


_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_]\w*)|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<mark>[(),])|(?P<end>$)|(?P<fault>\S))"
)


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while not self.tokens or self.tokens[-1][0] != "end":
            match = _TOKEN.match(text, at)
            assert match is not None  # `fault` takes the rest
            assert match.lastgroup is not None
            group = match.lastgroup
            if group == "fault":
                raise ExpressionError(f"unexpected {match[group]!r}", text, match.start(group))
            self.tokens.append((group, match[group], match.start(group)))
            at = match.end()
        self.next = 0

    def take(self) -> tuple[str, str, int]:
        token = self.tokens[self.next]
        self.next += token[0] != "end"
        return token

    def expect(self, marks: str, what: str) -> str:
        group, value, at = self.take()
        if group != "mark" or value not in marks:
            found = repr(value) if value else "the end"
            raise ExpressionError(f"expected {what}, found {found}", self.text, at)
        return value

    def expression(self, nesting: int = 0) -> Expression:
        group, word, at = self.take()
        if nesting > MAX_NESTING:
            raise ExpressionError(f"nested deeper than {MAX_NESTING}", self.text, at)
        if group == "number":
            if not math.isfinite(float(word)):
                raise ExpressionError(f"{word} is too large for a float", self.text, at)
            return number(float(word))
        if group != "word":
            found = repr(word) if word else "the end"
            raise ExpressionError(f"expected a name, found {found}", self.text, at)
        if word in LEAVES:
            return terminal(word)
        if word not in vocabulary:
            close = get_close_matches(word, [*LEAVES, *(p.name for p in vocabulary)], n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else " (is a plugin missing?)"
            raise ExpressionError(f"unknown name {word!r}{hint}", self.text, at)
        self.expect("(", f"'(' after {word}")
        args = [self.expression(nesting + 1)]
        while self.expect(",)", "',' or ')'") == ",":
            args.append(self.expression(nesting + 1))
        try:
            return apply(word, *args)
        except TypeError as error:
            raise ExpressionError(str(error), self.text, at) from None


def parse(text: str, kind: str | None = NETWORK_SCALAR) -> Expression:
    """Parse an expression.

    Args:
        text: for example ``mean_layers(l2_norm(noise_weight_grad))``; white space is ignored.
        kind: the kind that the whole expression must have; None accepts any.

    Raises:
        ExpressionError: a syntax or kind error, with its position in the text.
    """
    parser = _Parser(text)
    expression = parser.expression()
    group, value, at = parser.take()
    if group != "end":
        raise ExpressionError(f"expected the end, found {value!r}", text, at)
    if kind is not None and expression.kind != kind:
        at = len(text) - len(text.lstrip())
        raise ExpressionError(f"the expression is a {expression.kind}, not a {kind}", text, at)
    return expression


def canonical(expression: Expression) -> Expression:
    """Return the canonical form, which is equal for many expressions of equal value.

    Arguments of commutative primitives are sorted by text, repeated involutions and idempotent
    primitives are reduced, and aliases of terminals are resolved. The expression stores its form,
    so a second call takes no time.
    """
    known = expression._form
    if known is Expression:
        return expression
    if isinstance(known, Expression):
        return known
    form = _reduced(expression)
    if form is not expression:
        expression._form = form
    form._form = Expression
    return form


def _reduced(expression: Expression) -> Expression:
    """Return the canonical form of an expression, itself where it is canonical."""
    args = tuple([canonical(a) for a in expression.args])
    if not args:
        return terminal(ALIASES[expression.op]) if expression.op in ALIASES else expression
    trait = vocabulary[expression.op]
    if trait.commutative and len(args) > 1:
        args = tuple(sorted(args, key=_text))
    inner = args[0]
    if inner.op == expression.op and len(args) == 1:
        if trait.involution:
            return inner.args[0]
        if trait.idempotent:
            return inner
    if all(map(operator.is_, args, expression.args)):
        return expression
    return Expression(expression.op, args, expression.kind)


def rank_canonical(expression: Expression) -> Expression:
    """Return the canonical form without strictly monotone roots.

    Two expressions with the same form rank networks alike, up to direction, but their values
    differ.
    """
    expression = canonical(expression)
    while expression.args and vocabulary[expression.op].rank_preserving:
        expression = expression.args[0]
    return expression
