"""Exported files of the paper language give the engine's scores."""

from __future__ import annotations

import ast
import json
import random
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from greenmachine.export import write_export
from greenmachine.language import PAPER, PAPER_TERMINALS, canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import paper_registry
from tests.proxies.engine_scores import engine_score
from tests.proxies.tiny_networks import SHAPE, network

NETWORK = "branches-double"  # in float64 rounding does not reach the fourth digit


@cache
def texts() -> list[str]:
    """Every terminal, every function on random terminals, random trees, both languages in one."""
    grammar = Grammar(language=PAPER)
    random.seed(4)
    leaves = sorted(PAPER_TERMINALS)
    trees = list(PAPER_TERMINALS)
    for primitive in paper_registry:
        if primitive.name not in PAPER.closing:
            arguments = (random.choice(leaves) for _ in primitive.signatures[0].arguments)
            trees.append(f"{primitive.name}({', '.join(arguments)})")
    closed = [f"mean_valid_layers(layer_mean({tree}))" for tree in trees]
    made = [grammar.generate(grammar.root, 2 + n % 5, full=False) for n in range(8)]
    closed += [grammar.expression(tree).text for tree in made]
    mixed = f"add({closed[0]}, sum_layers(l2_norm(perturbed_weight_grad)))"
    found = [mixed, f"add({mixed}, {closed[8]})", f"mul({closed[9]}, sum_layers(l2_norm(weight)))"]
    return [canonical(parse(text)).text for text in [*closed, *found]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    for number, text in enumerate(texts()):
        path = folder / f"proxy_{number}.py"
        write_export(path, text, direction=1, shape=SHAPE, name="a proxy")
    return folder


def test_exported_files_give_the_scores_of_the_engine(folder: Path) -> None:
    jobs = {
        n: {"text": t, "network": NETWORK, "seed": 1, "exact": True} for n, t in enumerate(texts())
    }
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = Path(__file__).with_name("run_exports.py")
    command = [sys.executable, "-I", "-B", "-W", "error", str(script), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    scores = json.loads(run.stdout)
    finite = 0
    for number, text in enumerate(texts()):
        engine = engine_score(text, network(NETWORK), SHAPE, None, None, 1)
        finite += engine == engine
        expected = pytest.approx(engine, rel=1e-4, abs=1e-12, nan_ok=True)
        assert scores[str(number)] == expected, text
    assert finite > 0.7 * len(texts())


def test_files_define_every_name_once(folder: Path) -> None:
    for path in sorted(folder.glob("*.py"))[::4]:
        body = ast.parse(path.read_text()).body
        defined = [n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        defined += [n.target.id for n in body if isinstance(n, ast.AnnAssign)]  # type: ignore[union-attr]
        assert len(defined) == len(set(defined))
        assert "greenmachine.signals" not in path.read_text()


@pytest.mark.skipif(shutil.which("ruff") is None, reason="ruff is a development tool")
def test_files_are_linted_and_formatted(folder: Path) -> None:
    common = ["--line-length", "100", "--isolated", str(folder)]
    for command in (["check", "--select", "E,F,I,W", *common], ["format", "--diff", *common]):
        run = subprocess.run(["ruff", *command], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr
