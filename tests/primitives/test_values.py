"""Primitives against numpy, torch and the formulas of the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from greenmachine.primitives import eigenvalues, registry
from tests.primitives.stacks import Case, example


def f(name: str, *args: Tensor | float) -> Tensor:
    item = registry[name]
    if item.spectral:
        assert isinstance(args[0], Tensor)
        return item.function(eigenvalues(args[0]))
    return item.function(*args)


def activation(seed: int = 0, **sizes: int) -> Tensor:
    value = example("InputTensor", Case(**sizes), seed=seed)  # type: ignore[arg-type]
    assert isinstance(value, Tensor)
    return value


def positive_definite(n: int = 6, stack: int = 4) -> Tensor:
    a = torch.randn(stack, n, 4 * n, generator=torch.Generator().manual_seed(1)).double()
    return a @ a.mT / (4 * n)


# --- matrices ------------------------------------------------------------------------------


def test_channel_correlation_is_numpy_corrcoef() -> None:
    x = activation() + 3
    for k, matrix in enumerate(f("channel_correlation", x)):
        rows = x[k].transpose(0, 1).flatten(1).double().numpy()
        np.testing.assert_allclose(matrix.numpy(), np.corrcoef(rows), atol=1e-6)


def test_batch_correlation_is_numpy_corrcoef() -> None:
    x = activation()
    for k, matrix in enumerate(f("batch_correlation", x)):
        np.testing.assert_allclose(matrix, np.corrcoef(x[k].flatten(1).numpy()), atol=1e-6)
    for k, matrix in enumerate(f("batch_covariance", x)):
        covariance = np.cov(x[k].flatten(1).numpy(), bias=True)
        np.testing.assert_allclose(matrix, covariance, atol=1e-6)


def test_filter_correlation_is_numpy_corrcoef() -> None:
    w = torch.randn(2, 5, 3, 3, 3)
    for k, matrix in enumerate(f("filter_correlation", w)):
        np.testing.assert_allclose(matrix, np.corrcoef(w[k].flatten(1).numpy()), atol=1e-6)


def test_correlation_per_image_averages_images() -> None:
    x = activation()
    parts = [f("channel_correlation", x[:, b : b + 1]) for b in range(x.shape[1])]
    torch.testing.assert_close(f("channel_correlation_per_image", x), torch.stack(parts).mean(0))


@pytest.mark.parametrize("value", [0.0, 0.1, 7.3, -1e4])
def test_constant_channel_has_correlation_zero(value: float) -> None:
    x = activation(batch=16, size=32)
    x[:, :, 2] = value
    matrix = f("channel_correlation", x)
    assert (matrix[:, 2] == 0).all()
    assert (matrix[:, :, 2] == 0).all()
    assert torch.allclose(matrix[:, 0, 0], torch.ones(3), atol=1e-5)
    assert (f("std", torch.full((2, 16, 8, 32, 32), value)) == 0).all()


def test_sign_agreement_is_the_kernel_of_nwot() -> None:
    x = activation()
    c = (x > 0).float().flatten(2)
    kernel = c @ c.mT + (1 - c) @ (1 - c).mT
    assert torch.equal(f("sign_agreement", x), kernel)
    torch.testing.assert_close(f("sign_agreement_rate", x), kernel / c.shape[2])


def test_channel_sign_agreement_counts_positions() -> None:
    x = activation().relu()
    c = (x > 0).float().transpose(1, 2).flatten(2)
    agreement = (c[:, :, None] == c[:, None]).float().mean(-1)
    torch.testing.assert_close(f("channel_sign_agreement", x), agreement)


def test_grams() -> None:
    x, y = activation(0), activation(1)
    rows = x.transpose(1, 2).flatten(2)
    torch.testing.assert_close(f("channel_gram", x), rows @ rows.mT / rows.shape[2])
    torch.testing.assert_close(f("channel_cross_gram", x, x), f("channel_gram", x))
    torch.testing.assert_close(f("batch_cross_gram", x, x), f("batch_gram", x))
    cross = x.flatten(2) @ y.flatten(2).mT / x[0, 0].numel()
    torch.testing.assert_close(f("batch_cross_gram", x, y), (cross + cross.mT) / 2)
    torch.testing.assert_close(f("unit_diagonal", f("batch_gram", x)), f("batch_cosine", x))
    assert torch.allclose(f("trace", f("unit_trace", f("batch_gram", x))), torch.ones(3))


def test_centre_matrix_is_double_centring() -> None:
    matrix = positive_definite()
    h = torch.eye(6).double() - 1 / 6
    torch.testing.assert_close(f("centre_matrix", matrix), h @ matrix @ h)


# --- spectra -------------------------------------------------------------------------------


def test_eigenvalues_are_numpy_s() -> None:
    matrix = positive_definite().float()
    values = eigenvalues(matrix)
    assert values.dtype == torch.float64
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix.double().numpy()), rtol=1e-5)


def test_small_eigenvalues_are_zero() -> None:
    matrix = torch.diag_embed(torch.tensor([[2.0, 1.9e-6, 2.1e-6, -1e-9], [0.0, 0.0, 0.0, 0.0]]))
    values = eigenvalues(matrix)
    assert values[0].tolist()[:2] == [0.0, 0.0]
    assert values[0, 2] == pytest.approx(2.1e-6, rel=1e-5)
    assert (values[1] == 0).all()


@pytest.mark.parametrize("failure", [math.nan, math.inf, -math.inf])
def test_failed_matrix_fails_alone(failure: float) -> None:
    matrix = positive_definite()
    clean = eigenvalues(matrix)
    matrix[2, 0, 1] = failure
    values = eigenvalues(matrix)
    assert values[2].isnan().all()
    assert torch.equal(values[[0, 1, 3]], clean[[0, 1, 3]])


def test_rank_deficient_correlation_has_zero_eigenvalues() -> None:
    """As many positions as 4: rank 3 after centring; the rest is rounding of float32."""
    x = activation(batch=1, channels=64, size=2)
    assert f("numerical_rank", f("channel_correlation", x)).tolist() == [3.0, 3.0, 3.0]
    assert f("min_eigenvalue", f("channel_correlation", x)).tolist() == [0.0, 0.0, 0.0]


def test_spectral_formulas() -> None:
    matrix = positive_definite()
    values = np.linalg.eigvalsh(matrix.numpy())
    share = values / values.sum(1, keepdims=True)
    entropy = -(share * np.log(share)).sum(1)
    expected = {
        "min_eigenvalue": values[:, 0],
        "max_eigenvalue": values[:, -1],
        "median_eigenvalue": np.median(values, axis=1),
        "spectral_gap": values[:, -1] - values[:, -2],
        "logdet": torch.logdet(matrix).numpy(),
        "log_condition": np.log(np.linalg.cond(matrix.numpy())),
        "spectral_entropy": entropy,
        "spectral_evenness": entropy / np.log(6),
        "effective_rank": np.exp(entropy),
        "numerical_rank": np.linalg.matrix_rank(matrix.numpy()),
        "participation_ratio": values.sum(1) ** 2 / (values**2).sum(1),
        "nuclear_norm": np.linalg.norm(matrix.numpy(), "nuc", axis=(1, 2)),
        "leading_share": share[:, -1],
        "jacov_score": -(np.log(values + 1e-5) + 1 / (values + 1e-5)).sum(1),
    }
    assert set(expected) == {p.name for p in registry if p.spectral}
    for name, value in expected.items():
        np.testing.assert_allclose(f(name, matrix), value, rtol=1e-6, err_msg=name)


def test_spectra_of_a_zero_matrix() -> None:
    zero = torch.zeros(1, 3, 3)
    for name in ("effective_rank", "numerical_rank", "participation_ratio", "log_condition"):
        assert f(name, zero).item() == 0
    assert f("effective_rank", torch.eye(3)[None]).item() == pytest.approx(3)


# --- reductions ----------------------------------------------------------------------------


def test_statistics() -> None:
    x = activation() + 0.5
    flat = x.flatten(1).double()
    z = (flat - flat.mean(1, keepdim=True)) / flat.std(1, correction=0, keepdim=True)
    p = flat.square() / flat.square().sum(1, keepdim=True)
    expected = {
        "std": flat.std(1, correction=0),
        "l1_norm": flat.abs().sum(1),
        "l2_norm": flat.square().sum(1).sqrt(),
        "skewness": z.pow(3).mean(1),
        "kurtosis": z.pow(4).mean(1),
        "entropy": torch.special.entr(p).sum(1),
        "fraction_positive": (flat > 0).double().mean(1),
        "batch_std": x.std(1, correction=0).flatten(1).mean(1),
        "spatial_std": x.flatten(3).std(3, correction=0).flatten(1).mean(1),
        "channel_mean_std": x.mean((1, 3, 4)).std(1, correction=0),
    }
    for name, value in expected.items():
        torch.testing.assert_close(f(name, x).double(), value.double(), rtol=2e-5, atol=1e-6)


def test_sizes() -> None:
    x = activation(batch=4, channels=6, size=5)
    assert f("numel", x).tolist() == [600.0] * 3
    assert f("channel_count", x).tolist() == [6.0] * 3
    assert f("position_count", x).tolist() == [25.0] * 3


def test_sparsity_runs_from_zero_to_one() -> None:
    single = torch.zeros(1, 4, 1, 1, 1)
    single[0, 2] = 5
    assert f("sparsity", single).item() == pytest.approx(1)
    assert f("sparsity", torch.full((1, 4, 1, 1, 1), -3.0)).item() == pytest.approx(0, abs=1e-6)
    assert f("fraction_zero", single).item() == 0.75


def test_two_tensors() -> None:
    x, y = activation(0) + 1, activation(1) + 2
    a, b = x.flatten(1), y.flatten(1)
    torch.testing.assert_close(f("cosine", x, y), torch.cosine_similarity(a, b))
    pearson = torch.stack(
        [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(a, b, strict=True)]
    )
    torch.testing.assert_close(f("correlation", x, y), pearson, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(f("sign_disagreement", x, y), ((a > 0) != (b > 0)).float().mean(1))
    fisher = (x * y).sum((3, 4)).square().mean(1).sum(1) / 2
    torch.testing.assert_close(f("channel_fisher", x, y), fisher)


def test_off_diagonal() -> None:
    matrix = torch.tensor([[[5.0, -1.0], [-1.0, 7.0]]])
    assert f("off_diagonal_mean", matrix).item() == -1
    assert f("off_diagonal_mean_abs", matrix).item() == 1
    assert f("diagonal_std", matrix).item() == 1
    assert f("trace", matrix).item() == 12


# --- layers --------------------------------------------------------------------------------


def test_aggregations_on_three_layers() -> None:
    x = torch.tensor([[1.0, -2.0, 6.0]]).double()
    expected = {
        "sum_layers": 5,
        "mean_layers": 5 / 3,
        "sum_log_layers": math.log(12),
        "mean_log_layers": math.log(12) / 3,
        "min_layers": -2,
        "max_layers": 6,
        "std_layers": np.std([1, -2, 6]),
        "median_layers": 1,
        "first_layer": 1,
        "last_layer": 6,
        "depth_weighted_sum": 15,
        "depth2_weighted_sum": 47,
        "depth_weighted_mean": 2.5,
        "early_half_sum": -1,
        "late_half_sum": 4,
        "early_half_mean": -0.5,
        "late_half_mean": 2,
        "layer_slope": 5,
        "layer_count": 3,
    }
    scalars = {p.name for p in registry if p.family == "aggregations" and "matrices" not in p.name}
    assert set(expected) == scalars
    for name, value in expected.items():
        assert f(name, x).item() == pytest.approx(value), name


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
def test_median_and_slope_are_numpy_s(values: list[float]) -> None:
    x = torch.tensor([values], dtype=torch.float64)
    assert f("median_layers", x).item() == pytest.approx(np.median(values), abs=1e-9)
    if len(values) > 1:
        slope = np.polyfit(np.linspace(0, 1, len(values)), values, 1)[0]
        assert f("layer_slope", x).item() == pytest.approx(slope, rel=1e-6, abs=1e-3)


def test_functions_across_layers() -> None:
    x = torch.tensor([[2.0, -2.0, 4.0]]).double()
    expected = {
        "difference_layers": [0, -4, 6],
        "previous_layer": [2, 2, -2],
        "cumulative_sum": [2, 0, 4],
        "cumulative_mean": [2, 0, 4 / 3],
        "normalise_layers": [0.25, -0.25, 0.5],
        "relative_to_first": [1, -1, 2],
        "times_depth": [2 / 3, -4 / 3, 4],
    }
    assert set(expected) == {p.name for p in registry if p.family == "scalars" and p.across_layers}
    for name, value in expected.items():
        assert f(name, x)[0].tolist() == pytest.approx(value), name


# --- protection ----------------------------------------------------------------------------


def test_division() -> None:
    x = torch.tensor([-2.0, 4.0, 5.0, 1.0]).double()
    y = torch.tensor([4.0, -2.0, 0.0, 1e-3]).double()
    assert f("div", x, y).tolist() == pytest.approx([-0.5, -2, 0, 1e3])
    assert f("reciprocal", y).tolist() == pytest.approx([0.25, -0.5, 0, 1e3])
    assert f("div", x.float(), y.float()).tolist() == pytest.approx([-0.5, -2, 0, 1e3])


def test_logarithms_and_powers() -> None:
    x = torch.tensor([-math.e, 0.0, 4.0]).double()
    assert f("log_abs", x).tolist() == pytest.approx([1, math.log(1e-10), math.log(4)])
    assert f("power", x, 2.0).tolist() == pytest.approx([-(math.e**2), 0, 16])
    assert f("power", x, 0.0).tolist() == [-1, 0, 1]
    assert not f("power", x, -1.0)[1].isfinite()
    assert f("power", torch.tensor([math.nan]), 0.0).isnan().all()
    assert f("greater", x, torch.zeros(3).double()).tolist() == [0, 0, 1]
