"""Formulas as LaTeX, as SymPy expressions and as trees."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.errors import ConfigError
from greenmachine.language import (
    PAPER_TERMINALS,
    TERMINALS,
    Expression,
    apply,
    latex,
    number,
    parse,
    symbolic,
    terminal,
    tree_of,
)
from greenmachine.primitives import vocabulary
from greenmachine.primitives.registry import NUMBER, Primitive, Registry
from greenmachine.proxies import PROXIES, ExpressionProxy

EXPRESSIONS = [proxy for proxy in PROXIES if isinstance(proxy, ExpressionProxy)]


def check_latex(text: str) -> None:
    """Check what TeX would stop at: braces, \\left without \\right, and two indices in a row."""
    depth = 0
    for character in text.replace(r"\{", "").replace(r"\}", ""):
        depth += (character == "{") - (character == "}")
        assert depth >= 0, text
    assert depth == 0, text
    assert text.count(r"\left") == text.count(r"\right"), text
    assert "#" not in text, text
    assert not re.search(r"(?<!\\)_(?![{\\A-Za-z0-9])", text), text
    group = r"\{(?:[^{}]|\{[^{}]*\})*\}"
    assert not re.search(rf"\^{group}\^|_{group}_{group}", text), text


def around(item: Primitive, inner: bool) -> list[Expression]:
    """Return ``item`` on a leaf, or on itself and its like, for each of its signatures."""
    leaves = {kind: terminal(name) for name, kind in {**PAPER_TERMINALS, **TERMINALS}.items()}
    leaves[NUMBER] = number(-2.0)
    known = dict(leaves)
    for _ in range(4):  # a matrix needs a tensor, a number of a network needs its layers
        for each in vocabulary:
            for signature in each.signatures:
                if signature.result not in known and set(signature.arguments) <= known.keys():
                    known[signature.result] = apply(
                        each.name, *(known[kind] for kind in signature.arguments)
                    )
    made = [apply(item.name, *(known[kind] for kind in s.arguments)) for s in item.signatures]
    if not inner:
        return made
    nested = [
        apply(item.name, *(one if kind == one.kind else known[kind] for kind in s.arguments))
        for s in item.signatures
        for one in made
    ]
    return [*made, *nested]


@pytest.mark.parametrize("item", list(vocabulary), ids=lambda item: item.name)
def test_every_primitive_has_valid_latex(item: Primitive) -> None:
    for expression in around(item, inner=True):
        check_latex(latex(expression))


@pytest.mark.parametrize("proxy", EXPRESSIONS, ids=lambda proxy: proxy.name)
def test_every_proxy_has_valid_latex_and_a_whole_tree(proxy: ExpressionProxy) -> None:
    check_latex(proxy.latex())
    tree = proxy.tree()
    nodes = list(parse(proxy.expression).walk())
    assert len(re.findall(r"\[label=", tree.source)) == len(nodes)
    assert tree.source.count("->") == len(nodes) - 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (
            "sum_layers(square(add(depth, depth)))",
            r"\sum_{\ell} \left(\left(\ell + \ell\right)^{2}\right)",
        ),
        ("sum_layers(shift(depth, -2.0))", r"\sum_{\ell} \left(\ell + \left(-2\right)\right)"),
        (
            "mean_layers(sparsity(weight))",
            r"\frac{1}{L}\sum_{\ell} \mathrm{sparsity}\left(W\right)",
        ),
        ("layer_count(l2_norm(noise_weight_grad))", "L"),
        ("sum_layers(l1_norm(data_input))", r"\sum_{\ell} \left\|X_{\mathrm{data}}\right\|_{1}"),
    ],
)
def test_notation_has_brackets_where_they_are_needed(text: str, written: str) -> None:
    assert latex(parse(text)) == written


@pytest.mark.parametrize("notation", ["#2", r"\frac{#1", "#(3)^{2}"])
def test_a_notation_that_cannot_be_written_is_refused(notation: str) -> None:
    item = replace(vocabulary["square"], name="mine", notation=notation)
    with pytest.raises(ValueError, match="notation"):
        Registry().add(item)


# --- SymPy --------------------------------------------------------------------------------------

ONE = ["abs", "neg", "square", "cube", "sqrt_abs", "signed_sqrt", "log1p_abs", "signed_log1p"]
ONE += ["log_abs", "relu", "sign", "positive", "tanh", "sigmoid", "reciprocal"]
TWO = ["add", "sub", "mul", "div", "minimum", "maximum", "greater"]
LEAVES = st.sampled_from(["depth", "fraction_zero(weight)"]).map(lambda t: parse(t, None))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(apply, st.sampled_from(ONE), inner),
        st.builds(apply, st.sampled_from(TWO), inner, inner),
        st.builds(
            lambda f, x, c: apply(f, x, number(c)),
            st.sampled_from(["scale", "shift"]),
            inner,
            st.sampled_from([-2.0, 0.25, 3.0]),
        ),
        st.builds(lambda x, p: apply("power", x, number(p)), inner, st.sampled_from([0.5, 2.0])),
    ),
    max_leaves=6,
)


def value_of(node: Expression, leaves: dict[str, torch.Tensor]) -> torch.Tensor | float:
    if node.kind == NUMBER:
        return node.value
    if node.text in leaves:
        return leaves[node.text]
    return vocabulary[node.op].function(*(value_of(argument, leaves) for argument in node.args))


@settings(max_examples=60, deadline=None)
@given(TREES, st.floats(0.5, 3.0), st.floats(-3.0, -0.5))
def test_sympy_has_the_value_of_the_engine(tree: Expression, first: float, second: float) -> None:
    sympy = pytest.importorskip("sympy")
    numbers = {"depth": first, "fraction_zero(weight)": second}
    leaves = {name: torch.tensor([x], dtype=torch.float64) for name, x in numbers.items()}
    values = [value_of(node, leaves) for node in tree.walk() if node.kind != NUMBER and node.args]
    if any(not 1e-3 < abs(float(value)) < 1e6 for value in values):
        return  # protection near zero is the engine's alone, and rounding is neither's
    made = symbolic(tree).subs(
        {
            sympy.Symbol("depth", real=True): first,
            sympy.Function("fraction_zero", real=True)(sympy.Symbol("weight", real=True)): second,
        }
    )
    assert float(made) == pytest.approx(float(value_of(tree, leaves)), rel=1e-6)


def test_sympy_of_every_proxy_names_its_signals() -> None:
    sympy = pytest.importorskip("sympy")
    for proxy in EXPRESSIONS:
        tree = parse(proxy.expression)
        leaves = {node.op for node in tree.walk() if not node.args and node.kind != NUMBER}
        found = {symbol.name for symbol in proxy.sympy().atoms(sympy.Symbol)}
        assert found <= leaves
        assert found or proxy.name == "fired_layers"


# --- trees --------------------------------------------------------------------------------------


def test_tree_is_an_svg_with_every_word(tmp_path: Path) -> None:
    expression = parse(PROXIES.find("gm_tss").expression)
    path = tree_of(expression).save(tmp_path / "tree.svg")
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    texts = [node.text for node in root.iter() if node.tag.endswith("text") and node.text]
    for node in expression.walk():
        assert node.op in texts
    assert tree_of(expression).save(tmp_path / "tree.dot").read_text() == str(tree_of(expression))
    with pytest.raises(ConfigError, match=r"\.svg"):
        tree_of(expression).save(tmp_path / "tree.png")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_the_source() -> None:
    assert "<svg" in tree_of(parse("sum_layers(l2_norm(weight))")).svg
