"""An expression as a formula in LaTeX.

Each primitive has its notation in the registry, and a plugin's primitive may have one. W, X and Y
are the weights, input and output of a layer, ℓ is its index, from 1 to L, and a pass is a
subscript.
"""

from __future__ import annotations

import re

from greenmachine.language.expression import Expression
from greenmachine.language.kinds import ALIASES
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import NUMBER
from greenmachine.signals.paper_passes import MODE_SIGNALS
from greenmachine.signals.registry import PASSES

__all__ = ["latex"]

_SIGNALS = {
    "weight": "W",
    "input": "X",
    "output": "Y",
    "norm_output": r"\hat{Y}",
    "weight_grad": r"\nabla W",
    "input_grad": r"\nabla X",
    "output_grad": r"\nabla Y",
}
_PLACE = re.compile(r"#(\(?)(\d)\)?")


def latex(expression: Expression) -> str:
    """Return ``expression`` in LaTeX's math mode, without delimiters such as ``$``."""
    if not expression.args:
        return _leaf(expression)
    arguments = [latex(argument) for argument in expression.args]
    notation = vocabulary[expression.op].notation
    if not notation:
        return rf"{_upright(expression.op)}\left({', '.join(arguments)}\right)"

    def put(place: re.Match[str]) -> str:
        number = int(place[2]) - 1
        bare = not place[1] or _closed(expression.args[number])
        return arguments[number] if bare else rf"\left({arguments[number]}\right)"

    return _PLACE.sub(put, notation)


def _closed(expression: Expression) -> bool:
    """Return whether the LaTeX needs no brackets next to an operator or an exponent."""
    if expression.kind == NUMBER:
        return expression.value >= 0
    if not expression.args:
        return True
    notation = vocabulary[expression.op].notation
    # Sums, products, powers and minus signs need brackets, and so do terms after a sum sign.
    return not notation or not (
        notation.startswith(("#", "-")) or r"\sum" in notation or "(1)" in notation
    )


def _leaf(node: Expression) -> str:
    if node.kind == NUMBER:
        return f"{node.value:g}" if "e" not in f"{node.value:g}" else rf"\mathrm{{{node.value:g}}}"
    if node.op == "weight":
        return "W"
    if node.op == "depth":
        return r"\ell"
    name = ALIASES.get(node.op, node.op)
    if name in MODE_SIGNALS:
        source, signal = MODE_SIGNALS[name]
    else:
        source = next(each.name for each in PASSES.values() if name in each.terminals)
        signal = name.removeprefix(f"{source}_")
    return f"{_SIGNALS.get(signal, _upright(signal))}_{{{_upright(source)}}}"


def _upright(name: str) -> str:
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"
