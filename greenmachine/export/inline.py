"""Collect the source of functions and of everything they need, for one standalone file.

Starting from some names, it follows every name that a definition reads to its own definition, in
the same module or in a module of this project that is imported. Definitions are copied word for
word without ``@primitive`` decorators; imports of other packages become import statements.
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

from greenmachine.errors import ConfigError
from greenmachine.plugins import belongs, loaded_plugins, origin

__all__ = ["Inlined", "functions_of", "import_lines", "imports_of", "inline"]

_REGISTERS = {"primitive", "register_pass"}  # decorators that an exported file does not need

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
        self.name = name
        sources = {p.module: p.source for p in loaded_plugins() if p.source is not None}
        known = sources.get(name)  # a plugin's source as imported; its file may have changed
        source = getsource(import_module(name)) if known is None else known.decode()
        self.lines = source.splitlines()
        self.definitions: dict[str, Definition] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        self._reads: dict[str, set[str]] = {}
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
                for alias in statement.names:
                    imported = (statement.module or "", _renamed(alias))
                    self.imports[alias.asname or alias.name] = imported
            elif isinstance(statement, ast.Import):
                for alias in statement.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    self.imports[bound] = (_renamed(alias), "")
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
        ConfigError: a plugin's function reads something that cannot be part of the same file.
    """
    plugins = [plugin.name for plugin in loaded_plugins()]
    owners: dict[str, str] = {}
    found: set[tuple[str, str]] = set()
    result = Inlined()
    waiting = deque(roots)
    while waiting:
        module, name = waiting.popleft()
        if (module, name) in found:
            continue
        found.add((module, name))
        home = _module(module)
        if name not in home.definitions:
            raise _refused(home, name, "it is not defined at the top level of its module")
        if owners.setdefault(name, module) != module:
            raise _refused(home, name, f"{owners[name]} has a definition of that name: rename it")
        for read in sorted(home.reads(name)):
            if read in home.definitions:
                waiting.append((module, read))
            elif read in home.imports:
                source, imported = home.imports[read]
                if not belongs(source.split()[0], plugins):
                    result.imports.add((source, imported))
                elif not imported or " as " in imported:
                    hint = "write `from MODULE import NAME`, without `as`, for what it reads"
                    raise _refused(home, name, f"it reads {read}: {hint}")
                else:
                    waiting.append((source, imported))
            elif not hasattr(builtins, read):
                raise _refused(home, name, f"it reads {read}, which is not defined")
    for module in sorted({module for module, _ in found}):
        home = _module(module)
        names = [name for name in home.definitions if (module, name) in found]
        result.definitions[module] = [home.source(name) for name in names]
    return result


def _renamed(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _refused(home: _Module, name: str, reason: str) -> ConfigError:
    return ConfigError(f"{name} of {origin(home.name)} cannot be exported: {reason}")


def import_lines(imports: Iterable[tuple[str, str]]) -> str:
    """Return import statements: the standard library, then the others, each sorted."""
    groups: tuple[dict[str, set[str]], ...] = ({}, {})
    for module, name in imports:
        standard = module.split()[0].partition(".")[0] in sys.stdlib_module_names
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
    """Return a sort key: constants, then classes, then functions, as linters expect."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _free(node: ast.AST) -> set[str]:
    """Return the names that a statement reads and does not bind itself."""
    if isinstance(node, ast.ClassDef):  # its methods have separate scopes
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
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in _REGISTERS


def functions_of(module: str) -> dict[str, ast.FunctionDef]:
    """Return the functions that a module defines at its top level, by name."""
    found = _module(module).definitions.items()
    return {name: node for name, node in found if isinstance(node, ast.FunctionDef)}


def imports_of(module: str) -> dict[str, tuple[str, str]]:
    """Return what imported names refer to: pairs of module and name, "" for a module."""
    return _module(module).imports


@lru_cache(maxsize=32)
def _module(name: str) -> _Module:
    return _Module(name)
