"""The example plugin, from evolution in workers to an exported file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import greenmachine
from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import ConfigError, RunError
from greenmachine.evolution import Run
from greenmachine.language import LANGUAGES, parse
from greenmachine.language.grammar import Grammar
from greenmachine.plugins import load_plugin, loaded_plugins

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin" / "sparsity.py"
EXPRESSION = "add(sum_layers(hoyer_sparsity(uniform_output)), mean_layers(hoyer_sparsity(weight)))"
SETTINGS: dict[str, Any] = {
    "passes": ["noise", "uniform"],
    "workers": 2,
    "samples": {"train": {"size": 32}, "validation": {"size": 8}, "test": {"size": 8}},
    "capture": {"batch": 2},
    "evolution": {"population": 10, "generations": 2, "elites": 1, "seeds": [EXPRESSION]},
}
LINE = "from greenmachine.cli import main; main()"


def command(*words: str | Path, where: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which has loaded no plugin yet."""
    return subprocess.run(
        [sys.executable, "-c", LINE, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=where,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the plugin on two workers of loky, stopped after a generation, and resumed."""
    folder = tmp_path_factory.mktemp("plugin") / "run"
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    words = ["evolve", "--plugin", PLUGIN, "--out", folder, *settings]
    first = command(*words, "--set=evolution.generations=1", where=folder.parent)
    assert first.returncode == 0, first.stderr
    more = "--set=evolution.generations=2"
    unnamed = command("evolve", "--resume", folder, more, where=folder.parent)
    assert unnamed.returncode == 1
    assert f"--plugin {PLUGIN}" in unnamed.stderr
    second = command("evolve", "--resume", folder, more, "--plugin", PLUGIN, where=folder.parent)
    assert second.returncode == 0, second.stderr
    return folder


def test_words_and_passes_are_evolved_in_workers(run: Path) -> None:
    words = (run / "words.csv").read_text()
    assert "hoyer_sparsity" in words
    assert "uniform_" in words
    described = json.loads((run / "config.json").read_text())
    assert described["plugins"].keys() == {str(PLUGIN)}


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


def test_a_changed_plugin_is_refused(run: Path, tmp_path: Path) -> None:
    changed = tmp_path / PLUGIN.name
    changed.write_text(PLUGIN.read_text() + "\n# another line\n")
    copied = command("report", run, "--plugin", changed, where=tmp_path)
    assert copied.returncode == 1
    assert copied.stderr.count("greenmachine: ") == 1
    assert (
        "--plugin" in copied.stderr
    )  # that file is not the one of the run, and is not taken for it


def test_the_same_file_elsewhere_is_the_same_plugin(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.py"
    copy.write_bytes(PLUGIN.read_bytes())
    done = command("proxies", "show", run, "--plugin", copy, where=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_run_that_names_no_plugin_has_none_of_its_words() -> None:
    plugin = load_plugin(PLUGIN)
    assert plugin in loaded_plugins()
    assert load_plugin(PLUGIN) is plugin
    bare = Grammar(["noise"])
    assert not any("hoyer" in name for name in bare.pset.mapping)
    with pytest.raises(ConfigError, match="no pass uniform"):
        Grammar(["uniform"])
    whole = Grammar(["uniform"], (), LANGUAGES["typed"], [plugin.name])
    assert whole.tree(parse(EXPRESSION))
    with pytest.raises(ConfigError, match="plugins"):
        bare.tree(parse(EXPRESSION))


FAULTS = {
    "import nothing_of_that_name": "stands alone",
    "def f(:": "line 1: SyntaxError",
    "raise SystemExit(3)": "SystemExit",
    "import greenmachine\n@greenmachine.register_pass()\ndef noise(m, i, w, s):\n  'x'": "taken",
    "import greenmachine\n@greenmachine.primitive((('WeightTensor',), 'LayerScalar'))\n"
    "def bad_word(x):\n  'Sum over all layers.'\n  return x.sum()": "one number a layer",
    "import greenmachine\nclass S(greenmachine.Selection, scheme='nsga2'): pass": "two kinds",
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
    with pytest.raises(ConfigError, match="start Python anew"):
        load_plugin(path)


def test_resume_refuses_other_plugins(run: Path) -> None:
    load_plugin(PLUGIN)
    config = Run.settings(run)
    assert config.plugins == (str(PLUGIN),)
    with pytest.raises((ConfigError, RunError)):
        greenmachine.evolve(out=run, settings={**SETTINGS, "plugins": []})
