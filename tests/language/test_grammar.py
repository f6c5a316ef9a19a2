"""The grammar: all words within reach, trees that fit, the same in every process."""

from __future__ import annotations

import contextlib
import io
import random
import subprocess
import sys

import pytest
from deap import gp
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.errors import ConfigError
from greenmachine.language import KIND_TYPES, TERMINALS, parse, terminals_of
from greenmachine.language.grammar import NUMBERS, Grammar
from greenmachine.primitives import registry
from greenmachine.primitives.registry import KINDS, NETWORK_SCALAR
from greenmachine.signals import PASSES

GRAMMAR = Grammar(PASSES)
NOISE = Grammar(["noise"])


def test_every_word_and_signature_is_drawn() -> None:
    random.seed(0)
    missing = {f"{p.name}__{i}" for p in registry for i in range(len(p.signatures))}
    missing |= set(TERMINALS) | {repr(value) for value in NUMBERS}
    for kind in KINDS * 400:
        for height in range(2, 7):
            missing -= {node.name for node in GRAMMAR.generate(kind, height, full=False)}
        if not missing:
            break
    assert not missing


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(KINDS),
    height=st.integers(0, 8),
    full=st.booleans(),
)
def test_generated_trees(seed: int, kind: str, height: int, full: bool) -> None:
    random.seed(seed)
    tree = gp.PrimitiveTree(GRAMMAR.generate(kind, height, full=full))
    expression = GRAMMAR.expression(tree)
    assert expression.kind == kind == GRAMMAR.node_kind(tree.root)
    least = GRAMMAR.heights[kind]
    assert expression.height == tree.height <= max(height, least)
    assert (expression.size, len(tree)) == (len(tree), expression.size)
    again = GRAMMAR.tree(expression)
    assert [node.name for node in again] == [node.name for node in tree]
    assert [node.ret for node in again] == [node.ret for node in tree]
    assert again == tree
    assert GRAMMAR.tree(parse(expression.text, kind=None)) == tree


def test_full_trees_are_full() -> None:
    """A full tree ends only where nothing deeper fits, so some branch is as deep as it may be."""
    random.seed(1)
    for height in (4, 6, 8):
        trees = [
            gp.PrimitiveTree(NOISE.generate(NETWORK_SCALAR, height, full=True)) for _ in "12345"
        ]
        assert {tree.height for tree in trees} == {height}


def test_same_seed_same_trees() -> None:
    texts = []
    for _ in range(2):
        random.seed(5)
        texts.append([str(NOISE.expression(NOISE.generate(NETWORK_SCALAR, 6, full=False)))])
    assert texts[0] == texts[1]


def test_only_the_passes_of_the_run() -> None:
    random.seed(0)
    allowed = set(terminals_of(["noise"]))
    for _ in range(300):
        expression = NOISE.expression(NOISE.generate(NETWORK_SCALAR, 6, full=False))
        assert expression.terminals <= allowed
    with pytest.raises(ConfigError, match=r"'data_input' in .* add its pass"):
        NOISE.tree(parse("sum_layers(mean(data_input))"))


def test_numbers_outside_the_list_come_in_through_seeds() -> None:
    seed = parse("sum_layers(scale(depth, 0.123))")
    tree = NOISE.tree(seed)
    assert NOISE.expression(tree) == seed
    assert NOISE.node_kind(tree[-1]) == "Number"


def test_exclude() -> None:
    excluded = {"sum_layers", "neg", "weight", "noise_input_grad"}
    grammar = Grammar(["noise"], exclude=excluded)
    random.seed(0)
    for _ in range(300):
        tree = grammar.generate(NETWORK_SCALAR, 6, full=False)
        assert not excluded & {node.op for node in grammar.expression(tree).walk()}
    with pytest.raises(ConfigError, match=r"'sum_layers' in .* not in this run's language"):
        grammar.tree(parse("sum_layers(depth)"))


def test_exclude_a_whole_kind() -> None:
    """Words that need a kind which nothing makes are never drawn."""
    gone = {"NetworkMatrix", "BatchMatrix"}
    makers = {
        item.name
        for item in registry
        for signature in item.signatures
        if signature.result in gone and signature.result not in signature.arguments
    }
    grammar = Grammar(["noise"], exclude=makers)
    assert "NetworkMatrix" not in grammar.heights
    random.seed(0)
    for _ in range(300):
        tree = grammar.generate(NETWORK_SCALAR, 6, full=True)
        assert not gone & {grammar.node_kind(node) for node in tree}


@pytest.mark.parametrize(
    ("passes", "exclude", "message"),
    [
        (["noise"], ["sum_layer"], "unknown names sum_layer"),
        (["noise"], ["data_input"], "unknown names data_input"),
        (["nois"], [], "unknown pass nois; choose from data, noise, perturbed, ones"),
        (
            ["noise"],
            [p.name for p in registry if p.family == "aggregations"],
            "no expression can be built",
        ),
    ],
)
def test_errors(passes: list[str], exclude: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grammar(passes, exclude)


def test_kinds_are_the_same_in_every_process() -> None:
    script = (
        "import random; from greenmachine.language.kinds import KIND_TYPES; "
        "from greenmachine.language.grammar import Grammar; from deap import gp; "
        "g = Grammar(['noise']); random.seed(3); "
        "kinds = KIND_TYPES.values(); "
        "print([hash(t) for t in kinds], [t.__name__ for t in set(kinds)]); "
        "print([g.expression(g.generate('NetworkScalar', 5, full=False)) for _ in range(20)]); "
        "t = [gp.PrimitiveTree(g.generate('NetworkScalar', 6, full=False)) for _ in range(10)]; "
        "[gp.cxOnePoint(a, b) for a, b in zip(t[::2], t[1::2])]; print([str(x) for x in t])"
    )
    other = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": "1"},  # this process has a random one
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    here = io.StringIO()
    with contextlib.redirect_stdout(here):
        exec(script, {})
    assert other.stdout == here.getvalue()
    assert len(other.stdout) > 1000
    assert len({hash(kind) for kind in KIND_TYPES.values()}) == len(KIND_TYPES)
