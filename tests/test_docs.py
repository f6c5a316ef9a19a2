"""Every shell and Python block of the documents runs as it is written.

``pytest -m slow`` runs them; a comment before a block tells the special ones: ``main``, ``data``
(where the real tables are), ``cluster``, and ``tests``, which is left to ``.ci/run``. Commands of
an ``official`` block need archives of gigabytes: that they parse is what can be tested.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from greenmachine.cli.app import app
from greenmachine.proxies.discovered import EVOLVED
from greenmachine.proxies.zoo import FAMILIES

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "experiments/own_networks/README.md",
    "docs/any_network.md",
    "docs/plugins.md",
    "docs/callbacks.md",
    "docs/objectives.md",
    "docs/search.md",
    "docs/sed.md",
    "examples/plugin/README.md",
)
KINDS = {"", "main", "tests", "data", "cluster", "official"}
SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e . && .venv/bin/"
_BLOCK = re.compile(
    r"(?:<!-- (?P<kind>\w+) -->\n)?```(?P<language>bash|python)\n(?P<code>.*?)```", re.S
)


@dataclass(frozen=True)
class Block:
    kind: str
    language: str
    code: str


def blocks(document: str, *kinds: str) -> list[Block]:
    text = (ROOT / document).read_text(encoding="utf-8")
    found = [Block(m["kind"] or "", m["language"], m["code"]) for m in _BLOCK.finditer(text)]
    assert len(found) == len(re.findall(r"```(?:bash|python)", text))
    assert {block.kind for block in found} <= KINDS
    return [block for block in found if block.kind in kinds]


def run(document: str, kinds: tuple[str, ...], folder: Path) -> str:
    """Run the blocks of some kinds one after the other in ``folder``; return what they print."""
    for name in ("examples", "experiments", "results"):
        shutil.copytree(ROOT / name, folder / name)
    printed = ""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
    if "data" not in kinds:
        environment["GREENMACHINE_DATA"] = str(folder / "none")
    else:
        shrink(folder / "experiments")
    for block in blocks(document, *kinds):
        code = block.code.replace(SET_UP, "")
        command = ["bash", "-euo", "pipefail", "-c", code]
        if block.language == "python":
            (folder / "block.py").write_text(code, encoding="utf-8")
            command = [sys.executable, "block.py"]
        done = subprocess.run(
            command, cwd=folder, env=environment, text=True, capture_output=True, timeout=900
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        printed += done.stdout
    return printed


def shrink(experiments: Path) -> None:
    """Make the committed settings, which take 20 minutes, small: commands stay as written."""
    for path in experiments.rglob("*.yaml"):
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        for sample in settings["samples"].values():
            sample["size"] = 6
        settings["evolution"] = {"population": 12, "elites": 2, "generations": 1}
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks(document: str, tmp_path: Path) -> None:
    assert run(document, ("",), tmp_path)


@pytest.mark.slow
def test_main_command(tmp_path: Path) -> None:
    (main,) = blocks("README.md", "main")
    assert main.code.startswith(SET_UP)
    printed = run("README.md", ("main",), tmp_path)
    assert "champion" in printed and "Next: greenmachine export" in printed


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("document", ["README.md", "docs/sed.md"])
def test_data_blocks(document: str, tmp_path: Path) -> None:
    assert run(document, ("data",), tmp_path)


@pytest.mark.slow
def test_cluster_block(tmp_path: Path) -> None:
    (block,) = blocks("README.md", "cluster")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (tmp_path / "printed.txt").open("w") as printed:  # a pipe would wait for the daemons
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            start_new_session=True,
            stdout=printed,
            stderr=printed,
        )
        try:
            code = shell.wait(timeout=900)
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
    text = (tmp_path / "printed.txt").read_text()
    assert code == 0 and "Next: greenmachine export" in text, text


def test_official_commands_parse() -> None:
    commands = [
        line for block in blocks("README.md", "official") for line in block.code.splitlines()
    ]
    assert commands
    for line in commands:
        words = shlex.split(line, comments=True)
        assert words[0] == "greenmachine"
        command, rest = typer.main.get_command(app), words[1:]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(" ".join(words), rest)


@pytest.mark.parametrize("document", [*DOCUMENTS, "docs/measured.md", "results/README.md"])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), target


def test_every_named_proxy_has_its_row() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## The systems and the zoo\n")[2].partition("\n## ")[0]
    table = section.partition("| name |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    listed = json.loads(CliRunner().invoke(app, ["proxies", "list", "--json"]).stdout)
    modules = {
        proxy.name: family.__name__.rpartition(".")[2]
        for family in FAMILIES
        for proxy in family.PROXIES
    }
    assert rows == [
        [
            f"`{facts['name']}`",
            facts["reference"],
            facts["form"] + ", low is good" * (facts["direction"] == -1),
            " ".join(facts["passes"]) or "none",
            f"`{modules[facts['name']]}`",
        ]
        for facts in listed
        if facts["name"] in modules
    ]


def test_every_discovery_has_its_row() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Discoveries\n")[2].partition("\n## ")[0]
    table = section.partition("| name |")[2].partition("\n\n")[0]
    assert [line.strip("| ").split(" | ") for line in table.splitlines()[2:]] == [
        [
            f"`{proxy.name}`",
            proxy.evolved_on,
            "expression" + ", low is good" * (proxy.direction == -1),
            " ".join(proxy.passes) or "none",
        ]
        for proxy in EVOLVED
    ]
