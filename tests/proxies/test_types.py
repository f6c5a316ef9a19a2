"""The registry of proxies, and what a text on the command line means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenmachine.errors import ConfigError, ExpressionError, GreenMachineError, RunError
from greenmachine.evaluation.score_file import KEYS
from greenmachine.evolution.run_files import FORMAT
from greenmachine.export import export_source, write_export
from greenmachine.files import write_sealed
from greenmachine.proxies import (
    PROXIES,
    ExpressionProxy,
    FunctionProxy,
    Proxy,
    ProxyRegistry,
    resolve,
)

TEXT = "sum_layers(l2_norm(weight))"
ITEM = ExpressionProxy(
    name="item", expression=TEXT, reference="a paper", description="Sum of norms."
)
FUNCTION = FunctionProxy(
    name="called",
    function=lambda model, images, labels, seed: 1.0,
    passes=("noise",),
    reference="a paper",
    description="One.",
)


def test_registry_is_write_once() -> None:
    registry = ProxyRegistry()
    for proxy in (ITEM, FUNCTION):
        registry.add(proxy)
        with pytest.raises(ConfigError, match="already"):
            registry.add(proxy)
    assert [*registry] == [ITEM, FUNCTION]
    assert len(registry) == 2
    assert "item" in registry


WRONG: list[dict[str, Any]] = [
    {"direction": 0},
    {"direction": True},
    {"name": "a b"},
    {"name": ""},
    *({"name": key} for key in KEYS),
]


@pytest.mark.parametrize("change", WRONG, ids=str)
@pytest.mark.parametrize("proxy", [ITEM, FUNCTION], ids=lambda p: p.name)
def test_registry_refuses_what_cannot_be_a_column(proxy: Proxy, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="proxy"):
        ProxyRegistry().add(replace(proxy, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"passes": ("ones",)},
        {"passes": ("data", "noise")},
        {"needs_labels": True},
        {"function": lambda model, images: 1.0},
        {"function": 3},
    ],
)
def test_registry_refuses_functions_that_cannot_be_called(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="called"):
        ProxyRegistry().add(replace(FUNCTION, **change))


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda p: p.name)
def test_every_proxy_of_ours_has_its_reference_and_words(proxy: Proxy) -> None:
    assert proxy.reference and proxy.description


def test_registry_refuses_a_broken_expression() -> None:
    with pytest.raises(ExpressionError):
        ProxyRegistry().add(replace(ITEM, expression="l2_norm(weight)"))


def test_passes_of_a_proxy() -> None:
    assert PROXIES.find("l2_norm").passes == ()
    assert PROXIES.find("snip").passes == ("data",)
    assert PROXIES.find("synflow").passes == ("ones",)
    assert PROXIES.find("nwot").passes == ("data",)


@pytest.mark.parametrize("proxy", list(PROXIES), ids=lambda p: p.name)
def test_text_resolves_to_the_same_score(proxy: Proxy) -> None:
    found = resolve(proxy.text)
    assert found.text == proxy.text
    assert isinstance(proxy, ExpressionProxy) or found is proxy


def test_a_function_has_no_expression_to_export() -> None:
    message = "'nwot' is a function, not an expression: it scores networks, but cannot be"
    with pytest.raises(ConfigError, match=message) as caught:
        export_source(resolve("nwot").expression, direction=1, shape=(1, 3, 8, 8), name="p")
    assert "\n" not in str(caught.value)


def test_resolve_names_and_expressions() -> None:
    assert resolve("snip") is PROXIES.find("snip")
    proxy = resolve(" sum_layers( l2_norm(weight) ) ")
    assert (proxy.name, proxy.expression, proxy.direction) == (TEXT, TEXT, 1)
    long = f"add({TEXT}, " * 20 + TEXT + ")" * 20  # longer than the name of a file may be
    assert resolve(long).expression == long


@pytest.mark.parametrize("direction", [1, -1])
def test_resolve_an_exported_file_without_running_it(tmp_path: Path, direction: int) -> None:
    path = tmp_path / "mine.py"
    long = f"add({TEXT}, {' '.join(['add(sum_layers(depth),'] * 20)} {TEXT}{')' * 20})"
    write_export(path, long, direction=direction, shape=(8, 3, 32, 32), name="mine")
    path.write_text(path.read_text() + "\nraise SystemExit('was run')\n")
    proxy = resolve(str(path))
    assert (proxy.name, proxy.direction) == ("mine", direction)
    assert proxy.expression == long


def result(**best: Any) -> dict[str, Any]:
    """A result.json that is whole but for what ``best`` says."""
    row = {"objective": 0.5, "tau": 0.5, "standard_error": None, "networks": 3, "failed": 0}
    rows = {"own": {"champion": row}}
    samples = ("train", "validation", "test")
    whole = {"expression": TEXT, "direction": -1, "size": 3, "generation": 0}
    taus = {sample: {"own": 0.5} for sample in samples}
    return {
        "format": FORMAT, "name": "x", "benchmarks": ["x"], "tasks": ["own"],
        "best": {**whole, "tau": taus, "objective": taus, **best},
        "objective": {"scheme": "kendall"}, "targets": {"own": "test"},
        **dict.fromkeys(samples, rows), "samples": {sample: {"x": 3} for sample in samples},
        "individuals": 1, "generations": 0, "seconds": 0.1, "until": {"generations": 0},
        "files": {"scores.parquet": ""},
    }  # fmt: skip


def test_resolve_a_run(tmp_path: Path) -> None:
    write_sealed(tmp_path / "config.json", {})  # a folder without it holds no run
    write_sealed(tmp_path / "result.json", result())
    proxy = resolve(str(tmp_path))
    assert (proxy.name, proxy.expression, proxy.direction) == (tmp_path.name, TEXT, -1)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("synflo", ConfigError, "did you mean synflow"),
        ("nwot_", ConfigError, "did you mean nwot"),
        ("zzzz", ConfigError, "proxies list"),
        ("", ConfigError, "proxies list"),
        ("noise_input", ConfigError, "unknown proxy"),
        ("runs/none", ConfigError, "no proxy at runs/none"),
        ("none.py", ConfigError, "cannot read none.py"),
        ("sum_layers(l2_norm(weigth))", ExpressionError, "did you mean weight"),
        ("l2_norm(weight)", ExpressionError, "not a NetworkScalar"),
    ],
)
def test_what_resolves_to_nothing(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\n", "not an exported proxy"),
        ("EXPRESSION = \n", "not Python"),
        ("EXPRESSION = input()\nDIRECTION = 1\n", "not a constant"),
        (f"EXPRESSION = '{TEXT}'\nDIRECTION = 2\n", "not 1 or -1"),
        ("EXPRESSION = 'sum_layers(weight)'\nDIRECTION = 1\n", "does not parse"),
        ("\0", "not Python"),
        ("(" * 100_000, "not Python"),
        ("EXPRESSION = " + "-" * 100_000 + "1\nDIRECTION = 1\n", "not"),
        ("EXPRESSION = {[]: 1}\nDIRECTION = 1\n", "not a constant"),
        ("EXPRESSION = 'x' + 1\nDIRECTION = 1\n", "not a constant"),
        (f"EXPRESSION = '{TEXT}'\nDIRECTION = [1]\n", "not 1 or -1"),
        (f"EXPRESSION = '{TEXT}'\nDIRECTION = True\n", "not 1 or -1"),
        (f"EXPRESSION = ['{TEXT}']\nDIRECTION = 1\n", "not text"),
    ],
)
def test_files_that_are_no_proxy(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "file.py"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no result.json"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"best": {"expression": "sum_layers(depth)", "direction": 1}}', "no checksum"),
        ({"best": {}}, "damaged"),
        (result(expression="1"), "does not parse"),
        (result(direction="up"), "damaged"),
        (result(direction=0), "damaged"),
        (result(tau=None), "damaged"),
    ],
)
def test_runs_without_a_sound_result(
    tmp_path: Path, content: str | dict[str, Any] | None, message: str
) -> None:
    write_sealed(tmp_path / "config.json", {})
    if isinstance(content, str):
        (tmp_path / "result.json").write_text(content)
    elif content is not None:
        write_sealed(tmp_path / "result.json", content)
    with pytest.raises(RunError, match=message) as caught:
        resolve(str(tmp_path))
    assert isinstance(caught.value, GreenMachineError)
    assert "\n" not in str(caught.value)
