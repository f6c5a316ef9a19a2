"""The engine on the paper language agrees with a plain evaluation, layer by layer."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from greenmachine.engine import Evaluator, score_model
from greenmachine.language import PAPER, PAPER_TERMINALS, Expression, canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.signals import CaptureSpec, Store
from greenmachine.signals.capture import Layer
from greenmachine.signals.network_capture import build_network, cached_benchmark, capture_network
from tests.primitives.paper_formulas import BINARY, NAMES, TRUNCATING, plain

GRAMMAR = Grammar(language=PAPER)
SPEC = CaptureSpec("digits-tss", "digits", tuple(GRAMMAR.terminals), batch=2)
INDICES = [7, 250]
LEAVES = ["pass_fwd_input", "random_wt", "pass_noise_grad"]


def closed(text: str) -> Expression:
    return parse(f"mean_valid_layers(layer_mean({text}))")


def words() -> list[Expression]:
    """Every function on some terminals, and every terminal."""
    texts = list(PAPER_TERMINALS)
    for name in NAMES:
        for leaf in LEAVES:
            others = LEAVES[1:] if name in {*BINARY, *TRUNCATING} else [None]
            texts += [f"paper_{name}({', '.join(filter(None, [leaf, o]))})" for o in others]
    return [closed(text) for text in texts]


def trees(count: int) -> list[Expression]:
    random.seed(3)
    made = [GRAMMAR.generate(GRAMMAR.root, 2 + i % 5, full=i % 2 == 0) for i in range(count)]
    return [GRAMMAR.expression(tree) for tree in made]


EXPRESSIONS = [*words(), *trees(40)]


def layer_tensor(expression: Expression, signals: dict[str, Tensor]) -> Tensor | None:
    """The value at one layer; None where it raises."""
    if not expression.args:
        return signals[expression.op]
    arguments = []
    for argument in expression.args:
        value = layer_tensor(argument, signals)
        if value is None:
            return None
        arguments.append(value)
    return plain(expression.op.removeprefix("paper_"), *arguments)


def plainly(expression: Expression, layers: list[Layer], *, double: bool) -> float:
    """The score of one network: mean over the layers that do not raise, NaN where not finite."""
    tree = canonical(expression).args[0].args[0]
    means = []
    for layer in layers:
        signals = {n: v.double() if double else v for n, v in layer.signals.items()}
        value = layer_tensor(tree, signals)
        if value is not None:
            means.append(float(value.mean()))
    score = np.mean(means) if means else math.nan
    return float(score) if np.isfinite(score) else math.nan


@pytest.fixture(scope="module")
def networks() -> list[list[Layer]]:
    benchmark = cached_benchmark("digits-tss")
    found = [capture_network(benchmark, index, SPEC) for index in INDICES]
    return [layers for layers in found if isinstance(layers, list)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("store"), SPEC, INDICES)
    made.build(1)
    return made


@pytest.fixture(scope="module")
def scores(store: Store) -> NDArray[np.float64]:
    return Evaluator.of_store(store).scores(EXPRESSIONS)


def test_the_engine_is_the_plain_evaluation(
    scores: NDArray[np.float64], networks: list[list[Layer]]
) -> None:
    """Where rounding does not decide: a sign, a step or an eigenvalue of what should be zero."""
    compared = np.zeros(len(EXPRESSIONS), dtype=int)
    for place, expression in enumerate(EXPRESSIONS):
        for network, layers in enumerate(networks):
            exact = plainly(expression, layers, double=True)
            close = {"rel": 1e-3, "abs": 1e-6, "nan_ok": True}
            if plainly(expression, layers, double=False) == pytest.approx(exact, **close):
                compared[place] += 1
                assert scores[place, network] == pytest.approx(exact, **close), expression
    assert compared.mean() > 0.9 * len(networks)
    assert len(networks) == len(INDICES)


def test_some_are_finite_some_fail(scores: NDArray[np.float64]) -> None:
    finite = np.isfinite(scores).all(axis=1)
    assert 0.6 < finite.mean() < 1
    raising = EXPRESSIONS.index(closed("paper_logdet(pass_noise_grad)"))
    assert np.isfinite(scores[raising]).any()  # the linear layer raises and is skipped


def test_workers_and_company_change_nothing(store: Store, scores: NDArray[np.float64]) -> None:
    two = Evaluator.of_store(store, workers=2).scores(EXPRESSIONS[-20:])
    np.testing.assert_array_equal(two, scores[-20:])


def test_one_network_at_hand(scores: NDArray[np.float64]) -> None:
    model = build_network(cached_benchmark("digits-tss"), INDICES[0], SPEC)
    alone = Evaluator.of_networks(SPEC, [INDICES[0]]).scores(EXPRESSIONS[:60])
    shape = (SPEC.batch, *cached_benchmark("digits-tss").input_shape("digits"))
    found = score_model(model, EXPRESSIONS[:60], shape, seed=SPEC.seed)
    np.testing.assert_array_equal(found, alone[:, 0])


def test_weights_of_all_modes_are_one_signal(scores: NDArray[np.float64]) -> None:
    names = [name for name in PAPER_TERMINALS if name.endswith("_wt")]
    assert len(names) == 4
    assert {canonical(closed(name)).text for name in names} == {closed("random_wt").text}
    assert all(closed(name).terminals == {"random_wt"} for name in names)
    rows = [scores[EXPRESSIONS.index(closed(name))] for name in names]
    assert all(np.array_equal(row, rows[0]) for row in rows)


def test_half_precision(store: Store, tmp_path: Path, scores: NDArray[np.float64]) -> None:
    half = CaptureSpec(**{**vars(SPEC), "precision": "bfloat16"})
    rounded = Store(tmp_path / "half", half, INDICES)
    rounded.build(1)
    expression = closed("paper_mean_abs(pass_fwd_input)")
    found = Evaluator.of_store(rounded).scores([expression])[0]
    expected = scores[EXPRESSIONS.index(expression)]
    assert found == pytest.approx(expected, rel=1e-2)
    assert not np.array_equal(found, expected)
