"""The language of proxies: kinds, expressions, and the DEAP grammars made from the registries."""

from greenmachine.language.expression import (
    Expression,
    apply,
    canonical,
    number,
    parse,
    rank_canonical,
    terminal,
)
from greenmachine.language.kinds import (
    KIND_TYPES,
    PAPER_TERMINALS,
    SIGNALS,
    TERMINALS,
    terminals_of,
)
from greenmachine.language.languages import LANGUAGES, PAPER, TYPED, Language

__all__ = [
    "KIND_TYPES",
    "LANGUAGES",
    "PAPER",
    "PAPER_TERMINALS",
    "SIGNALS",
    "TERMINALS",
    "TYPED",
    "Expression",
    "Language",
    "apply",
    "canonical",
    "number",
    "parse",
    "rank_canonical",
    "terminal",
    "terminals_of",
]
