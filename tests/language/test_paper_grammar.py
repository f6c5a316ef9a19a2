"""The grammar of the paper language: its words and no others, closed in every expression."""

from __future__ import annotations

import random

import pytest
from deap import gp

from greenmachine.errors import ConfigError, ExpressionError
from greenmachine.language import (
    LANGUAGES,
    PAPER,
    PAPER_TERMINALS,
    TERMINALS,
    TYPED,
    canonical,
    parse,
)
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import PAPER_TENSOR, paper_registry, vocabulary

GRAMMAR = Grammar(language=PAPER)
TEXT = "mean_valid_layers(layer_mean(paper_log(paper_sum(pass_grad, random_wt))))"


def test_every_word_is_drawn_and_no_other() -> None:
    random.seed(0)
    functions = {p.name for p in paper_registry} - set(PAPER.closing)
    drawn: set[str] = set()
    for _ in range(600):
        tree = gp.PrimitiveTree(GRAMMAR.generate(GRAMMAR.root, 6, full=False))
        expression = GRAMMAR.expression(tree)
        assert expression.height == tree.height + len(PAPER.closing)
        assert expression.op == PAPER.closing[-1]
        whole = canonical(expression).args[0].args[0]
        assert whole.kind == PAPER_TENSOR
        drawn |= {node.op for node in expression.args[0].args[0].walk()}
    assert drawn == functions | set(PAPER_TERMINALS)


def test_a_tree_goes_to_text_and_back() -> None:
    random.seed(1)
    for _ in range(100):
        tree = gp.PrimitiveTree(GRAMMAR.generate(GRAMMAR.root, 5, full=True))
        assert GRAMMAR.tree(parse(GRAMMAR.expression(tree).text)) == tree


def test_parse_reads_both_languages() -> None:
    expression = parse(TEXT)
    assert (expression.text, expression.size, expression.height) == (TEXT, 6, 4)
    assert expression.terminals == {"pass_grad", "random_wt"}
    assert not {*PAPER_TERMINALS} & ({*TERMINALS} | {p.name for p in vocabulary})
    with pytest.raises(ExpressionError, match="layer_mean takes"):
        parse("mean_valid_layers(layer_mean(noise_input))")
    with pytest.raises(ExpressionError, match="did you mean paper_sum"):
        parse("mean_valid_layers(layer_mean(paper_sun(pass_wt)))")


def test_a_grammar_knows_its_own_language_alone() -> None:
    with pytest.raises(ConfigError, match=r"choose the other language\.name"):
        GRAMMAR.tree(parse("sum_layers(l2_norm(weight))"))
    with pytest.raises(ConfigError, match=r"'mean_valid_layers' in .* not in this run's language"):
        Grammar(["noise"]).tree(parse(TEXT))


def test_signals_of_a_run_are_the_stored_ones() -> None:
    assert len(GRAMMAR.terminals) == 17
    assert set(GRAMMAR.terminals) < set(PAPER_TERMINALS)
    assert Grammar(exclude=["random_grad"], language=PAPER).terminals == [
        name for name in GRAMMAR.terminals if name != "random_grad"
    ]


@pytest.mark.parametrize(
    ("passes", "exclude", "message"),
    [
        (["noise"], [], "none to choose in the paper language"),
        ([], ["layer_mean"], "unknown names layer_mean"),
        ([], ["sum_layers"], "unknown names sum_layers"),
        ([], list(PAPER_TERMINALS), "no expression can be built"),
    ],
)
def test_errors(passes: list[str], exclude: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grammar(passes, exclude, PAPER)


def test_languages_by_name() -> None:
    assert LANGUAGES == {"typed": TYPED, "paper": PAPER}


def test_idempotent_functions_and_aliases_are_reduced() -> None:
    long = "mean_valid_layers(layer_mean(paper_abs(paper_abs(pass_noise_wt))))"
    assert canonical(parse(long)).text == "mean_valid_layers(layer_mean(paper_abs(random_wt)))"
