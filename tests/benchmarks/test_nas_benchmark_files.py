"""Import of the published files, on small files made in their formats."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.benchmarks.checks import verify_benchmark
from greenmachine.benchmarks.nas_benchmark_files import (
    import_channel_resnet,
    import_macro,
    import_nas_bench_101,
)
from greenmachine.benchmarks.tfrecord import fields_of, read_records
from greenmachine.errors import DataError
from greenmachine.evaluation.ranking import ONE_SEED, tau_table
from greenmachine.networks import channel_resnet_costs, costs_101, hash_101, macro_costs

NAMES = {"3": "conv3x3-bn-relu", "1": "conv1x1-bn-relu", "m": "maxpool3x3"}
CELLS = ("101;3", "111;1", "110101;m3", "1;", "100110100001001010101;3m331")


# --- the format, written another way than it is read --------------------------------------------


def crc32c(data: bytes) -> int:
    """Bit by bit, without a table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    turned = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (turned + 0xA282EAD8) % 2**32)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def evaluation(epoch: float, seconds: float, train: float, valid: float, test: float) -> bytes:
    figures = (epoch, seconds, train, valid, test)
    fields = (double(number, value) for number, value in enumerate(figures, start=1))
    return b"".join(fields) + message(6, b"model.ckpt-1")


def metrics(parameters: int, seconds: float, valid: float, test: float) -> bytes:
    start = evaluation(0, 0, 0.1, 0.1, 0.1)
    halfway = evaluation(54, seconds / 2, 0.8, valid - 0.2, test - 0.2)
    end = evaluation(108, seconds, 1.0, valid, test)
    evaluations = b"".join(message(1, part) for part in (start, halfway, end))
    return evaluations + varint(2 << 3) + varint(parameters) + double(3, seconds + 60)


def run(arch: str, epochs: int, seconds: float, valid: float, test: float) -> bytes:
    bits, _, ops = arch.partition(";")
    vertices, given = len(ops) + 2, iter(bits)
    matrix = [
        next(given) if source < target else "0"
        for source, target in itertools.product(range(vertices), repeat=2)
    ]
    names = ",".join(["input", *(NAMES[op] for op in ops), "output"])
    parameters = int(costs_101([arch], num_classes=10)[0][0])
    encoded = base64.b64encode(metrics(parameters, seconds, valid, test)).decode()
    fields = [hash_101(arch), epochs, "".join(matrix), names, encoded]
    return record(json.dumps(fields).encode())


def published(path: Path, budgets: tuple[int, ...] = (108,)) -> Path:
    """Three runs of each cell and budget; the accuracies say which."""
    rows = [
        run(arch, epochs, 100.0 * (number + 1), 0.5 + 0.001 * epochs + 0.01 * k, 0.4 + 0.01 * k)
        for number, arch in enumerate(CELLS)
        for epochs in budgets
        for k in range(3)
    ]
    path.write_bytes(b"".join(rows))
    return path


# --- NAS-Bench-101 ------------------------------------------------------------------------------


def test_checksum_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720 names the polynomial, this is its check


def test_records_come_back_whole(tmp_path: Path) -> None:
    rows = [b"", b"a", bytes(range(256)) * 3]
    path = tmp_path / "some.tfrecord"
    path.write_bytes(b"".join(map(record, rows)))
    assert list(read_records(path)) == rows


def test_fields_of_every_wire_type() -> None:
    content = varint(1 << 3) + varint(2**40) + double(2, -1.5) + message(3, b"text")
    content += varint(4 << 3 | 5) + struct.pack("<f", 0.25)
    assert list(fields_of(content)) == [(1, 2**40), (2, -1.5), (3, b"text"), (4, 0.25)]


@pytest.mark.parametrize("content", [b"\x08", b"\x09abc", b"\x12\x05abc", b"\x0b", b"\x08\xff"])
def test_a_broken_message_is_said(content: bytes) -> None:
    with pytest.raises(ValueError, match="ends within|wire type"):
        list(fields_of(content))


@pytest.mark.parametrize("budgets", [(108,), (4, 12, 36, 108)])
def test_imported_cells_are_a_benchmark(tmp_path: Path, budgets: tuple[int, ...]) -> None:
    told: list[tuple[int, int]] = []
    source = published(tmp_path / "nasbench.tfrecord", budgets)
    path = import_nas_bench_101(source, tmp_path, lambda *step: told.append(step))
    assert told
    frame = pd.read_parquet(path)
    order = sorted(CELLS, key=hash_101)
    assert frame["arch"].tolist() == order
    assert frame["key"].tolist() == [hash_101(arch) for arch in order]
    np.testing.assert_allclose(frame["cifar10.valid"], 60.8 + 1)
    np.testing.assert_allclose(frame["cifar10.test"], 41)
    for k in range(3):
        np.testing.assert_allclose(frame[f"cifar10.valid.seed{k + 1}"], 60.8 + k)
        np.testing.assert_allclose(frame[f"cifar10.test.seed{k + 1}"], 40 + k)
    for epochs in set(budgets) - {108}:
        np.testing.assert_allclose(frame[f"cifar10.valid@{epochs}"], 50 + 0.1 * epochs + 1)
    assert ("cifar10.valid@4" in frame) == (4 in budgets)
    seconds = [100.0 * (CELLS.index(arch) + 1) for arch in order]
    assert frame["cifar10.train_seconds"].tolist() == seconds
    benchmark = load_benchmark("nas-bench-101", tmp_path)
    assert benchmark.truth == "test"  # the published file has it
    assert benchmark.seed_accuracies("cifar10").shape == (3, 5)


@pytest.mark.parametrize("place", [3, 10, 14, -2])
def test_a_flipped_bit_is_found(tmp_path: Path, place: int) -> None:
    source = published(tmp_path / "nasbench.tfrecord")
    content = bytearray(source.read_bytes())
    content[place] ^= 4
    source.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        import_nas_bench_101(source, tmp_path)
    assert not (tmp_path / "nas-benchmarks").exists()


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_truncated_file_is_said(tmp_path: Path, cut: int) -> None:
    source = published(tmp_path / "nasbench.tfrecord")
    source.write_bytes(source.read_bytes()[:-cut])
    with pytest.raises(DataError, match="ends within the record"):
        import_nas_bench_101(source, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"[" * 10000,
        b"no json",
        b'["key", 108, "000", "input,output", "AAAA"]',
        b'["key", 108, "0100", "input,output", "AAAA"]',
        json.dumps(
            ["key", 108, "0100", "input,output", base64.b64encode(b"\x10").decode()]
        ).encode(),
    ],
)
def test_a_record_of_something_else_is_said(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "other.tfrecord"
    source.write_bytes(record(content))
    with pytest.raises(DataError, match="record 0 of .* is not from NAS-Bench-101"):
        import_nas_bench_101(source, tmp_path)


@pytest.mark.parametrize("length", [2**40, 2**63 + 5])
def test_a_length_beyond_the_file_is_said(tmp_path: Path, length: int) -> None:
    source = tmp_path / "long.tfrecord"
    head = struct.pack("<Q", length)
    source.write_bytes(head + masked(head) + b"some data")
    with pytest.raises(DataError, match="ends within the record"):
        import_nas_bench_101(source, tmp_path)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 3), (0, None), (0, "another key"), (1, 10**30), (2, "0x00"), (2, "0" * 400**2)],
)
def test_a_damaged_field_is_said(tmp_path: Path, place: int, value: object) -> None:
    source = published(tmp_path / "nasbench.tfrecord")
    fields = json.loads(next(iter(read_records(source))))
    fields[place] = value
    if place == 2 and len(str(value)) > 10:
        fields[3] = ",".join(["input", *["maxpool3x3"] * 398, "output"])
    source.write_bytes(source.read_bytes() + record(json.dumps(fields).encode()))
    with pytest.raises(DataError) as raised:
        import_nas_bench_101(source, tmp_path)
    assert str(source) in str(raised.value) and len(str(raised.value)) < 500
    assert not (tmp_path / "nas-benchmarks").exists()


def test_runs_of_some_cells_alone_are_a_benchmark(tmp_path: Path) -> None:
    source = published(tmp_path / "nasbench.tfrecord")
    more = run(CELLS[1], 108, 1.0, 0.9, 0.8)
    source.write_bytes(source.read_bytes() + more)
    import_nas_bench_101(source, tmp_path)
    benchmark = load_benchmark("nas-bench-101", tmp_path)
    assert np.isfinite(benchmark.seed_accuracies("cifar10")).sum(axis=1).tolist() == [5, 5, 5, 1]
    assert all(check.passed for check in verify_benchmark(benchmark))
    scores = pd.DataFrame({"index": range(5), "params": np.arange(5.0)})
    table = tau_table(scores, benchmark, "cifar10", {"params": 1})
    assert np.isfinite(table.set_index("proxy").loc[ONE_SEED, "ndcg"])


def test_a_shorter_file_does_not_replace_a_table(tmp_path: Path) -> None:
    source = published(tmp_path / "nasbench.tfrecord")
    path = import_nas_bench_101(source, tmp_path)
    whole = path.read_bytes()
    source.write_bytes(run(CELLS[0], 108, 1.0, 0.9, 0.8))
    with pytest.raises(DataError, match="remove it first"):
        import_nas_bench_101(source, tmp_path)
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-9])  # a damaged one is replaced
    assert len(pd.read_parquet(import_nas_bench_101(source, tmp_path))) == 1


def test_empty_and_missing_files_are_said(tmp_path: Path) -> None:
    source = tmp_path / "none.tfrecord"
    with pytest.raises(DataError, match="no file"):
        import_nas_bench_101(source, tmp_path)
    source.touch()
    with pytest.raises(DataError, match="contains no cell"):
        import_nas_bench_101(source, tmp_path)


def test_cells_without_full_training_are_said(tmp_path: Path) -> None:
    source = published(tmp_path / "nasbench.tfrecord", (4, 12))
    with pytest.raises(DataError, match="without a run of 108 epochs"):
        import_nas_bench_101(source, tmp_path)


# --- JSON ---------------------------------------------------------------------------------------

JSON: dict[str, Any] = {
    "nas-bench-macro": (import_macro, "012", 8, macro_costs, "test_acc", "mean_acc"),
    "channel-resnet": (import_channel_resnet, "1234", 7, channel_resnet_costs, "acc", "mean"),
}
EACH = pytest.mark.parametrize("name", JSON)


def contents(name: str) -> dict[str, dict[str, Any]]:
    """What the published file holds, accuracies invented."""
    _, digits, length, costs, seeds, mean = JSON[name]
    archs = ["".join(arch) for arch in itertools.product(digits, repeat=length)][::-1]
    params, flops = costs(archs, num_classes=10)
    return {
        arch: {
            seeds: [90.0, 91.0, 92.5],
            mean: 91.16666666666667,
            "std": 1.0,
            "params": int(params[place]),
            "flops": round(1e6 * flops[place]) - 10,
        }
        for place, arch in enumerate(archs)
    }


@EACH
def test_imported_networks_are_a_benchmark(name: str, tmp_path: Path) -> None:
    given = contents(name)
    source = tmp_path / "published.json"
    source.write_text(json.dumps(given))
    JSON[name][0](source, tmp_path)
    benchmark = load_benchmark(name, tmp_path)
    assert benchmark.archs == list(given)
    assert set(benchmark.accuracy("cifar10")) == {91.16666666666667}
    assert benchmark.seed_accuracies("cifar10")[:, 5].tolist() == [90.0, 91.0, 92.5]
    distinct = 3969 if name == "nas-bench-macro" else len(given)
    assert len(set(benchmark.groups)) == len(set(benchmark.twins)) == distinct


@EACH
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda entries: entries.popitem(), "architectures, but"),
        (lambda entries: next(iter(entries.values())).pop("std"), "KeyError: 'std'"),
        (lambda entries: entries.clear(), "has 0 architectures"),
        (lambda entries: entries.update({"9" * 8: entries.popitem()[1]}), "published.json: .*9999"),
        ({"params": 1}, "params: 1 of"),
        ({"params": "x"}, "published format"),
        ({"params": 1e400}, "published format"),
        ({"params": 0.5}, "published format"),
        ({"flops": 3}, "flops: 1 of"),
        ({"mean": 12.0}, "seeds: 3 per row, 1 rows differ"),
        ({"std": -5}, "published format"),
        ({"seeds": "999"}, "published format"),
        ({"seeds": {"1": 2}}, "published format"),
        ({"seeds": [90.0, 10**400, 91.0]}, "published format"),
        ({"seeds": [91.0]}, "fewer seeds"),
    ],
)
def test_a_file_that_is_not_whole_is_said(
    name: str, change: Any, fault: str, tmp_path: Path
) -> None:
    given = contents(name)
    if isinstance(change, dict):
        names = {"seeds": JSON[name][4], "mean": JSON[name][5]}
        entry = next(iter(given.values()))
        entry.update({names.get(key, key): value for key, value in change.items()})
    else:
        change(given)
    source = tmp_path / "published.json"
    source.write_text(json.dumps(given))
    with pytest.raises(DataError, match=fault):
        JSON[name][0](source, tmp_path)
    assert not (tmp_path / "nas-benchmarks").exists()


@EACH
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not a JSON"),
        ("[]", "does not contain architectures"),
        ("null", "does not contain"),
    ],
)
def test_a_file_of_something_else_is_said(name: str, text: str, fault: str, tmp_path: Path) -> None:
    source = tmp_path / "other.json"
    source.write_text(text)
    with pytest.raises(DataError, match=fault):
        JSON[name][0](source, tmp_path)
    with pytest.raises(DataError, match="no file"):
        JSON[name][0](tmp_path / "nowhere.json", tmp_path)
