"""Shorter expressions: every way to let a subtree give way to a part of itself, and no other."""

from __future__ import annotations

from experiments.simplify import shorter
from greenmachine.language import parse


def test_every_part_of_the_same_kind_takes_its_wholes_place() -> None:
    found = set(shorter(parse("add(sum_layers(l2_norm(abs(weight))), sum_layers(depth))")))
    assert found == {
        "sum_layers(l2_norm(abs(weight)))",
        "sum_layers(depth)",
        "add(sum_layers(l2_norm(weight)), sum_layers(depth))",
    }


def test_what_comes_of_it_parses_and_is_shorter() -> None:
    text = "mul(first_layer(trace(batch_gram(relu(noise_input)))), sum_layers(mul(depth, depth)))"
    for part in shorter(parse(text)):
        assert parse(part).size < parse(text).size


def test_a_leaf_has_no_part() -> None:
    assert list(shorter(parse("sum_layers(depth)").args[0])) == []
