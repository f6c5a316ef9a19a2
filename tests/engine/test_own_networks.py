"""Any classifier of convolutions and linear layers: the engine sees it as the reference does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from greenmachine.benchmarks import load_benchmark
from greenmachine.engine import Evaluator
from greenmachine.errors import RunError
from greenmachine.evaluation import score_networks
from greenmachine.language import Expression, parse, terminals_of
from greenmachine.proxies import PROXIES, ExpressionProxy, resolve
from greenmachine.signals import PASSES, CaptureSpec
from greenmachine.signals.network_capture import cached_benchmark, capture_network
from tests.engine import own_space, reference
from tests.engine.test_against_reference import TREES, WORDS, agree

BATCH = 3
TERMINALS = tuple(sorted(set(terminals_of(list(PASSES))) - {"depth"}))
ZOO = [parse(proxy.expression) for proxy in PROXIES if isinstance(proxy, ExpressionProxy)]
ARCHS = [*own_space.FAMILIES, *own_space.BROKEN]
NEEDS_TWO_LAYERS = {parse(resolve("gm_sss_large").expression)}
"""A negative power of a deviation over the layers, which is 0 if there is one layer."""

pytestmark = pytest.mark.filterwarnings("ignore:.*weights that no signal covers")


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    table = tmp_path_factory.mktemp("own space") / "own accuracies.csv"
    lines = [f"{arch},{10 + 3 * row}" for row, arch in enumerate(ARCHS)]
    table.write_text("\n".join(["arch,accuracy", *lines]))
    return f"{own_space.__file__}:{table}"


@pytest.fixture(scope="module")
def spec(name: str) -> CaptureSpec:
    return CaptureSpec(name, "own", TERMINALS, batch=BATCH)


@pytest.fixture(scope="module")
def scores(spec: CaptureSpec) -> dict[Expression, NDArray[np.float64]]:
    """Every word, some trees and the zoo on every network, stacked together."""
    expressions = [*WORDS, *TREES, *ZOO]
    evaluator = Evaluator.of_networks(spec, range(len(ARCHS)))
    found = evaluator.scores(expressions)
    broken = range(len(own_space.FAMILIES), len(ARCHS))
    assert set(evaluator.failures) == set(broken)
    for place, message in evaluator.failures.items():
        assert message.startswith(own_space.SAYS[ARCHS[place]])
    assert np.isnan(found[:, list(broken)]).all()
    return dict(zip(expressions, found, strict=True))


@pytest.mark.parametrize("arch", own_space.FAMILIES)
def test_every_family_as_in_the_reference(
    arch: str, spec: CaptureSpec, scores: dict[Expression, NDArray[np.float64]]
) -> None:
    place = ARCHS.index(arch)
    layers = capture_network(cached_benchmark(spec.benchmark), place, spec)
    assert isinstance(layers, list)
    for expression in [*WORDS, *ZOO]:
        expected = reference.score(expression, layers, BATCH)
        found = scores[expression][place]
        assert agree(np.array([found]), np.array([expected])).all(), (arch, expression)
        has_value = len(layers) > 1 or expression not in NEEDS_TWO_LAYERS
        assert np.isfinite(found) == has_value, (arch, expression)


def test_random_trees_rarely_fail(scores: dict[Expression, NDArray[np.float64]]) -> None:
    found = np.array([scores[tree][: len(own_space.FAMILIES)] for tree in TREES])
    assert np.isfinite(found).mean() > 0.95


def test_company_and_workers(
    spec: CaptureSpec, scores: dict[Expression, NDArray[np.float64]]
) -> None:
    """Other networks in the stacks move the last digits alone, other processes not even those."""
    few = [ARCHS.index(arch) for arch in ("vit", "raises", "double", "grouped")] * 8
    one, two = (Evaluator.of_networks(spec, few, workers=w).scores(ZOO) for w in (1, 2))
    np.testing.assert_array_equal(one, two)
    for found, expression in zip(one, ZOO, strict=True):
        assert agree(found, scores[expression][few]).all()


def test_networks_that_fail_are_told_and_all_of_them_stop_the_work(spec: CaptureSpec) -> None:
    told: list[str] = []
    few = [ARCHS.index(arch) for arch in ("mlp", "no-module")]
    frame = score_networks({"n": ZOO[0].text}, spec, few, workers=1, announce=told.append)
    assert np.isnan(frame["n"]).tolist() == [False, True]
    (failed,) = told
    assert failed.startswith("1 of 2 networks") and failed.endswith(own_space.SAYS["no-module"])
    with pytest.raises(RunError, match="all 1 networks failed; .*TypeError: build"):
        score_networks({"n": ZOO[0].text}, spec, few[1:], workers=1)


def test_costs_of_every_family(name: str) -> None:
    found = load_benchmark(name).baseline_scores("own", range(len(ARCHS)))
    families = len(own_space.FAMILIES)
    assert np.isfinite(found["params"][:families]).all()
    for arch, params in (("linear", 192 * 4 + 4), ("grouped", 168 + 6 * 2 * 9 + 6 + 12 + 28)):
        assert found["params"][ARCHS.index(arch)] == params
    tokens = 16 * (6 * 18 + 7 * 6 + 7 * 6)
    expected = 16 * 6 * 12 + tokens + 7 * 4
    assert found["flops"][ARCHS.index("vit")] == pytest.approx(expected / 1e6)
    broken = {a for a, p in zip(ARCHS, found["params"], strict=True) if np.isnan(p)}
    assert {"raises", "no-module", "wrong-shape"} <= broken <= set(own_space.BROKEN)


@pytest.mark.parametrize(
    ("shape", "build"),
    [
        ("(16,)", "nn.Sequential(nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3))"),
        (
            "(7, 16)",
            "nn.Sequential(nn.Linear(16, 5), nn.LayerNorm(5), nn.Flatten(), nn.Linear(35, 3))",
        ),
        (
            "(2, 3, 4, 4)",
            "nn.Sequential(nn.Flatten(), nn.Linear(96, 5), nn.ReLU(), nn.Linear(5, 3))",
        ),
        (
            "(1, 5, 9)",
            "nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(84, 3))",
        ),
    ],
)
def test_inputs_of_any_rank(shape: str, build: str, tmp_path: Path) -> None:
    python, table = tmp_path / "space.py", tmp_path / "accuracies.csv"
    python.write_text(
        f"from torch import nn\nINPUT_SHAPE = {shape}\n\ndef build(arch):\n    return {build}\n"
    )
    table.write_text("arch,accuracy\na,50\nb,60\n")
    expressions = [e for e in [*WORDS, *ZOO] if not any(t.startswith("data") for t in e.terminals)]
    terminals = tuple(sorted(set().union(*(e.terminals for e in expressions)) - {"depth"}))
    spec = CaptureSpec(f"{python}:{table}", "own", terminals, batch=BATCH)
    found = Evaluator.of_networks(spec, [0, 1]).scores(expressions)
    assert np.isfinite(found).all()
    costs = cached_benchmark(spec.benchmark).baseline_scores("own", [1])
    assert np.isfinite([*costs.values()]).all()
