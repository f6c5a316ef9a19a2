"""Write calls of primitives as straight-line torch code.

A function whose body is a few assignments and a ``return`` is inlined into its caller, with
variables renamed where they would collide. A function of several statements that is called twice or
more is written once. A function with a condition or a loop, and every function of a plugin, is
copied word for word (``inline.py``).
"""

from __future__ import annotations

import ast
import builtins
import copy
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeAlias

from greenmachine.export.inline import functions_of, imports_of
from greenmachine.export.layout import WIDTH

__all__ = ["Straight"]

Function: TypeAlias = tuple[str, str]
"""Module and name of a function."""

_OURS = "greenmachine.primitives."
_OWN_LINES = 5  # lines of a definition besides its statements
_FOLDED = 56  # a shorter value that is read once is inlined where it is read
_LONGEST = 76  # longest value
_TAKEN = {*keyword.kwlist, *dir(builtins), "layer", "layers", "each", "torch", "math", "functional"}


class Straight:
    """Straight-line code of functions that call each other.

    Args:
        called: the functions that a formula calls, as often as it calls them.

    Attributes:
        copied: functions that are copied word for word.
        imports: pairs of module and name, as in ``inline.py``.
    """

    def __init__(self, called: Iterable[Function]) -> None:
        self.copied: set[Function] = set()
        called = list(called)
        self.imports: set[tuple[str, str]] = set()
        counts: Counter[Function] = Counter()
        for function in called:
            counts.update(_calls(function))
        self._kept: set[Function] = set()
        self._written: dict[Function, list[str]] = {}
        # From the innermost to the outermost: what calls a function that is kept is shorter.
        often = [function for function, count in counts.items() if count > 1]
        for function in sorted(often, key=lambda function: len(_calls(function))):
            if (counts[function] - 1) * self._length(function) > _OWN_LINES:
                self._kept.add(function)
        self.imports.clear()
        self.copied.clear()
        self._written.clear()

    def definitions(self) -> list[str]:
        """Return the functions that the code calls, those that are not copied."""
        return ["\n".join(lines) for lines in self._written.values()]

    def block(self) -> Block:
        """Return a new body of statements."""
        return Block(self)

    @property
    def kept_names(self) -> set[Function]:
        """Functions whose names no variable may hide."""
        return self._kept | self.copied

    def _length(self, function: Function) -> int:
        """Return how many lines a function is where it stands in other code."""
        node = _body(function)
        if node is None:
            return 0
        block = Block(self)
        block.call(function, [ast.Name(a.arg) for a in node.args.args], inside=True)
        return len(block.lines)

    def keeps(self, function: Function) -> bool:
        """Whether a function is called instead of standing in the code; it is then defined."""
        node = _body(function)
        if node is None:
            self.copied.add(function)
            return True
        if function not in self._kept:
            return False
        if function not in self._written:
            self._written[function] = []  # its place: before what calls it comes what it calls
            block = self.block()
            names = [argument.arg for argument in node.args.args]
            block.taken |= {*names}
            result = block.call(function, [ast.Name(name) for name in names], inside=True)
            text = [f"def {node.name}({', '.join(names)}):  # {_doc(function)}"]
            if len(text[0]) > WIDTH:
                text = [text[0].partition("  #")[0]]
            text += [f"    {line}" for line in (*block.lines, f"return {written(result)}")]
            del self._written[function]
            self._written[function] = text
        return True


class Block:
    """The statements of one body.

    Attributes:
        lines: the statements.
        taken: names that mean something there.
    """

    def __init__(self, owner: Straight) -> None:
        self.owner = owner
        self.lines: list[str] = []
        self._ranges: dict[str, ast.Name] = {}
        self.taken = set(_TAKEN) | {name for _, name in owner.kept_names}

    def name(self, wanted: str) -> str:
        """Return a name that nothing else has: ``wanted``, ``wanted_2``, ..."""
        if len(wanted) == 1:  # another letter rather than a number
            letters = "abcdefghijkmnopqrstuvwyz" if wanted == "a" else wanted
            wanted = next((c for c in letters if c not in self.taken), wanted)
        found, number = wanted, 1
        while found in self.taken:
            number += 1
            found = f"{wanted}_{number}"
        self.taken.add(found)
        return found

    def assign(self, value: ast.expr, wanted: str, *, plain: bool = False) -> ast.Name:
        """Add a line that gives ``value`` a name, and return the name.

        Args:
            value: code; a name is returned as it is, unless it is ``plain`` text.
            wanted: the name, or one like it.
            plain: whether ``value`` is text that stands for more than a name.
        """
        if isinstance(value, ast.Name) and not plain:
            return value
        value = self.fitted(value)
        name = self.name(wanted)
        self.lines.append(f"{name} = {written(value)}")
        return ast.Name(name)

    def fitted(self, value: ast.expr) -> ast.expr:
        """Return ``value``, parts of it in lines of their own where it is too long for one."""
        while len(written(value)) > _LONGEST:
            parts = [
                (len(written(node)), node)
                for node in ast.walk(value)
                if isinstance(node, ast.Call | ast.BinOp) and node is not value
            ]
            parts = [part for part in parts if _LONGEST / 5 < part[0] < _LONGEST]
            if not parts:
                break
            _, largest = max(parts, key=lambda part: part[0])
            text = written(largest)
            if text not in self._ranges:
                name = self.assign(largest, "part")
                if text.startswith("torch.arange("):  # nothing changes those
                    self._ranges[text] = name
            name = self._ranges.get(text, name)
            value = _Replacer(largest, name).visit(value)
        return value

    def call(
        self, function: Function, arguments: Sequence[ast.expr], *, inside: bool = False
    ) -> ast.expr:
        """Return code for a call; what it needs is in ``lines``.

        Args:
            function: the function.
            arguments: code of each.
            inside: write its statements even if it is defined as a function.
        """
        module, name = function
        if not inside and self.owner.keeps(function):
            return ast.Call(ast.Name(name), list(arguments), [])
        node = _body(function)
        assert node is not None
        uses = Counter(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
        known: dict[str, ast.expr] = {}
        for argument, value in zip(node.args.args, arguments, strict=True):
            simple = isinstance(value, ast.Name | ast.Constant)
            once = uses[argument.arg] <= 1 and len(written(value)) < _FOLDED
            known[argument.arg] = value if simple or once else self.assign(value, argument.arg)
        for place, statement in enumerate(node.body):
            if isinstance(statement, ast.Return):
                assert statement.value is not None
                return self._expanded(statement.value, module, known)
            assert isinstance(statement, ast.Assign | ast.AnnAssign)
            assert statement.value is not None
            value = self._expanded(statement.value, module, known)
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            targets = target.elts if isinstance(target, ast.Tuple) else [target]
            wanted = [t.id for t in targets if isinstance(t, ast.Name)]
            if isinstance(value, ast.Tuple):  # of a function that stands here
                known |= {n: self.assign(v, n) for n, v in zip(wanted, value.elts, strict=True)}
                continue
            after = Counter(n.id for n in ast.walk(node.body[place + 1]) if isinstance(n, ast.Name))
            # Twice: where it is assigned, and in the next statement, which evaluates it first.
            if (
                len(wanted) == 1
                and uses[wanted[0]] == 2
                and after[wanted[0]] == 1
                and len(written(value)) < _FOLDED
            ):
                known[wanted[0]] = value
                continue
            value = self.fitted(value)
            names = [self.name(n) for n in wanted]
            self.lines.append(f"{', '.join(names)} = {written(value)}")
            known |= {n: ast.Name(new) for n, new in zip(wanted, names, strict=True)}
        raise AssertionError(f"{name} has no return")

    def _expanded(self, value: ast.expr, module: str, known: dict[str, ast.expr]) -> ast.expr:
        found: ast.expr = _Expander(self, module, known).visit(copy.deepcopy(value))
        return found


class _Replacer(ast.NodeTransformer):
    """Puts ``new`` in the place of ``old``."""

    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else super().visit(node)


class _Expander(ast.NodeTransformer):
    """Puts what is known in the place of names, and the code of functions in that of calls."""

    def __init__(self, block: Block, module: str, known: dict[str, ast.expr]) -> None:
        self.block, self.module, self.known = block, module, known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.known:
            return copy.deepcopy(self.known[node.id])
        value = getattr(import_module(self.module), node.id, None)
        if isinstance(value, int | float):
            return ast.Constant(value)
        imported = imports_of(self.module).get(node.id)
        if imported is not None and not imported[0].startswith("greenmachine"):
            self.block.owner.imports.add(imported)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id not in self.known:
            function = _resolved(self.module, node.func.id)
            if function is not None:
                arguments = [self.visit(argument) for argument in node.args]
                return self.block.call(function, arguments)
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if ast.unparse(node) == "math.nan":
            self.block.owner.imports.discard(("math", ""))
            return ast.parse('float("nan")', mode="eval").body
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        place = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(node.value, ast.Tuple) and isinstance(place, int):
            return node.value.elts[place]
        return node


@lru_cache(maxsize=512)
def _body(function: Function) -> ast.FunctionDef | None:
    """Return a function without its docstring; None where it cannot stand in other code."""
    module, name = function
    node = functions_of(module).get(name)
    if (
        not module.startswith(_OURS)
        or node is None
        or any(not _registers(d) for d in node.decorator_list)
    ):
        return None
    node = copy.deepcopy(node)
    node.body = node.body[1:] if ast.get_docstring(node) else node.body
    *first, last = node.body
    plain = all(isinstance(s, ast.Assign | ast.AnnAssign) for s in first)
    return node if plain and isinstance(last, ast.Return) else None


@lru_cache(maxsize=512)
def _calls(function: Function) -> tuple[Function, ...]:
    """Return a function and those that it calls, each as often as it would stand in the code."""
    found = [function]
    node = _body(function)
    for call in ast.walk(node) if node else ():
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            inner = _resolved(function[0], call.func.id)
            found += _calls(inner) if inner is not None else ()
    return tuple(found)


def _registers(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id == "primitive"


def _resolved(module: str, name: str) -> Function | None:
    """Return the function of ours that ``name`` means in ``module``."""
    if name in functions_of(module):
        return module, name
    source, imported = imports_of(module).get(name, ("", ""))
    return (source, imported) if source.startswith("greenmachine") else None


def _doc(function: Function) -> str:
    node = functions_of(function[0])[function[1]]
    return (ast.get_docstring(node) or function[1]).partition("\n")[0]


def written(value: ast.expr) -> str:
    """Return code as ruff formats it."""
    text = ast.unparse(ast.fix_missing_locations(value)).replace("'", '"')
    # Ruff sets a colon apart from what is more than a name or a number.
    text = re.sub(r"(, |\[):(\(.*?\) // 2)\]", r"\1: \2]", text)
    text = re.sub(r"(-\(\(.*?\) // 2\)):\]", r"\1 :]", text)
    return re.sub(r"(?<=[\w.\])]) \*\* (?=[\w.]+)", "**", text)
