"""The paper language: each function on a stack is the plain formula on every layer of it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from greenmachine.primitives import PAPER_TENSOR, Primitive, paper_registry, registry, vocabulary
from tests.primitives.paper_formulas import BINARY, NAMES, TRUNCATING, UNARY, plain

FUNCTIONS = [p for p in paper_registry if p.signatures[0].result == PAPER_TENSOR]
EACH = pytest.mark.parametrize("item", FUNCTIONS, ids=lambda p: p.name)
LAYERS = 3

shapes = st.one_of(
    st.lists(st.integers(1, 4), max_size=4).map(tuple),
    st.sampled_from([(4, 3, 2, 2), (3, 2, 4, 4), (5, 5), (2, 3, 3), (1,), ()]),
)
SPECIALS = (0.0, 1.0, math.nan, math.inf, -math.inf)


@st.composite
def stacks(draw: st.DrawFn) -> Tensor:
    """(LAYERS, ...) float64: normal numbers, among them some special ones in some layers."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    x = torch.randn(LAYERS, *draw(shapes), generator=generator, dtype=torch.float64)
    for layer in draw(st.sets(st.integers(0, LAYERS - 1))):
        for special in draw(st.sets(st.sampled_from(SPECIALS), max_size=3)):
            hit = torch.rand(x[layer].shape, generator=generator) < 0.3
            x[layer] = torch.where(hit, special, x[layer])
    return x


def call(name: str, *stacks: Tensor) -> Tensor:
    return vocabulary[f"paper_{name}"].function(*stacks)


def test_thirty_eight_functions() -> None:
    arity = [len(item.signatures[0].arguments) for item in FUNCTIONS]
    assert (len(FUNCTIONS), arity.count(2), arity.count(1)) == (38, 12, 26)
    assert {item.name for item in FUNCTIONS} == {f"paper_{name}" for name in NAMES}
    assert len(paper_registry) == 40


def test_both_languages_make_the_vocabulary() -> None:
    assert [item.name for item in vocabulary] != []
    assert {p.name for p in vocabulary} == {p.name for p in [*registry, *paper_registry]}
    assert len(vocabulary) == len(registry) + len(paper_registry)
    with pytest.raises(ValueError, match="already registered"):
        vocabulary.add(paper_registry["paper_log"])


@EACH
@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_plain_formula_on_every_layer(item: Primitive, data: st.DataObject) -> None:
    given_ = [data.draw(stacks()) for _ in item.signatures[0].arguments]
    before = [x.clone() for x in given_]
    result = item.function(*given_)
    name = item.name.removeprefix("paper_")
    for layer in range(LAYERS):
        expected = plain(name, *(x[layer] for x in given_))
        if expected is None:
            assert result.shape == (LAYERS, 0)
            continue
        assert result.dtype == torch.float64
        assert result.shape == (LAYERS, *expected.shape)
        alone = item.function(*(x[layer : layer + 1] for x in given_))
        if undetermined(name, given_[0][layer]):
            continue
        torch.testing.assert_close(result[layer], expected, rtol=1e-6, atol=1e-9, equal_nan=True)
        torch.testing.assert_close(result[layer], alone[0], rtol=1e-6, atol=1e-9, equal_nan=True)
    for old, new in zip(before, given_, strict=True):
        assert torch.equal(old.nan_to_num(7), new.nan_to_num(7))


def undetermined(name: str, a: Tensor) -> bool:
    """Whether rounding alone decides: the last eigenvalue of what has not full rank is no zero,
    and a determinant or deviation that should be zero is not."""
    a = torch.where(a.isnan(), 1.0, a)
    if name == "gram_eigenvalue_ratio" and a.isfinite().all():
        rows = a.reshape(a.shape[0], -1)
        return bool(torch.linalg.matrix_rank(rows, rtol=1e-5) < len(rows))
    if name == "eigenvalue_ratio" and a.isfinite().all():
        values = torch.linalg.eigvalsh(a + a.mT)
        return bool((values[..., -1].abs() < 1e-5 * values.abs().amax(dim=-1)).any())
    if name == "normalise" and a.isfinite().all():
        return bool(a.std(correction=0) < 1e-9) and bool((a != a.flatten()[0]).any())
    if name == "logdet" and a.isfinite().all():
        return bool((torch.linalg.matrix_rank(a, rtol=1e-5) < a.shape[-1]).any())
    return False


@pytest.mark.parametrize("name", BINARY)
def test_the_shorter_tensor_is_filled_up_with_ones(name: str) -> None:
    long = torch.tensor([[[1.0, -2.0], [3.0, -4.0]]])
    short = torch.tensor([[5.0, -6.0, 7.0]])
    full = torch.tensor([[[5.0, -6.0], [7.0, 1.0]]])
    close = torch.testing.assert_close
    close(call(name, long, short), call(name, long, full), equal_nan=True)
    close(call(name, short, long), call(name, full, long), equal_nan=True)


@pytest.mark.parametrize("name", TRUNCATING)
def test_the_longer_tensor_is_cut(name: str) -> None:
    long = torch.tensor([[[1.0, -2.0], [3.0, -4.0]]])
    short = torch.tensor([[5.0, -6.0, 7.0]])
    assert torch.equal(call(name, long, short), call(name, torch.tensor([[1.0, -2.0, 3.0]]), short))
    assert torch.equal(call(name, short, long), call(name, long, short))


def test_of_two_equally_long_tensors_the_first_gives_the_shape() -> None:
    x, y = torch.ones(1, 2, 3), torch.ones(1, 6)
    for name in ("sum", "max"):
        assert call(name, x, y).shape == x.shape
        assert call(name, y, x).shape == y.shape


@pytest.mark.parametrize("name", ["add_noise", "gaussian_init"])
def test_noise_depends_on_the_shape_of_the_layer_alone(name: str) -> None:
    x = torch.randn(5, 4, 3)
    once = call(name, x)
    torch.manual_seed(1)  # the global state counts for nothing, and is not moved
    state = torch.get_rng_state()
    assert torch.equal(call(name, x), once)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(call(name, x[2:4]), once[2:4])
    torch.testing.assert_close(call(name, x.double()).float(), once)
    drawn = call(name, torch.zeros(1, 200, 300))
    scale = math.sqrt(0.1) if name == "add_noise" else 1.0
    assert drawn.mean().item() == pytest.approx(0, abs=0.02)
    assert drawn.std().item() == pytest.approx(scale, rel=0.02)


def test_the_two_noises_are_independent() -> None:
    zeros = torch.zeros(1, 10_000)
    both = torch.cat([call("add_noise", zeros), call("gaussian_init", zeros)])
    assert abs(torch.corrcoef(both)[0, 1]) < 0.03


@EACH
def test_what_raised_stays_so(item: Primitive) -> None:
    raised = call("matmul", torch.ones(2, 3, 4), torch.ones(2, 3, 4))
    assert raised.shape == (2, 0)
    whole = torch.ones(2, 3, 3)
    for place in range(len(item.signatures[0].arguments)):
        arguments = [whole] * len(item.signatures[0].arguments)
        arguments[place] = raised
        assert item.function(*arguments).shape == (2, 0)


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_simple_values(value: float) -> None:
    x = torch.full((2, 2, 2), value)
    assert call("heaviside", x).unique().tolist() == [float(value > 0)]
    assert call("log", x).unique().tolist() == [pytest.approx(math.log(max(value, 1)))]
    assert call("normalise", x).unique().tolist() == [0.0]
    assert call("mean", x).tolist() == [value, value]
    assert call("numel", x).tolist() == [4.0, 4.0]
    assert call("determinant", x).tolist() == [0.0, 0.0]
    assert call("logdet", -torch.eye(3)[None]).tolist() == [0.0]


def test_score_of_a_layer_is_the_mean() -> None:
    mean = paper_registry["layer_mean"].function
    x = torch.tensor([[1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0], [math.inf, -math.inf]])
    assert mean(x).tolist() == [1.5, math.inf, math.inf, math.inf]
    assert mean(torch.tensor([3.0, -math.inf])).tolist() == [3.0, -math.inf]
    assert mean(torch.empty(2, 0)).isnan().all()


def test_score_of_a_network_skips_layers_that_raised() -> None:
    skipped, failed = math.nan, math.inf
    x = torch.tensor(
        [[1.0, skipped, 3.0], [1.0, failed, skipped], [skipped] * 3, [failed, -failed, 1.0]]
    )
    score = paper_registry["mean_valid_layers"].function(x)
    assert score[0].item() == 2.0
    assert score[1:].isnan().all()


@pytest.mark.parametrize("item", list(paper_registry), ids=lambda p: p.name)
def test_is_documented(item: Primitive) -> None:
    assert item.doc.endswith(".")
    assert item.function.__name__ == item.name
    assert item.domain
    assert item.reference


@pytest.mark.parametrize("item", [p for p in paper_registry if p.idempotent], ids=lambda p: p.name)
def test_idempotent(item: Primitive) -> None:
    x = torch.tensor([[0.0, -1.5, 2.0, math.nan, math.inf, -math.inf]])
    once = item.function(x)
    assert torch.equal(item.function(once), once)


def test_formulas_are_of_all_functions_once() -> None:
    assert len({*BINARY, *TRUNCATING, *UNARY}) == len(BINARY) + len(TRUNCATING) + len(UNARY)
