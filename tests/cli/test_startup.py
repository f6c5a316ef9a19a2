"""Help, completion and mistakes in arguments import nothing that takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from greenmachine.cli.app import app
from greenmachine.cli.names import FILE

# Not numpy and DEAP: settings are checked by the parts that they name.
HEAVY = ("altair", "joblib", "pandas", "pyarrow", "scipy", "sklearn", "torch")

AT_ONCE = [
    ["--help"],
    ["--version"],
    ["nonsense"],
    ["proxies", "list"],
    ["proxies", "list", "--json"],
    ["list", "primitives"],
    ["list", "selections", "--json"],
    ["proxies", "show", "synflow"],
    ["show", "--help"],
    ["show", "synflow"],
    ["evolve", "--nonsense"],
    ["evolve", "missing.yaml"],
    ["evolve", "--set", "evolution.populaton=9"],
    ["evolve", "--set", "seed=[1"],
    ["evolve", "--set", "tasks=nats-xyz"],
    ["evolve", "--on", "nats-xyz"],
    ["score"],
    ["score", "l2_norm", "--on", "nats-xyz"],
    ["score", "l2_norm", "--option", "cells=x"],
    ["score", "missing.py"],
    ["score", "l2_norm", "--shape", "3x8x8"],
    ["score", "l2_norm", "--model", "nets.py:net", "--on", "digits-tss"],
    ["score", "l2_norm", "nets.py:net"],
    ["rank", "l2_norm"],
    ["rank", "l2_norm", "--model", "nets.py:net", "--shape", "3y8"],
    ["rank", "missing.py", "--model", "nets.py:net"],
    ["evaluate", "missing.parquet"],
    ["evaluate", __file__, "--on", "nats-xyz"],
    ["forest", "fit", "missing.parquet"],
    ["forest", "predict", "missing.json", "missing.parquet"],
    ["report", "one", "two"],
    ["reproduce", "nonsense"],
    ["data", "add", "missing.csv", "--as", "nats-tss"],
    ["data", "add", "missing.csv", "--as", "nonsense"],
    ["data", "import-images", "missing.tar.gz", "cifar10"],
]

PROBE = """
import contextlib, io, json, sys
from greenmachine.cli.app import run

found = {}
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        code = run(words)
    heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2:]))
    found[" ".join(words)] = [code, out.getvalue(), heavy]
print(json.dumps(found))
"""


PROBE_COMPLETION = f"""
import sys
from greenmachine.cli import main
try:
    main()
finally:
    heavy = {{name.partition(".")[0] for name in sys.modules}} & {set(HEAVY)!r}
    assert not heavy, heavy
"""


def commands(group: typer.main.TyperGroup, path: tuple[str, ...] = ()) -> list[list[str]]:
    """Every command and group, as one types it."""
    found = []
    for name, command in group.commands.items():
        found.append([*path, name])
        if isinstance(command, typer.main.TyperGroup):
            found += commands(command, (*path, name))
    return found


def test_nothing_heavy_is_imported_before_work_begins(tmp_path: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.main.TyperGroup)
    helps = [[*words, "--help"] for words in commands(group)]
    assert len(helps) > 15
    probe = [sys.executable, "-c", PROBE, json.dumps([*helps, *AT_ONCE]), *HEAVY]
    done = subprocess.run(probe, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {words: heavy for words, (_, _, heavy) in found.items() if heavy} == {}
    for words, (code, printed, _) in found.items():
        assert printed.strip(), words
        assert "unexpected" not in printed, printed
        right = "--help" in words or words.startswith(("--version", "proxies", "list", "show"))
        assert (code == 0) == right, (words, printed)


def test_names_are_those_of_the_registries() -> None:
    # In a process of its own: tests of plugins register more in this one.
    code = "import json, greenmachine.cli.names as names; print(json.dumps(names.registered()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(done.stdout), (
        "write them anew: python -m greenmachine.cli.names"
    )


def completing(environment: dict[str, str], folder: Path, words: tuple[str, ...] = ()) -> str:
    """What the command prints for a shell."""
    known = {**os.environ, "HOME": str(folder), **environment}
    done = subprocess.run(
        [sys.executable, "-c", PROBE_COMPLETION, *words],
        env=known, cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ev", {"evolve", "evaluate"}),
        ("score synf", {"synflow"}),
        ("score l2_norm --on nats-", {"nats-tss", "nats-sss"}),
        ("evolve --res", {"--resume"}),
        ("evolve --on digits-s", {"digits-sss"}),
        ("proxies sh", {"show"}),
        ("reproduce al", {"all"}),
        ("data add x.csv --as channel", {"channel-resnet"}),
    ],
)
def test_shells_complete_commands_options_and_names(
    typed: str, expected: set[str], tmp_path: Path
) -> None:
    words = f"greenmachine {typed}"
    bash = {"COMP_WORDS": words, "COMP_CWORD": str(len(typed.split()))}
    found = completing({"_GREENMACHINE_COMPLETE": "complete_bash", **bash}, tmp_path)
    assert set(found.split()) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_too(shell: str, tmp_path: Path) -> None:
    asked = {
        "_GREENMACHINE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "greenmachine score --on nats-t",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "nats-tss" in completing(asked, tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_and_installed(shell: str, tmp_path: Path) -> None:
    # Else typer asks which shell its parent process is.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = completing(named, tmp_path, ("--show-completion", shell))
    assert f"complete_{shell}" in script
    completing(named, tmp_path, ("--install-completion", shell))
    installed = [path for path in tmp_path.rglob("*greenmachine*") if path.is_file()]
    assert any(f"complete_{shell}" in path.read_text() for path in installed)
