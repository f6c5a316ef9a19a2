"""The same search with several seeds: runs beside each other, one summary."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import greenmachine
from greenmachine.api.seed_runs import seeds_folder
from greenmachine.callbacks import Generation
from greenmachine.errors import ConfigError, RunError
from tests.sealed import edit

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "workers": 1,
    "passes": ["noise"],
    "samples": {"train": {"size": 6}, "validation": {"size": 5}, "test": {"size": 6}},
    "capture.batch": 2,
    "capture.options": {"cells": 1, "channels": 4},
    "evolution": {"population": 5, "generations": 1, "elites": 1},
}

pytestmark = pytest.mark.usefixtures("synthetic_data")


@pytest.fixture(scope="module")
def made(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> greenmachine.SeedRuns:
    out = tmp_path_factory.mktemp("seeds") / "tiny"
    return greenmachine.evolve("nats-tss", settings=SETTINGS, out=out, seed=3, seeds=2)


@pytest.fixture
def copy(made: greenmachine.SeedRuns, tmp_path: Path) -> Path:
    return shutil.copytree(made.folder, tmp_path / "tiny")


def evolve(out: Path, **more: Any) -> greenmachine.SeedRuns:
    return greenmachine.evolve(
        "nats-tss", **{"settings": SETTINGS, "out": out, "seed": 3, "seeds": 2, **more}
    )


def test_each_run_is_the_run_with_its_seed(made: greenmachine.SeedRuns, tmp_path: Path) -> None:
    assert [run.folder.name for run in made.runs] == ["seed-3", "seed-4"]
    alone = greenmachine.evolve("nats-tss", settings=SETTINGS, out=tmp_path / "run", seed=4)
    assert made.runs[1].hall_of_fame.equals(alone.hall_of_fame)
    assert made.runs[1].tau == alone.tau
    configs = [json.loads((r.folder / "config.json").read_text()) for r in (made.runs[1], alone)]
    assert configs[0] == configs[1]


def test_summary_has_mean_and_deviation(made: greenmachine.SeedRuns) -> None:
    told = greenmachine.SeedRuns.open(made.folder)
    assert told == made and told.facts == made.facts
    assert made.facts["seeds"] == [3, 4] and made.facts["finished"] == 2
    for sample in ("train", "validation", "test"):
        for name in ("champion", "params"):
            taus = [run.facts[sample]["cifar10"][name]["tau"] for run in made.runs]
            row = made.tau.loc[("cifar10", name), sample]
            assert row["mean"] == pytest.approx(np.mean(taus), abs=1e-6)
            assert row["deviation"] == pytest.approx(np.std(taus, ddof=1), abs=1e-6)
    assert made.table.loc[3, "expression"] == made.runs[0].best.expression
    assert made.table.loc[4, "test.cifar10"] == made.runs[1].tau["test"]["cifar10"]
    assert made.seconds == pytest.approx(sum(run.seconds for run in made.runs), abs=0.1)
    validation = made.table["validation.cifar10"]
    assert made.best.folder.name == f"seed-{validation.idxmax()}"
    mean = made.tau.loc[("cifar10", "champion"), ("test", "mean")]
    assert f"{mean:.3f}" in repr(made) and "\n" not in repr(made)
    text = (made.folder / "summary.md").read_text()
    assert f"{mean:.3f}" in text and made.runs[0].best.expression in text


class Stop(greenmachine.Callback):
    """Interrupts where a generation of a seed is reached."""

    seed: int
    seen: list[int]

    def on_start(self, run: Any) -> None:
        self.seen.append(run.settings["seed"])
        if run.settings["seed"] == -self.seed:  # between two runs
            raise KeyboardInterrupt

    def on_generation(self, generation: Generation) -> None:
        if self.seen[-1] == self.seed and generation.row["generation"] == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(4, id="in the second run", marks=pytest.mark.slow),
        pytest.param(-4, id="between the runs"),
    ],
)
def test_a_stopped_search_goes_on(where: int, made: greenmachine.SeedRuns, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    with pytest.raises(KeyboardInterrupt):
        evolve(out, callbacks=[Stop(seed=where, seen=[])])
    told = greenmachine.SeedRuns.open(out)  # of the run that is finished
    assert told.facts["finished"] == 1 and [r.folder.name for r in told.runs] == ["seed-3"]
    assert told.tau.loc[("cifar10", "champion"), "test"].isna().tolist() == [False, True]
    watch = Stop(seed=99, seen=[])
    again = evolve(out, callbacks=[watch])
    assert watch.seen == [4]
    assert again.tau.equals(made.tau)
    assert again.table.drop(columns="seconds").equals(made.table.drop(columns="seconds"))


def test_finished_runs_are_read_and_more_seeds_added(
    made: greenmachine.SeedRuns, copy: Path
) -> None:
    watch = Stop(seed=99, seen=[])
    assert evolve(copy, callbacks=[watch]).facts == made.facts
    more = evolve(copy, seeds=3, callbacks=[watch])
    assert watch.seen == [5]
    assert more.table.index.tolist() == [3, 4, 5]
    assert more.table.loc[[3, 4]].equals(made.table)
    fewer = evolve(copy, seeds=1)
    assert fewer.table.index.tolist() == [3] and (copy / "seed-5" / "result.json").exists()


def test_folders_of_others_are_refused_before_a_run_begins(
    made: greenmachine.SeedRuns, copy: Path, tmp_path: Path
) -> None:
    other = {**SETTINGS, "capture.batch": 3}
    shutil.rmtree(copy / "seed-3")
    before = sorted(copy.rglob("*"))
    with pytest.raises(RunError, match="seed-4 holds another run"):
        evolve(copy, settings=other)
    with pytest.raises(RunError, match="seed-4 contains a run"):
        evolve(copy / "seed-4")
    assert sorted(copy.rglob("*")) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        evolve(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    (copy / "seed-3").mkdir()
    (copy / "seed-3" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="seed-3 is not empty"):
        evolve(copy)
    edit(copy / "summary.json", lambda told: None)
    (copy / "summary.json").write_text((copy / "summary.json").read_text().replace("3", "4", 1))
    with pytest.raises(RunError, match="summary.json is damaged"):
        greenmachine.SeedRuns.open(copy)
    with pytest.raises(RunError, match="holds no summary.json"):
        greenmachine.SeedRuns.open(copy / "seed-4")


@pytest.mark.parametrize("seeds", [0, -1, 1.5, "2", True])
def test_a_number_of_seeds_that_is_none_is_refused(seeds: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        evolve(tmp_path / "run", seeds=seeds)
    with pytest.raises(ConfigError, match="resume"):
        greenmachine.evolve(resume=tmp_path, seeds=2)
    assert not (tmp_path / "run").exists()


def test_default_folder_lies_beside_those_of_single_runs() -> None:
    search = greenmachine.Search("nats-tss", settings=SETTINGS, seed=11)
    assert search.folder == Path("runs/tiny-11")
    assert seeds_folder(search) == Path("runs/tiny-seeds")
