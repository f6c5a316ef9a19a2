"""Variation of trees: DEAP's typed operators, and further ones that a typed grammar needs.

All draw from the global ``random`` module, as DEAP's do; :func:`owned_random` gives a run a
separate state of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from deap import gp

from greenmachine.engine.graph import LOWER_KINDS
from greenmachine.language import Expression
from greenmachine.language.grammar import Grammar
from greenmachine.primitives.registry import NUMBER

__all__ = [
    "MUTATIONS",
    "Tuner",
    "combine",
    "crossover",
    "half_and_half",
    "mutate",
    "owned_random",
    "parts",
    "random_kept",
]

_UNIFORM_HEIGHT = 4  # of the random subtree that uniform mutation puts in
_FACTORS = (-1.0, 0.5, 0.8, 1.25, 2.0)  # by which tuning changes a number
_DIGITS = 3  # that a tuned number keeps
_NOT_SCALAR = LOWER_KINDS | {NUMBER}

Nodes = list[Any]


@contextmanager
def owned_random(state: Any) -> Iterator[None]:
    """Use a separate state of the global ``random`` module in the block; restore it afterwards."""
    before = random.getstate()
    random.setstate(state)
    try:
        yield
    finally:
        random.setstate(before)


@contextmanager
def random_kept() -> Iterator[None]:
    """Restore the state of the global ``random`` module after the block.

    For tasks inside :func:`owned_random`: a local Dask cluster has its scheduler in a thread of
    this process, which draws from the same module at times that do not depend on the seed.
    """
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


def half_and_half(grammar: Grammar, heights: tuple[int, int]) -> Nodes:
    """Return a random tree, typed ramped half-and-half (Koza 1992).

    The height is drawn from ``heights``; every other tree is full, and branches of the rest end
    early.
    """
    full = random.random() < 0.5
    return grammar.generate(grammar.root, random.randint(*heights), full=full)


def crossover(first: gp.PrimitiveTree, second: gp.PrimitiveTree, leaf_bias: float) -> None:
    """Exchange a subtree of one kind, in place; a leaf with probability ``leaf_bias``."""
    if random.random() < leaf_bias:
        gp.cxOnePointLeafBiased(first, second, termpb=1.0)
    else:
        gp.cxOnePoint(first, second)


def combine(first: Expression, second: Expression, grammar: Grammar) -> Expression:
    """Return a random two-argument primitive of both scores; ``first`` if the grammar has none.

    Exchange of subtrees rarely joins two good scores as wholes. Once single statistics are
    exhausted, proxies improve by sums and products of whole scores.
    """
    joints = grammar.joints
    return grammar.joined(random.choice(joints), (first, second)) if joints else first


def parts(tree: Nodes, grammar: Grammar) -> list[Expression]:
    """Return the subtrees of the root's kind, the whole tree first."""
    return [subtree for subtree in grammar.subtrees(tree) if subtree.kind == grammar.root]


def mutate_uniform(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Replace a random subtree by a new random one of its kind."""

    def subtree(pset: gp.PrimitiveSetTyped, type_: type) -> Nodes:
        return grammar.generate(type_.__name__, random.randint(0, _UNIFORM_HEIGHT), full=False)

    gp.mutUniform(tree, subtree, grammar.pset)


def mutate_node(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Replace a node by another with the same kinds.

    ``gp.mutNodeReplacement`` never changes the root, which in our trees is the aggregation over the
    layers of a network.
    """
    _replace(tree, random.randrange(len(tree)), grammar)


def mutate_insert(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Insert a primitive between a node and its parent; its other arguments grow at random.

    ``gp.mutInsert`` fills other arguments with terminals, and most kinds have none.
    """
    index = random.randrange(len(tree))
    kind = tree[index].ret
    _insert(tree, index, [p for p in grammar.pset.primitives[kind] if kind in p.args], grammar)


def mutate_shrink(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Replace a primitive by one of its arguments of the same kind."""
    gp.mutShrink(tree)


def mutate_hoist(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Replace a subtree by a smaller one inside it, of the same kind (Kinnear 1993)."""
    index = random.randrange(len(tree))
    place = tree.searchSubtree(index)
    inside = [i for i in range(index + 1, place.stop) if tree[i].ret is tree[index].ret]
    if inside:
        tree[place] = tree[tree.searchSubtree(random.choice(inside))]


class Tuner:
    """Makes trees that compute another score from the same values of layers.

    An aggregator, a number or a scalar function is replaced, inserted or removed. Primitives that
    read tensors stay, so the engine already has all values that the new tree needs. A tree without
    an aggregator, number or scalar function is returned unchanged.

    Trees are made as expressions; only the nodes above the change are new.

    Args:
        tree: the tree.
        grammar: source of the new primitives.
    """

    def __init__(self, tree: Nodes, grammar: Grammar) -> None:
        self.tree = tree
        self.grammar = grammar
        self._subtrees = grammar.subtrees(tree)
        self._parents = self._find_parents()
        self._above = [index for index, node in enumerate(tree) if _above_tensors(node)]
        self._scalar = [i for i, node in enumerate(tree) if node.ret.__name__ not in _NOT_SCALAR]
        self._shrinking = [i for i in self._above if tree[i].ret in _args(tree[i])]

    def __call__(self) -> Expression:
        """Return the expression of a tuned tree, not completed to a score."""
        change, places = random.choice(
            (
                (self._replaced, self._above),
                (self._inserted, self._scalar),
                (self._shrunk, self._shrinking),
            )
        )
        if not places:
            return self._subtrees[0]
        index = random.choice(places)
        return self._with(index, change(index))

    def _replaced(self, index: int) -> Expression:
        node = self.tree[index]
        if node.ret.__name__ == NUMBER and random.random() < 0.5:
            value = float(f"{float(node.value) * random.choice(_FACTORS):.{_DIGITS}g}")
            return self.grammar.joined(self.grammar.number(repr(value)))
        other = random.choice(_alike(node, self.grammar))
        # A leaf of a bank is an expression with arguments, which the tree does not have.
        return self.grammar.joined(other, self._subtrees[index].args if node.arity else ())

    def _inserted(self, index: int) -> Expression:
        node, inside = self.tree[index], self._subtrees[index]
        wrappers = self.grammar.wrappers.get(node.ret.__name__)
        if not wrappers:
            return inside
        primitive = random.choice(wrappers)
        args = [inside]
        for kind in primitive.args[1:]:
            (argument, *_) = self.grammar.subtrees(
                self.grammar.generate(kind.__name__, 2, full=False)
            )
            args.append(argument)
        return self.grammar.joined(primitive, args)

    def _shrunk(self, index: int) -> Expression:
        node = self.tree[index]
        position = random.choice([i for i, kind in enumerate(node.args) if kind is node.ret])
        return self._subtrees[index].args[position]

    def _with(self, index: int, changed: Expression) -> Expression:
        """Return the whole with another subtree at ``index``."""
        while index:
            index, position = self._parents[index]
            args = list(self._subtrees[index].args)
            args[position] = changed
            changed = self.grammar.joined(self.tree[index], args)
        return changed

    def _find_parents(self) -> list[tuple[int, int]]:
        """Return for every node its parent's index and its place among the arguments."""
        parents = [(0, 0)] * len(self.tree)
        waiting: list[tuple[int, int]] = []  # arguments that wait for their subtree, the next last
        for index, node in enumerate(self.tree):
            if index:
                parents[index] = waiting.pop()
            waiting += [(index, position) for position in reversed(range(node.arity))]
        return parents


def _above_tensors(node: gp.Primitive | gp.Terminal) -> bool:
    return node.ret.__name__ not in LOWER_KINDS and all(
        kind.__name__ not in LOWER_KINDS for kind in _args(node)
    )


def _args(node: gp.Primitive | gp.Terminal) -> Sequence[type]:
    return node.args if node.arity else ()


def _replace(tree: gp.PrimitiveTree, index: int, grammar: Grammar) -> None:
    """Put another node with the same kinds in a node's place."""
    tree[index] = random.choice(_alike(tree[index], grammar))


def _alike(node: gp.Primitive | gp.Terminal, grammar: Grammar) -> Nodes:
    """Return the nodes with the kinds of ``node``."""
    found = grammar.alike[node.name] if node.arity else grammar.pset.terminals[node.ret]
    return found or [node]


def _insert(tree: gp.PrimitiveTree, index: int, fitting: Nodes, grammar: Grammar) -> None:
    """Put one of ``fitting`` between a node and its parent."""
    if not fitting:
        return
    place = tree.searchSubtree(index)
    kind = tree[index].ret
    primitive = random.choice(fitting)
    position = random.choice([i for i, argument in enumerate(primitive.args) if argument is kind])
    nodes: Nodes = [primitive]
    for i, argument in enumerate(primitive.args):
        if i == position:
            nodes += tree[place]
        else:
            nodes += grammar.generate(argument.__name__, 2, full=False)
    tree[place] = nodes


MUTATIONS: dict[str, Callable[[gp.PrimitiveTree, Grammar], None]] = {
    "uniform": mutate_uniform,
    "node": mutate_node,
    "insert": mutate_insert,
    "shrink": mutate_shrink,
    "hoist": mutate_hoist,
}


def mutate(tree: gp.PrimitiveTree, grammar: Grammar, rates: Mapping[Any, float]) -> None:
    """Change ``tree`` in place by one mutation, drawn by its relative rate."""
    names = sorted(rates)
    (name,) = random.choices(names, weights=[rates[n] for n in names])
    MUTATIONS[name](tree, grammar)
