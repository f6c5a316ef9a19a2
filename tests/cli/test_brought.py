"""A user's benchmarks and proxies through evolve, score, sweeps in workers and forests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import greenmachine
from greenmachine.errors import ConfigError, RunError
from greenmachine.evaluation import capture_spec, score_networks, score_to_file
from greenmachine.plugins import load_plugin
from greenmachine.proxies import PROXIES, resolve
from greenmachine.signals.passes import noise_images
from tests import brought

from .conftest import Call

SETTINGS = {
    "workers": 2,
    "passes": ["noise", "data"],
    "capture.batch": 5,
    "samples": {name: {"size": 6} for name in ("train", "validation", "test")},
    "evolution": {"population": 8, "generations": 1, "elites": 1, "hall_of_fame": 4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("brought")
    plugin = brought.write(folder)[0]
    with brought.forgotten():
        load_plugin(plugin)
        yield folder


@pytest.fixture(scope="module", params=["csv", "plugin"])
def name(request: pytest.FixtureRequest, folder: Path) -> str:
    return "brought" if request.param == "plugin" else f"{folder}/space.py:{folder}/acc.csv"


def test_evolve_on_both_data_sets(name: str, folder: Path, tmp_path: Path) -> None:
    result = greenmachine.evolve(
        f"{name}/all",
        settings=SETTINGS,
        out=tmp_path / "run",
        seed=1,
        plugins=[folder / "plugin.py"],
    )
    assert set(result.tau["test"]) == {"small", "wide"}
    groups = greenmachine.load_benchmark(name).groups
    assert len(set(groups)) == len(brought.ARCHS) / 2
    scores = pd.read_parquet(result.folder / "scores.parquet")
    train, validation, test = ({*groups[of["index"]]} for _, of in scores.groupby("sample"))
    assert not (train & validation or train & test or validation & test)
    again = greenmachine.evolve(
        None if name == "brought" else name, resume=result.folder, plugins=[folder / "plugin.py"]
    )
    assert again.best == result.best


def test_sweep_in_workers_is_each_score_alone(name: str) -> None:
    columns = {proxy: proxy for proxy in (*brought.PROXIES_BROUGHT, "nwot")}
    terminals = [greenmachine.language.parse(PROXIES.find("my_norm").expression)]
    spec = capture_spec(name, "wide", terminals, batch=5, seed=3, options={})
    indices = list(range(0, 40, 2))
    swept = score_networks(columns, spec, indices, workers=2)
    pd.testing.assert_frame_equal(swept, score_networks(columns, spec, indices, workers=1))
    benchmark = greenmachine.load_benchmark(name)
    assert swept["arch"].tolist() == [benchmark.archs[index] for index in indices]
    images, labels = benchmark.images("wide", 5, seed=3)
    noise = noise_images((5, 9), 3)
    for row in (0, 7, 19):
        model = benchmark.build(indices[row], "wide", seed=3)
        for proxy in brought.PROXIES_BROUGHT:
            given = {"images": images, "labels": labels} if proxy == "start_loss" else {}
            found = greenmachine.score(
                model, proxy, seed=3, **(given or {"images": noise, "shape": (5, 9)})
            )
            assert swept[proxy][row] == found


def test_commands_score_fit_and_predict(name: str, folder: Path, call: Call) -> None:
    on = ["--plugin", str(folder / "plugin.py"), "--on", name, "--dataset", "wide"]
    done = call(
        *("score", *brought.PROXIES_BROUGHT, *on, "--sample", "all", "--batch", "5"),
        *("--workers", "2", "--out", "scores.parquet", "--json"),
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(Path("scores.parquet"))
    assert len(table) == 40 and table.notna().all(axis=None)
    done = call(
        *("forest", "fit", "scores.parquet", *on, "--train", "30", "--trees", "10", "--json"),
        *("--out", "forest.json"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told["importances"]) == set(brought.PROXIES_BROUGHT)
    assert "held_out_classes" in {row["protocol"] for row in told["protocols"]}
    done = call("forest", "predict", "forest.json", "scores.parquet", "--out", "predicted.parquet")
    assert done.returncode == 0, done.stderr
    predicted = pd.read_parquet(Path("predicted.parquet"))["predicted_accuracy"]
    assert predicted.between(30, 70).all() and predicted.nunique() > 5
    done = call("evaluate", "scores.parquet", *on, "--json")
    assert done.returncode == 0, done.stderr


def test_architecture_proxy_of_a_registered_benchmark(folder: Path) -> None:
    spec = capture_spec("brought", "small", [], batch=5, seed=0, options={})
    found = score_networks({"first": "first_width"}, spec, [0, 39], workers=1)
    assert found["first"].tolist() == [2.0, 11.0]
    own = capture_spec(
        f"{folder}/space.py:{folder}/acc.csv", "small", [], batch=5, seed=0, options={}
    )
    with pytest.raises(ConfigError, match="not those of this benchmark"):
        score_networks({"first": "first_width"}, own, [0], workers=1)


def test_names_and_descriptions(folder: Path) -> None:
    assert resolve("my_norm").description == resolve("my_norm").expression
    assert resolve("spread_of_outputs").description == "Standard deviation of the outputs on noise."
    assert resolve("start_loss").passes == ("data",)
    assert resolve("start_loss").direction == -1
    model = greenmachine.load_benchmark("brought").build(0, "small")
    ranked = greenmachine.rank({"a": model}, "spread_of_outputs", shape=(5, 6))
    assert np.isfinite(ranked["score"]).all()


def test_a_changed_plugin_does_not_go_on_with_its_scores(folder: Path, tmp_path: Path) -> None:
    """The source of a plugin counts for what it defines, and for nothing else."""
    plugin = tmp_path / "other.py"
    source = (
        "import greenmachine\n@greenmachine.register_proxy\ndef other(m, i, l, s): return {}.0\n"
    )
    spec = capture_spec("digits-tss", "digits", [], batch=2, seed=0, options={})
    out = tmp_path / "scores.parquet"

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    def sweep(proxy: str, version: int, **stopped: object) -> pd.DataFrame:
        plugin.write_text(source.format(version))
        with brought.forgotten():
            load_plugin(plugin)
            return score_to_file({"x": proxy}, spec, range(20), out, workers=1, **stopped)

    with pytest.raises(KeyboardInterrupt):
        sweep("other", 1, progress=stop)
    with pytest.raises(RunError, match="other work"):
        sweep("other", 2)
    assert sweep("other", 1)["x"].eq(1.0).all()
    out.unlink()
    with pytest.raises(KeyboardInterrupt):
        sweep("params", 1, progress=stop)
    assert len(sweep("params", 2)) == 20
