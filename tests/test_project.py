"""What README promises stands in the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from greenmachine.cli.app import app
from greenmachine.primitives import registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every line of a shell block that starts greenmachine."""
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith("greenmachine ")]


@pytest.mark.parametrize("name", sorted({line.split()[1] for line in commands()}))
def test_commands_of_the_readme_exist(name: str) -> None:
    assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_files_of_the_readme_exist() -> None:
    named = re.findall(r"\]\(((?!http|#)[^)#]+)", README)
    named += re.findall(r"experiments/[\w/]+\.yaml", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_counts_of_the_readme_are_those_of_the_registry() -> None:
    (count,) = re.findall(r"All (\d+) primitives", README)
    assert int(count) == len(registry)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    block = README.split("<!-- tests -->")[1].split("```")[1]
    assert "pip install" in block
    assert "pytest" in block
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def test_pre_commit_runs_what_ci_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    ci = (ROOT / ".ci" / "run").read_text()
    assert all(f".venv/bin/{hook['entry'].split()[0]}" in ci for hook in hooks)
