"""A run in the paper language, with the ancestor's (mu + lambda) scheme: from command to result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenmachine.cli.app import app
from greenmachine.config import RunConfig, load_config
from greenmachine.errors import ConfigError
from greenmachine.evolution import Run
from greenmachine.language import PAPER, PAPER_TERMINALS, parse
from greenmachine.primitives import paper_registry
from greenmachine.proxies import resolve

from .conftest import Quiet

COMMITTED = Path(__file__).parents[2] / "experiments" / "paper_language" / "tss_cifar10.yaml"
SMALL = {
    "tasks": "digits-tss",
    "workers": 1,
    "samples": {"train": {"size": 10}, "validation": {"size": 6}, "test": {"size": 6}},
    "capture.batch": 2,
    "evolution.population": 8,
    "selection": {"scheme": "mu_plus_lambda", "mu": 4},
    "evolution.generations": 2,
}
TIMES = {"seconds", "energy", "energy_kwh", "cache_hits", "cache_misses", "evaluated"}


def settings(**changes: Any) -> RunConfig:
    return load_config(COMMITTED, SMALL | changes)


def state(folder: Path) -> Any:
    return json.loads((folder / "checkpoint.json").read_text())["search"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run from the command line: its folder and its result."""
    folder = tmp_path_factory.mktemp("paper") / "whole"
    changes = [w for k, v in SMALL.items() for w in ("--set", f"{k}={json.dumps(v)}")]
    call = ["evolve", str(COMMITTED), "--language", "paper", "--json", "--out", str(folder)]
    done = CliRunner().invoke(app, [*call, *changes])
    assert done.exit_code == 0, done.output
    return folder, json.loads(done.stdout)


@pytest.fixture(scope="module")
def resumed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any], list[list[str]]]:
    """The same with two workers, stopped and resumed: folder, result and all populations."""
    folder = tmp_path_factory.mktemp("paper") / "resumed"
    first, second = Quiet(stop_after=1), Quiet()
    with pytest.raises(KeyboardInterrupt):
        Run(settings(workers=2), folder, [], first).execute()
    result = Run.resume(folder, second).execute()
    return folder, result, [*first.populations, *second.populations]


def test_the_champion_is_of_the_paper_language(whole: tuple[Path, dict[str, Any]]) -> None:
    folder, result = whole
    words = {p.name for p in paper_registry} | set(PAPER_TERMINALS)
    champion = parse(result["best"]["expression"])
    assert {node.op for node in champion.walk()} <= words
    assert champion.op == PAPER.closing[-1]
    assert result["individuals"] == 8 * 3
    config = json.loads((folder / "config.json").read_text())["config"]
    assert (config["language"]["name"], config["passes"]) == ("paper", [])


def test_resumed_and_with_two_workers_it_is_the_same(
    whole: tuple[Path, dict[str, Any]], resumed: tuple[Path, dict[str, Any], list[list[str]]]
) -> None:
    assert state(resumed[0]) == state(whole[0])
    timeless = [{k: v for k, v in r.items() if k not in TIMES} for r in (resumed[1], whole[1])]
    assert timeless[0] == timeless[1]


def test_mu_go_on_and_lambda_are_new(
    resumed: tuple[Path, dict[str, Any], list[list[str]]],
) -> None:
    folder, _, populations = resumed
    assert [len(texts) for texts in populations] == [8, 4, 4]
    assert all(len(set(texts)) == len(texts) for texts in populations)
    saved = state(folder)
    assert saved["individuals"] == 8 * 3
    for individual in saved["population"]:
        tree = parse(individual["tree"]).args[0].args[0]
        assert tree.height <= 6


def test_proxies_show_names_the_modes() -> None:
    text = "mean_valid_layers(layer_mean(paper_sum(pass_noise_grad, random_wt)))"
    shown = CliRunner().invoke(app, ["proxies", "show", text, "--json"])
    facts = json.loads(shown.stdout)
    assert (facts["expression"], facts["passes"]) == (text, ["pass_noise"])


def test_typed_run_of_the_same_budget() -> None:
    """The other side of the comparison is the same file in the other language."""
    typed = load_config(COMMITTED, {"language.name": "typed"})
    paper = load_config(COMMITTED)
    assert paper.model_dump(exclude={"language"}) == typed.model_dump(exclude={"language"})


def test_the_champion_scores_and_exports(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "proxy.py"
    exported = CliRunner().invoke(app, ["export", str(whole[0]), "--out", str(out)])
    assert exported.exit_code == 0, exported.output
    assert resolve(str(out)).text == whole[1]["best"]["expression"]
    words = ["score", str(out), "--on", "digits-tss", "--sample", "3", "--workers", "1", "--json"]
    scored = CliRunner().invoke(app, words)
    assert scored.exit_code == 0, scored.output
    (row,) = [row for row in json.loads(scored.stdout) if row["proxy"] == "proxy"]
    assert (row["networks"], row["failed"]) == (3, 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"language.name": "papper"}, "language.name"),
        ({"selection.mu": 0}, "mu"),
        ({"selection": "roulette"}, "choose from tournament, "),
    ],
)
def test_wrong_settings(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings(**changes)


def test_passes_are_the_language_s_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none to choose in the paper language"):
        Run(settings(passes=["noise"]), tmp_path / "run", [], Quiet())
