"""Benchmarks and proxies that plugins register: what is refused, checksums, pickles, workers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import greenmachine
from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.cli.names import proxy_facts
from greenmachine.errors import ConfigError, DataError
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.language import parse
from greenmachine.plugins import load_plugin
from greenmachine.proxies import FunctionProxy, resolve
from tests import brought

HEAD = "import greenmachine\nimport pandas as pd\nfrom torch import nn\n"
BUILD = "build=lambda arch: nn.Linear(4, int(arch)), input_shape=(4,)"
FRAME = "table=pd.DataFrame({'arch': ['3', '5'], 'accuracy': [50.0, 60.0]})"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    with brought.forgotten():
        yield


def plugin(folder: Path, text: str, name: str = "plugin.py") -> Path:
    (folder / name).write_text(HEAD + text)
    load_plugin(folder / name)
    return folder / name


def registered(arguments: str) -> str:
    return f"greenmachine.register_benchmark({arguments})\n"


def test_a_data_frame_of_a_plugin(tmp_path: Path) -> None:
    build = "build=lambda arch, width: nn.Linear(4, width * int(arch)), options={'width': 2}"
    path = plugin(tmp_path, registered(f"'mine', {FRAME}, {build}, input_shape=(4,)"))
    found = load_benchmark("mine")
    assert (found.name, found.datasets, found.archs) == ("mine", ("own",), ["3", "5"])
    assert (found.source, found.passes) == (path, ("noise",))
    assert found.build(1, "own").out_features == 10
    assert found.build(1, "own", width=3).out_features == 15
    assert found.baseline_scores("own")["params"].tolist() == [30, 50]
    with pytest.raises(ConfigError, match="no build option 'cells'"):
        found.build(0, "own", cells=1)
    copy: Benchmark = pickle.loads(pickle.dumps(found))
    assert torch.equal(copy.build(0, "own").weight, found.build(0, "own").weight)


def test_a_loader_may_return_another_table_of_a_space_of_ours(tmp_path: Path) -> None:
    plugin(
        tmp_path,
        "from dataclasses import replace\n"
        "def halved(folder):\n"
        "    found = greenmachine.load_benchmark('digits-tss')\n"
        "    frame = found.frame.assign(**{'digits.test': found.frame['digits.test'] / 2})\n"
        "    return replace(found, frame=frame)\n" + registered("'halved', halved"),
    )
    found, ours = load_benchmark("halved"), load_benchmark("digits-tss")
    assert found.name == "halved" and found.checksum != ours.checksum
    np.testing.assert_array_equal(found.accuracy("digits") * 2, ours.accuracy("digits"))
    spec = capture_spec("halved", "digits", [parse("sum_layers(l2_norm(weight))")], batch=2, seed=0,
                        options={})  # fmt: skip
    scores = [
        score_networks({"sed": "sed", "norm": "l2_norm"}, spec, range(20), workers=workers)
        for workers in (1, 2)
    ]
    pd.testing.assert_frame_equal(*scores)


def test_checksum_is_of_table_and_plugin(tmp_path: Path) -> None:
    checksums = set()
    (tmp_path / "acc.csv").write_text("arch,accuracy\n3,50\n5,60\n")
    for change in ("", "# another comment\n", "table"):
        if change == "table":
            (tmp_path / "acc.csv").write_text("arch,accuracy\n3,50\n5,61\n")
        for table in ("table='acc.csv'", FRAME):
            with brought.forgotten():
                text = registered(f"'mine', {table}, {BUILD}") + change.replace("table", "")
                plugin(tmp_path, text)
                checksums.add(load_benchmark("mine").checksum)
                assert load_benchmark("mine").checksum in checksums
    assert len(checksums) == 5  # the frame did not change with the file


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (f"'digits-tss', {FRAME}, {BUILD}", "a benchmark 'digits-tss' already"),
        (f"'a/b', {FRAME}, {BUILD}", "a name consists of letters"),
        (f"'a.py:b', {FRAME}, {BUILD}", "a name consists of letters"),
        (f"'space.py', {FRAME}, {BUILD}", "a name consists of letters"),
        (f"'', {FRAME}, {BUILD}", "a name consists of letters"),
        (f"3, {FRAME}, {BUILD}", "a name consists of letters"),
        ("'mine'", "needs table, build, input_shape; or give only a loader"),
        (f"'mine', {BUILD}", "needs table; or"),
        (f"'mine', print, {FRAME}", "give a loader, or table without a loader"),
        ("'mine', 3", "loader is 3: give a function"),
        (f"'mine', {FRAME}, build=3, input_shape=(4,)", "build is 3: give a function"),
        (f"'mine', {FRAME}, {BUILD}, images=3", "images is 3: give a function"),
    ],
)
def test_what_cannot_be_registered(tmp_path: Path, arguments: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        plugin(tmp_path, registered(arguments))
    assert says in str(error.value) and "plugin.py, line 4" in str(error.value)
    assert "\n" not in str(error.value)


def test_two_plugins_cannot_register_one_name(tmp_path: Path) -> None:
    plugin(tmp_path, registered(f"'mine', {FRAME}, {BUILD}"))
    with pytest.raises(ConfigError, match="a benchmark 'mine' already"):
        plugin(tmp_path, registered(f"'mine', {FRAME}, {BUILD}") + "\nSECOND = True\n", "second.py")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (f"'mine', table='none.csv', {BUILD}", "no file"),
        (f"'mine', table=3, {BUILD}", "is int; give a path"),
        (f"'mine', table=pd.DataFrame({{'arch': []}}), {BUILD}", "has no column accuracy"),
        (f"'mine', {FRAME}, build=print, input_shape=4", "input_shape is 4: write"),
        (f"'mine', {FRAME}, {BUILD}, num_classes={{'x': 3}}", "num_classes has no data set own"),
        ("'mine', lambda folder: 3", "loader returned int, not a Benchmark"),
        ("'mine', lambda folder: 1 / 0", "loader: ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_loaded(tmp_path: Path, arguments: str, says: str) -> None:
    plugin(tmp_path, registered(arguments))
    with pytest.raises(DataError) as error:
        load_benchmark("mine")
    assert says in str(error.value) and str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_images_that_raise_name_the_plugin(tmp_path: Path) -> None:
    plugin(tmp_path, registered(f"'mine', {FRAME}, {BUILD}, images=lambda: 1 / 0"))
    found = load_benchmark("mine")
    assert found.passes == ("noise", "data")
    with pytest.raises(DataError, match="plugin.py: images: ZeroDivisionError"):
        found.images("own", 2)


def test_outside_of_a_plugin_neither_can_be_used_in_workers() -> None:
    """Where they would be missing: the message says what to do, whatever the workers are."""
    frame = pd.DataFrame({"arch": ["3"], "accuracy": [50.0]})
    greenmachine.register_benchmark("here", table=frame, build=int, input_shape=(4,))
    with pytest.raises(ConfigError, match="'here' was registered by .*test_registered.*--plugin"):
        load_benchmark("here")

    @greenmachine.register_proxy
    def of_this_test(model: Any, images: Any, labels: Any, seed: int) -> float:
        return 1.0

    spec = capture_spec("digits-tss", "digits", [], batch=2, seed=0, options={})
    model = load_benchmark("digits-tss").build(0, "digits")
    assert greenmachine.score(model, "of_this_test", shape=(2, 3, 12, 12)) == 1.0
    given = {
        "registered outside of a plugin": "of_this_test",
        "is not registered": FunctionProxy(name="unknown", function=of_this_test, passes=()),
        "not the registered one": FunctionProxy(name="nwot", function=of_this_test, passes=()),
    }
    for says, proxy in given.items():
        with pytest.raises(ConfigError, match=f"{says}.*--plugin") as error:
            score_networks({"x": proxy}, spec, [0, 1], workers=1)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@greenmachine.register_proxy\ndef nwot(m, i, l, s): ...", "a proxy 'nwot' already"),
        ("@greenmachine.register_proxy\ndef mine(model, images): ...", "(model, images, labels"),
        ("greenmachine.register_proxy(lambda m, i, l, s: 0)", "proxy '<lambda>'"),
        ("greenmachine.register_proxy(3)", "3 is not a proxy"),
        (
            "greenmachine.register_proxy(passes='ones')(lambda m, i, l, s: 0)",
            "proxy '<lambda>'",
        ),
        (
            "@greenmachine.register_proxy(passes='ones')\ndef mine(m, i, l, s): ...",
            "passes are ('ones',)",
        ),
        ("@greenmachine.register_proxy(direction=0)\ndef mine(m, i, l, s): ...", "direction is 0"),
        (
            "greenmachine.register_proxy(greenmachine.ExpressionProxy(name='a', expression='b'))",
            "unknown name",
        ),
        (
            "greenmachine.register_proxy("
            "greenmachine.ExpressionProxy(name='a', expression='sum_layers(depth)'), name='c')",
            "proxy 'a' has its own description",
        ),
    ],
)
def test_proxies_that_cannot_be_registered(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        plugin(tmp_path, text)
    assert says in str(error.value) and "plugin.py, line" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "function", ["partial(scaled, 2.0)", "Scaled()", "lambda model, images, labels, seed: 2.0"]
)
def test_anything_that_can_be_called_is_a_function(tmp_path: Path, function: str) -> None:
    plugin(
        tmp_path,
        "from functools import partial\n"
        "def scaled(by, model, images, labels, seed): return by\n"
        "class Scaled:\n"
        "    def __call__(self, model, images, labels, seed): return 2.0\n"
        f"greenmachine.register_proxy(name='called')({function})\n",
    )
    spec = capture_spec("digits-tss", "digits", [], batch=2, seed=0, options={})
    assert score_networks({"x": "called"}, spec, [0, 1], workers=1)["x"].eq(2.0).all()
    facts = proxy_facts(resolve("called"))
    assert "greenmachine_plugin" in facts["function"] or "partial" in facts["function"]
