"""The engine agrees with the plain reference, for every word and signature of the language."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from greenmachine.engine import Evaluator
from greenmachine.language import (
    Expression,
    apply,
    canonical,
    number,
    parse,
    terminal,
    terminals_of,
)
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import Primitive, Signature, registry
from greenmachine.primitives.registry import (
    BATCH_MATRIX,
    CHANNEL_MATRIX,
    INPUT_TENSOR,
    LAYER_SCALAR,
    NETWORK_MATRIX,
    NETWORK_SCALAR,
    NUMBER,
    OUTPUT_TENSOR,
    WEIGHT_TENSOR,
)
from greenmachine.signals import PASSES, CaptureSpec, Store
from greenmachine.signals.capture import Layer
from greenmachine.signals.network_capture import cached_benchmark, capture_network
from tests.engine import reference

BATCH = 3
INDICES = [0, 99, 201, 299]
SPEC = CaptureSpec(
    "nats-tss",
    "imagenet16-120",
    tuple(sorted(set(terminals_of(list(PASSES))) - {"depth"})),
    batch=BATCH,
    options={"cells": 1, "channels": 4},
)


def leaf(kind: str, place: int) -> Expression:
    """A simple expression of ``kind``, another one at every place."""
    texts = {
        WEIGHT_TENSOR: ("weight", "data_weight_grad"),
        INPUT_TENSOR: ("noise_input", "perturbed_input_grad"),
        OUTPUT_TENSOR: ("noise_output", "ones_norm_output"),
        CHANNEL_MATRIX: ("channel_covariance(noise_input)", "filter_gram(weight)"),
        BATCH_MATRIX: ("batch_gram(noise_input)", "sign_agreement(noise_output)"),
        LAYER_SCALAR: ("l2_norm(weight)", "mean(noise_output_grad)"),
        NETWORK_MATRIX: (
            "sum_matrices(batch_gram(noise_input))",
            "mean_matrices(sign_agreement(noise_output))",
        ),
        NETWORK_SCALAR: ("mean_layers(std(noise_output))", "sum_layers(mean_abs(weight))"),
    }
    return number(2.0) if kind == NUMBER else parse(texts[kind][place], kind=None)


def rooted(expression: Expression) -> Expression:
    """``expression`` with what makes a ``NetworkScalar`` of it; a weighting by depth, so that
    exchanged layers are seen."""
    if expression.kind == NETWORK_SCALAR:
        return expression
    if expression.kind == LAYER_SCALAR:
        return apply("depth_weighted_mean", expression)
    return rooted(apply("l2_norm", expression))


def around(item: Primitive, signature: Signature) -> Expression:
    return apply(item.name, *(leaf(kind, i) for i, kind in enumerate(signature.arguments)))


WORDS = [rooted(around(item, signature)) for item in registry for signature in item.signatures]
WORDS += [rooted(terminal(name)) for name in (*SPEC.terminals, "depth")]


def random_trees(count: int) -> list[Expression]:
    random.seed(20)
    grammar = Grammar(PASSES)
    trees = [grammar.generate(NETWORK_SCALAR, 3 + i % 6, full=i % 2 == 0) for i in range(count)]
    return [grammar.expression(tree) for tree in trees]


TREES = random_trees(100)


Scores = dict[Expression, NDArray[np.float64]]


@pytest.fixture(scope="module")
def networks(synthetic_data: Path) -> list[list[Layer]]:
    benchmark = cached_benchmark("nats-tss")
    captured = [capture_network(benchmark, index, SPEC) for index in INDICES]
    return [layers for layers in captured if isinstance(layers, list)]


@pytest.fixture(scope="module")
def expected(networks: list[list[Layer]]) -> Scores:
    """Reference scores of all words and some random trees, (networks,) each."""
    return {expression: plainly(expression, networks) for expression in [*WORDS, *TREES]}


@pytest.fixture(scope="module")
def store(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("store"), SPEC, INDICES)
    made.build(1)
    return made


@pytest.fixture(scope="module")
def found(store: Store) -> Scores:
    """The engine's scores, all in one call."""
    expressions = [*WORDS, *TREES]
    return dict(zip(expressions, Evaluator.of_store(store).scores(expressions), strict=True))


def plainly(expression: Expression, networks: list[list[Layer]]) -> NDArray[np.float64]:
    form = canonical(expression)
    return np.array([reference.score(form, layers, BATCH) for layers in networks])


def agree(found: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.bool_]:
    size = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    return np.isclose(found, expected, rtol=1e-4, atol=1e-6 * size, equal_nan=True)


@pytest.mark.parametrize("expression", WORDS, ids=str)
def test_every_word(expression: Expression, found: Scores, expected: Scores) -> None:
    assert found[expression].shape == (len(INDICES),)
    assert np.isfinite(expected[expression]).all()
    assert agree(found[expression], expected[expression]).all(), (
        found[expression],
        expected[expression],
    )


def test_random_trees(found: Scores, expected: Scores, networks: list[list[Layer]]) -> None:
    """Where a tree's own rounding does not decide: signs and steps of what should be zero."""
    exact = [
        [replace(layer, signals={n: v.double() for n, v in layer.signals.items()}) for layer in net]
        for net in networks
    ]
    compared = 0
    for tree in TREES:
        stable = agree(plainly(tree, exact), expected[tree])
        compared += stable.sum()
        assert agree(found[tree], expected[tree])[stable].all(), tree
    assert compared > 0.9 * len(TREES) * len(INDICES)
