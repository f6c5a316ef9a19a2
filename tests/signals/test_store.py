"""Stacks and the store: what is read back is what was captured, whatever interrupted it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import xxhash
from safetensors.torch import load, load_file
from torch import nn

from greenmachine.errors import ConfigError, RunError
from greenmachine.files import SEAL, read_json
from greenmachine.language import terminals_of
from greenmachine.signals import PASSES, CaptureSpec, Store, shard_io
from greenmachine.signals.capture import Layer
from greenmachine.signals.network_capture import cached_benchmark, capture_network, capture_shard
from greenmachine.signals.registry import is_weight
from greenmachine.signals.run_passes import run_passes
from greenmachine.signals.shard import Shard, stack_layers
from greenmachine.signals.shard_io import open_shard, write_tensors
from greenmachine.signals.store import shard_places

TERMINALS = tuple(sorted(set(terminals_of(list(PASSES))) - {"depth"}))
INDICES = list(range(20))
SPEC = CaptureSpec(
    "nats-tss", "cifar10", ("noise_input", "noise_weight_grad", "ones_output", "weight"),
    batch=2, options={"cells": 1, "channels": 4},
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("synthetic_data")


def equal(left: Shard, right: Shard) -> None:
    assert left.networks == right.networks
    assert left.layer_counts == right.layer_counts
    assert left.failures == right.failures
    assert len(left.stacks) == len(right.stacks)
    for one, two in zip(left.stacks, right.stacks, strict=True):
        assert torch.equal(one.rows, two.rows)
        assert one.tensors.keys() == two.tensors.keys()
        for name, tensor in one.tensors.items():
            assert torch.equal(tensor, two.tensors[name])
            assert tensor.dtype == two.tensors[name].dtype


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def built(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of 20 networks: two whole shards and half a shard."""
    made = Store(tmp_path_factory.mktemp("store"), SPEC, INDICES)
    made.build(1)
    return made


def test_stacks_hold_every_layer_once_in_its_place() -> None:
    spec = CaptureSpec("nats-tss", "cifar10", TERMINALS, batch=2, options=SPEC.options)
    benchmark = cached_benchmark("nats-tss")
    shard = capture_shard(spec, [(7, 3), (2, 5)])
    layers: list[Layer] = []
    for index in (3, 5):
        found = capture_network(benchmark, index, spec)
        assert isinstance(found, list)
        layers += found
    assert shard.networks == [7, 2]
    assert shard.layers == len(layers)
    rows = torch.cat([stack.rows for stack in shard.stacks])
    assert rows.sort().values.tolist() == list(range(len(layers)))
    for stack in shard.stacks:
        for place, row in enumerate(stack.rows.tolist()):
            assert set(stack.tensors) == set(TERMINALS)
            for name, tensor in stack.tensors.items():
                expected = layers[row].signals[name]
                assert torch.equal(tensor[place], expected)
                view = stack.signal(name, slice(place, place + 1), 2)[0]
                if is_weight(name):
                    assert torch.equal(view, expected)
                else:  # channels in front, the one image of `ones` for every image
                    assert view.shape == (2, expected.shape[-1], *expected.shape[1:3])
                    assert torch.equal(view.permute(0, 2, 3, 1), expected.expand(2, -1, -1, -1))
                assert view.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()


def test_layers_of_one_shape_share_a_stack() -> None:
    """Also where a normalisation follows one and not the other."""
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1))
    layers = run_passes(model, {t for t in TERMINALS if not t.startswith("data")}, (2, 3, 4, 4))
    (stack,) = stack_layers({0: layers}, 2).stacks
    assert stack.rows.tolist() == [0, 1]


def test_failed_network_has_a_message_and_no_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = cached_benchmark("nats-tss")
    real = type(benchmark).build

    def build(self: object, index: int, *args: object, **options: object) -> torch.nn.Module:
        if index == 1:
            raise RuntimeError("on purpose\nwith details")
        return real(benchmark, index, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(benchmark), "build", build)
    shard = capture_shard(SPEC, [(0, 0), (1, 1), (2, 2)])
    assert shard.failures == {1: "RuntimeError: on purpose with details"}
    assert shard.layer_counts[1] == 0
    assert shard.layer_counts[0] > 0 < shard.layer_counts[2]


def test_fault_of_the_user_is_no_failure_of_a_network() -> None:
    spec = CaptureSpec("nats-tss", "cifar10", ("weight",), options={"cels": 1})
    with pytest.raises(ConfigError, match="cels"):
        capture_shard(spec, [(0, 0)])


def test_empty_shard() -> None:
    shard = stack_layers({4: "RuntimeError: no"}, 2)
    assert (shard.networks, shard.layers, shard.stacks) == ([4], 0, [])


def test_benchmark_is_read_once_for_each_folder(
    synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached_benchmark("nats-tss")
    assert cached_benchmark("nats-tss", synthetic_data) is first
    (tmp_path / "nats-bench").mkdir()
    table = first.frame.head(5)
    table.to_parquet(tmp_path / "nats-bench" / "tss.parquet", index=False)
    monkeypatch.setenv("GREENMACHINE_DATA", str(tmp_path))
    assert len(cached_benchmark("nats-tss")) == 5
    assert len(cached_benchmark("nats-tss", synthetic_data)) == len(first)


def test_round_trip_is_exact(built: Store) -> None:
    places = shard_places(INDICES)
    assert [len(part) for part in places] == [8, 8, 4]
    for path, part in zip(built.paths, places, strict=True):
        equal(open_shard(path), capture_shard(SPEC, part))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_tensors_are_memory_mapped(built: Store) -> None:
    shard = open_shard(built.paths[0])
    file = built.paths[0].with_suffix(".safetensors").name
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    ranges = [tuple(int(x, 16) for x in m[0].split("-")) for m in maps if m[-1].endswith(file)]
    for stack in shard.stacks:
        for tensor in stack.tensors.values():
            assert any(first <= tensor.data_ptr() < last for first, last in ranges)


def test_parallel_build_is_the_serial_build(built: Store, tmp_path: Path) -> None:
    parallel = Store(tmp_path / "store", SPEC, INDICES)
    told: list[tuple[int, int]] = []
    parallel.build(2, progress=lambda done, total: told.append((done, total)))
    assert contents(parallel.folder) == contents(built.folder)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_serial_build_with_more_threads(built: Store, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    try:
        Store(tmp_path, SPEC, INDICES[:8]).build(1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    found = tmp_path / "shard-0000.safetensors"
    assert found.read_bytes() == (built.folder / found.name).read_bytes()


def test_only_missing_shards_are_built(built: Store, tmp_path: Path) -> None:
    target = Store(tmp_path, SPEC, INDICES)
    target.build(1)
    target.paths[1].unlink()
    abandoned = tmp_path / ".shard-0001.safetensors.0123abcd.tmp"
    abandoned.write_bytes(b"half")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    said: list[str] = []
    target.build(1, announce=said.append)
    changed = {
        path.name for path in tmp_path.iterdir() if before.get(path.name) != path.stat().st_mtime_ns
    }
    assert changed == {"shard-0001.json", "shard-0001.safetensors"}
    assert contents(tmp_path) == contents(built.folder)
    assert len(said) == 1
    assert said[0].startswith("capturing 8 networks: about 0.0")
    target.build(1, announce=said.append)
    assert len(said) == 1  # nothing was missing


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision(built: Store, tmp_path: Path, precision: str) -> None:
    """Half the size; what is computed with is float32, near what was captured."""
    target = Store(tmp_path, replace(SPEC, precision=precision), INDICES)
    target.build(1)
    for full, half in zip(built.paths, target.paths, strict=True):
        for one, two in zip(open_shard(full).stacks, open_shard(half).stacks, strict=True):
            for name, tensor in one.tensors.items():
                if tensor.dtype == torch.float64:
                    assert torch.equal(two.tensors[name], tensor)
                    continue
                assert two.tensors[name].nbytes == tensor.nbytes // 2
                exact = one.signal(name, slice(None), SPEC.batch)
                found = two.signal(name, slice(None), SPEC.batch)
                assert found.dtype == torch.float32
                assert (found - exact).abs().max() <= 2**-8 * exact.abs().max()


def test_tensors_are_as_the_library_writes_them(tmp_path: Path) -> None:
    tensors = {
        "b": torch.randn(3, 2, 5),
        "a": torch.randn(2, 1, dtype=torch.float64),
        "none": torch.empty(4, 0),
    }
    path = tmp_path / "some.safetensors"
    write_tensors(path, {name: list(tensor) for name, tensor in tensors.items()})
    found = load_file(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
    assert load(path.read_bytes()).keys() == tensors.keys()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_interrupted_build_goes_on(
    built: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruption: type[BaseException],
) -> None:
    target = Store(tmp_path, SPEC, INDICES)
    real = shard_io.write_tensors
    calls: list[Path] = []

    def write(path: Path, *args: Any) -> str:
        calls.append(path)
        if len(calls) == 2:
            path.write_bytes(b"half a file")
            raise interruption
        return real(path, *args)

    monkeypatch.setattr(shard_io, "write_tensors", write)
    with pytest.raises(interruption):
        target.build(1)
    assert sorted(contents(tmp_path)) == ["shard-0000.json", "shard-0000.safetensors", "store.json"]
    target.build(1)
    assert len(calls) == 4
    assert contents(tmp_path) == contents(built.folder)


@pytest.mark.slow
def test_ctrl_c_in_a_parallel_build(tmp_path: Path) -> None:
    """SIGINT to a real process with two workers: it ends soon, and building again finishes."""
    folder = tmp_path / "store"
    indices = list(range(96))
    script = (
        "from pathlib import Path; from greenmachine.signals import Store, store; "
        "store.SHARD_BYTES = 1; "  # so that there are many shards
        "from tests.signals.test_store import SPEC; "
        f"Store(Path({str(folder)!r}), SPEC, range(96)).build(2)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob("shard-*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, complaint = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in complaint
    target = Store(folder, SPEC, indices)
    places = shard_places(indices)
    made = [number for number, path in enumerate(target.paths) if path.exists()]
    assert 0 < len(made) < len(target.paths)
    equal(open_shard(target.paths[made[0]]), capture_shard(SPEC, places[made[0]]))
    target.build(1)
    assert not list(folder.glob(".*"))
    equal(open_shard(target.paths[-1]), capture_shard(SPEC, places[-1]))


def test_ctrl_c_in_reading_is_no_damage(built: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """``torch.asarray`` turns any exception of ``__getitem__`` into a ValueError of its own."""
    real = torch.UntypedStorage.__getitem__
    hits: list[object] = []

    def interrupted(storage: torch.UntypedStorage, place: Any) -> Any:
        if isinstance(place, int):  # asked by torch.asarray, not by safetensors
            hits.append(place)
            signal.raise_signal(signal.SIGINT)
        return real(storage, place)

    monkeypatch.setattr(torch.UntypedStorage, "__getitem__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_shard(built.paths[0])
    assert hits
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "other",
    [
        (CaptureSpec("nats-tss", "cifar10", SPEC.terminals, 3, options=SPEC.options), INDICES),
        (CaptureSpec("nats-sss", "cifar10", SPEC.terminals, 2), INDICES),
        (SPEC, INDICES[::-1]),
        (SPEC, INDICES[:8]),
    ],
    ids=["batch", "benchmark", "order", "fewer"],
)
def test_folder_of_another_sample_is_refused(
    built: Store, other: tuple[CaptureSpec, list[int]]
) -> None:
    before = contents(built.folder)
    with pytest.raises(RunError, match="contains signals of another sample"):
        Store(built.folder, *other).build(1)
    assert contents(built.folder) == before


def test_damage_is_one_line(tmp_path: Path) -> None:
    target = Store(tmp_path, SPEC, INDICES[:2])
    target.build(1)
    layout, tensors = target.paths[0], target.paths[0].with_suffix(".safetensors")
    whole, text = tensors.read_bytes(), layout.read_text()
    damages: list[tuple[Path, bytes | None]] = [
        (tensors, whole[: len(whole) // 2]),
        (tensors, b""),
        (tensors, None),
        (layout, text.encode()[:-20]),
        (layout, b"[]"),
        (layout, b"{}"),
    ]
    for path, damage in damages:
        path.unlink() if damage is None else path.write_bytes(damage)
        with pytest.raises(RunError, match="is damaged") as caught:
            open_shard(layout)
        assert "\n" not in str(caught.value)
        tensors.write_bytes(whole)
        layout.write_text(text)
    open_shard(layout)


def flipped(path: Path, byte: int) -> bytes:
    """The content of ``path`` with one bit of one byte changed; ``byte`` counts as in a list."""
    content = bytearray(path.read_bytes())
    content[byte] ^= 4
    return bytes(content)


@pytest.mark.parametrize("name", ["shard-0001.safetensors", "shard-0001.json", "store.json"])
@pytest.mark.parametrize("byte", [100, -100])
def test_changed_bit_is_noticed_and_captured_again(
    name: str, byte: int, built: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    shutil.copytree(built.folder, folder)
    (folder / name).write_bytes(flipped(folder / name, byte))
    said: list[str] = []
    Store(folder, SPEC, INDICES).build(1, announce=said.append)
    assert name in said[0]
    assert "\n" not in said[0]
    assert contents(folder) == contents(built.folder)


def test_store_does_not_come_back_where_it_was_removed(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    target = Store(folder, SPEC, INDICES)
    with pytest.raises(FileNotFoundError):
        target.build(1, progress=lambda done, total: shutil.rmtree(folder))
    assert not folder.exists()


def test_too_little_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "estimate_bytes", lambda self: 10**18)
    with pytest.raises(RunError, match="too little space"):
        Store(tmp_path, SPEC, INDICES).build(1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "terminals"),
    [
        ("nats-tss", {"cells": 1}, SPEC.terminals),
        ("nats-tss", {"cells": 1}, TERMINALS),
        ("nats-sss", {}, ("noise_input",)),
    ],
)
def test_size_estimate(
    name: str, options: dict[str, int], terminals: tuple[str, ...], tmp_path: Path
) -> None:
    indices = list(range(0, 243, 20))
    spec = CaptureSpec(name, "imagenet16-120", terminals, batch=4, options=options)
    target = Store(tmp_path, spec, indices)
    target.build(1)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size / 1.6 < target.estimate_bytes() < size * 1.6


def test_store_without_signals(tmp_path: Path) -> None:
    target = Store(tmp_path, CaptureSpec("nats-tss", "cifar10", ("depth",), 2), [0, 1])
    target.build(1)
    shard = open_shard(target.paths[0])
    assert shard.layers == len(torch.cat([stack.rows for stack in shard.stacks])) > 0


def test_layout_is_plain_json(built: Store) -> None:
    layout = read_json(built.paths[0])
    assert json.loads(json.dumps(layout)) == layout
    whole = {"networks", "layer_counts", "batch", "stacks", "failures", "recipe", "xxh3", SEAL}
    assert set(layout) == whole
    tensors = built.paths[0].with_suffix(".safetensors")
    assert layout["xxh3"] == xxhash.xxh3_64_hexdigest(tensors.read_bytes())
