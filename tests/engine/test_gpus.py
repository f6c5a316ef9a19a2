"""GPUs, as far as a machine without one can tell: threads, shards that stay, devices of operations.

What only a GPU can tell is in ``python -m experiments.gpu``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from greenmachine.config import load_config
from greenmachine.engine import Evaluator, evaluator, resident
from greenmachine.errors import ConfigError, RunError
from greenmachine.evolution.tasks import fitted
from greenmachine.language import parse
from greenmachine.primitives import contract, vocabulary
from greenmachine.primitives.registry import Primitive, Signature
from greenmachine.signals import CaptureSpec, Store
from greenmachine.workers.gpus import on_gpus, resolve_device

SPEC = CaptureSpec(
    "digits-tss", "digits", ("noise_input", "noise_output_grad"), batch=3, options={"cells": 1}
)
EXPRESSIONS = [
    parse(text)
    for text in (
        "sum_layers(l2_norm(noise_input))",
        "max_layers(min_eigenvalue(channel_correlation(noise_input)))",
        "mean_layers(l2_norm(noise_output_grad))",
    )
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("gpus") / "store", SPEC, range(0, 400, 12))
    made.build(1)
    return made


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The path of two GPUs, which are this processor twice, with room for everything."""
    monkeypatch.setattr(evaluator, "is_gpu", lambda device: True)
    monkeypatch.setattr(evaluator, "visible_gpus", lambda device: ["cpu", "cpu:0"])
    monkeypatch.setattr(resident, "is_gpu", lambda device: True)
    monkeypatch.setattr(resident, "_room", lambda device: 2**40)
    yield monkeypatch
    resident.forget_resident()


def scores(store: Store) -> np.ndarray:
    return Evaluator.of_store(store, workers=1).scores(EXPRESSIONS)


@pytest.mark.parametrize("room", [2**40, 2**18, 0])
def test_shards_on_two_devices_give_the_same(
    store: Store, two_gpus: pytest.MonkeyPatch, room: int
) -> None:
    two_gpus.setattr(
        resident,
        "_room",
        lambda device: (
            room
            - sum(
                t.nbytes
                for key, shard in resident._held.items()
                if key[2] == device
                for stack in shard.stacks
                for t in stack.tensors.values()
            )
        ),
    )
    found = [scores(store) for _ in range(2)]
    shards = len(store.paths)
    assert shards >= 4
    if room == 2**40:
        assert len(resident._held) == shards
    if not room:
        assert not resident._held
    two_gpus.undo()
    expected = scores(store)
    assert all(np.array_equal(each, expected, equal_nan=True) for each in found)


def test_a_shard_is_uploaded_once(store: Store, two_gpus: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    reading = resident.open_shard
    two_gpus.setattr(resident, "open_shard", lambda path: opened.append(path) or reading(path))
    for _ in range(3):
        scores(store)
    assert sorted(opened) == sorted(store.paths)


def test_shards_of_another_sample_leave_first(
    store: Store, two_gpus: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = Store(tmp_path / "other", SPEC, range(8))
    other.build(1)
    scores(store)
    held = len(resident._held)
    two_gpus.setattr(resident, "_room", lambda device: 0 if len(resident._held) >= held else 2**40)
    scores(other)
    assert {key[0].parent for key in resident._held} & {path.parent for path in other.paths}


def test_short_memory_is_met_with_smaller_chunks(
    store: Store, two_gpus: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    evaluating = evaluator.evaluate_shard

    def short(*args: object, shrink: int) -> list[Tensor]:
        tried.append(shrink)
        if shrink < 8:
            raise torch.OutOfMemoryError
        return evaluating(*args, shrink=shrink)  # type: ignore[arg-type]

    two_gpus.setattr(evaluator, "evaluate_shard", short)
    found = scores(store)
    assert {1, 8} == set(tried)
    two_gpus.undo()
    np.testing.assert_allclose(found, scores(store), rtol=1e-5)


def test_no_memory_at_all_is_one_line(store: Store, two_gpus: pytest.MonkeyPatch) -> None:
    def none(*args: object, **kwargs: object) -> list[Tensor]:
        raise torch.OutOfMemoryError

    two_gpus.setattr(evaluator, "evaluate_shard", none)
    with pytest.raises(RunError, match="smaller batch") as caught:
        scores(store)
    assert "\n" not in str(caught.value)


def named(number: int, device: str) -> tuple[int, str, int]:
    return number, device, threading.get_ident()


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_tasks_go_to_devices_in_turn(count: int) -> None:
    told: list[int] = []
    devices = ["cpu", "cpu:0", "cpu:1"]
    tasks = [(number,) for number in range(count)]
    found = on_gpus(named, tasks, devices, lambda done, total: told.append(done))
    assert [number for number, *_ in found] == list(range(count))
    assert [device for _, device, _ in found] == [devices[i % 3] for i in range(count)]
    assert told == list(range(1, count + 1))


def failing(number: int, device: str) -> int:
    if number == 1:
        raise RunError("on purpose")
    return number


def test_error_of_a_task_arrives_from_a_thread() -> None:
    with pytest.raises(RunError, match="on purpose"):
        on_gpus(failing, [(number,) for number in range(6)], ["cpu", "cpu:0"])


def every_signature() -> list[tuple[Primitive, Signature]]:
    return [(item, signature) for item in vocabulary for signature in item.signatures]


def test_primitives_stay_on_the_device_of_their_arguments() -> None:
    """Tensors without values, on a GPU that is not there: torch refuses to mix devices."""
    tried = 0
    for item, signature in every_signature():
        if any(kind == "PaperTensor" for kind in signature.arguments):
            values = [torch.zeros(3, 6, 7, 3, 3) for _ in signature.arguments]
        else:
            values = [contract.example(k, s, item) for s, k in enumerate(signature.arguments)]
        with FakeTensorMode():
            fakes = [
                torch.empty(v.shape, dtype=v.dtype, device="cuda") if isinstance(v, Tensor) else v
                for v in values
            ]
            try:
                found = item.function(*fakes)
            except DataDependentOutputException:
                continue  # it looks at a value
            except RuntimeError as error:
                if "not linked with support for cuda" in str(error):
                    continue  # an operation that looks for the GPU even then
                raise AssertionError(f"{item.name} {signature}: {error}") from error
        assert found.device.type == "cuda", f"{item.name} {signature}"
        tried += 1
    assert tried > 0.7 * len(every_signature())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_names() -> None:
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    assert resolve_device("cuda:3", local=False) == "cuda:3"
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ConfigError, match="torch finds no GPU"):
            resolve_device(name)
    automatic = load_config(None, {"capture.device": "auto"})
    assert fitted(automatic)[0].capture.device == "cpu"
    with pytest.raises(ConfigError, match=r"capture\.device"):
        load_config(None, {"capture.device": "gpu"})
