"""The example plugin, a file and installed: evolved in workers of every backend, exported."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

import greenmachine
from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import ConfigError
from greenmachine.language import LANGUAGES, parse
from greenmachine.language.grammar import Grammar
from greenmachine.plugins import load_plugin, loaded_plugins
from tests.workers.clusters import dask_cluster

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin" / "sparsity.py"
EXPRESSION = "add(sum_layers(hoyer_sparsity(uniform_output)), mean_layers(hoyer_sparsity(weight)))"
SETTINGS: dict[str, Any] = {
    "passes": ["noise", "uniform"],
    "workers": 2,
    "samples": {"train": {"size": 32}, "validation": {"size": 8}, "test": {"size": 8}},
    "capture": {"batch": 2},
    "callbacks": ["champion_log"],
    "objective": {"scheme": "first_quarter", "parsimony": 0.001},
    "evolution": {"population": 10, "generations": 2, "elites": 1, "seeds": [EXPRESSION]},
}
LINE = "from greenmachine.cli import main; main()"


def command(
    *words: str | Path, where: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which has loaded no plugin yet."""
    return subprocess.run(
        [sys.executable, "-c", LINE, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=where,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        timeout=300,
    )


def evolve(*words: str | Path, where: Path, **environment: str) -> None:
    """Run ``greenmachine evolve``, which has to succeed."""
    done = command("evolve", *words, where=where, **environment)
    assert done.returncode == 0, done.stderr


def written(settings: dict[str, Any]) -> list[str]:
    """Return settings as words of the command line."""
    return [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]


ONE, TWO = (f"--set=evolution.generations={n}" for n in (1, 2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the plugin on two workers of loky, stopped after a generation, and resumed."""
    folder = tmp_path_factory.mktemp("plugin") / "run"
    evolve("--plugin", PLUGIN, "--out", folder, *written(SETTINGS), ONE, where=folder.parent)
    unnamed = command("evolve", "--resume", folder, TWO, where=folder.parent)
    assert unnamed.returncode == 1
    assert f"--plugin {PLUGIN}" in unnamed.stderr
    evolve("--resume", folder, TWO, "--plugin", PLUGIN, where=folder.parent)
    return folder


@pytest.mark.slow
def test_words_and_passes_are_evolved_in_workers(run: Path) -> None:
    words = (run / "primitives.csv").read_text()
    assert "hoyer_sparsity" in words
    assert "uniform_" in words
    described = json.loads((run / "config.json").read_text())
    assert described["plugins"].keys() == {str(PLUGIN)}


@pytest.mark.slow
def test_the_objective_is_what_the_run_maximises(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert result["objective"]["scheme"] == "first_quarter"
    scores = pd.read_parquet(run / "scores.parquet")
    test = scores[scores["sample"] == "test"]
    first = test.assign(score=result["best"]["direction"] * test["champion"]).nlargest(2, "score")
    expected = first["accuracy"].mean() / 100
    assert result["best"]["objective"]["test"]["digits"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_the_callback_follows_the_run_and_its_resumption(run: Path) -> None:
    lines = (run / "champions.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    best = json.loads((run / "result.json").read_text())["best"]["expression"]
    assert lines[-1].endswith(f" {best}")


BACKENDS = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
COLD = ("cache_hits", "cache_misses", "evaluated")  # of the cache, which a checkpoint lacks


def outcome(folder: Path, *ignored: str) -> dict[str, Any]:
    """Everything that a run found, read from its files, without its times and ``ignored``."""
    spent = {"seconds", "energy", "energy_kwh", "sha256", *ignored}

    def kept(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key not in spent}

    def read(name: str) -> Any:
        return json.loads((folder / name).read_text())

    with (folder / "history.csv").open() as file:
        history = [kept(row) for row in csv.DictReader(file)]
    hall, search = read("hall_of_fame.json"), read("checkpoint.json")["search"]
    log = (folder / "champions.txt").read_text()
    return {
        "history": history,
        "hall": hall,
        "search": search,
        "log": log,
        "result": kept(read("result.json")),
    }


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("dask", "loky"), ("loky", "ray")])
def test_every_backend_finds_the_same(run: Path, first: str, second: str, tmp_path: Path) -> None:
    for name in (first, second):
        pytest.importorskip(BACKENDS[name])
    folder = tmp_path / "run"
    plugin = ["--plugin", PLUGIN, "--workers", "2"]
    start = [*plugin, "--out", folder, *written(SETTINGS), ONE]
    evolve(*start, "--backend", first, where=tmp_path)
    evolve(*plugin, "--resume", folder, TWO, "--backend", second, where=tmp_path)
    assert outcome(folder) == outcome(run)


@pytest.mark.slow
def test_long_lived_workers(run: Path, tmp_path: Path) -> None:
    moved, changed = tmp_path / "moved" / PLUGIN.name, tmp_path / "changed" / PLUGIN.name
    for copy, more in ((moved, ""), (changed, "\n# another version\n")):
        copy.parent.mkdir()
        copy.write_text(PLUGIN.read_text() + more)
    with dask_cluster(tmp_path, "--nworkers", "2", "--nthreads", "1") as (address, _):
        start = [*written(SETTINGS), ONE, "--backend", f"dask:{address}", "--out"]
        evolve("--plugin", PLUGIN, *start, tmp_path / "run", where=tmp_path)
        evolve("--plugin", moved, *start, tmp_path / "again", where=tmp_path)
        other = command("evolve", "--plugin", changed, *start, tmp_path / "other", where=tmp_path)
    assert outcome(tmp_path / "again", *COLD) == outcome(tmp_path / "run", *COLD)
    assert other.returncode == 1
    assert other.stderr.splitlines()[-1].endswith("start the workers again")


@pytest.mark.slow
def test_an_export_has_the_plugins_source_and_its_score(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "proxy.py"
    hall = json.loads((run / "hall_of_fame.json").read_text())
    ranks = [n for n, each in enumerate(hall, 1) if "hoyer_sparsity" in each["expression"]]
    assert ranks
    rank = ranks[0]
    done = command("export", run, "--rank", rank, "--out", out, "--plugin", PLUGIN, where=tmp_path)
    assert done.returncode == 0, done.stderr
    load_plugin(PLUGIN)
    expression = hall[rank - 1]["expression"]
    model = load_benchmark("digits-tss").build(5, "digits", seed=1)
    expected = greenmachine.score(model, expression, shape=(2, 3, 8, 8), seed=4)
    torch.save(model, tmp_path / "model.pt")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
model = __import__("torch").load({str(tmp_path / "model.pt")!r}, weights_only=False)
for name in [name for name in sys.modules if name.partition(".")[0] == "greenmachine"]:
    del sys.modules[name]
sys.modules["greenmachine"] = None
import proxy
print(repr(proxy.score(model, shape=(2, 3, 8, 8), seed=4)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) == expected


@pytest.mark.slow
def test_a_changed_plugin_is_refused(run: Path, tmp_path: Path) -> None:
    changed = tmp_path / PLUGIN.name
    changed.write_text(PLUGIN.read_text() + "\n# another line\n")
    copied = command("report", run, "--plugin", changed, where=tmp_path)
    assert copied.returncode == 1
    assert copied.stderr.count("greenmachine: ") == 1
    assert f"{changed} differs" in copied.stderr  # it is not taken for the run's plugin


@pytest.mark.slow
def test_the_same_file_elsewhere_is_the_same_plugin(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.py"
    copy.write_bytes(PLUGIN.read_bytes())
    done = command("proxies", "show", run, "--plugin", copy, where=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_is_extended_with_a_plugin_that_was_moved(tmp_path: Path) -> None:
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_bytes(PLUGIN.read_bytes())
    evolve("--plugin", old, "--out", "run", *written(SETTINGS), ONE, where=tmp_path)
    old.rename(new)
    evolve("--plugin", new, "--resume", "run", TWO, where=tmp_path)
    assert len((tmp_path / "run" / "champions.txt").read_text().splitlines()) == 3


def test_a_run_that_names_no_plugin_has_none_of_its_words() -> None:
    plugin = load_plugin(PLUGIN)
    assert plugin in loaded_plugins()
    assert load_plugin(PLUGIN) is plugin
    bare = Grammar(["noise"])
    assert not any("hoyer" in name for name in bare.pset.mapping)
    with pytest.raises(ConfigError, match="pass uniform"):
        Grammar(["uniform"])
    whole = Grammar(["uniform"], (), LANGUAGES["typed"], [plugin.name])
    assert whole.tree(parse(EXPRESSION))
    with pytest.raises(ConfigError, match="plugins"):
        bare.tree(parse(EXPRESSION))


FAULTS = {
    "import nothing_of_that_name": "cannot import its neighbours",
    "def f(:": "line 1: SyntaxError",
    "raise SystemExit(3)": "SystemExit",
    "import greenmachine\n@greenmachine.register_pass()\ndef noise(m, i, w, s):\n  'x'": "taken",
    "import greenmachine\n@greenmachine.primitive((('WeightTensor',), 'LayerScalar'))\n"
    "def bad_word(x):\n  'Sum over all layers.'\n  return x.sum()": "one number per layer",
    "import greenmachine\nclass S(greenmachine.Selection, scheme='nsga2'): pass": "already exists",
}


@pytest.mark.parametrize("source", FAULTS)
def test_faults_are_told_in_one_line(source: str, tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(source)
    before = loaded_plugins()
    with pytest.raises(ConfigError, match=FAULTS[source]) as raised:
        load_plugin(path)
    assert "\n" not in str(raised.value)
    assert loaded_plugins() == before


@pytest.mark.parametrize("name", ["missing.py", "no-such-package"])
def test_what_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError):
        load_plugin(name)


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.py"
    path.write_text("value = 1\n")
    load_plugin(path)
    path.write_text("value = 2\n")
    with pytest.raises(ConfigError, match="restart Python"):
        load_plugin(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the plugin."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(PLUGIN.parent, folder / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    done = subprocess.run(
        [*pip, *words, str(folder / "source")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


def with_site(site: Path) -> dict[str, str]:
    """Return the environment in which the plugin is installed."""
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.slow
def test_installed_it_finds_what_the_file_finds(run: Path, site: Path, tmp_path: Path) -> None:
    folder, there = tmp_path / "run", with_site(site)
    start = ["--plugin", "sparsity", "--out", folder, *written(SETTINGS), ONE]
    evolve(*start, where=tmp_path, **there)
    missing = command("evolve", "--resume", folder, TWO, where=tmp_path)
    assert missing.returncode == 1
    assert "no plugin 'sparsity'" in missing.stderr
    evolve("--resume", folder, TWO, where=tmp_path, **there)
    assert outcome(folder) == outcome(run)
    changed = tmp_path / "site"
    shutil.copytree(site, changed)
    with (changed / "sparsity.py").open("a") as module:
        module.write("\n# another version\n")
    refused = command("export", folder, "--out", "proxy.py", where=tmp_path, **with_site(changed))
    assert refused.returncode == 1
    assert "has changed since" in refused.stderr
    assert not (tmp_path / "proxy.py").exists()


@pytest.mark.slow
def test_settings_name_an_installed_plugin(site: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "plugins": ["sparsity"]}
    settings["evolution"] = {**SETTINGS["evolution"], "generations": 1}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    evolve("run.yaml", "--out", "run", where=tmp_path, **with_site(site))
    assert "hoyer_sparsity" in (tmp_path / "run" / "primitives.csv").read_text()
    assert len((tmp_path / "run" / "champions.txt").read_text().splitlines()) == 2
