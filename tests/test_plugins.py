"""Imports that fail or come twice leave the registries as they should be."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import greenmachine
from greenmachine.benchmarks.registered import BENCHMARKS
from greenmachine.config import load_config
from greenmachine.errors import ConfigError, RunError
from greenmachine.plugins import (
    Plugin,
    checksums,
    load_plugin,
    loaded_plugins,
    receive_plugins,
    require_plugins,
)
from greenmachine.primitives import paper_registry, registry, vocabulary
from greenmachine.proxies import PROXIES
from greenmachine.signals.registry import PASSES, TERMINALS

SOURCE = """
import greenmachine
from greenmachine.primitives import paper_registry


@greenmachine.primitive((("WeightTensor",), "LayerScalar"))
def NAME_word(x):
    "Largest value of each layer."
    return x.flatten(1).amax(1)


@greenmachine.primitive((("LayerScalar",), "LayerScalar"), into=paper_registry)
def NAME_paper(x):
    "Twice the value."
    return x * 2


@greenmachine.register_pass()
def NAME_pass(model, inputs, wanted, seed):
    "Nothing."
    return []


@greenmachine.register_proxy()
def NAME_proxy(model, images, labels, seed):
    "One."
    return 1.0


greenmachine.register_proxy(
    greenmachine.ExpressionProxy(name="NAME_sum", expression="sum_layers(NAME_word(weight))")
)
greenmachine.register_benchmark("NAME-space", lambda folder: None)


class Choice(greenmachine.Selection, scheme="NAME_scheme"):
    "The first ones."

    def parents(self, pool, count, parsimony):
        return list(pool[:count])


class Follower(greenmachine.Callback, scheme="NAME_callback"):
    "Follows nothing."
"""


def registered() -> list[set[str]]:
    """The names in every registry that plugins add to."""
    words = [{item.name for item in each} for each in (registry, paper_registry, vocabulary)]
    proxies = {proxy.name for proxy in PROXIES}
    parts = [set(greenmachine.Selection.members), set(greenmachine.Callback.members)]
    return [*words, proxies, set(PASSES), set(TERMINALS), set(BENCHMARKS), *parts]


@pytest.mark.parametrize(
    "fault", ["1 / 0", "raise SystemExit", "raise KeyboardInterrupt", "import nothing_like_it"]
)
def test_a_failed_import_leaves_nothing_and_can_be_repeated(fault: str, tmp_path: Path) -> None:
    name = f"f{hashlib.sha256(fault.encode()).hexdigest()[:6]}"
    path = tmp_path / "plugin.py"
    path.write_text(SOURCE.replace("NAME", name) + fault)
    before = registered()
    with pytest.raises((ConfigError, KeyboardInterrupt)):
        load_plugin(path)
    assert registered() == before
    assert not [n for n in sys.modules if getattr(sys.modules[n], "__file__", "") == str(path)]
    path.write_text(SOURCE.replace("NAME", name))
    load_plugin(path)
    added = [now - old for now, old in zip(registered(), before, strict=True)]
    assert all(added)


def test_a_failed_plugin_of_taken_names_leaves_the_first(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text(SOURCE.replace("NAME", "first"))
    load_plugin(first)
    before = registered()
    for word in ("word", "paper", "pass", "proxy", "scheme", "callback"):
        text = SOURCE.replace("NAME", "second").replace(f"second_{word}", f"first_{word}")
        second.write_text(text)
        with pytest.raises(ConfigError):
            load_plugin(second)
        assert registered() == before


def test_a_word_of_the_paper_language_is_taken_for_the_typed_one_too() -> None:
    before = registered()
    (taken, *_) = [item.name for item in paper_registry if item.name not in registry]

    def word(x: Any) -> Any:
        """Largest value of each layer."""
        return x.flatten(1).amax(1)

    word.__name__ = taken
    with pytest.raises(ValueError, match="already"):
        greenmachine.primitive((("WeightTensor",), "LayerScalar"))(word)
    assert registered() == before


def installed(site: Path, package: str, **modules: str) -> Path:
    """Install a package with a plugin of its name, as pip leaves it; return its folder."""
    folder = site / package
    folder.mkdir(parents=True)
    for name, text in {"__init__": "", **modules}.items():
        (folder / f"{name}.py").write_text(text)
    info = site / f"{package}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    return folder


def test_a_failed_package_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = installed(
        tmp_path,
        "plugin_of_two",
        words=SOURCE.replace("NAME", "package"),
        plugin="from plugin_of_two import words\n1 / 0\n",
    )
    points = "[greenmachine.plugins]\nof_two = plugin_of_two.plugin\n"
    (tmp_path / "plugin_of_two-1.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = registered()
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load_plugin("of_two")
    assert registered() == before
    assert not [name for name in sys.modules if name.startswith("plugin_of_two")]
    (folder / "plugin.py").write_text("from plugin_of_two import words\n# corrected\n")
    importlib.invalidate_caches()
    load_plugin("of_two")
    assert "package_word" in registry


def test_two_packages_with_plugins_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("one_plugin", "other_plugin"):
        installed(tmp_path, package)
        points = f"[greenmachine.plugins]\ntwice = {package}\n"
        (tmp_path / f"{package}-1.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="one_plugin, other_plugin"):
        load_plugin("twice")


def sent(path: Path, text: str) -> Plugin:
    """A plugin file as a task brings it to a worker."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Plugin(str(path), digest, f"greenmachine_plugin_{digest[:12]}", text.encode())


def test_a_worker_runs_a_file_once_and_no_second_version(tmp_path: Path) -> None:
    text = SOURCE.replace("NAME", "worker")
    old = sent(tmp_path / "a.py", text)
    receive_plugins([old])
    receive_plugins([old, sent(tmp_path / "b.py", text)])
    known, before = loaded_plugins(), registered()
    for place in ("a.py", "c.py"):
        with pytest.raises(RunError, match="start the workers again") as raised:
            receive_plugins([sent(tmp_path / place, text + "# a new version\n")])
        assert "\n" not in str(raised.value)
    assert loaded_plugins() == known
    assert registered() == before


def test_a_run_keeps_the_name_of_a_file_that_was_moved(tmp_path: Path) -> None:
    path, copy = tmp_path / "old.py", tmp_path / "new.py"
    copy.write_text("value = 'moved'\n")
    plugin = load_plugin(copy)
    wanted = {str(path): plugin.sha256}
    require_plugins(wanted, tmp_path)
    config = load_config(load_config(None).model_copy(update={"plugins": (str(path),)}))
    assert config.plugins == (str(path),)
    assert checksums([str(path)]) == wanted


def test_a_plugin_that_was_moved_and_edited_is_refused_by_its_own_name(tmp_path: Path) -> None:
    edited = tmp_path / "elsewhere" / "edited.py"
    edited.parent.mkdir()
    edited.write_text("value = 'edited'\n")
    load_plugin(edited)
    with pytest.raises(RunError, match=re.escape(str(edited))):
        require_plugins({str(tmp_path / "edited.py"): "0" * 64}, tmp_path)


def test_copies_of_a_file_are_one_plugin(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(SOURCE.replace("NAME", "copied"))
    assert load_plugin(tmp_path / "one.py") is load_plugin(tmp_path / "two.py")
