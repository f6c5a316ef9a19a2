"""Variation of trees: DEAP's typed operators, and those that a typed grammar needs besides.

All draw from the global ``random`` module, as DEAP's do; :func:`owned_random` gives a run its
own state of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deap import gp

from greenmachine.engine.graph import LOWER_KINDS
from greenmachine.language.grammar import Grammar
from greenmachine.primitives.registry import NUMBER

__all__ = [
    "MUTATIONS",
    "combine",
    "crossover",
    "half_and_half",
    "mutate",
    "owned_random",
    "part",
    "tune",
]

_UNIFORM_HEIGHT = 4  # of the random subtree that uniform mutation puts in
_FACTORS = (-1.0, 0.5, 0.8, 1.25, 2.0)  # by which tuning changes a number
_DIGITS = 3  # that a tuned number keeps

Nodes = list[Any]


@contextmanager
def owned_random(state: Any) -> Iterator[None]:
    """Give the block its own state of the global ``random`` module, and restore the caller's."""
    before = random.getstate()
    random.setstate(state)
    try:
        yield
    finally:
        random.setstate(before)


def half_and_half(grammar: Grammar, heights: tuple[int, int]) -> Nodes:
    """Return a random tree, typed ramped half-and-half (Koza 1992).

    The height is drawn from ``heights``; every other tree is full, the rest end early.
    """
    full = random.random() < 0.5
    return grammar.generate(grammar.root, random.randint(*heights), full=full)


def crossover(first: gp.PrimitiveTree, second: gp.PrimitiveTree, leaf_bias: float) -> None:
    """Exchange a subtree of one kind, in place; a leaf with chance ``leaf_bias``."""
    if random.random() < leaf_bias:
        gp.cxOnePointLeafBiased(first, second, termpb=1.0)
    else:
        gp.cxOnePoint(first, second)


def combine(first: Nodes, second: Nodes, grammar: Grammar) -> Nodes:
    """Return both trees under a random primitive of two whole trees.

    Subtree exchange rarely joins two good scores as wholes; sums and products of such are where
    proxies improve once single statistics are exhausted.
    """
    kind = grammar.pset.ret
    joints = [p for p in grammar.pset.primitives[kind] if p.args == [kind, kind]]
    return [random.choice(joints), *first, *second] if joints else list(first)


def part(tree: Nodes, grammar: Grammar) -> Nodes:
    """Return a random subtree of the root's kind, the whole tree among them."""
    whole = gp.PrimitiveTree(tree)
    kind = grammar.pset.ret
    index = random.choice([i for i, node in enumerate(whole) if node.ret is kind])
    return list(whole[whole.searchSubtree(index)])


def mutate_uniform(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Replace a random subtree by a new random one of its kind."""

    def subtree(pset: gp.PrimitiveSetTyped, type_: type) -> Nodes:
        return grammar.generate(type_.__name__, random.randint(0, _UNIFORM_HEIGHT), full=False)

    gp.mutUniform(tree, subtree, grammar.pset)


def mutate_node(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Replace a node by another with the same kinds.

    Not ``gp.mutNodeReplacement``: that leaves the root as it is, which in our trees says how the
    layers of a network become one number.
    """
    _replace(tree, random.randrange(len(tree)), grammar)


def mutate_insert(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    """Put a primitive between a node and its parent, its other arguments grown at random.

    Not ``gp.mutInsert``: that fills other arguments with terminals, and most kinds have none.
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


def tune(tree: Nodes, grammar: Grammar) -> gp.PrimitiveTree:
    """Return a tree that makes something else of the same values of layers.

    An aggregator, a number or a function of scalars is replaced, put in or taken out; what reads
    tensors stays, so that the engine has all that the new tree asks for. A tree without such a
    place comes back as it is.
    """
    tuned = gp.PrimitiveTree(tree)
    random.choice((_tune_node, _tune_insert, _tune_shrink))(tuned, grammar)
    return tuned


def _tune_node(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    places = [index for index, node in enumerate(tree) if _above_tensors(node)]
    if not places:
        return
    index = random.choice(places)
    node = tree[index]
    if node.ret.__name__ == NUMBER and random.random() < 0.5:
        value = float(f"{float(node.value) * random.choice(_FACTORS):.{_DIGITS}g}")
        tree[index] = grammar.number(repr(value))
    else:
        _replace(tree, index, grammar)


def _tune_insert(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    scalar = [i for i, node in enumerate(tree) if node.ret.__name__ not in {*LOWER_KINDS, NUMBER}]
    if not scalar:
        return
    index = random.choice(scalar)
    kind = tree[index].ret
    alone = [  # of one scalar, and perhaps a number
        p
        for p in grammar.pset.primitives[kind]
        if p.args[0] is kind and all(a.__name__ == NUMBER for a in p.args[1:])
    ]
    _insert(tree, index, alone, grammar)


def _tune_shrink(tree: gp.PrimitiveTree, grammar: Grammar) -> None:
    places = [i for i, node in enumerate(tree) if _above_tensors(node) and node.ret in _args(node)]
    if not places:
        return
    index = random.choice(places)
    position = random.choice([i for i, a in enumerate(tree[index].args) if a is tree[index].ret])
    inside = tree.searchSubtree(index + 1)
    for _ in range(position):
        inside = tree.searchSubtree(inside.stop)
    tree[tree.searchSubtree(index)] = tree[inside]


def _above_tensors(node: gp.Primitive | gp.Terminal) -> bool:
    return all(kind.__name__ not in LOWER_KINDS for kind in (node.ret, *_args(node)))


def _args(node: gp.Primitive | gp.Terminal) -> list[type]:
    return list(node.args) if node.arity else []


def _replace(tree: gp.PrimitiveTree, index: int, grammar: Grammar) -> None:
    """Put another node with the same kinds in a node's place."""
    node = tree[index]
    if node.arity:
        others = [p for p in grammar.pset.primitives[node.ret] if p.args == node.args]
    else:
        others = grammar.pset.terminals[node.ret]
    tree[index] = random.choice(others or [node])


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
