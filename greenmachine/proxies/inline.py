"""Collect the source of functions with all that they need, as pieces of one standalone file.

From some root names it follows every name that a definition reads to the definition that binds
it, in its own module or in one of ours that the module imports from. Definitions come out word
for word, without ``@primitive`` decorators; imports of other packages come out as statements.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from inspect import getsource

__all__ = ["Inlined", "import_lines", "inline"]

_OURS = ("greenmachine",)
_REGISTERS = "primitive"  # the decorator that an exported file does without

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass
class Inlined:
    """Pieces of a file.

    Attributes:
        imports: pairs of module and name; the name is empty for ``import module``.
        definitions: source texts by the module that they come from, in that module's order.
    """

    imports: set[tuple[str, str]] = field(default_factory=set)
    definitions: dict[str, list[str]] = field(default_factory=dict)


class _Module:
    """The top level of one module: what it defines and what it imports."""

    def __init__(self, name: str) -> None:
        source = getsource(import_module(name))
        self.lines = source.splitlines()
        self.definitions: dict[str, Definition] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        self._reads: dict[str, set[str]] = {}
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
                for alias in statement.names:
                    self.imports[alias.name] = (statement.module or "", alias.name)
            elif isinstance(statement, ast.Import):
                for alias in statement.names:
                    self.imports[alias.name] = (alias.name, "")
            elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
                self.definitions[statement.name] = statement
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self.definitions[statement.targets[0].id] = statement
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                self.definitions[statement.target.id] = statement

    def source(self, name: str) -> str:
        """Return the text of a definition, trailing comment included."""
        node = self.definitions[name]
        start = node.lineno
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            kept = [d.lineno for d in node.decorator_list if not _registers(d)]
            start = min([start, *kept])
        return "\n".join(self.lines[start - 1 : node.end_lineno])

    def reads(self, name: str) -> set[str]:
        """Return the names that a definition reads and does not bind itself."""
        if name not in self._reads:
            self._reads[name] = _free(self.definitions[name])
        return self._reads[name]


def inline(roots: Iterable[tuple[str, str]]) -> Inlined:
    """Return the definitions of ``roots``, pairs of module and name, and all that they need.

    Raises:
        KeyError: a root is not defined at the top level of its module.
        NameError: a definition reads a name whose origin is not to be found.
    """
    found: set[tuple[str, str]] = set()
    result = Inlined()
    waiting = deque(roots)
    while waiting:
        module, name = waiting.popleft()
        if (module, name) in found:
            continue
        found.add((module, name))
        home = _module(module)
        for read in home.reads(name):
            if read in home.definitions:
                waiting.append((module, read))
            elif read in home.imports:
                origin, imported = home.imports[read]
                if origin.partition(".")[0] in _OURS:
                    waiting.append((origin, imported))
                else:
                    result.imports.add((origin, imported))
            elif not hasattr(builtins, read):
                raise NameError(f"{module}.{name} reads {read}, which is defined nowhere")
    for module in sorted({module for module, _ in found}):
        home = _module(module)
        names = [name for name in home.definitions if (module, name) in found]
        result.definitions[module] = [home.source(name) for name in names]
    return result


def import_lines(imports: Iterable[tuple[str, str]]) -> str:
    """Return import statements: the standard library, then the others, each sorted."""
    groups: tuple[dict[str, set[str]], ...] = ({}, {})
    for module, name in imports:
        standard = module.partition(".")[0] in sys.stdlib_module_names
        groups[not standard].setdefault(module, set()).add(name)
    blocks = []
    for group in groups:
        plain = [f"import {module}" for module in sorted(group) if "" in group[module]]
        named = [
            f"from {module} import {', '.join(sorted(names - {''}, key=_import_order))}"
            for module, names in sorted(group.items())
            if names - {""}
        ]
        if plain or named:
            blocks.append("\n".join(plain + named))
    return "\n\n".join(blocks)


def _import_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions: the order that linters want."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _free(node: ast.AST) -> set[str]:
    """Names that a statement reads and does not bind itself."""
    if isinstance(node, ast.ClassDef):  # its methods have scopes of their own
        parts = [*node.decorator_list, *node.bases, *node.body]
        return set().union(*(_free(part) for part in parts))
    parts = [node]
    if isinstance(node, ast.FunctionDef):
        kept = [d for d in node.decorator_list if not _registers(d)]
        parts = [*kept, node.args, *node.body, *([node.returns] if node.returns else [])]
    inner = [n for part in parts for n in ast.walk(part)]
    names = [n for n in inner if isinstance(n, ast.Name)]
    bound = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
    bound |= {n.arg for n in inner if isinstance(n, ast.arg)}
    bound |= {n.name for n in inner if isinstance(n, ast.FunctionDef)}
    bound |= {n.name for n in inner if isinstance(n, ast.ExceptHandler) and n.name}
    return {n.id for n in names} - bound


def _registers(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id == _REGISTERS


@lru_cache(maxsize=32)
def _module(name: str) -> _Module:
    return _Module(name)
