"""The language of proxies: kinds, expressions, and the DEAP grammar made from the registry."""

from greenmachine.language.expression import (
    Expression,
    apply,
    canonical,
    number,
    parse,
    rank_canonical,
    terminal,
)
from greenmachine.language.kinds import KIND_TYPES, SIGNALS, TERMINALS, terminals_of

__all__ = [
    "KIND_TYPES",
    "SIGNALS",
    "TERMINALS",
    "Expression",
    "apply",
    "canonical",
    "number",
    "parse",
    "rank_canonical",
    "terminal",
    "terminals_of",
]
