"""Above the tensors many expressions are evaluated at once: each scores as if it were alone."""

from __future__ import annotations

import random
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from greenmachine.engine import layer_stage, network_stage
from greenmachine.engine.cache import VectorCache
from greenmachine.engine.graph import LOWER_KINDS, TENSOR_KINDS, boundary_of
from greenmachine.engine.network_stage import Known, Layout, evaluate_vectors
from greenmachine.language import Expression, canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import eigenvalues, registry, vocabulary
from greenmachine.primitives.registry import BATCH_MATRIX, LAYER_SCALAR, NETWORK_SCALAR, NUMBER

# Some networks have as many layers as others, one of them fails, one is the only one of its kind.
COUNTS = [3, 5, 5, 1, 0, 17, 3, 5, 3, 3, 5]
LAYOUT = Layout(COUNTS)
BATCH = 3
GRAMMAR = Grammar(["noise"])


def trees(count: int) -> list[Expression]:
    state = random.getstate()
    random.seed(5)
    made = [GRAMMAR.generate(NETWORK_SCALAR, 2 + i % 5, full=i % 2 == 0) for i in range(count)]
    random.setstate(state)
    return [canonical(GRAMMAR.expression(tree)) for tree in made]


def words() -> list[Expression]:
    """Every word and signature above the tensors, in a score."""
    leaves = {
        BATCH_MATRIX: ("batch_gram(noise_input)", "sign_agreement(noise_output)"),
        LAYER_SCALAR: ("l2_norm(weight)", "mean(noise_output_grad)"),
        "NetworkMatrix": ("sum_matrices(batch_gram(noise_input))",) * 2,
        NETWORK_SCALAR: ("mean_layers(std(noise_output))", "sum_layers(mean_abs(weight))"),
        NUMBER: ("2.0", "2.0"),
    }
    found = []
    for word in registry:
        for signature in word.signatures:
            if set(signature.arguments) <= set(leaves):
                args = [leaves[kind][place] for place, kind in enumerate(signature.arguments)]
                text = f"{word.name}({', '.join(args)})"
                close = {LAYER_SCALAR: "depth_weighted_mean({})", NETWORK_SCALAR: "{}"}
                matrix = {BATCH_MATRIX: "mean_layers(std({}))"}.get(signature.result, "std({})")
                found.append(canonical(parse(close.get(signature.result, matrix).format(text))))
    return found


WORDS = words()
POPULATION = [*WORDS, *trees(120)]


def value_of(expression: Expression) -> Tensor:
    """What workers would return: random, the same for one text."""
    generator = torch.Generator().manual_seed(crc32(expression.text.encode()))
    if expression.kind == BATCH_MATRIX:
        rows = torch.randn(LAYOUT.layers, BATCH, 5, generator=generator)
        return rows @ rows.mT
    return torch.randn(LAYOUT.layers, generator=generator, dtype=torch.float64)


BOUNDARY = {e.text: value_of(e) for e in boundary_of(POPULATION, TENSOR_KINDS)}
TOGETHER = evaluate_vectors(POPULATION, BOUNDARY, LAYOUT)


def same(found: Tensor, expected: Tensor) -> bool:
    return torch.equal(found.isnan(), expected.isnan()) and torch.equal(
        found.nan_to_num(), expected.nan_to_num()
    )


def one_at_a_time(expression: Expression) -> Any:
    """The value of one node after the other, network by network across layers."""
    if expression.kind == NUMBER:
        return expression.value
    if expression.text in BOUNDARY:
        return BOUNDARY[expression.text]
    if not expression.args:
        return LAYOUT.depth
    args = [one_at_a_time(argument) for argument in expression.args]
    word = vocabulary[expression.op]
    if word.spectral:
        args[0] = eigenvalues(args[0])
    if not word.across_layers:
        if any(isinstance(a, Tensor) and a.dtype == torch.float64 for a in args):
            args = [a.double() if isinstance(a, Tensor) else a for a in args]
        value = word.function(*args)
        return value.double() if expression.kind == LAYER_SCALAR else value
    values: list[Tensor | None] = [None] * len(COUNTS)
    layers = torch.zeros(LAYOUT.layers, dtype=torch.float64)
    for networks, rows in LAYOUT.groups:
        parts = args[0][rows].double().split(COUNTS[networks[0]])
        for network, part in zip(networks.tolist(), parts, strict=True):
            values[network] = word.function(part[None])[0]
        if expression.kind == LAYER_SCALAR:
            found = [value for n in networks.tolist() if (value := values[n]) is not None]
            layers[rows] = torch.cat(found)
    if expression.kind == LAYER_SCALAR:
        return layers
    blank = torch.full_like(next(v for v in values if v is not None), torch.nan)
    return torch.stack([blank if value is None else value for value in values])


def test_every_word_above_the_tensors_is_here() -> None:
    assert len(WORDS) > 150
    assert {e.kind for e in boundary_of(WORDS, TENSOR_KINDS)} == {LAYER_SCALAR, BATCH_MATRIX}


@pytest.mark.parametrize("place", range(len(POPULATION)))
def test_scores_are_those_of_one_node_after_the_other(place: int) -> None:
    """Up to rounding: torch adds up the layers of one network otherwise than those of many."""
    expression = POPULATION[place]
    expected = one_at_a_time(expression).clone()
    expected[COUNTS.index(0)] = torch.nan
    np.testing.assert_allclose(TOGETHER[place], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("place", range(len(POPULATION)))
def test_alone_as_together_bit_for_bit(place: int) -> None:
    (alone,) = evaluate_vectors([POPULATION[place]], BOUNDARY, LAYOUT)
    assert same(alone, TOGETHER[place]), POPULATION[place]


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.integers(0, len(POPULATION) - 1), min_size=1, max_size=60),
    chunk=st.sampled_from([1, 2**10, 2**13, 2**18]),
    workspace=st.sampled_from([0, 2**12, 2**27]),
)
def test_company_and_order_do_not_matter(places: list[int], chunk: int, workspace: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_stage, "_CHUNK", chunk)
        patch.setattr(network_stage, "_WORKSPACE", workspace)
        found = evaluate_vectors([POPULATION[place] for place in places], BOUNDARY, LAYOUT)
    assert same(found, TOGETHER[places])


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.lists(
        st.lists(st.integers(0, len(POPULATION) - 1), min_size=1, max_size=30), max_size=5
    ),
    limit=st.sampled_from([0, 200, 5000, 2**24]),
)
def test_kept_values_change_nothing(blocks: list[list[int]], limit: int) -> None:
    """One call finds what another kept, whatever the cache had to drop."""
    kept = VectorCache(limit)
    for places in blocks:
        known = Known(kept)
        known.update(BOUNDARY)
        found = evaluate_vectors([POPULATION[place] for place in places], known, LAYOUT, kept)
        assert same(found, TOGETHER[places])


def test_what_is_known_asks_for_no_boundary() -> None:
    """A function of what was part of another score reads no layer again."""
    inner = "mul(sum_layers(l2_norm(weight)), logdet(sum_matrices(batch_gram(noise_input))))"
    kept = VectorCache(2**20)
    evaluate_vectors([parse(f"sqrt_abs({inner})")], BOUNDARY, LAYOUT, kept)
    form = parse(f"log_abs({inner})")
    assert boundary_of([form], LOWER_KINDS, Known(kept)) == []
    assert len(boundary_of([form], LOWER_KINDS, Known())) == 2
    assert same(
        evaluate_vectors([form], Known(kept), LAYOUT), evaluate_vectors([form], BOUNDARY, LAYOUT)
    )


def test_spectra_are_decomposed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight functions of the eigenvalues of two matrices, in three calls."""
    calls = []
    real = layer_stage.apply_node

    def counted(node: Any, args: Any) -> Tensor:
        calls.append(node.op)
        return real(node, args)

    monkeypatch.setattr(network_stage, "apply_node", counted)
    kept = VectorCache(2**20)
    gram = "batch_gram(noise_input)"
    for word in ("min_eigenvalue", "logdet", "spectral_gap"):
        forms = [parse(f"{word}(sum_matrices({gram}))"), parse(f"sum_layers({word}({gram}))")]
        known = Known(kept)
        known.update(BOUNDARY)
        evaluate_vectors(forms, known, LAYOUT, kept)
    assert calls.count("eigenvalues") == 2


@pytest.mark.parametrize("counts", [[0, 0], [1], [2, 0], [1] * 40])
def test_any_layout(counts: list[int]) -> None:
    layout = Layout(counts)
    forms = [parse("sum_layers(depth)"), parse("std_layers(square(depth))")]
    found = evaluate_vectors(forms, {}, layout)
    expected = [[n * (n + 1) / 2 if n else np.nan for n in counts]]
    np.testing.assert_array_equal(found[:1], expected)
    for place, form in enumerate(forms):
        assert same(found[place], evaluate_vectors([form], {}, layout)[0])
    assert evaluate_vectors([], {}, layout).shape == (0, len(counts))
