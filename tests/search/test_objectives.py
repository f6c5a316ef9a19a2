"""What a search can optimise: proxies, functions, rank sums, and constraints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import ConfigError, DataError, GreenMachineError, RunError
from greenmachine.evaluation import capture_spec
from greenmachine.evaluation.combining import rank_sums_of, with_rank_sums
from greenmachine.proxies import PROXIES
from greenmachine.search.goals import Constraint, read_goal
from greenmachine.search.result import pareto_front
from greenmachine.signals.network_capture import build_network


@pytest.mark.parametrize("name", ["layers", "text", "outputs"])
def test_a_function_of_the_user_is_minimised(space: Path, name: str) -> None:
    goal = f"{space.parent}/costs.py:{name}"
    result = greenmachine.search_networks(goal, on=str(space), sampler="exhaustive")
    assert result.best[goal].iloc[0] == result.best[goal].min()


def test_rank_sums_of_a_search_are_those_of_all_its_networks() -> None:
    goal = "log_rank_sum(flops, params)"
    result = greenmachine.search_networks(goal, on="digits-sss", trials=30, sampler="exhaustive")
    scored = result.best
    ranks = [scored[name].rank() / len(scored) for name in ("flops", "params")]
    assert np.allclose(scored[goal], np.log(ranks[0]) + np.log(ranks[1]))


def test_nested_rank_sums_are_those_of_score_files() -> None:
    goal = "rank_sum(log_rank_sum(flops,params), -params)"
    result = greenmachine.search_networks(goal, on="digits-sss", trials=20, sampler="exhaustive")
    columns = result.best[["flops", "params"]].astype(float)
    (joined,) = rank_sums_of(columns, [goal])
    assert np.allclose(result.best[goal], with_rank_sums(columns, [joined])[joined.text])


@pytest.mark.parametrize(
    ("goals", "settings", "error"),
    [
        ("nwott", {}, ConfigError),
        ([], {}, ConfigError),
        ("nwot", {"sampler": "best"}, ConfigError),
        (["nwot", "params"], {"sampler": "evolution"}, ConfigError),
        ("nwot", {"constraints": "params<1"}, ConfigError),
        ("nwot_inputs", {"constraints": "params<=1"}, ConfigError),
        ("accuracy", {}, DataError),
        ("costs.py:wrong", {}, ConfigError),
        ("costs.py:nothing", {}, ConfigError),
        ("costs.py:broken", {}, RunError),
        ("rank_sum(nwot)", {}, ConfigError),
        ("rank_sum(nwot, nwott)", {}, ConfigError),
        ("rank_sum(nwot, rank_sum(params, params))", {}, ConfigError),
        ("rank_sum(nwot, params", {}, ConfigError),
        ("nwot", {"storage": "sqlite:////nowhere/at/all.db"}, ConfigError),
        ("az_nas", {"trials": 0}, ConfigError),
    ],
)
def test_mistakes_are_one_line(
    goals: str,
    settings: dict[str, object],
    error: type[GreenMachineError],
    space: Path,
    monkeypatch,
) -> None:
    monkeypatch.chdir(space.parent)
    monkeypatch.setattr("greenmachine.search.study._MOST_IN_VAIN", 40)
    with pytest.raises(error) as raised:
        greenmachine.search_networks(goals, **{"on": str(space), "trials": 70, **settings})
    assert "\n" not in str(raised.value)


def test_goals_and_constraints_read_texts() -> None:
    assert read_goal("params").direction == -1 and read_goal("max:params").direction == 1
    assert read_goal("nwot").direction == 1 and read_goal("min:nwot").direction == -1
    assert [c.text for c in read_goal("az_nas").columns][-1] == "flops"
    assert Constraint.read("params <= 1e6").violation(2e6) == 1e6
    assert Constraint.read("nwot>=10").violation(9) == 1
    assert Constraint.read("nwot>=10").violation(float("nan")) > 0


def test_the_front_is_what_nothing_beats() -> None:
    values = np.array([[1, 1], [2, 0], [0, 2], [1, 0], [1, 1], [2, 0]], dtype=float)
    assert pareto_front(values).tolist() == [True, True, True, False, True, True]


def widths(arch: str) -> int:
    return sum(map(int, arch.split("-")))


class Layers:
    def __call__(self, model: nn.Module) -> int:
        return len(list(model.modules()))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (widths, "widths"),
        (lambda net, x, y: net(x).var(), "<lambda>"),
        (lambda model, images, seed=7: model(images).std() + seed, "<lambda>"),
        (Layers(), "Layers"),
        (partial(lambda arch, factor: factor * len(arch), factor=-1), "<lambda>"),
    ],
)
def test_a_function_is_a_proxy_of_which_more_is_better(
    function: Callable[..., float], name: str, space: Path
) -> None:
    result = greenmachine.search_networks(function, on=str(space), sampler="exhaustive")
    assert len(result.best) == 12
    assert result.best[name].iloc[0] == result.best[name].max() > result.best[name].min()
    if function is widths:
        assert result.best["arch"].iloc[0] == "6-6"
        assert (result.best[name] == result.best["arch"].map(widths)).all()


def test_a_function_scores_as_it_does_in_score(space: Path) -> None:
    def spread(net: nn.Module, images: torch.Tensor, labels: None) -> torch.Tensor:
        return net(images).var().detach()

    proxy = greenmachine.FunctionProxy(
        name="own", function=lambda m, x, y, seed: float(spread(m, x, y)), passes=("noise",)
    )
    result = greenmachine.search_networks([spread, proxy], on=str(space), trials=3, seed=2)
    benchmark = load_benchmark(str(space))
    spec = capture_spec(str(space), "images", [], batch=8, seed=2, options={})
    for row in result.trials.itertuples():
        model = build_network(benchmark, row.arch, spec)
        value = greenmachine.score(model, proxy, shape=(8, 3, 8, 8), seed=2)
        assert row.spread == row.own == pytest.approx(value, rel=1e-6)


def test_proxies_are_objectives_with_their_direction(space: Path) -> None:
    def low(model: nn.Module, images: object, labels: object, seed: int) -> float:
        return float(sum(p.numel() for p in model.parameters()))

    few = greenmachine.FunctionProxy(name="few", function=low, passes=(), direction=-1)
    norm = greenmachine.ExpressionProxy(
        name="norm", expression="sum_layers(l2_norm(weight))", direction=-1
    )
    for proxy in (few, norm, PROXIES.find("params")):
        result = greenmachine.search_networks(
            proxy, on=str(space), sampler="exhaustive", constraints=f"{proxy.name}<=1e6"
        )
        values = result.best[proxy.name]
        assert values.iloc[0] == (values.min() if proxy.direction < 0 else values.max())


@pytest.mark.parametrize(
    "objectives",
    [3, [None], lambda model, watts: 1, [lambda arch: 1, lambda arch: 2]],
    ids=["number", "none", "argument", "two of one name"],
)
def test_what_is_no_objective_is_refused_in_one_line(objectives: Any, space: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        greenmachine.search_networks(objectives, on=str(space), trials=2)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_functions_of_a_script_reach_the_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import greenmachine\n"
        "def words(arch):\n    return len(arch)\n"
        "if __name__ == '__main__':\n"
        "    found = [greenmachine.search_networks(words, trials=6, workers=n) for n in (1, 2)]\n"
        "    assert found[0].trials.equals(found[1].trials) and len(found[0].best) > 1\n"
    )
    subprocess.run([sys.executable, str(script)], check=True)
