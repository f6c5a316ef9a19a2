"""Shards of workers that do not see the run's folder: captured once, checked, bounded."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenmachine.errors import ConfigError, RunError
from greenmachine.signals import CaptureSpec, Store
from greenmachine.signals import shard_recipe as module
from greenmachine.signals.network_capture import cached_benchmark, packed_benchmark
from greenmachine.signals.shard import Shard
from greenmachine.signals.shard_io import open_shard
from greenmachine.signals.shard_recipe import STALE, ShardRecipe, forget_stores

SPEC = CaptureSpec(
    "digits-tss", "digits", ("noise_input", "noise_weight_grad"), batch=2, options={"cells": 1}
)


@pytest.fixture(params=["float32", "bfloat16"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> ShardRecipe:
    """A recipe whose shard is in the run's folder."""
    monkeypatch.setenv("GREENMACHINE_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "run", replace(SPEC, precision=request.param), [3, 70, 390])
    store.build(1)
    (recipe,) = store._recipes()
    return replace(recipe, local=False)


@pytest.fixture
def recipe(stored: ShardRecipe) -> ShardRecipe:
    """The recipe where the run's folder is not seen."""
    return replace(stored, path=stored.path.parent.parent / "unseen" / stored.path.name)


def equal(one: Shard, two: Shard) -> bool:
    tensors = [
        (a.tensors[name], b.tensors[name])
        for a, b in zip(one.stacks, two.stacks, strict=True)
        for name in a.tensors
    ]
    return (
        one.networks == two.networks
        and one.layer_counts == two.layer_counts
        and all(a.dtype == b.dtype and a.equal(b) for a, b in tensors)
    )


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every capture."""
    calls: list[int] = []
    capture = module.capture_layers

    def counted(*args: Any) -> Any:
        calls.append(1)
        return capture(*args)

    monkeypatch.setattr(module, "capture_layers", counted)
    return calls


def test_the_run_folder_comes_first(stored: ShardRecipe, captured: list[int]) -> None:
    assert stored.sees_run()
    assert equal(stored.open(), open_shard(stored.path))
    assert not captured and not stored.cached.exists()


def test_capture_once_into_the_cache(
    stored: ShardRecipe, recipe: ShardRecipe, captured: list[int]
) -> None:
    assert not recipe.sees_run()
    assert recipe.build() == {}
    for _ in range(2):
        assert equal(recipe.open(), open_shard(stored.path))
    assert len(captured) == 1 and recipe.cached.exists()
    forget_stores([recipe.store])
    assert not recipe.cached.parent.exists()
    assert equal(recipe.open(), open_shard(stored.path))
    assert len(captured) == 2


def other_networks(path: Path, recipe: ShardRecipe) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(recipe, path=path, local=True, places=[(0, 5)]).build()


def changed_byte(path: Path, recipe: ShardRecipe) -> None:
    tensors = path.with_suffix(".safetensors")
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)


def no_tensors(path: Path, recipe: ShardRecipe) -> None:
    path.with_suffix(".safetensors").unlink()


@pytest.mark.parametrize("harm", [other_networks, changed_byte, no_tensors])
def test_what_is_wrong_in_the_cache_is_captured_again(
    harm: Callable[[Path, ShardRecipe], None],
    stored: ShardRecipe,
    recipe: ShardRecipe,
    captured: list[int],
) -> None:
    recipe.build()
    harm(recipe.cached, recipe)
    module._checked.clear()  # a worker that has just started
    before = len(captured)
    assert equal(recipe.open(), open_shard(stored.path))
    assert len(captured) == before + 1


def test_a_run_folder_of_another_run_is_not_taken(stored: ShardRecipe) -> None:
    """Another machine may have a folder of the same name."""
    other_networks(stored.path, stored)
    assert stored.open().networks == [0, 1, 2]
    stored.path.with_name("store.json").write_text("{}")
    assert not stored.sees_run()


def test_no_room(
    stored: ShardRecipe,
    recipe: ShardRecipe,
    captured: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GREENMACHINE_CACHE_GB", "1e-6")
    for _ in range(2):
        assert equal(recipe.open(), open_shard(stored.path))
    assert len(captured) == 2 and not recipe.cached.exists()
    monkeypatch.setenv("GREENMACHINE_CACHE_GB", "much")
    with pytest.raises(ConfigError, match="GREENMACHINE_CACHE_GB"):
        recipe.open()


def test_a_cache_that_cannot_be_made(stored: ShardRecipe, recipe: ShardRecipe) -> None:
    recipe.cached.parents[1].parent.mkdir()
    recipe.cached.parents[1].write_text("a file where the folder should be")
    assert equal(recipe.open(), open_shard(stored.path))


def test_shards_of_runs_long_gone_are_removed(recipe: ShardRecipe) -> None:
    old, young = (replace(recipe, store=name) for name in ("old", "young"))
    for each in (old, young):
        each.build()
    past = young.cached.parent.stat().st_mtime - STALE - 60
    os.utime(old.cached.parent, (past, past))
    recipe.build()
    assert not old.cached.exists() and young.cached.exists() and recipe.cached.exists()


NETWORKS = """
from torch import nn
from beside import width
INPUT_SHAPE = (4,)
def build(arch):
    return nn.Sequential(nn.Linear(4, width(arch)), nn.ReLU(), nn.Linear(width(arch), 2))
"""


def test_files_of_the_user_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENMACHINE_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "home"
    home.mkdir()
    (home / "space.py").write_text(NETWORKS)
    (home / "beside.py").write_text("def width(arch):\n    return int(arch)\n")
    (home / "table.csv").write_text("arch,accuracy\n3,50\n5,60\n9,70\n")
    packed = packed_benchmark(f"{home}/space.py:{home}/table.csv")
    shutil.rmtree(home)
    found = packed.open(cached_benchmark)
    assert found.checksum == packed.checksum
    assert found.build(2, "own")[0].out_features == 9


def test_data_of_the_worker(tmp_path: Path, synthetic_data: Path) -> None:
    packed = replace(packed_benchmark("nats-tss"), folder=tmp_path / "gone")
    assert not packed.files
    assert packed.open(cached_benchmark).folder == synthetic_data.resolve()
    other = replace(packed, checksum=hashlib.sha256(b"other").hexdigest())
    with pytest.raises(RunError, match="another version of nats-tss"):
        other.open(cached_benchmark)
