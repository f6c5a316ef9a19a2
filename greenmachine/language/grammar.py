"""From the registry to DEAP: a typed primitive set, random trees, and conversion to expressions."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

from deap import gp

from greenmachine.errors import ConfigError
from greenmachine.language.expression import Expression, apply, canonical, number, terminal
from greenmachine.language.kinds import ALIASES, KIND_TYPES
from greenmachine.language.languages import NUMBERS, TYPED, Language
from greenmachine.plugins import belongs
from greenmachine.primitives.registry import LAYER_SCALAR, NETWORK_SCALAR, NUMBER, Primitive
from greenmachine.signals.registry import PASSES

__all__ = ["NUMBERS", "Grammar", "usable_passes"]

_TERMINAL_RATE = 0.3  # probability that a growing branch ends, if it may end or go on
_MOST_KNOWN = 50_000  # expressions that a grammar caches, about 30 MB
_ABOVE = (LAYER_SCALAR, NETWORK_SCALAR, NUMBER)


def usable_passes(language: Language, plugins: Collection[str] = ()) -> list[str]:
    """Return the passes that a run may use: GreenMachine's, and those of its plugins."""
    if not language.passes:
        return []
    own = (p for p in PASSES.values() if belongs(p.function.__module__, plugins))
    return [each.name for each in own]


class Grammar:
    """The vocabulary of one run.

    Args:
        passes: passes whose signals the trees may read.
        exclude: primitives and terminals to leave out.
        language: language whose primitives and terminals the trees consist of.
        plugins: names of plugins whose primitives the trees may contain besides GreenMachine's.
        leaves: canonical expressions of kind ``LayerScalar`` or ``NetworkScalar`` that are the
            terminals in place of the signals, so that a tree needs no tensors. None makes the
            signals terminals.

    Attributes:
        root: kind of a tree's root.
        pset: the ``deap.gp.PrimitiveSetTyped``; one DEAP primitive per name and signature.
        joints: DEAP primitives that combine two whole trees into one.
        alike: for the name of a DEAP primitive, all DEAP primitives with the same kinds.
        wrappers: for each kind, DEAP primitives with one argument of that kind, possibly numbers,
            and a result of that kind.
        closing: number of primitives that close a tree; see :class:`Language`.
        terminals: names of the signals (and ``depth``) that trees may read, not their aliases.
        leaves: for the text of a terminal that stands for an expression, this expression.

    Raises:
        ConfigError: a pass or a name in ``exclude`` is unknown, or no expression can be built.
    """

    def __init__(
        self,
        passes: Sequence[str] = (),
        exclude: Collection[str] = (),
        language: Language = TYPED,
        plugins: Collection[str] = (),
        leaves: Sequence[Expression] | None = None,
    ) -> None:
        there = usable_passes(language, plugins)
        if wrong := [name for name in passes if name not in there]:
            known = ", ".join(there) or f"none to choose in the {language.name} language"
            raise ConfigError(f"passes: unknown pass {', '.join(wrong)}; choose from {known}")
        terminals = language.terminals(passes)
        words = [
            primitive
            for primitive in language.registry
            if primitive.name not in language.closing
            and belongs(primitive.function.__module__, plugins)
        ]
        unknown = sorted(set(exclude) - {p.name for p in words} - set(terminals))
        if unknown:
            raise ConfigError(
                f"language.exclude: unknown names {', '.join(unknown)}: remove them, or see "
                "`greenmachine list primitives`"
            )
        self.root = language.root
        self._closing = language.closing
        self.terminals = sorted({ALIASES.get(n, n) for n in terminals if n not in exclude})
        self.pset = gp.PrimitiveSetTyped("proxy", [], KIND_TYPES[self.root])
        self.leaves: dict[str, Expression] = {}
        self._nodes: dict[tuple[str, tuple[str, ...]], gp.Primitive] = {}
        self._known: dict[tuple[Any, ...], Expression] = {}
        self._fitting: dict[tuple[str, int], dict[str, list[tuple[str, ...]]]] = {}
        self._producers: dict[str, dict[str, list[tuple[str, ...]]]] = {k: {} for k in KIND_TYPES}
        self._terminals: dict[str, list[gp.Terminal]] = {k: [] for k in KIND_TYPES}
        above = leaves is not None
        for name, kind in terminals.items():
            if name not in exclude and (kind in _ABOVE or not above):
                self._terminals[kind].append(self._add_terminal(name, kind))
        for leaf in leaves or ():
            if not self._reads(leaf, exclude):
                continue
            self.leaves[leaf.text] = leaf
            self._terminals[leaf.kind].append(self._add_terminal(leaf.text, leaf.kind))
        if above and not self.leaves:
            raise ConfigError(
                "no expression of the bank fits passes and language.exclude: use more passes, or "
                "exclude less"
            )
        for value in language.numbers:
            self._terminals[NUMBER].append(self._add_terminal(repr(value), NUMBER))
        for primitive in words:
            if primitive.name not in exclude:
                self._add_primitive(primitive, above)
        self.closing = len(self._closing)
        self.alike: dict[str, list[gp.Primitive]] = {}
        self.wrappers: dict[str, list[gp.Primitive]] = {}
        for kind, primitives in self.pset.primitives.items():
            groups: dict[tuple[type, ...], list[gp.Primitive]] = {}
            for made in primitives:
                group = groups.setdefault(tuple(made.args), [])
                group.append(made)
                self.alike[made.name] = group
                first, *rest = made.args
                if first is kind and all(other is KIND_TYPES[NUMBER] for other in rest):
                    self.wrappers.setdefault(kind.__name__, []).append(made)
        whole = KIND_TYPES[self.root]
        self.joints = [p for p in self.pset.primitives[whole] if p.args == [whole, whole]]
        self.heights: dict[str, int] = {}
        self._find_heights()
        if self.root not in self.heights:
            raise ConfigError("language.exclude: no expression can be built: exclude less")

    def generate(self, kind: str, height: int, *, full: bool) -> list[gp.Primitive | gp.Terminal]:
        """Return a random tree of ``kind`` in DEAP's prefix order.

        Args:
            kind: kind of the root.
            height: largest height, unless the kind needs more.
            full: whether every branch grows as deep as possible; otherwise branches may end early.
        """
        terminals = self._terminals[kind]
        if (kind, height) not in self._fitting:
            self._fitting[kind, height] = {
                name: possible
                for name, signatures in self._producers[kind].items()
                if (possible := [s for s in signatures if self._height_of(s) <= height])
            }
        fits = self._fitting[kind, height]
        if terminals and (not fits or (not full and random.random() < _TERMINAL_RATE)):
            return [random.choice(terminals)]
        if not fits:  # the kind needs more height than remains: build the lowest tree
            return self.generate(kind, self.heights[kind], full=full)
        # First the primitive, then its signature: many signatures do not make it more likely.
        name = random.choice(list(fits))
        arguments = random.choice(fits[name])
        nodes: list[gp.Primitive | gp.Terminal] = [self._nodes[name, arguments]]
        for argument in arguments:
            nodes += self.generate(argument, height - 1, full=full)
        return nodes

    def node_kind(self, node: gp.Primitive | gp.Terminal) -> str:
        """Return the kind of a DEAP node's result."""
        return str(node.ret.__name__)

    def number(self, text: str) -> gp.Terminal:
        """Return the DEAP leaf of a number, which random trees need not contain."""
        return gp.Terminal(text, True, KIND_TYPES[NUMBER])

    def tree(self, expression: Expression) -> gp.PrimitiveTree:
        """Return the DEAP tree of ``expression``, without the primitives that close it.

        Raises:
            ConfigError: the expression contains a name that is not in this grammar.
        """
        nodes = []
        whole = expression
        for word in reversed(self._closing):
            if whole.op == word:
                (whole,) = whole.args
        waiting = [whole]
        while waiting:
            node = waiting.pop()
            # A leaf is looked up by its canonical form; everything above leaves stays as it is.
            if self.leaves and any(a.kind not in _ABOVE for a in node.args):
                if (leaf := canonical(node).text) not in self.leaves:
                    raise ConfigError(
                        f"{node} in {expression} is not in the bank: add it with `greenmachine "
                        "bank add`, or remove it from the seeds or from language.exclude"
                    )
                nodes.append(self.pset.mapping[leaf])
                continue
            waiting += node.args[::-1]
            if node.args:
                found = self._nodes.get((node.op, tuple(a.kind for a in node.args)))
            elif node.kind == NUMBER:
                found = self.number(node.op)
            else:
                found = self.pset.mapping.get(node.op)
            if found is None:
                raise ConfigError(
                    f"{node.op!r} in {expression} is not in this run's language: "
                    "add its pass to `passes` or its file to `plugins`, remove it from "
                    "language.exclude, or choose the other language.name"
                )
            nodes.append(found)
        return gp.PrimitiveTree(nodes)

    def expression(self, tree: Sequence[gp.Primitive | gp.Terminal]) -> Expression:
        """Return the expression of a DEAP tree (any sequence of nodes in prefix order).

        If the root has the kind of a whole tree, the expression is closed.
        """
        return self.closed(self.subtrees(tree)[0])

    def subtrees(self, tree: Sequence[gp.Primitive | gp.Terminal]) -> list[Expression]:
        """Return the expression of the subtree at every node, not closed.

        Expressions are cached, so two trees that share a subtree share its expression.
        """
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        known = self._known
        found: list[Expression] = []
        stack: list[Expression] = []
        key: tuple[Any, ...]
        for node in reversed(tree):
            arity = node.arity
            # Keyed by the identity of arguments, which the entry keeps alive.
            if arity == 1:
                key = (node.name, id(stack[-1]))
            elif arity == 2:
                key = (node.name, id(stack[-1]), id(stack[-2]))
            elif arity:
                key = (node.name, *[id(e) for e in stack[: -arity - 1 : -1]])
            else:
                key = (node.name,)
            made = known.get(key)
            if made is None:
                made = known[key] = self._made(node, stack[: -arity - 1 : -1] if arity else [])
            if arity:
                del stack[-arity:]
            stack.append(made)
            found.append(made)
        found.reverse()
        return found

    def joined(
        self, node: gp.Primitive | gp.Terminal, args: Sequence[Expression] = ()
    ) -> Expression:
        """Return the expression of ``node`` over subtrees, not closed; see :meth:`subtrees`."""
        key = (node.name, *map(id, args))
        made = self._known.get(key)
        if made is None:
            made = self._known[key] = self._made(node, args)
        return made

    def closed(self, whole: Expression) -> Expression:
        """Return ``whole`` with the primitives that close a tree, if it has the root's kind."""
        if whole.kind == self.root:
            for word in self._closing:
                whole = apply(word, whole)
        return whole

    def _made(self, node: gp.Primitive | gp.Terminal, args: Sequence[Expression]) -> Expression:
        if args:
            word, _, _ = node.name.rpartition("__")
            return Expression(word, tuple(args), self.node_kind(node))
        if self.node_kind(node) == NUMBER:
            return number(float(node.name))
        return self.leaves.get(node.name) or terminal(node.name)

    def _reads(self, leaf: Expression, exclude: Collection[str]) -> bool:
        """Return whether a leaf uses only terminals and primitives that trees may contain."""
        return leaf.terminals <= {*self.terminals} and not any(
            node.op in exclude for node in leaf.walk()
        )

    def _add_terminal(self, name: str, kind: str) -> gp.Terminal:
        self.pset.addTerminal(None, KIND_TYPES[kind], name=name)
        return self.pset.mapping[name]

    def _add_primitive(self, primitive: Primitive, above: bool) -> None:
        for place, signature in enumerate(primitive.signatures):
            if above and not {*signature.arguments, signature.result} <= {*_ABOVE}:
                continue
            name = f"{primitive.name}__{place}"  # DEAP names are unique per signature
            kinds = [KIND_TYPES[k] for k in signature.arguments]
            self.pset.addPrimitive(
                primitive.function, kinds, KIND_TYPES[signature.result], name=name
            )
            self._nodes[primitive.name, signature.arguments] = self.pset.mapping[name]
            producers = self._producers[signature.result]
            producers.setdefault(primitive.name, []).append(signature.arguments)

    def _height_of(self, arguments: tuple[str, ...]) -> float:
        return 1 + max(self.heights.get(kind, float("inf")) for kind in arguments)

    def _find_heights(self) -> None:
        """Find the least height of a tree of each kind; a kind out of reach is absent."""
        self.heights = {k: 0 for k, found in self._terminals.items() if found}
        changed = True
        while changed:
            changed = False
            for kind, producers in self._producers.items():
                ways = [self._height_of(s) for group in producers.values() for s in group]
                least = min(ways, default=float("inf"))
                if least < self.heights.get(kind, float("inf")):
                    self.heights[kind] = int(least)
                    changed = True
