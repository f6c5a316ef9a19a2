"""Scores are the same bit for bit whatever computes them, and a failure stays where it is."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from greenmachine.engine import Evaluator, layer_stage
from greenmachine.engine.cache import VectorCache
from greenmachine.engine.graph import EIGENVALUES, TENSOR_KINDS, Graph, Node, boundary_of
from greenmachine.engine.layer_stage import evaluate_shard, network_groups
from greenmachine.engine.network_stage import Layout, evaluate_vectors
from greenmachine.errors import RunError
from greenmachine.files import read_json, write_json
from greenmachine.language import Expression, canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import eigenvalues
from greenmachine.primitives.registry import NETWORK_SCALAR
from greenmachine.signals import CaptureSpec, Store, network_capture
from greenmachine.signals.capture import Layer
from greenmachine.signals.shard import stack_layers

INDICES = list(range(0, 240, 12))
SPEC = CaptureSpec(
    "nats-tss",
    "imagenet16-120",
    ("noise_input", "noise_norm_output", "noise_weight_grad", "ones_output", "weight"),
    batch=3,
    options={"cells": 1, "channels": 4},
)
KNOWN = [
    "sum_layers(min_eigenvalue(channel_correlation(noise_input)))",
    "logdet(sum_matrices(sign_agreement(noise_norm_output)))",
    "sum_layers(dot(weight, noise_weight_grad))",
    "mean_layers(times_depth(l2_norm(ones_output)))",
    "sum_layers(depth)",
]


def trees(count: int) -> list[Expression]:
    random.seed(7)
    grammar = Grammar(
        ["noise", "ones"],
        exclude=[
            f"{name}_{signal}"
            for name, signals in (
                ("noise", ("output", "input_grad", "output_grad")),
                ("ones", ("input", "norm_output", "weight_grad", "input_grad", "output_grad")),
            )
            for signal in signals
        ],
    )
    nodes = [grammar.generate(NETWORK_SCALAR, 3 + i % 5, full=i % 2 == 0) for i in range(count)]
    return [*map(parse, KNOWN), *map(grammar.expression, nodes)]


POPULATION = trees(60)


@pytest.fixture(scope="module")
def store(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("store"), SPEC, INDICES)
    made.build(1)
    return made


@pytest.fixture(scope="module")
def expected(store: Store) -> NDArray[np.float64]:
    """(expressions, networks)."""
    return Evaluator.of_store(store).scores(POPULATION)


def test_scores(store: Store, expected: NDArray[np.float64]) -> None:
    evaluator = Evaluator.of_store(store)
    told: list[tuple[int, int]] = []
    found = evaluator.scores(POPULATION, lambda done, total: told.append((done, total)))
    assert found.shape == (len(POPULATION), len(INDICES))
    assert found.dtype == np.float64
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert evaluator.failures == {}
    forms = [canonical(e) for e in POPULATION]
    assert evaluator.evaluated == len(boundary_of(forms, TENSOR_KINDS))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_matter(store: Store, expected: NDArray[np.float64], workers: int) -> None:
    found = Evaluator.of_store(store, workers=workers).scores(POPULATION)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_work_that_was_begun_is_done_once(
    store: Store, expected: NDArray[np.float64], workers: int
) -> None:
    at_once = Evaluator.of_store(store)
    at_once.scores(POPULATION)
    ahead = Evaluator.of_store(store, workers=workers)
    ahead.begin(POPULATION)  # before the numbers of layers are known: nothing
    first = ahead.scores(POPULATION[:5])
    known = ahead.evaluated
    ahead.begin(POPULATION[5:40])
    assert ahead.scores(POPULATION[:5]).tobytes() == first.tobytes()  # which needs no tensors
    assert ahead.evaluated == known
    ahead.begin(POPULATION[30:])
    assert ahead.scores(POPULATION).tobytes() == expected.tobytes()
    assert ahead.evaluated == at_once.evaluated


def test_scores_of_begun_expressions_start_no_other_work(
    store: Store, expected: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = Evaluator.of_store(store, workers=2)
    evaluator.scores(POPULATION[:5])
    evaluator.begin(POPULATION)
    monkeypatch.delattr("greenmachine.engine.evaluator.run_tasks")
    assert evaluator.scores(POPULATION).tobytes() == expected.tobytes()


def test_cancelled_work_is_done_again(store: Store, expected: NDArray[np.float64]) -> None:
    evaluator = Evaluator.of_store(store, workers=2)
    evaluator.scores(POPULATION[:5])
    evaluator.begin(POPULATION)
    time.sleep(0.3)  # loky complains if work is cancelled in the millisecond of its start
    evaluator.cancel()
    evaluator.cancel()
    assert evaluator.scores(POPULATION).tobytes() == expected.tobytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_networks_score_as_their_store(
    store: Store, expected: NDArray[np.float64], workers: int
) -> None:
    """Up to rounding: a mapped file aligns tensors otherwise than fresh memory does."""
    found = Evaluator.of_networks(SPEC, INDICES, workers=workers).scores(POPULATION)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_threads_do_not_matter(store: Store, expected: NDArray[np.float64]) -> None:
    torch.set_num_threads(2)
    try:
        np.testing.assert_array_equal(Evaluator.of_store(store).scores(POPULATION), expected)
    finally:
        torch.set_num_threads(1)


def test_warm_cache_gives_the_same_without_work(
    store: Store, expected: NDArray[np.float64]
) -> None:
    evaluator = Evaluator.of_store(store)
    evaluator.scores(POPULATION[::2])
    np.testing.assert_array_equal(evaluator.scores(POPULATION), expected)
    done, misses = evaluator.evaluated, evaluator.cache.misses
    told: list[int] = []
    again = evaluator.scores(POPULATION[::-1], lambda *_: told.append(1))
    np.testing.assert_array_equal(again, expected[::-1])
    assert (evaluator.evaluated, evaluator.cache.misses, told) == (done, misses, [])


def test_alone_as_in_the_population(store: Store, expected: NDArray[np.float64]) -> None:
    for expression, row in list(zip(POPULATION, expected, strict=True))[::4]:
        found = Evaluator.of_store(store).scores([expression])
        np.testing.assert_array_equal(found[0], row, err_msg=expression.text)


@pytest.mark.parametrize("limit", [0, 1, 1000, 5000])
def test_cache_bound_does_not_matter(
    store: Store, expected: NDArray[np.float64], limit: int
) -> None:
    evaluator = Evaluator(store.paths, len(INDICES), cache_bytes=limit)
    for part in (POPULATION[:30], POPULATION[20:], POPULATION):
        found = evaluator.scores(part)
        rows = [POPULATION.index(expression) for expression in part]
        np.testing.assert_array_equal(found, expected[rows])


def test_equal_expressions_and_none(store: Store) -> None:
    evaluator = Evaluator.of_store(store)
    first, second = parse(KNOWN[0]), parse(f"neg(neg({KNOWN[0]}))")
    found = evaluator.scores([first, second, first])
    assert evaluator.cache.misses == 2  # the score, and its boundary
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    found[0] = 0.0  # what is handed out is not what is kept
    assert evaluator.scores([first]).any()
    assert evaluator.scores([]).shape == (0, len(INDICES))
    assert Evaluator.of_networks(SPEC, []).scores([first]).shape == (1, 0)


def test_depth_alone(store: Store) -> None:
    found = Evaluator.of_store(store).scores(
        [parse("sum_layers(depth)"), parse("max_layers(depth)")]
    )
    layers = found[1]
    np.testing.assert_array_equal(found[0], layers * (layers + 1) / 2)
    spec = CaptureSpec("nats-tss", "cifar10", ("depth",), 2, options=SPEC.options)
    alone = Evaluator.of_networks(spec, INDICES).scores([parse("max_layers(depth)")])
    np.testing.assert_array_equal(alone[0], layers)


# --- failures ------------------------------------------------------------------------------


class TestFailedNetworks:
    """A network that raises scores NaN, and nobody else."""

    @pytest.fixture(params=[[3], list(range(8)), [0, 9, 19], list(range(20))], ids=str)
    def places(self, request: pytest.FixtureRequest) -> list[int]:
        found: list[int] = request.param
        return found

    @pytest.fixture
    def broken(self, places: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        real = network_capture.run_passes  # type: ignore[attr-defined]
        turn = [-1]

        def run_passes(*args: object, **options: object) -> list[Layer]:
            turn[0] += 1
            if turn[0] in places:
                raise RuntimeError("on purpose")
            return real(*args, **options)  # type: ignore[arg-type]

        store = Store(tmp_path, SPEC, INDICES)
        monkeypatch.setattr(Store, "estimate_bytes", lambda self: 0)
        monkeypatch.setattr(network_capture, "run_passes", run_passes)
        store.build(1)
        return store

    def test_only_they_are_nan(
        self, broken: Store, places: list[int], expected: NDArray[np.float64]
    ) -> None:
        evaluator = Evaluator.of_store(broken)
        found = evaluator.scores(POPULATION)
        assert evaluator.failures == dict.fromkeys(places, "RuntimeError: on purpose")
        assert np.isnan(found[:, places]).all()
        rest = np.setdiff1d(np.arange(len(INDICES)), places)
        np.testing.assert_allclose(found[: len(KNOWN), rest], expected[: len(KNOWN), rest], 1e-4)
        assert np.isfinite(found[: len(KNOWN), rest]).all()


def layer(**signals: torch.Tensor) -> Layer:
    return Layer("", torch.nn.Identity(), {}, signals=signals)


def test_nan_in_a_layer_stays_in_its_network() -> None:
    good, bad = torch.rand(2, 4, 4, 3), torch.full((2, 4, 4, 3), torch.nan)
    shard = stack_layers({0: [layer(noise_input=good)] * 2, 1: [layer(noise_input=bad)]}, 2)
    boundary = [
        parse("min_eigenvalue(channel_gram(noise_input))", kind=None),
        parse("sum_matrices(batch_gram(noise_input))", kind=None),
    ]
    per_layer, per_network = evaluate_shard(shard, boundary)
    assert per_layer.isnan().tolist() == [False, False, True]
    assert per_network.isnan().flatten(1).all(dim=1).tolist() == [False, True]


def test_eigenvalues_that_do_not_converge_fail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """LAPACK gives up on a whole stack when one matrix does not converge.

    No small matrix is known on which it does, so the matrix with an 8 plays one.
    """
    real = eigenvalues

    def stubborn(matrix: torch.Tensor) -> torch.Tensor:
        if (matrix == 8).any():
            raise LinAlgError("did not converge")
        return real(matrix)

    monkeypatch.setattr(layer_stage, "eigenvalues", stubborn)
    weights = [factor * torch.eye(2).reshape(2, 2, 1, 1) for factor in (2, 4, 6)]
    shard = stack_layers({0: [layer(weight=weight) for weight in weights]}, 2)
    (value,) = evaluate_shard(shard, [parse("max_eigenvalue(filter_gram(weight))", kind=None)])
    assert value.isnan().tolist() == [False, True, False]
    assert value[[0, 2]].tolist() == [2, 18]


def test_damaged_shard_is_one_line(store: Store, tmp_path: Path) -> None:
    copied = [tmp_path / path.name for path in store.paths]
    for source, target in zip(store.paths, copied, strict=True):
        write_json(target, read_json(source))
        whole = source.with_suffix(".safetensors").read_bytes()
        target.with_suffix(".safetensors").write_bytes(
            whole[:-100] if "1" in target.name else whole
        )
    for workers in (1, 2):
        with pytest.raises(RunError, match="is damaged"):
            Evaluator(copied, len(INDICES), workers=workers).scores(POPULATION[:2])


# --- parts ---------------------------------------------------------------------------------


def test_every_distinct_node_once() -> None:
    texts = [
        "sum_layers(add(l2_norm(square(noise_input)), mean(square(noise_input))))",
        "mean_layers(mean(square(noise_input)))",
        "sum_layers(min_eigenvalue(channel_gram(noise_input)))",
        "sum_layers(max_eigenvalue(channel_gram(noise_input)))",
    ]
    boundary = boundary_of([canonical(parse(text)) for text in texts])
    assert [b.text for b in boundary] == [
        "l2_norm(square(noise_input))",
        "mean(square(noise_input))",
        "min_eigenvalue(channel_gram(noise_input))",
        "max_eigenvalue(channel_gram(noise_input))",
    ]
    graph = Graph(boundary)
    assert [node.op for node in graph.nodes] == [
        "noise_input", "square", "l2_norm", "mean",
        "channel_gram", EIGENVALUES, "min_eigenvalue", "max_eigenvalue",
    ]  # fmt: skip
    assert graph.uses == [2, 2, 0, 0, 1, 2, 0, 0]
    assert graph.terminals == ["noise_input"]


def test_every_node_is_computed_once_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = layer_stage.apply_node

    def counted(node: Node, args: Sequence[torch.Tensor | float]) -> torch.Tensor:
        calls.append(node.op)
        return real(node, args)

    monkeypatch.setattr(layer_stage, "apply_node", counted)
    monkeypatch.setitem(layer_stage.CHUNK_ELEMENTS, "cpu", 2**40)
    weights = [layer(weight=torch.rand(2, 3, 1, 1)), layer(weight=torch.rand(2, 3, 1, 1))]
    shard = stack_layers({0: weights}, 2)
    texts = ["mean(square(weight))", "l2_norm(square(weight))", "std(abs(square(weight)))"]
    evaluate_shard(shard, [parse(text, kind=None) for text in texts])
    assert sorted(calls) == ["abs", "l2_norm", "mean", "square", "std"]


def test_chunks_are_bounded_and_depend_on_the_stack_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = layer_stage.apply_node

    def measured(node: Node, args: Sequence[torch.Tensor | float]) -> torch.Tensor:
        assert isinstance(args[0], torch.Tensor)
        sizes.append(len(args[0]))
        return real(node, args)

    monkeypatch.setattr(layer_stage, "apply_node", measured)
    monkeypatch.setitem(
        layer_stage.CHUNK_ELEMENTS, "cpu", 3 * 24
    )  # three layers of the wider signal
    signals = {"weight": torch.rand(2, 3, 1, 1), "noise_input": torch.rand(2, 2, 2, 3)}
    shard = stack_layers({0: [layer(**signals)] * 7}, 2)
    for text in ("mean(weight)", "mean(noise_input)"):
        evaluate_shard(shard, [parse(text, kind=None)])
        assert sizes == [3, 3, 1]
        sizes.clear()
    monkeypatch.setitem(layer_stage.CHUNK_ELEMENTS, "cpu", 1)  # a layer larger than a chunk
    evaluate_shard(shard, [parse("mean(weight)", kind=None)])
    assert sizes == [1] * 7


def test_groups() -> None:
    groups = network_groups([2, 1, 0, 2])
    assert [(n.tolist(), rows.tolist()) for n, rows in groups] == [
        ([1], [[2]]),
        ([0, 3], [[0, 1], [3, 4]]),
    ]
    assert network_groups([]) == network_groups([0, 0]) == []


def test_layout_joins_the_layers_of_shards() -> None:
    layout = Layout([2, 0, 1])
    assert layout.depth.tolist() == [1, *[1] * 15, 1, 2, *[1] * 14]
    assert [(n.tolist(), rows) for n, rows in layout.groups] == [
        ([2], slice(0, 1)),
        ([0], slice(16, 18)),
    ]
    joined = layout.join(
        [([2], torch.tensor([9.0])), ([1, 0], torch.tensor([1.0, 2.0]))], per_layer=True
    )
    assert joined.tolist() == [9, *[9] * 15, 1, 2, *[9] * 14]
    matrix = torch.eye(2).double()
    joined = layout.join(
        [([2], matrix[None]), ([1, 0], torch.stack([matrix * torch.nan, matrix]))], per_layer=False
    )
    assert joined[2].equal(matrix)
    assert joined[0].equal(matrix)
    assert joined[1].isnan().all()


def test_failed_network_is_nan_whatever_its_matrix() -> None:
    boundary = {"sum_matrices(batch_gram(noise_input))": torch.eye(2).double().repeat(2, 1, 1)}
    trace = parse("trace(sum_matrices(batch_gram(noise_input)))")
    (value,) = evaluate_vectors([trace], boundary, Layout([3, 0]))
    assert value[0] == 2
    assert value[1].isnan()


def test_cache_drops_the_least_recently_used() -> None:
    cache = VectorCache(3 * 8 * 4)
    for key in "abc":
        cache.put(key, torch.zeros(4, dtype=torch.float64))
    assert cache.get("a") is not None
    cache.put("d", torch.zeros(4, dtype=torch.float64))
    assert cache.get("b") is None
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert (cache.hits, cache.misses, len(cache)) == (4, 2, 3)
    cache.put("a", torch.zeros(8, dtype=torch.float64))  # grows: one other must go
    assert len(cache) == 2
    cache.put("large", torch.zeros(100, dtype=torch.float64))
    assert cache.get("large") is None


def test_cache_keeps_its_bound(store: Store) -> None:
    evaluator = Evaluator(store.paths, len(INDICES), cache_bytes=10_000)
    evaluator.scores(POPULATION)
    assert 0 < sum(value.nbytes for value in evaluator.cache._entries.values()) <= 10_000


def test_other_specs_differ(store: Store) -> None:
    """The seed reaches the networks."""
    other = Evaluator.of_networks(replace(SPEC, seed=1), INDICES[:4]).scores(POPULATION[:1])
    assert not np.array_equal(other, Evaluator.of_store(store).scores(POPULATION[:1])[:, :4])
