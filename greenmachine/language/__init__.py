"""The language of proxies: kinds, expressions, and DEAP grammars built from the registries."""

from greenmachine.language.drawing import Tree, tree_of
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
from greenmachine.language.latex import latex
from greenmachine.language.symbolic import symbolic

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
    "Tree",
    "apply",
    "canonical",
    "latex",
    "number",
    "parse",
    "rank_canonical",
    "symbolic",
    "terminal",
    "terminals_of",
    "tree_of",
]
