"""Expressions: text in, text out; errors that point at their place; forms that stand for others."""

from __future__ import annotations

import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.errors import ExpressionError
from greenmachine.language import (
    TERMINALS,
    Expression,
    apply,
    canonical,
    number,
    parse,
    rank_canonical,
    terminal,
)
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import registry
from greenmachine.primitives.registry import NETWORK_SCALAR, NUMBER
from greenmachine.signals import PASSES

GRAMMAR = Grammar(PASSES)


Recipe = tuple[int, int, bool]
recipes = st.tuples(st.integers(0, 2**32), st.integers(0, 9), st.booleans())


def grown(recipe: Recipe) -> Expression:
    """The random tree of a recipe: seed, height, full."""
    seed, height, full = recipe
    random.seed(seed)  # DEAP and the grammar draw from the global generator
    return GRAMMAR.expression(GRAMMAR.generate(NETWORK_SCALAR, height, full=full))


fast = settings(max_examples=100, deadline=None, derandomize=True)


@fast
@given(recipes)
def test_text_round_trip(recipe: Recipe) -> None:
    expression = grown(recipe)
    again = parse(expression.text)
    assert again == expression
    assert hash(again) == hash(expression)
    assert (again.text, again.kind, again.size, again.height) == (
        expression.text,
        expression.kind,
        expression.size,
        expression.height,
    )
    spaced = expression.text.replace("(", " (\n ").replace(")", " ) ").replace(",", "\t, ")
    assert parse(f"  {spaced}\n") == expression
    assert pickle.loads(pickle.dumps(expression)) == expression


@fast
@given(recipes)
def test_canonical_is_idempotent_and_keeps_the_kind(recipe: Recipe) -> None:
    expression = grown(recipe)
    form = canonical(expression)
    assert canonical(form) == form
    assert parse(form.text) == form
    assert form.size <= expression.size
    assert form.terminals <= expression.terminals
    ranked = rank_canonical(expression)
    assert rank_canonical(ranked) == ranked
    assert ranked.kind == NETWORK_SCALAR


@fast
@given(recipes, st.randoms(use_true_random=False))
def test_canonical_forgets_the_order_of_commutative_arguments(
    recipe: Recipe, generator: random.Random
) -> None:
    expression = grown(recipe)

    def shuffled(node: Expression) -> Expression:
        args = [shuffled(argument) for argument in node.args]
        if args and registry[node.op].commutative:
            generator.shuffle(args)
        return Expression(node.op, tuple(args), node.kind)

    assert canonical(shuffled(expression)) == canonical(expression)


@pytest.mark.parametrize("item", [p for p in registry if p.commutative], ids=lambda p: p.name)
def test_commutative_words_are_sorted(item: object) -> None:
    assert hasattr(item, "signatures")
    for signature in item.signatures:
        random.seed(0)
        first, second = (
            GRAMMAR.expression(GRAMMAR.generate(kind, 4, full=True)) for kind in signature.arguments
        )
        assert first != second
        assert canonical(apply(item.name, first, second)) == canonical(  # type: ignore[attr-defined]
            apply(item.name, second, first)  # type: ignore[attr-defined]
        )


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("neg(neg(sum_layers(depth)))", "sum_layers(depth)"),
        ("neg(neg(neg(sum_layers(depth))))", "neg(sum_layers(depth))"),
        ("sum_layers(abs(abs(abs(depth))))", "sum_layers(abs(depth))"),
        ("abs(neg(neg(abs(sum_layers(depth)))))", "abs(sum_layers(depth))"),
        ("sum_layers(add(depth, abs(depth)))", "sum_layers(add(abs(depth), depth))"),
        ("sum_layers(sub(depth, abs(depth)))", "sum_layers(sub(depth, abs(depth)))"),
        ("square(square(sum_layers(depth)))", "square(square(sum_layers(depth)))"),
        ("sum_layers(scale(depth, 2))", "sum_layers(scale(depth, 2.0))"),
    ],
)
def test_canonical_forms(text: str, form: str) -> None:
    assert canonical(parse(text)).text == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("neg(cube(signed_log1p(sum_layers(depth))))", "sum_layers(depth)"),
        ("shift(sum_layers(depth), 3)", "sum_layers(depth)"),
        ("scale(sum_layers(depth), 0.0)", "scale(sum_layers(depth), 0.0)"),
        ("sum_layers(neg(depth))", "sum_layers(neg(depth))"),
        ("abs(neg(sum_layers(depth)))", "abs(neg(sum_layers(depth)))"),
    ],
)
def test_rank_canonical_forms(text: str, form: str) -> None:
    assert rank_canonical(parse(text)).text == form


@given(st.floats(allow_nan=False, allow_infinity=False))
@fast
def test_numbers_round_trip(value: float) -> None:
    assert parse(number(value).text, NUMBER).value == value
    text = f"sum_layers(scale(depth, {value!r}))"
    assert parse(text).text == text


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match="not a number of the language"):
        number(value)


ERRORS = [
    # text, the place (marked by ^ in the same text), a part of the message
    ("^sum_layer(depth)", "did you mean sum_layers"),
    ("sum_layers(^nois_input)", "did you mean noise_input"),
    ("^qqqqqqqqq(depth)", "unknown name 'qqqqqqqqq' "),
    ("sum_layers(depth^", "expected ',' or ')', found the end"),
    ("sum_layers(depth,^)", "expected a name, found ')'"),
    ("sum_layers(^,depth)", "expected a name, found ','"),
    ("sum_layers(^)", "expected a name, found ')'"),
    ("sum_layers(^", "expected a name, found the end"),
    ("sum_layers^", "expected '(' after sum_layers, found the end"),
    ("sum_layers ^depth", "expected '(' after sum_layers, found 'depth'"),
    ("^", "expected a name, found the end"),
    ("   ^", "expected a name, found the end"),
    ("^)", "expected a name, found ')'"),
    ("sum_layers(depth)^)", "expected the end, found ')'"),
    ("sum_layers(depth) ^sum_layers(depth)", "expected the end, found 'sum_layers'"),
    ("sum_layers(depth ^depth)", "expected ',' or ')', found 'depth'"),
    ("sum_layers(depth)^;", "unexpected ';'"),
    ("sum_layers(^$x)", "unexpected '$'"),
    ("sum_layers(scale(depth, 2^x))", "expected ',' or ')', found 'x'"),
    ("sum_layers(scale(depth, ^1e999))", "too large"),
    ("sum_layers(^l2_norm(2.0))", "l2_norm takes (WeightTensor)"),
    ("sum_layers(^l2_norm(depth))", "not (LayerScalar)"),
    ("^sum_layers(noise_input)", "sum_layers takes (LayerScalar), not (InputTensor)"),
    ("^sum_layers(depth, depth)", "not (LayerScalar, LayerScalar)"),
    ("sum_layers(^dot(noise_input, noise_output))", "not (InputTensor, OutputTensor)"),
    ("sum_layers(^scale(2.0, depth))", "not (Number, LayerScalar)"),
    ("  ^l2_norm(weight)", "the expression is a LayerScalar, not a NetworkScalar"),
    ("^2.0", "the expression is a Number, not a NetworkScalar"),
    ("^depth", "the expression is a LayerScalar, not a NetworkScalar"),
    ("neg(" * 101 + "^sum_layers(depth)" + ")" * 101, "nested deeper than 100"),
    ("neg(" * 101 + "^neg(" * 1 + "x" + ")" * 102, "nested deeper than 100"),
]


@pytest.mark.parametrize(("marked", "message"), ERRORS, ids=lambda text: text[:30])
def test_errors_point_at_their_place(marked: str, message: str) -> None:
    text = marked.replace("^", "")
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.position == marked.index("^")
    assert caught.value.text == text
    said, line, marker = str(caught.value).split("\n")
    assert f"(at character {marked.index('^') + 1})" in said
    assert (line + " ")[marker.index("^")] == (text + " ")[caught.value.position]


def test_any_kind_where_asked() -> None:
    assert parse("l2_norm(weight)", kind=None).kind == "LayerScalar"
    assert parse("-.5e-3", kind=None).value == -0.0005


def test_apply_and_terminal() -> None:
    with pytest.raises(TypeError, match="not \\(WeightTensor\\)"):
        apply("sum_layers", terminal("weight"))
    with pytest.raises(KeyError):
        apply("unknown")
    with pytest.raises(KeyError):
        terminal("unknown")


def test_walk_size_height_terminals() -> None:
    tree = parse("add(sum_layers(scale(l2_norm(weight), 2)), sum_layers(mean(noise_input)))")
    assert [node.op for node in tree.walk()][:4] == ["add", "sum_layers", "scale", "l2_norm"]
    assert (tree.size, tree.height) == (9, 4)
    assert tree.terminals == {"weight", "noise_input"}


@pytest.mark.parametrize("name", TERMINALS)
def test_terminals_parse(name: str) -> None:
    assert parse(name, kind=None).kind == TERMINALS[name]
    assert name not in registry
