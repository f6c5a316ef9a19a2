"""Every shell and Python block of the documents runs as it is written.

``pytest -m slow`` runs them, those of one document one after the other in one shell. A comment
before a block tells the special ones: ``main``, ``data`` (where the real tables are), ``cluster``,
``tests``, which is left to ``.ci/run``, and ``install``, which is a part of ``main``. Commands of
an ``official`` block need archives of gigabytes: that they parse is what can be tested. A ``gpu``
block needs a machine with a GPU.
"""

from __future__ import annotations

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

from greenmachine.cli.app import app
from tests.notebooks import execute

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/*/README.md", "results/README.md")
    for path in ROOT.glob(pattern)
)
KINDS = {"", "main", "install", "tests", "data", "cluster", "official", "gpu"}
SET_UP = "python3 -m venv .venv && . .venv/bin/activate && pip install -c constraints.txt -e . && "
_BLOCK = re.compile(
    r"(?:<!-- (?P<kind>\w+) -->\n)?```(?P<language>bash|python)\n(?P<code>.*?)```", re.S
)
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'\n.*?\n\1\n", re.S)


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


def having(*kinds: str) -> list[str]:
    """Return the documents with blocks of some kinds; CONTRIBUTING's are for a developer's copy."""
    return [page for page in PAGES if page != "CONTRIBUTING.md" and blocks(page, *kinds)]


def environment(**more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "100", **more}


def run(document: str, kinds: tuple[str, ...], folder: Path) -> str:
    """Run the blocks of some kinds in order, in one shell in ``folder``; return what they print."""
    for name in ("examples", "experiments", "results"):
        shutil.copytree(ROOT / name, folder / name)
    more = {}
    if "data" not in kinds:
        more["GREENMACHINE_DATA"] = str(folder / "none")
    else:
        shrink(folder / "experiments")
    script = ""
    for number, block in enumerate(blocks(document, *kinds)):
        code = block.code.replace(SET_UP, "")
        if block.language == "python":
            (folder / f"block_{number}.py").write_text(code, encoding="utf-8")
            code = f"python block_{number}.py\n"
        script += code
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(**more),
        text=True,
        capture_output=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def shrink(experiments: Path) -> None:
    """Make the committed settings, which take 20 minutes, small: commands stay as written."""
    for path in experiments.rglob("*.yaml"):
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        for sample in settings["samples"].values():
            sample["size"] = 6
        settings["evolution"] = {"population": 12, "elites": 2, "generations": 1}
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("document", [page for page in having("") if page != "README.md"])
def test_blocks_run(document: str, tmp_path: Path) -> None:
    assert run(document, ("",), tmp_path)


@pytest.mark.slow
def test_blocks_of_the_readme_run_in_one_shell(tmp_path: Path) -> None:
    (main,) = blocks("README.md", "main")
    assert main.code.startswith(SET_UP)
    printed = run("README.md", ("main", ""), tmp_path)
    assert "champion" in printed and "Next: greenmachine export" in printed


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("document", having("data"))
def test_data_blocks_run(document: str, tmp_path: Path) -> None:
    assert run(document, ("data",), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("document", having("cluster"))
def test_cluster_blocks_run(document: str, tmp_path: Path) -> None:
    (block,) = blocks(document, "cluster")
    with (tmp_path / "printed.txt").open("w") as printed:  # a pipe would wait for the daemons
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=tmp_path,
            env=environment(),
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


@pytest.mark.parametrize("document", having("install"))
def test_install_blocks_are_the_set_up_of_the_main_command(document: str) -> None:
    assert [block.code for block in blocks(document, "install")] == [f"{SET_UP[:-4]}\n"]


@pytest.mark.parametrize("document", having(*KINDS))
def test_commands_parse(document: str) -> None:
    for block in blocks(document, *KINDS):
        if block.language != "bash":
            continue
        code = _HERE_DOCUMENT.sub("\n", block.code.replace("\\\n", " "))
        for command in re.findall(r"(?:^|&& )(greenmachine .*)", code, re.M):
            words = shlex.split(command, comments=True)
            if "--plugin" in words:  # taken from every command before it is parsed
                place = words.index("--plugin")
                del words[place : place + 2]
            parsed, rest = typer.main.get_command(app), words[1:]
            while hasattr(parsed, "commands"):
                parsed, rest = parsed.commands[rest[0]], rest[1:]
            parsed.make_context(" ".join(words), rest)


@pytest.mark.parametrize("document", PAGES)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs, and shows results of the kind that the notebook holds."""
    pytest.importorskip("nbclient", reason="pip install -e '.[notebook-tests]'")
    pytest.importorskip("ipykernel")
    import nbformat

    shown = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, tmp_path, monkeypatch)
    for before, after in zip(shown.cells, notebook.cells, strict=True):
        kinds = [
            sorted({kind for each in cell.get("outputs", []) for kind in each.get("data", {})})
            for cell in (before, after)
        ]
        assert kinds[0] == kinds[1], before.source
