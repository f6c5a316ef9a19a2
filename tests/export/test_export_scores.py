"""Exported files, run without greenmachine, give the engine's scores."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from greenmachine.export import write_export
from greenmachine.language import Expression, apply, canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import LAYER_SCALAR, NETWORK_MATRIX, NETWORK_SCALAR, registry
from greenmachine.proxies import PROXIES, ExpressionProxy
from greenmachine.signals.registry import PASSES
from tests.proxies.engine_scores import engine_score
from tests.proxies.tiny_networks import SHAPE, batch, network

WRITTEN = [
    "sum_layers(depth)",
    "mean_layers(mul(depth, l2_norm(weight)))",
    "layer_count(l2_norm(noise_norm_output))",
    "sum_layers(dot(noise_input, ones_input))",  # float32 meets float64
    "logdet(sum_matrices(add(sign_agreement(noise_input), sign_agreement(ones_output))))",
    "trace(sub(sum_matrices(batch_gram(noise_input)), mean_matrices(batch_gram(noise_input))))",
    "add(logdet(sum_matrices(batch_gram(noise_output))),"
    " max_eigenvalue(sum_matrices(batch_gram(noise_output))))",
    "sum_log_layers(shift(scale(std(data_output_grad), -2.0), 0.25))",
    "sum_layers(mul(min_eigenvalue(channel_correlation(noise_input)),"
    " logdet(channel_correlation(noise_input))))",
    "sum_layers(dot(perturbed_output, perturbed_norm_output))",
    "power(sum_layers(l2_norm(unit_norm(add(data_weight_grad, perturbed_weight_grad)))), 0.5)",
]


def every_signature() -> list[str]:
    """Return an expression around each primitive with each list of argument kinds."""
    grammar = Grammar(list(PASSES))
    random.seed(1)
    texts = []
    for primitive in registry:
        for signature in primitive.signatures:
            arguments = [
                grammar.expression(grammar.generate(kind, grammar.heights[kind], full=False))
                for kind in signature.arguments
            ]
            texts.append(rooted(apply(primitive.name, *arguments)).text)
    return texts


def rooted(expression: Expression) -> Expression:
    """Return an expression of the network around one of any kind."""
    if expression.kind == NETWORK_SCALAR:
        return expression
    if expression.kind == LAYER_SCALAR:
        return apply("depth_weighted_sum", expression)
    if expression.kind == NETWORK_MATRIX:
        return apply("mean_abs", expression)
    return apply("sum_layers", apply("mean_abs", expression))


def random_trees(count: int) -> list[str]:
    grammar = Grammar(list(PASSES))
    random.seed(2)
    trees = [grammar.generate(NETWORK_SCALAR, 4 + n % 5, full=n % 2 == 0) for n in range(count)]
    return [grammar.expression(tree).text for tree in trees]


@cache
def jobs() -> list[tuple[str, str, int]]:
    """Return texts, networks and seeds."""
    written = [(text, kind, 0) for text in WRITTEN for kind in ("plain", "branches")]
    expressions = [p.expression for p in PROXIES if isinstance(p, ExpressionProxy)]
    zoo = [(text, kind, 3) for text in expressions for kind in ("plain", "branches")]
    # Random trees may be ill-conditioned: in float64 rounding does not reach the fourth digit.
    found = [(text, "branches-double", 0) for text in every_signature() + random_trees(40)]
    return [(canonical_text(text), kind, seed) for text, kind, seed in written + zoo + found]


def canonical_text(text: str) -> str:
    return canonical(parse(text)).text


@cache
def engine_of(text: str, kind: str, seed: int) -> float:
    images, labels = batch() if "data_" in text else (None, None)
    return engine_score(text, network(kind), SHAPE, images, labels, seed)


# All compact files take a minute and a half to write and run: one in five by default.
FORMS = [
    pytest.param((False, 5), id="compact"),
    pytest.param((False, 1), id="compact-all", marks=pytest.mark.slow),
    pytest.param((True, 1), id="exact"),
]


@pytest.fixture(scope="module", params=FORMS)
def exported_scores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    """Score of every job from its exported file, one interpreter for all."""
    exact, every = request.param
    folder = tmp_path_factory.mktemp("exports")
    described = {}
    for number, (text, kind, seed) in list(enumerate(jobs()))[::every]:
        described[number] = {"text": text, "network": kind, "seed": seed, "exact": exact}
        path = folder / f"proxy_{number}.py"
        write_export(path, text, direction=1, shape=SHAPE, name="a proxy", exact=exact)
    (folder / "jobs.json").write_text(json.dumps(described))
    script = Path(__file__).with_name("run_exports.py")
    command = [sys.executable, "-I", "-B", "-W", "error", str(script), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    scores: dict[str, float] = json.loads(run.stdout)
    return scores


def test_exported_files_give_the_scores_of_the_engine(exported_scores: dict[str, float]) -> None:
    wrong = []
    finite = 0
    for number, (text, kind, seed) in enumerate(jobs()):
        if str(number) not in exported_scores:
            continue
        engine = engine_of(text, kind, seed)
        exported = exported_scores[str(number)]
        finite += math.isfinite(engine)
        same = exported == pytest.approx(engine, rel=1e-4, abs=1e-12, nan_ok=True)
        if not same:
            wrong.append(f"{kind} {text}: {exported} is not {engine}")
    assert wrong == []
    assert finite > 0.95 * len(exported_scores)
