"""A search as an object: its parts in all their forms, YAML, and where it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import greenmachine
from greenmachine.errors import ConfigError
from greenmachine.selection import Lexicase, MuPlusLambda
from greenmachine.signals.registry import PASSES

SMALL: dict[str, Any] = {
    "samples": {"train": {"size": 10}, "validation": {"size": 6}, "test": {"size": 6}},
    "capture": {"batch": 2},
    "evolution": {"population": 8, "generations": 1, "elites": 1},
    "workers": 1,
}


@pytest.mark.parametrize(
    "selection",
    [
        MuPlusLambda(mu=4, size=2),
        {"scheme": "mu_plus_lambda", "mu": 4, "size": 2},
    ],
)
def test_a_part_is_an_object_or_what_stands_for_it(selection: Any) -> None:
    search = greenmachine.Search("digits-tss", selection=selection)
    assert search.settings.selection == MuPlusLambda(mu=4, size=2)


@pytest.mark.parametrize(
    "passes", ["noise", ["noise"], [PASSES["noise"]], [PASSES["noise"].function]]
)
def test_passes_are_names_or_what_is_registered(passes: Any) -> None:
    assert greenmachine.Search(passes=passes).settings.passes == ("noise",)


def test_settings_are_changed_inside_a_group_that_is_given() -> None:
    search = greenmachine.Search(
        evolution={"population": 30}, settings={"evolution.generations": 3, "seed": 4}, seed=7
    )
    evolution = search.settings.evolution
    assert (evolution.population, evolution.generations, search.settings.seed) == (30, 3, 7)
    assert search.folder == Path("runs/digits-tss-7")


def test_one_thing_is_a_list_of_one_and_any_iterable_is_a_list() -> None:
    stop = greenmachine.callbacks.EarlyStopping(patience=3)
    for callbacks in (
        stop,
        [stop],
        (each for each in (stop, stop)),
        {"scheme": "early_stopping", "patience": 3},
    ):
        search = greenmachine.Search(
            tasks=(t for t in ("digits-tss", "digits-tss")),
            callbacks=callbacks,
            passes=["noise", "noise"],
        )
        assert search.settings.callbacks == (stop,)
        assert search.settings.tasks == ("digits-tss",)
        assert search.settings.passes == ("noise",)


@pytest.mark.parametrize("selection", [Lexicase(), "lexicase", {"scheme": "lexicase"}])
def test_a_setting_inside_a_part_is_changed_in_any_of_its_forms(selection: Any) -> None:
    tasks = ["digits-tss", "digits-sss"]
    search = greenmachine.Search(tasks, selection=selection, settings={"selection.epsilon": 0.5})
    assert search.settings.selection == Lexicase(epsilon=0.5)


def test_its_yaml_is_the_same_search(tmp_path: Path) -> None:
    search = greenmachine.Search(
        ["nats-tss/cifar10", "nats-sss/cifar100"],
        selection=Lexicase(epsilon=0.02),
        callbacks=[greenmachine.callbacks.EarlyStopping(patience=3), "progress"],
        seed=5,
    )
    path = tmp_path / "search.yaml"
    path.write_text(search.yaml())
    assert greenmachine.Search(config=path).settings == search.settings


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"selektion": "nsga2"}, "no selektion"),
        (
            {"selection": "roulette"},
            "no selection scheme 'roulette': choose from",
        ),
        ({"passes": [lambda: None]}, "not registered"),
        ({"callbacks": ["tenserboard"]}, "there is no callback"),
        ({"plugins": ["nowhere.py"]}, "nowhere.py"),
        ({"evolution": {"populaton": 3}}, "there is no such setting"),
        ({"tasks": 5}, "tasks: 5"),
        ({"plugins": None}, "plugins: None"),
        ({"callbacks": 5}, "callbacks: 5"),
        ({"passes": 5}, "passes: 5"),
        ({"settings": ["seed"]}, "is no mapping"),
        ({"config": ["a.yaml"]}, "YAML file"),
        ({"config": None, "tasks": [5]}, "5"),
    ],
)
def test_what_does_not_fit_is_told(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        greenmachine.Search(**arguments)
    assert "\n" not in str(raised.value)


def test_runs_resumes_and_extends(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = greenmachine.Search("digits-tss", **SMALL).run(folder)
    again = greenmachine.Search.resume(folder)
    assert again.folder == folder
    assert again.run().best == first.best
    longer = greenmachine.Search.resume(folder, settings={"evolution.generations": 2}).run()
    assert len(longer.history) == 3
    whole = {**SMALL, "evolution": {**SMALL["evolution"], "generations": 2}}
    assert greenmachine.Search("digits-tss", **whole).run(tmp_path / "whole").best.expression == (
        longer.best.expression
    )
    with pytest.raises(ConfigError, match="give no others"):
        greenmachine.Search.resume(folder, settings={"seed": 3})
    with pytest.raises(ConfigError, match="no other folder"):
        again.run(tmp_path / "other")
