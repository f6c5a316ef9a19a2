"""An expression for SymPy, which can simplify, differentiate and print it.

Functions of numbers become SymPy's own functions. Signals are real symbols, and all functions of
tensors or layers are undefined functions. The protection of logarithms and divisions near zero is
left out; everywhere else the values are those of the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenmachine.errors import ConfigError
from greenmachine.language.expression import Expression
from greenmachine.primitives.registry import NUMBER

__all__ = ["symbolic"]


def symbolic(expression: Expression) -> Any:
    """Return ``expression`` as a SymPy expression.

    Raises:
        ConfigError: SymPy is not installed.
    """
    try:
        import sympy
    except ImportError:
        raise ConfigError("SymPy is not installed: pip install 'greenmachine[sympy]'") from None
    known: dict[str, Callable[..., Any]] = {
        "abs": sympy.Abs,
        "neg": lambda x: -x,
        "square": lambda x: x**2,
        "cube": lambda x: x**3,
        "sqrt_abs": lambda x: sympy.sqrt(sympy.Abs(x)),
        "signed_sqrt": lambda x: sympy.sign(x) * sympy.sqrt(sympy.Abs(x)),
        "log1p_abs": lambda x: sympy.log(1 + sympy.Abs(x)),
        "signed_log1p": lambda x: sympy.sign(x) * sympy.log(1 + sympy.Abs(x)),
        "log_abs": lambda x: sympy.log(sympy.Abs(x)),
        "relu": lambda x: sympy.Max(0, x),
        "sign": sympy.sign,
        "positive": lambda x: sympy.Heaviside(x, 0),
        "tanh": sympy.tanh,
        "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
        "reciprocal": lambda x: 1 / x,
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": lambda x, y: x / y,
        "minimum": sympy.Min,
        "maximum": sympy.Max,
        "greater": lambda x, y: sympy.Heaviside(x - y, 0),
        "power": lambda x, p: sympy.sign(x) * sympy.Abs(x) ** p,
        "scale": lambda x, c: c * x,
        "shift": lambda x, c: x + c,
    }

    def made(node: Expression) -> Any:
        if node.kind == NUMBER:
            return (
                sympy.Integer(int(node.value))
                if node.value.is_integer()
                else sympy.Float(node.value)
            )
        if not node.args:
            return sympy.Symbol(node.op, real=True)
        arguments = [made(argument) for argument in node.args]
        function = known.get(node.op) or sympy.Function(node.op, real=True)
        return function(*arguments)

    return made(expression)
