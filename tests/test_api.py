"""``import greenmachine``: scores of the engine and the exports, ranks, runs and their results."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import greenmachine
from greenmachine.api.runs import settle
from greenmachine.benchmarks import Benchmark
from greenmachine.config import RunConfig
from greenmachine.engine import Evaluator, score_model
from greenmachine.errors import ConfigError, DataError, ExpressionError, RunError
from greenmachine.evolution import Search
from greenmachine.language import parse
from greenmachine.proxies import write_export
from greenmachine.signals import CaptureSpec
from greenmachine.workers import one_thread
from tests.proxies.tiny_networks import SHAPE, batch, network

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "benchmark": "nats-tss",
    "workers": 1,
    "samples": {"train": {"size": 12}, "validation": {"size": 8}, "test": {"size": 12}},
    "capture.batch": 2,
    "capture.options": {"cells": 1},
    "evolution": {"population": 8, "generations": 2, "elites": 1, "hall_of_fame": 4},
}

EXPRESSIONS = [
    "sum_layers(min_eigenvalue(channel_correlation(noise_input)))",
    "sum_layers(l1_norm(mul(ones_weight_grad, weight)))",
    "logdet(sum_matrices(sign_agreement(noise_input)))",
    "sum_layers(std(perturbed_output))",
    "sum_layers(mul(depth, l2_norm(weight)))",
    "mean_layers(l2_norm(data_weight_grad))",
    "sum_layers(dot(noise_input, ones_input))",
]


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        raise ArithmeticError("no way\nthrough")


def norm_of(model: nn.Module, images: Tensor, labels: Tensor | None, seed: int) -> float:
    """A function proxy: what it is given, in one number."""
    return float(images.double().norm()) + (0 if labels is None else int(labels.sum())) + seed


# --- score ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "branches", "branches-double"])
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_score_is_that_of_the_exported_file(text: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "proxy.py"
    write_export(path, text, direction=1, shape=SHAPE, name="a proxy")
    exported = load(path).score
    model, (images, labels) = network(kind), batch()
    data = {"images": images, "labels": labels}
    found = greenmachine.score(model, path, **data, seed=3)
    assert math.isfinite(found)
    assert found == exported(model, images, labels, seed=3)
    assert found == greenmachine.score(model, text, **data, seed=3)
    if "data" not in text:
        assert found == greenmachine.score(model, str(path), shape=SHAPE, seed=3)
        assert found == exported(model, seed=3)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_score_is_that_of_the_evaluator(text: str, synthetic_data: Path) -> None:
    expression = parse(text)
    benchmark = greenmachine.load_benchmark("nats-tss")
    terminals = tuple(sorted(expression.terminals))
    spec = CaptureSpec("nats-tss", "cifar10", terminals, batch=4, seed=5, options={"cells": 1})
    ((expected,),) = Evaluator.of_networks(spec, [17]).scores([expression])
    images, labels = benchmark.images("cifar10", 4, seed=5)
    model = benchmark.build(17, "cifar10", seed=5, cells=1)
    assert expected == greenmachine.score(model, text, images=images, labels=labels, seed=5)


def test_expressions_of_one_model_share_its_passes() -> None:
    model = network("plain")
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    found = score_model(model, [parse(text) for text in EXPRESSIONS[:5:2]], SHAPE)
    assert len(passes) == 1
    alone = [greenmachine.score(model, text, shape=SHAPE) for text in EXPRESSIONS[:5:2]]
    assert found.tolist() == alone


def test_score_does_not_depend_on_threads_and_leaves_them() -> None:
    expected = greenmachine.score(network("branches"), "grad_norm", **dict_of(batch()))
    torch.set_num_threads(2)
    try:
        assert greenmachine.score(network("branches"), "grad_norm", **dict_of(batch())) == expected
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def dict_of(data: tuple[Tensor, Tensor]) -> dict[str, Any]:
    return dict(zip(("images", "labels"), data, strict=True))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("proxy", ["snip", "synflow", "nwot"])
def test_score_works_where_gradients_are_off(mode: Any, proxy: str) -> None:
    model = network("branches")
    expected = greenmachine.score(model, proxy, **dict_of(batch()))
    with mode():
        inside = dict_of(batch())  # in inference mode, tensors that autograd refuses
        assert greenmachine.score(model, proxy, **inside) == expected


def test_score_leaves_the_model_and_the_generator() -> None:
    model = network("branches").eval()
    model.linear.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    greenmachine.score(model, "snip", **dict_of(batch()))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.linear.weight.requires_grad
    assert not any(module._forward_hooks for module in model.modules())


def test_seed_draws_the_noise() -> None:
    model = network("plain")
    first, again, other = (
        greenmachine.score(model, EXPRESSIONS[0], shape=SHAPE, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_formula_without_value_is_nan() -> None:
    model = network("plain")
    nn.init.constant_(model.get_parameter("0.weight"), math.nan)
    assert math.isnan(greenmachine.score(model, "l2_norm", shape=SHAPE))


def test_networks_of_vectors_are_scored() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    assert math.isfinite(greenmachine.score(model, "nwot_inputs", shape=(3, 6)))


@pytest.mark.parametrize(
    ("passes", "needs_labels", "given", "expected"),
    [
        (("data",), True, {"images": torch.ones(4, 1), "labels": torch.ones(4).long()}, 2 + 4 + 7),
        (("data",), False, {"images": torch.ones(4, 1)}, 2 + 7),
        (("noise",), False, {"shape": (2, 3)}, None),
    ],
)
def test_function_proxies_score(
    passes: tuple[str, ...], needs_labels: bool, given: dict[str, Any], expected: float | None
) -> None:
    proxy = greenmachine.FunctionProxy(
        name="norm_of", function=norm_of, passes=passes, needs_labels=needs_labels
    )
    if expected is None:
        noise = torch.randn((2, 3), generator=torch.Generator().manual_seed(7))
        expected = float(noise.double().norm()) + 7
    assert greenmachine.score(nn.Linear(1, 1), proxy, **given, seed=7) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("proxy", "given", "error", "says"),
    [
        ("nwott", {"shape": SHAPE}, ConfigError, "unknown proxy 'nwott'"),
        ("sum_layers(noise_input)", {"shape": SHAPE}, ExpressionError, "sum_layers"),
        ("missing.py", {"shape": SHAPE}, ConfigError, "cannot read missing.py"),
        ("broken.py", {"shape": SHAPE}, ConfigError, "is not Python"),
        ("other.py", {"shape": SHAPE}, ConfigError, "no exported proxy"),
        (".", {"shape": SHAPE}, RunError, "holds no result.json"),
        ("synflow", {}, ConfigError, "give images, or the shape"),
        ("synflow", {"shape": (3,)}, ConfigError, "are no batch"),
        ("synflow", {"shape": (2, 0, 8, 8)}, ConfigError, "are no batch"),
        ("synflow", {"shape": (2, 3.5, 8, 8)}, ConfigError, "are no batch"),
        ("synflow", {"images": batch()[0], "shape": (1, 3, 8, 8)}, ConfigError, "give one"),
        ("snip", {"shape": SHAPE}, ConfigError, "snip looks at data: give images and labels"),
        ("snip", {"images": batch()[0]}, ConfigError, "give images and labels"),
        ("snip", {"images": batch()[0], "labels": batch()[1][:2]}, ConfigError, "do not fit"),
        ("nwot", {"shape": SHAPE}, ConfigError, "nwot looks at data: give images"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    proxy: str,
    given: dict[str, Any],
    error: type[Exception],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("EXPRESSION = (")
    (tmp_path / "other.py").write_text("x = 1\n")
    with pytest.raises(error, match=says):
        greenmachine.score(Broken(), proxy, **given)
    with pytest.raises(error, match=says):
        greenmachine.rank([Broken()], proxy, **given)


def test_a_model_that_fails_raises_its_own_error() -> None:
    with pytest.raises(ArithmeticError, match="no way"):
        greenmachine.score(Broken(), "synflow", shape=SHAPE)
    with pytest.raises(RuntimeError, match="channels"):  # torch's words for a wrong image shape
        greenmachine.score(network("plain"), "nwot_inputs", shape=(2, 5, 8, 8))
    with pytest.raises(ValueError, match="no convolution or linear layer"):
        greenmachine.score(nn.ReLU(), "nwot_inputs", shape=SHAPE)


# --- rank -----------------------------------------------------------------------------------


def wide(channels: int) -> nn.Module:
    return nn.Conv2d(3, channels, 3)


@pytest.mark.parametrize(("direction", "order"), [(1, [1, 2, 0]), (-1, [0, 2, 1])])
def test_rank_follows_the_direction(direction: int, order: list[int]) -> None:
    proxy = greenmachine.ExpressionProxy(
        name="size", expression="sum_layers(numel(weight))", direction=direction
    )
    table = greenmachine.rank([wide(2), wide(9), wide(5)], proxy, shape=SHAPE)
    assert table.columns.tolist() == ["name", "score", "rank", "failure"]
    assert table["name"].tolist() == order
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["failure"].tolist() == [""] * 3
    assert table["score"].tolist() == [27.0 * [2, 9, 5][place] for place in order]


def test_ties_share_a_rank_in_the_order_given() -> None:
    models = {"small": wide(2), "b": wide(4), "a": wide(4)}
    table = greenmachine.rank(models, "weight_count", images=torch.zeros(SHAPE))
    assert table["name"].tolist() == ["b", "a", "small"]
    assert table["rank"].tolist() == [1, 1, 3]


@pytest.mark.parametrize("direction", [1, -1])
def test_networks_that_fail_rank_last_and_say_why(direction: int) -> None:
    infinite = wide(2)
    nn.init.constant_(infinite.weight, math.inf)
    proxy = greenmachine.ExpressionProxy(
        name="norm", expression="sum_layers(l2_norm(weight))", direction=direction
    )
    models = {"broken": Broken(), "infinite": infinite, "fine": wide(2)}
    table = greenmachine.rank(models, proxy, shape=SHAPE).set_index("name")
    assert table.index.tolist() == ["fine", "broken", "infinite"]
    assert table["rank"].tolist() == [1, 2, 2]
    assert table.loc["broken", "failure"] == "ArithmeticError: no way"
    assert math.isnan(table.loc["broken", "score"])
    assert table.loc["infinite", "failure"] == f"the score is {table.loc['infinite', 'score']}"


def test_models_of_a_generator_come_and_go() -> None:
    alive: list[weakref.ref[nn.Module]] = []

    def models() -> Iterator[tuple[str, nn.Module]]:
        for width in (3, 5, 4, 6):
            assert sum(reference() is not None for reference in alive) <= 1
            model = wide(width)
            alive.append(weakref.ref(model))
            yield f"width {width}", model
            del model

    table = greenmachine.rank(models(), "weight_count", shape=SHAPE)
    assert table["name"].tolist() == ["width 6", "width 5", "width 4", "width 3"]


def test_rank_repeats() -> None:
    tables = [
        greenmachine.rank([network("plain", seed) for seed in range(3)], "grad_norm",
                          **dict_of(batch()))
        for _ in range(2)
    ]  # fmt: skip
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("models", [[], {}, iter(())])
def test_rank_of_nothing_is_refused(models: Any) -> None:
    with pytest.raises(ConfigError, match="models is empty"):
        greenmachine.rank(models, "synflow", shape=SHAPE)


def test_rank_of_one_network_does_not_rank_its_layers() -> None:
    with pytest.raises(ConfigError, match="several networks"):
        greenmachine.rank(network("plain"), "synflow", shape=SHAPE)  # type: ignore[arg-type]


# --- evolve ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> greenmachine.Result:
    folder = tmp_path_factory.mktemp("api") / "tiny"
    return greenmachine.evolve("nats-tss", settings=SETTINGS, out=folder, seed=1)


def test_exported_proxy_of_vectors_gives_the_engine_s_score(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    text = "sum_layers(min_eigenvalue(channel_correlation(noise_output)))"
    write_export(tmp_path / "vectors.py", text, direction=1, shape=(8, 64), name="vectors")
    exported = load(tmp_path / "vectors.py")
    with one_thread():
        assert exported.score(model) == greenmachine.score(model, text, shape=(8, 64))


def test_result_tells_what_the_run_found(result: greenmachine.Result) -> None:
    facts = json.loads((result.folder / "result.json").read_text())
    assert result.best.expression == facts["best"]["expression"]
    assert result.best.direction == facts["best"]["direction"]
    assert result.tau == facts["best"]["tau"]
    assert set(result.tau) == {"train", "validation", "test"}
    assert result.test.loc[("cifar10", "champion"), "tau"] == result.tau["test"]["cifar10"]
    assert {"params", "flops"} <= set(result.test.loc["cifar10"].index)
    assert result.test["networks"].tolist() == [12] * len(result.test)
    assert result.history["generation"].tolist() == [0, 1, 2]
    assert result.seconds > 0
    hall = result.hall_of_fame
    assert hall.index[0] == 1
    assert hall.loc[1, "expression"] == result.best.expression
    assert hall.loc[1, "train.cifar10"] == pytest.approx(result.tau["train"]["cifar10"], abs=1e-6)
    assert hall["validation"].is_monotonic_decreasing
    tau, error = result.test.loc[("cifar10", "champion"), ["tau", "standard_error"]]
    assert f"cifar10 {tau:.3f} ± {error:.3f}" in repr(result)
    assert result.best.expression in repr(result)
    assert greenmachine.Result.open(str(result.folder)) == result


def test_result_exports_what_it_scores(result: greenmachine.Result, tmp_path: Path) -> None:
    path = result.export(tmp_path / "proxy.py")
    model = network("branches")
    expected = load(path).score(model, torch.zeros(SHAPE))
    for proxy in (result.best, path, result.folder, result.best.expression):
        found = greenmachine.score(model, proxy, shape=SHAPE)
        assert found == expected or (math.isnan(found) and math.isnan(expected))
    second = result.export(str(tmp_path / "second.py"), rank=2)
    assert result.hall_of_fame.loc[2, "expression"] == load(second).EXPRESSION
    with pytest.raises(ConfigError, match="hall of fame"):
        result.export(tmp_path / "proxy.py", rank=99)
    with pytest.raises(ConfigError, match=r"must end in \.py"):
        result.export(tmp_path / "proxy.txt")


def test_same_seed_same_run_and_settings_by_any_way(
    result: greenmachine.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nested = {key: value for key, value in SETTINGS.items() if "." not in key}
    nested["capture"] = {"batch": 2, "options": {"cells": 1}}
    config = RunConfig.model_validate(nested)
    again = greenmachine.evolve(config=config, seed=1)
    assert again.folder == Path("runs/tiny-1")
    assert again.best.expression == result.best.expression
    assert again.tau == result.tau
    pd.testing.assert_frame_equal(
        again.history.drop(columns="seconds"), result.history.drop(columns="seconds")
    )
    settings = [json.loads((r.folder / "config.json").read_text()) for r in (again, result)]
    assert settings[0] == settings[1]
    other = greenmachine.evolve(config=config, settings={"evolution.generations": 0}, seed=2)
    assert other.folder == Path("runs/tiny-2")
    assert len(other.history) == 1


class Listener:
    """Notes what it hears, and interrupts after a generation if asked to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.lines: list[str] = []
        self.generations: list[int] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, what: str, done: int, total: int) -> None:
        pass

    def generation(self, row: dict[str, float], search: Search) -> None:
        self.generations.append(int(row["generation"]))
        if row["generation"] == self.stop_after:
            raise KeyboardInterrupt


def test_a_finished_run_is_returned_at_once(result: greenmachine.Result) -> None:
    listener = Listener()
    again = greenmachine.evolve(
        "nats-tss", settings=SETTINGS, out=result.folder, seed=1, listener=listener
    )
    assert listener.generations == []
    assert again == result
    with pytest.raises(RunError, match="holds another run"):
        greenmachine.evolve("nats-tss", settings=SETTINGS, out=result.folder, seed=2)


@pytest.mark.parametrize("how", ["same call", "resume"])
def test_an_interrupted_run_goes_on(how: str, result: greenmachine.Result, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    call: dict[str, Any] = {"settings": SETTINGS, "out": out, "seed": 1}
    with pytest.raises(KeyboardInterrupt):
        greenmachine.evolve("nats-tss", **call, listener=Listener(stop_after=0))
    with pytest.raises(RunError, match="holds no result.json"):
        greenmachine.Result.open(out)
    listener = Listener()
    if how == "resume":
        again = greenmachine.evolve(resume=out, listener=listener)
    else:
        again = greenmachine.evolve("nats-tss", **call, listener=listener)
    assert listener.generations == [1, 2]
    assert again.tau == result.tau


def test_result_of_no_run_and_of_a_damaged_one(result: greenmachine.Result, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no result.json"):
        greenmachine.Result.open(tmp_path / "nowhere")
    folder = tmp_path / "damaged"
    shutil.copytree(result.folder, folder)
    (folder / "history.csv").unlink()
    (folder / "hall_of_fame.json").write_text("[{")
    opened = greenmachine.Result.open(folder)
    with pytest.raises(RunError, match="history.csv"):
        _ = opened.history
    with pytest.raises(RunError, match="hall_of_fame.json"):
        _ = opened.hall_of_fame
    (folder / "result.json").write_text('{"best": {}}')
    with pytest.raises(RunError, match="damaged"):
        greenmachine.Result.open(folder)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"benchmark": "nats-xyz"}, DataError, "no benchmark 'nats-xyz'"),
        ({"config": "missing.yaml"}, ConfigError, "cannot read missing.yaml"),
        ({"settings": {"evolution.populaton": 9}}, ConfigError, "there is no such setting"),
        ({"settings": {"evolution.population": "two"}}, ConfigError, "evolution.population"),
        ({"settings": {"evolution.seeds": ["nwott"]}}, ConfigError, "unknown proxy"),
        ({"settings": {"evolution.seeds": ["nwot"]}}, ConfigError, "is a function"),
        ({"settings": {"datasets": ["svhn"]}}, DataError, "svhn"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"resume": "nowhere"}, RunError, "holds no run"),
        ({"resume": "nowhere", "seed": 1}, ConfigError, "give no others"),
        ({"resume": "nowhere", "benchmark": "nats-tss"}, ConfigError, "give no others"),
    ],
)
def test_evolve_refuses_what_does_not_fit(
    call: dict[str, Any],
    error: type[Exception],
    says: str,
    synthetic_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says) as caught:
        greenmachine.evolve(**call)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_settings_are_left_as_they_were_given() -> None:
    evolution = {"population": 8, "elites": 1}
    config, _ = settle(settings={"evolution": evolution, "evolution.generations": 3})
    assert (config.evolution.population, config.evolution.generations) == (8, 3)
    assert evolution == {"population": 8, "elites": 1}


def test_run_is_called_as_its_benchmark_and_takes_its_first_data_set(
    synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {key: value for key, value in SETTINGS.items() if key != "name"}
    settings |= {"capture.options": {}, "evolution.generations": 0, "seed": np.int64(4)}
    found = greenmachine.evolve("nats-sss", settings=settings, seed=3)
    assert found.folder == Path("runs/nats-sss-3")
    described = json.loads((found.folder / "config.json").read_text())["config"]
    assert (described["name"], described["datasets"]) == ("nats-sss", ["cifar10"])
    assert RunConfig(benchmark="spaces/my_space.py:accuracies.csv").name == "my_space"


def test_networks_that_fail_are_warned_of_and_lines_are_written(
    synthetic_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build = Benchmark.build

    def broken(self: Benchmark, index: int, dataset: str, **options: Any) -> nn.Module:
        if index % 2:
            raise RuntimeError("no such convolution")
        return build(self, index, dataset, **options)

    monkeypatch.setattr(Benchmark, "build", broken)
    settings = SETTINGS | {"evolution.generations": 0}
    with pytest.warns(UserWarning, match="of 12 cifar10 test networks failed"):
        greenmachine.evolve(settings=settings, out=tmp_path / "run", verbose=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "generation 0/0" in printed.err
    assert "no such convolution" in printed.err


SCRIPT = """
import greenmachine

result = greenmachine.evolve("nats-tss", settings={settings!r}, seed=1, out="run")
print("SCRIPT", result.best.expression)
"""


def test_evolve_in_a_script_without_main_guard(result: greenmachine.Result, tmp_path: Path) -> None:
    """Workers must not run the script again."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(settings=SETTINGS | {"workers": 2}))
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"SCRIPT {result.best.expression}\n"
    assert done.stderr == ""


# --- the package ----------------------------------------------------------------------------


def test_importing_a_module_does_not_import_them_all() -> None:
    code = (
        "import sys, greenmachine.errors, greenmachine\n"
        "assert greenmachine.__version__\n"
        "assert not {'torch', 'pandas', 'greenmachine.api'} & set(sys.modules)\n"
        "assert 'score' in dir(greenmachine)\n"
        "from greenmachine import *\n"
        "assert callable(score) and callable(rank) and callable(evolve)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = greenmachine.scores  # type: ignore[attr-defined]
