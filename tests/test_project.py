"""The files of the project agree with each other."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text()


def test_the_readme_is_one_screen() -> None:
    assert len(README.splitlines()) <= 150


def test_ci_runs_the_test_command_of_the_readme() -> None:
    block = README.split("<!-- tests -->")[1].split("```")[1]
    assert len(block.splitlines()) == 2  # the name of the language, and one line
    assert "pip install" in block
    assert "pytest" in block
    assert "<!-- tests -->" in CI


def test_pre_commit_runs_what_ci_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert all(f".venv/bin/{hook['entry'].split()[0]}" in CI for hook in hooks)
