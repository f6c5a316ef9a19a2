"""What a search does if the user's own functions fail, or say that there is no architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

import greenmachine
from greenmachine.errors import ConfigError, DataError, GreenMachineError, RunError

SPACE = """
import sys
import optuna
from torch import nn

INPUT_SHAPE = (3, 8, 8)


def suggest(trial):
    width = trial.suggest_int("width", 1, 40)
    {suggest}
    return str(width)


def build(arch):
    {build}
    return nn.Sequential(nn.Conv2d(3, int(arch), 3), nn.ReLU())


def joules(arch):
    {joules}
    return len(arch)
"""
SAMPLERS = ("random", "exhaustive")


def space(folder: Path, **lines: str) -> str:
    path = folder / "my_space.py"
    path.write_text(SPACE.format(**{"suggest": "", "build": "", "joules": ""} | lines))
    return str(path)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("line", ["return None", "raise optuna.TrialPruned('odd')"])
def test_choices_without_an_architecture_do_not_count(
    line: str, sampler: str, tmp_path: Path
) -> None:
    on = space(tmp_path, suggest=f"if width % 2: {line}")
    result = greenmachine.search_networks("params", on=on, trials=15, sampler=sampler)
    assert (result.trials["state"] == "scored").all() and len(result.trials) == 15
    assert all(int(arch) % 2 == 0 for arch in result.trials["arch"])


@pytest.mark.parametrize(
    ("place", "error", "sampler"),
    [
        ("suggest", "ValueError('odd')", "random"),
        ("suggest", "KeyError('odd')", "exhaustive"),
        ("suggest", "SystemExit('odd')", "random"),
        ("build", "ValueError('odd')", "exhaustive"),
        ("build", "SystemExit('odd')", "random"),
        ("joules", "ValueError('odd')", "random"),
        ("joules", "Exception('odd')", "exhaustive"),
    ],
)
def test_an_error_of_every_network_ends_the_search_early(
    place: str, error: str, sampler: str, tmp_path: Path
) -> None:
    on = space(tmp_path, **{place: f"raise {error}"})
    done: list[int] = []
    with pytest.raises(RunError) as raised:
        greenmachine.search_networks(
            ["params", f"{on}:joules"],
            on=on,
            sampler=sampler,
            progress=lambda scored, total: done.append(scored),
        )
    said = str(raised.value)
    assert place in said and "odd" in said and error.partition("(")[0] in said and "\n" not in said
    assert max(done) <= 40
    if place == "suggest":
        assert "my_space.py, line 11" in said and "None" in said


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("place", ["suggest", "build", "joules"])
def test_an_error_of_some_networks_costs_their_trials(
    place: str, sampler: str, tmp_path: Path
) -> None:
    width = "width" if place == "suggest" else "int(arch)"
    on = space(tmp_path, **{place: f"if {width} % 2: raise ValueError('odd')"})
    result = greenmachine.search_networks(
        ["params", f"{on}:joules"], on=on, trials=40, sampler=sampler
    )
    states = result.trials["state"].value_counts()
    assert states.sum() == 40 and set(states.index) == {"scored", "failed"}
    failed = result.trials[result.trials["state"] == "failed"]
    assert failed["why"].str.contains("ValueError: odd").all()
    assert (failed["param: width"] % 2 == 1).all()


def test_many_failures_after_a_success_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenmachine.search.study._MOST_FAILED", 15)
    on = space(tmp_path, build="if int(arch) > 8: raise ValueError('wide')")
    with pytest.raises(RunError, match="wide"):
        greenmachine.search_networks("params", on=on, sampler="exhaustive")


@pytest.mark.parametrize("returned", [3, b"4", ["4"], ("a",)])
@pytest.mark.parametrize("by_file", [True, False])
def test_what_is_no_text_is_refused_at_once(returned: Any, by_file: bool, tmp_path: Path) -> None:
    def suggest(trial: Any) -> Any:
        return returned

    on = space(tmp_path, suggest=f"return {returned!r}" if by_file else "")
    given: Callable[[Any], Any] | None = None if by_file else suggest
    with pytest.raises(DataError, match="suggest.* returned"):
        greenmachine.search_networks("params", on=on, trials=3, suggest=given)


def test_an_empty_text_is_an_architecture(tmp_path: Path) -> None:
    on = space(tmp_path, suggest="return ''", build="arch = arch or '3'")
    assert len(greenmachine.search_networks("nwot_inputs", on=on, trials=2).best) == 1


def test_a_space_without_any_architecture_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenmachine.search.study._MOST_IN_VAIN", 30)
    with pytest.raises(ConfigError, match="None"):
        greenmachine.search_networks("params", on=space(tmp_path, suggest="return None"))


def test_a_network_that_failed_before_keeps_its_reason(tmp_path: Path) -> None:
    on = space(tmp_path, suggest="width = width % 3", build="if arch == '0': raise OSError('none')")
    result = greenmachine.search_networks("nwot_inputs", on=on, trials=20, sampler="random")
    failed = result.trials[result.trials["state"] == "failed"]
    assert len(failed) > 1 and failed["why"].str.contains("OSError: none").all()


class Suggests:
    """An object that suggests; it has no name and no code of its own."""

    def __call__(self, trial: optuna.Trial) -> str:
        raise ZeroDivisionError("by zero")


@pytest.mark.parametrize("suggest", [Suggests(), Suggests().__call__, lambda trial: {}["zero"]])
def test_functions_that_are_objects_are_named_with_their_file(suggest: Any, tmp_path: Path) -> None:
    with pytest.raises(GreenMachineError) as raised:
        greenmachine.search_networks("params", on=space(tmp_path), suggest=suggest, trials=5)
    assert "zero" in str(raised.value) and "test_failures.py, line" in str(raised.value)


@pytest.mark.parametrize("returned", ["'3'", "None", "[1, 2]", "torch.ones(2)", "torch.nn.ReLU()"])
def test_a_function_that_returns_no_number_is_named(returned: str, tmp_path: Path) -> None:
    on = space(tmp_path, joules=f"import torch; return {returned}")
    with pytest.raises(RunError, match="joules returned .*, not a number"):
        greenmachine.search_networks(f"{on}:joules", on=on, trials=2)
