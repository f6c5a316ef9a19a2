"""Searches for networks: the same however they are run, stopped and shared."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import TrialState
from torch import nn

import greenmachine
from greenmachine.benchmarks import SPACES, load_benchmark
from greenmachine.errors import ConfigError, DataError, GreenMachineError, RunError
from greenmachine.evaluation import capture_spec
from greenmachine.evaluation.combining import rank_sums_of, with_rank_sums
from greenmachine.networks import parse_101
from greenmachine.proxies import PROXIES
from greenmachine.search import study
from greenmachine.search.enumeration import enumerate_space
from greenmachine.search.goals import Constraint, read_goal
from greenmachine.search.result import SearchResult, pareto_front
from greenmachine.search.samplers import RegularisedEvolution
from greenmachine.signals.network_capture import build_network

SPACE = """
import torch
from torch import nn

INPUT_SHAPE = (3, 8, 8)
NUM_CLASSES = 10


def suggest(trial):
    depth = trial.suggest_int("depth", 1, 2)
    widths = [trial.suggest_categorical(f"width {n}", [2, 4, 6]) for n in range(depth)]
    return "-".join(map(str, widths))


def build(arch):
    widths = [3, *map(int, arch.split("-"))]
    layers = []
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))
"""

COSTS = """
def layers(model):
    return len(list(model.modules()))


def text(arch):
    return len(arch)


def outputs(model, images):
    return model(images).shape[0]


def wrong(model, watts):
    return 1


def broken(arch):
    raise RuntimeError("no meter here")
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "costs.py").write_text(COSTS)
    path = tmp_path / "my_space.py"
    path.write_text(SPACE)
    return path


def found(result: SearchResult) -> pd.DataFrame:
    return result.trials


@pytest.mark.parametrize("name", SPACES)
def test_every_space_suggests_its_own_architectures(name: str) -> None:
    space, seen = SPACES[name], set()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        arch = space.suggest(study.ask())
        if arch is None:
            assert name == "nas-bench-101"
            continue
        seen.add(arch)
        params, _ = space.costs([arch], num_classes=10, image_size=16, **space.options)
        assert params[0] > 0
        if name == "nas-bench-101":
            assert len(parse_101(arch).edges) <= 9
    assert len(seen) > 3


def test_the_enumeration_has_every_architecture_once(space: Path) -> None:
    own = load_benchmark(str(space)).space.suggest
    assert len({tuple(sorted(p.items())) for p in enumerate_space(own)}) == 3 + 9
    assert sum(1 for _ in enumerate_space(SPACES["nas-bench-macro"].suggest)) == 3**8


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "evolution"])
@pytest.mark.parametrize("stop", [(7, 16)])
def test_a_stopped_search_finds_what_the_unbroken_one_finds(
    sampler: str, stop: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path | None) -> SearchResult:
        return greenmachine.search_networks(
            "flops",
            on="digits-sss",
            constraints="params>=3000",
            trials=24,
            sampler=sampler,
            seed=3,
            ask=4,
            out=folder,
        )

    monkeypatch.setattr(RegularisedEvolution.__init__, "__defaults__", (8, 4, 0))
    whole = run(None)
    import greenmachine.search.evaluator as module

    score = module.score_arch
    for moment in stop:
        calls = count()

        def interrupted(*task: object, at: int = moment, calls: object = calls) -> object:
            if next(calls) == at:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            return score(*task)

        monkeypatch.setattr(module, "score_arch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out")
    monkeypatch.setattr(module, "score_arch", score)
    pd.testing.assert_frame_equal(found(run(tmp_path / "out")), found(whole))


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(space: Path) -> None:
    results = [
        greenmachine.search_networks(
            ["nwot_inputs", "params"], on=str(space), trials=12, ask=4, workers=workers
        )
        for workers in (1, 2)
    ]
    pd.testing.assert_frame_equal(results[0].trials, results[1].trials)
    assert (results[0].trials["state"] == "scored").all()


def test_nothing_is_scored_twice(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import greenmachine.search.evaluator as module

    seen: list[str] = []
    score = module.score_arch

    def noted(spec: object, columns: list[object], arch: str, folder: Path) -> object:
        seen.extend([arch] if columns else [])
        return score(spec, columns, arch, folder)

    monkeypatch.setattr(module, "score_arch", noted)
    result = greenmachine.search_networks("nwot_inputs", on=str(space), trials=40, sampler="random")
    assert len(result.trials) == 40 and len(seen) == len(set(seen)) == len(result.best) > 5


def test_scores_are_those_of_the_score_command(synthetic_folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(synthetic_folder))
    result = greenmachine.search_networks("nwot", on="digits-sss", trials=4, sampler="random")
    benchmark = load_benchmark("digits-sss")
    from greenmachine.evaluation import capture_spec, score_networks

    spec = capture_spec("digits-sss", "digits", [], batch=8, seed=0, options={})
    known = result.trials.dropna(subset="index")
    for row in known.itertuples():
        frame = score_networks({"nwot": "nwot"}, spec, [int(row.index)], workers=1)
        assert frame["nwot"][0] == row.nwot
    assert len(benchmark) > 0


def test_the_exhaustive_search_finds_the_best_of_the_space(space: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = greenmachine.search_networks(
        [f"max:{space.parent}/costs.py:layers", "params"],
        on=str(space),
        sampler="exhaustive",
        out=out,
    )
    assert len(result.trials) == 12
    assert list(result.front["arch"]) == ["2-2", "2"]
    assert {path.name for path in out.iterdir()} >= {
        "result.json",
        "trials.parquet",
        "trials.csv",
        "front.svg",
        "report.html",
    }
    facts = json.loads((out / "result.json").read_text())
    assert facts["trials"]["scored"] == 12 and len(facts["front"]) == 2
    assert "2-2" in (out / "report.html").read_text()


@pytest.mark.parametrize("name", ["layers", "text", "outputs"])
def test_a_function_of_the_user_is_minimised(space: Path, name: str) -> None:
    goal = f"{space.parent}/costs.py:{name}"
    result = greenmachine.search_networks(goal, on=str(space), sampler="exhaustive")
    assert result.best[goal].iloc[0] == result.best[goal].min()


def test_truth_is_that_of_the_table(
    synthetic_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENMACHINE_DATA", str(synthetic_folder))
    benchmark = load_benchmark("nats-sss")
    accuracy = benchmark.accuracy("cifar10")
    result = greenmachine.search_networks(
        "accuracy", on="nats-sss", sampler="exhaustive", trials=100
    )
    known = result.trials[result.trials["state"] == "scored"]
    assert 5 < len(known) < 100
    for row in known.itertuples():
        index = benchmark.index_of(row.arch)
        assert row.accuracy == accuracy[index]
        assert row.regret == accuracy.max() - accuracy[index]
        assert row.rank == 1 + (accuracy > accuracy[index]).sum()
    assert result.best["rank"].is_monotonic_increasing


def test_constraints_are_kept() -> None:
    result = greenmachine.search_networks(
        "synflow",
        on="digits-sss",
        constraints=["params<=3000", "synflow>=1"],
        trials=15,
        sampler="random",
    )
    scored = result.trials[result.trials["state"] == "scored"]
    assert len(scored) == 15 and (scored["params"] <= 3000).all() and (scored["synflow"] >= 1).all()
    assert (result.trials["state"] == "not allowed").sum() > 0


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


def test_evolution_mutates_one_parameter_of_a_young_parent() -> None:
    space = SPACES["sss"].suggest
    study = optuna.create_study(
        sampler=RegularisedEvolution(population=5, sample=2, seed=1), direction="maximize"
    )
    archs: list[list[str]] = []
    for _ in range(40):
        trial = study.ask()
        archs.append(space(trial).split(":"))
        study.tell(trial, sum(map(int, archs[-1])))
    for place in range(5, 40):
        differ = [
            sum(a != b for a, b in zip(archs[place], old, strict=True))
            for old in archs[place - 5 : place]
        ]
        assert 1 in differ
    assert np.mean([sum(map(int, a)) for a in archs[-10:]]) > np.mean(
        [sum(map(int, a)) for a in archs[:5]]
    )


class _Killed(BaseException):
    """The process would have ended here."""


@pytest.mark.parametrize("how", ["interrupted", "interrupted in reading", "killed"])
def test_it_goes_on_wherever_it_was_stopped(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(folder: Path | None) -> pd.DataFrame:
        result = greenmachine.search_networks(
            "flops", on="digits-sss", trials=4, sampler="random", seed=3, ask=2, out=folder
        )
        return found(result)

    write, read = JournalFileBackend.append_logs, JournalStorageReplayResult._apply_create_trial
    whole, left = run(None), 0

    def stop() -> None:
        nonlocal left
        left -= 1
        if left == 0 and how != "killed":
            os.kill(os.getpid(), signal.SIGINT)

    def writing(backend: JournalFileBackend, logs: list[dict[str, object]]) -> None:
        if left <= 0 and how == "killed":
            raise _Killed
        write(backend, logs)
        if how != "interrupted in reading":
            stop()

    def reading(replay: JournalStorageReplayResult, log: dict[str, object]) -> None:
        if how == "interrupted in reading":
            stop()
        read(replay, log)

    stops = 0
    for moment in count(1):
        folder = tmp_path / str(moment)
        with monkeypatch.context() as patched:
            patched.setattr(JournalFileBackend, "append_logs", writing)
            patched.setattr(JournalStorageReplayResult, "_apply_create_trial", reading)
            if how == "killed":
                patched.setattr(study, "this_process", lambda: f"{platform.node()} 4194304 0")
            left = moment
            try:
                run(folder)
            except (KeyboardInterrupt, _Killed):
                stops += 1
            if left > 0:
                break
        # A batch is stored as a whole, so that samplers that learn from it see it as a whole.
        kept = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
        trials = [t for each in kept.get_all_studies() for t in kept.get_all_trials(each._study_id)]
        assert sum(trial.state == TrialState.COMPLETE for trial in trials) in (0, 2, 4)
        pd.testing.assert_frame_equal(run(folder), whole, obj=f"stopped at {moment}")
    assert stops >= 4


@pytest.mark.parametrize("end", ["half of a line", "a lock of Optuna"])
def test_what_a_killed_process_leaves_behind_does_not_matter(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a relative path: Optuna's lock would point to nothing

    def run(trials: int, out: str) -> pd.DataFrame:
        return found(
            greenmachine.search_networks(
                "flops", on="digits-sss", trials=trials, sampler="random", out=out
            )
        )

    run(10, "found")
    journal = tmp_path / "found" / "study.journal"
    if end == "half of a line":
        with journal.open("ab") as file:
            file.write(b'{"op_code": 4, "wor')
    else:
        Path(f"{journal}.lock").symlink_to("found/study.journal")
    pd.testing.assert_frame_equal(run(20, "found"), run(20, "whole"))


@pytest.mark.slow
def test_two_processes_share_one_storage(space: Path, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    code = (
        "import greenmachine, sys; greenmachine.search_networks('nwot_inputs', "
        "on=sys.argv[1], trials=30, "
        "sampler='random', ask=3, storage=sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(space), storage]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    study = optuna.load_study(study_name="greenmachine", storage=storage)
    owners = {trial.user_attrs["owner"] for trial in study.trials}
    assert sum(t.state.name == "COMPLETE" for t in study.trials) >= 30
    assert len(owners) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_goes_on(number: int, space: Path, tmp_path: Path) -> None:
    words = [
        "search",
        "nwot_inputs",
        "--on",
        str(space),
        "--trials",
        "40",
        "--ask",
        "2",
        "--workers",
        "1",
    ]
    command = [sys.executable, "-m", "greenmachine", *words]
    if not (Path(greenmachine.__file__).parent / "__main__.py").exists():
        command[1:3] = ["-c", "from greenmachine.cli import main; main()"]

    def run(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    killed = run(tmp_path / "killed")
    journal = tmp_path / "killed" / "study.journal"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 80:
        assert killed.poll() is None
        time.sleep(0.02)
    os.kill(killed.pid, number)
    assert killed.wait(60) in (143, -9)
    for out in ("killed", "whole"):
        assert run(tmp_path / out).wait(120) == 0
    tables = [pd.read_parquet(tmp_path / out / "trials.parquet") for out in ("killed", "whole")]
    pd.testing.assert_frame_equal(*tables)
    assert (tables[0]["state"] == "scored").sum() == 40


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


def test_another_search_does_not_go_on_in_a_study(space: Path, tmp_path: Path) -> None:
    settings = {"on": str(space), "trials": 3, "out": tmp_path / "out"}
    greenmachine.search_networks("params", **settings)
    with pytest.raises(ConfigError):
        greenmachine.search_networks("params", seed=1, **settings)
    with pytest.raises(ConfigError):
        greenmachine.search_networks("flops", **settings)
    more = greenmachine.search_networks("params", **{**settings, "trials": 5})
    assert len(more.trials) == 5


def test_a_space_without_suggestion_is_refused(space: Path) -> None:
    space.write_text(SPACE.replace("def suggest", "def other"))
    with pytest.raises(DataError):
        greenmachine.search_networks("nwot", on=str(space))


def test_a_space_without_a_table_is_for_the_search_alone(space: Path) -> None:
    with pytest.raises(DataError):
        load_benchmark(str(space)).accuracy("images")


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
def test_what_is_no_objective_is_refused_in_one_line(objectives: object, space: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        greenmachine.search_networks(objectives, on=str(space), trials=2)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_a_part_of_a_space_is_searched(space: Path, tmp_path: Path) -> None:
    def narrow(trial: optuna.Trial) -> str:
        return f"{trial.suggest_categorical('width', [2, 4])}"

    storage = f"sqlite:///{tmp_path}/study.db"
    settings = {"on": str(space), "sampler": "exhaustive", "storage": storage}
    result = greenmachine.search_networks("params", suggest=narrow, **settings)
    assert list(result.best["arch"]) == ["2", "4"]
    with pytest.raises(ConfigError):
        greenmachine.search_networks("params", **settings)


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
