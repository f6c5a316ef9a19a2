"""Whatever stops a run, and whatever happens to its files: the same result, or one line."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenmachine import files
from greenmachine.callbacks import Generation
from greenmachine.config import load_config
from greenmachine.errors import ConfigError, RunError
from greenmachine.evolution import Run, RunFolder
from greenmachine.evolution.summary import few_networks_warnings
from greenmachine.export.run_export import export_run
from tests.sealed import edit

from .conftest import Quiet, settings

TIMES = {"seconds", "energy", "energy_kwh", "cache_hits", "cache_misses", "evaluated", "created"}
SPACE = """
from torch import nn

INPUT_SHAPE = (6,)


def build(arch):
    return nn.Sequential(nn.Linear(6, int(arch)), nn.ReLU(), nn.Linear(int(arch), 2))
"""

SMALL: dict[str, Any] = {
    "samples": {"train": {"size": 8}, "validation": {"size": 6}, "test": {"size": 6}},
    "evolution": {"population": 6, "generations": 2, "elites": 1, "hall_of_fame": 4},
    "capture": {"keep_signals": False, "options": {}},
}


@pytest.fixture(scope="module", autouse=True)
def small_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Networks of a millisecond: a run of them is stopped a hundred times."""
    folder = tmp_path_factory.mktemp("space")
    (folder / "space.py").write_text(SPACE)
    rows = "".join(f"{width},{20 + width * 7 % 31}\n" for width in range(2, 32))
    (folder / "table.csv").write_text("arch,accuracy\n" + rows)
    SMALL["tasks"] = [f"{folder}/space.py:{folder}/table.csv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenmachine.manifest._git_sha", lambda: "0")  # asks git, which takes long
        yield


class Killed(BaseException):
    """The process is gone: nothing that would tidy up runs."""


def told(folder: Path) -> dict[str, Any]:
    """All that a run has left, file by file, without times and the checksums over them."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            dropped = TIMES | {"sha256"}
            return {key: kept(content) for key, content in value.items() if key not in dropped}
        return [kept(content) for content in value] if isinstance(value, list) else value

    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            found[name] = kept(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            with path.open() as file:
                found[name] = kept(list(csv.DictReader(file)))
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder"
    return found


@pytest.fixture(scope="module")
def unbroken(small_networks: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lost") / "run"
    Run(settings(**SMALL), folder, [], Quiet()).execute()
    return folder


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """Stop the process at a replacement of a file: before it, in the middle of it, or after."""
    real_replace, real_unlink = files.os.replace, Path.unlink
    state = {"left": -1, "how": "", "dead": False}

    def replace(source: Any, target: Any) -> None:
        state["left"] -= 1
        if state["left"] != 0:
            real_replace(source, target)
            return
        if state["how"] == "in":  # the system has a part of it
            content = Path(source).read_bytes()
            Path(source).write_bytes(content[: len(content) // 2])
        elif state["how"] == "after":
            real_replace(source, target)
        state["dead"] = True
        raise Killed

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if not state["dead"]:
            real_unlink(path, missing_ok)

    monkeypatch.setattr(files.os, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)

    def at(number: int, how: str) -> None:
        state.update(left=number, how=how, dead=False)

    yield at
    at(-1, "")


def replacements(monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """How many files the small run replaces."""
    real, count = files.os.replace, 0

    def counted(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", counted)
        Run(settings(**SMALL), folder, [], Quiet()).execute()
    return count


@pytest.mark.parametrize(
    "how",
    ["before", *(pytest.param(how, marks=pytest.mark.slow) for how in ("in", "after"))],
)
def test_stop_at_every_replacement_of_a_file(
    how: str,
    unbroken: Path,
    kill: Callable[[int, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every file after resume equals that of the unbroken run."""
    count = replacements(monkeypatch, tmp_path / "whole")
    assert count > 15
    expected = told(unbroken)
    for number in range(1, count + 1):
        folder = tmp_path / f"{number}"
        kill(number, how)
        with pytest.raises(Killed):
            Run(settings(**SMALL), folder, [], Quiet()).execute()
        kill(-1, "")
        RunFolder(folder).checkpoint()  # whole at any moment, or not there
        Run(settings(**SMALL), folder, [], Quiet()).execute()
        assert told(folder) == expected, number
        shutil.rmtree(folder)


def test_export_between_two_files_of_a_checkpoint_is_of_one_state(
    unbroken: Path, tmp_path: Path
) -> None:
    """The files for people are older than the checkpoint: nothing reads them."""
    for name in ("history.csv", "primitives.csv", "hall_of_fame.json", "checkpoint.json",
                 "config.json", "manifest.json", "result.json"):  # fmt: skip
        (tmp_path / "run").mkdir(exist_ok=True)
        shutil.copy(unbroken / name, tmp_path / "run" / name)
    (tmp_path / "run" / "hall_of_fame.json").write_text("[]")
    left = export_run(unbroken, tmp_path / "proxy.py")
    assert left == export_run(tmp_path / "run", tmp_path / "proxy.py")


def test_leftovers_of_a_kill_behind_the_result_go(unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    left = folder / "signals" / "own-train"
    left.mkdir(parents=True)
    for name in ("store.json", "shard-0000.json", "shard-0000.safetensors"):
        (left / name).write_text("x")
    (left / ".shard-0001.json.0123abcd.tmp").write_text("x")
    (folder / ".result.json.0123abcd.tmp").write_text("x")
    (folder / "notes.txt").write_text("mine")
    Run.resume(folder, Quiet()).execute()
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    assert told(folder) == told(unbroken)


@pytest.mark.parametrize("name", ["history.csv", "signals/notes.txt"])
def test_folder_of_the_user_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        Run(settings(**SMALL), tmp_path / "mine", [], Quiet()).execute()
    assert path.read_text() == "mine"
    assert [p for p in (tmp_path / "mine").rglob("*") if p.is_file()] == [path]


class Meddler(Quiet):
    """Does something to the folder after a generation."""

    when: int
    meddle: Callable[[], object]

    def on_generation(self, generation: Generation) -> None:
        super().on_generation(generation)
        if generation.row["generation"] == self.when:
            self.meddle()


@pytest.mark.parametrize("generation", [0, 2])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_folder_that_goes_under_a_run(
    how: str, generation: int, unbroken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def meddle() -> None:
        shutil.rmtree(folder)
        if how == "replaced":
            Run(settings(**SMALL), folder, [], Quiet()).execute()

    with pytest.raises(RunError, match="removed or replaced"):
        Run(settings(**SMALL), folder, [], Meddler(when=generation, meddle=meddle)).execute()
    if how == "removed":
        assert not folder.exists()
    else:
        assert told(folder) == told(unbroken)


def refused(folder: Path) -> str | None:
    """Run to the end; return why that was refused."""
    try:
        Run(settings(**SMALL), folder, [], Quiet()).execute()
    except RunError as error:
        return str(error)
    return None


def test_every_file_of_an_unfinished_run_is_checked(tmp_path: Path, unbroken: Path) -> None:
    """One bit in each file: the result is the same, or a line names the file."""
    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        Run(settings(**SMALL), broken, [], Quiet(stop_after=1)).execute()
    expected = told(unbroken)
    names = [p.relative_to(broken) for p in broken.rglob("*") if p.is_file() and p.stat().st_size]
    assert len(names) > 8
    for number, name in enumerate(sorted(names)):
        folder = tmp_path / f"{number}"
        shutil.copytree(broken, folder)
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        if (said := refused(folder)) is None:
            assert told(folder) == expected, name
        else:
            assert name.name in said
            assert "\n" not in said


def test_removed_checkpoint_repeats_the_search(tmp_path: Path, unbroken: Path) -> None:
    """What the message about a damaged one says."""
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        Run(settings(**SMALL), folder, [], Quiet(stop_after=1)).execute()
    (folder / "checkpoint.json").unlink()
    Run.resume(folder, Quiet()).execute()
    assert told(folder) == told(unbroken)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("checkpoint.json", lambda v: v.update(history=3)),
        ("checkpoint.json", lambda v: v["search"].update(generation="1")),
        ("checkpoint.json", lambda v: v["search"].update(random=[3, [1, 2], None])),
        ("checkpoint.json", lambda v: v["search"].update(random=[3, [1.5] * 625, None])),
        ("checkpoint.json", lambda v: v["search"].update(population=[])),
        ("checkpoint.json", lambda v: v["search"]["population"][0].update(tree="sum_layers(")),
        ("checkpoint.json", lambda v: v["search"]["population"][0].update(fitness=[1.0, 2.0])),
        ("checkpoint.json", lambda v: v["search"]["hall"][0].pop("tau")),
        ("checkpoint.json", lambda v: v.update(format=1)),
        ("config.json", lambda v: v.update(seeds=["sum_layers("])),
        ("config.json", lambda v: v.update(config=[])),
        ("config.json", lambda v: v["config"].update(old_setting=1)),
        ("manifest.json", lambda v: v.update(benchmarks="x")),
        ("manifest.json", lambda v: v.pop("samples")),
    ],
)
def test_fields_of_a_wrong_type_are_one_line(
    name: str, change: Callable[[Any], object], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        Run(settings(**SMALL), folder, [], Quiet(stop_after=0)).execute()
    edit(folder / name, change)
    with pytest.raises(RunError, match=name) as caught:
        Run.resume(folder, Quiet()).execute()
    assert "\n" not in str(caught.value)


def test_extended_run_equals_a_longer_one(unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    evolution = {**SMALL["evolution"], "generations": 0}
    Run(settings(**{**SMALL, "evolution": evolution}), folder, [], Quiet()).execute()
    config = settings(**SMALL)
    Run.resume(folder, Quiet(), config=Run.settings(folder).model_copy(
        update={"evolution": config.evolution}
    )).execute()  # fmt: skip
    assert told(folder) == told(unbroken)
    short = {**SMALL, "evolution": {**SMALL["evolution"], "generations": 1}}
    with pytest.raises(ConfigError, match="2 by now"):
        Run(settings(**short), folder, [], Quiet()).execute()
    assert told(folder) == told(unbroken)
    other = {**SMALL, "selection": {"size": 2}}
    with pytest.raises(RunError, match="another run"):
        Run(settings(**other), folder, [], Quiet()).execute()


def test_stop_while_a_run_is_extended(
    unbroken: Path, kill: Callable[[int, str], None], tmp_path: Path
) -> None:
    """At every replacement of a file, in one of the three ways; also where it goes on twice."""
    short = tmp_path / "short"
    evolution = {**SMALL["evolution"], "generations": 1}
    Run(settings(**{**SMALL, "evolution": evolution}), short, [], Quiet()).execute()
    for number in range(1, 16):
        folder = tmp_path / f"{number}"
        shutil.copytree(short, folder)
        kill(number, ("before", "in", "after")[number % 3])
        try:
            Run(settings(**SMALL), folder, [], Quiet()).execute()
        except Killed:
            kill(-1, "")
            Run(settings(**SMALL), folder, [], Quiet()).execute()
        assert told(folder) == told(unbroken), number
        shutil.rmtree(folder)


def test_samples_that_nothing_can_rank_are_refused_before_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from greenmachine.benchmarks import Benchmark

    accuracy = Benchmark.accuracy
    monkeypatch.setattr(Benchmark, "accuracy", lambda self, name: accuracy(self, name) * 0 + 10)
    with pytest.raises(ConfigError, match="the same accuracy"):
        Run(settings(**SMALL), tmp_path / "run", [], Quiet())
    assert not (tmp_path / "run").exists()


def test_networks_that_give_nan_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from greenmachine.benchmarks import Benchmark

    build = Benchmark.build

    def broken(self: Benchmark, index: int, dataset: str, **options: Any) -> Any:
        model = build(self, index, dataset, **options)
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, float("nan"))
        return model

    monkeypatch.setattr(Benchmark, "build", broken)
    listener = Quiet()
    Run(settings(**SMALL), tmp_path / "run", [], listener).execute()
    assert any("is undefined" in line for line in listener.lines)


def test_few_training_networks_are_warned_of(tmp_path: Path) -> None:
    for size, warned in ((20, True), (50, False)):
        config = load_config(None, {"samples.train.size": size})
        run = Run(config, tmp_path / str(size), [], Quiet())
        assert len(list(few_networks_warnings(run.task_sets))) == warned


def test_a_removed_checkpoint_of_a_finished_run_is_made_again(
    unbroken: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    (folder / "checkpoint.json").write_text("x")
    with pytest.raises(RunError, match="remove it"):
        Run.resume(folder, Quiet()).execute()
    (folder / "checkpoint.json").unlink()
    Run.resume(folder, Quiet()).execute()
    assert told(folder) == told(unbroken)


def test_damaged_scores_of_a_finished_run_are_made_again(unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    (folder / "scores.parquet").write_bytes(b"x")
    with pytest.raises(RunError, match=r"remove .*result\.json"):
        Run.resume(folder, Quiet()).execute()
    (folder / "result.json").unlink()
    Run.resume(folder, Quiet()).execute()
    assert told(folder) == told(unbroken)
