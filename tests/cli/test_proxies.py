"""The ``greenmachine proxies`` commands."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from greenmachine.cli.proxies import app
from greenmachine.errors import ConfigError
from greenmachine.proxies import EVOLVED, PROXIES, EvolvedProxy

RUN = CliRunner()


@pytest.mark.parametrize("command", ["list", "show"])
def test_help_has_an_example(command: str) -> None:
    result = RUN.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: greenmachine proxies {command}" in result.stdout


def test_list_names_every_proxy() -> None:
    result = RUN.invoke(app, ["list"])
    assert result.exit_code == 0
    for proxy in PROXIES:
        assert proxy.name in result.stdout


def test_list_as_json() -> None:
    listed = json.loads(RUN.invoke(app, ["list", "--json"]).stdout)
    assert [item["name"] for item in listed] == [proxy.name for proxy in PROXIES]
    assert all(bool(item["expression"]) != bool(item["function"]) for item in listed)
    assert all(item["reference"] for item in listed)


@pytest.mark.parametrize("proxy", list(PROXIES), ids=lambda p: p.name)
def test_show(proxy: object) -> None:
    name = proxy.name  # type: ignore[attr-defined]
    result = RUN.invoke(app, ["show", name])
    assert result.exit_code == 0
    shown = "".join(result.stdout.split())
    found = PROXIES.find(name)
    for text in (found.text, found.description, found.reference, found.notes):
        assert "".join(text.split()) in shown


def test_show_as_json() -> None:
    shown = json.loads(RUN.invoke(app, ["show", "synflow", "--json"]).stdout)
    assert shown["passes"] == ["ones"]
    assert shown["direction"] == 1


def test_show_a_function() -> None:
    path = "greenmachine.proxies.zoo.nwot.log_det_agreement"
    assert path in RUN.invoke(app, ["show", "nwot"]).stdout
    shown = json.loads(RUN.invoke(app, ["show", "nwot", "--json"]).stdout)
    assert (shown["expression"], shown["function"]) == (None, path)


def test_show_a_score_of_architectures() -> None:
    shown = json.loads(RUN.invoke(app, ["show", "sed", "--json"]).stdout)
    assert (shown["form"], shown["spaces"], shown["passes"]) == ("architecture", ["tss", "sss"], [])
    path = "greenmachine.proxies.zoo.entropy."
    assert shown["function"] == f"{path}topology_entropy, {path}size_entropy"
    assert "tss, sss" in RUN.invoke(app, ["show", "sed"]).stdout
    listed = json.loads(RUN.invoke(app, ["list", "--json"]).stdout)
    forms = {item["form"]: item["spaces"] for item in listed}
    assert forms == {"expression": None, "function": None, "architecture": ["tss", "sss"]}


@pytest.mark.parametrize("proxy", EVOLVED, ids=lambda proxy: proxy.name)
def test_show_what_evolved(proxy: EvolvedProxy) -> None:
    shown = "".join(RUN.invoke(app, ["show", proxy.name]).stdout.split())
    for text in (proxy.maths, proxy.reason, proxy.evolved_on):
        assert "".join(text.split()) in shown
    facts = json.loads(RUN.invoke(app, ["show", proxy.name, "--json"]).stdout)
    assert (facts["maths"], facts["why"]) == (proxy.maths, proxy.reason)


def test_show_an_expression() -> None:
    result = RUN.invoke(app, ["show", "sum_layers(l2_norm(weight))"])
    assert result.exit_code == 0
    assert "none" in result.stdout


def test_unknown_name() -> None:
    result = RUN.invoke(app, ["show", "synflo"])
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigError)
