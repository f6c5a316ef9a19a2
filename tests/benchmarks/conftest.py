"""Small synthetic data folders, and the real one where GREENMACHINE_DATA names it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks.nats import IMAGE_SETS
from greenmachine.benchmarks.spaces import CELLS_101, CHANNEL_RESNET, MACRO, SIZE, TOPOLOGY, Space
from greenmachine.benchmarks.table import save_table
from greenmachine.benchmarks.tables import TABLES
from greenmachine.networks import canonical_macro, hash_101


def synthetic_table(space: Space, archs: list[str]) -> pd.DataFrame:
    """Return a table whose costs and classes are right and whose accuracies are invented."""
    frame = pd.DataFrame({"index": np.arange(len(archs)), "arch": archs})
    if space.canonical is not None:
        frame["isomorph"] = space.isomorph(archs)
    for images in IMAGE_SETS:
        frame[f"{images.name}.test"] = np.linspace(10.0, 90.0, len(archs))
        params, flops = space.costs(archs, num_classes=images.num_classes, image_size=images.size)
        frame[f"{images.name}.params"], frame[f"{images.name}.flops_m"] = params, flops
    return frame


@pytest.fixture
def tss_frame() -> pd.DataFrame:
    """27 cells."""
    ops = ("none", "skip_connect", "nor_conv_1x1")
    archs = [f"|{a}~0|+|{b}~0|{c}~1|+|{a}~0|{b}~1|{c}~2|" for a, b, c in product(ops, repeat=3)]
    return synthetic_table(TOPOLOGY, archs)


@pytest.fixture
def folder(tmp_path: Path, tss_frame: pd.DataFrame) -> Path:
    """A data folder with small tables of both spaces and one image of each class, twice."""
    save_table(tss_frame, tmp_path / "nats-bench" / "tss.parquet")
    sizes = [":".join(map(str, widths)) for widths in product((8, 16), repeat=5)]
    save_table(synthetic_table(SIZE, sizes), tmp_path / "nats-bench" / "sss.parquet")
    generator = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for images in IMAGE_SETS:
        labels = np.arange(2 * images.num_classes) % images.num_classes
        pixels = generator.integers(
            0, 256, (len(labels), images.size, images.size, 3), dtype=np.uint8
        )
        np.savez(tmp_path / "images" / f"{images.name}.npz", images=pixels, labels=labels)
    return tmp_path


def _with_seeds(frame: pd.DataFrame, space: Space, kind: str) -> pd.DataFrame:
    """Add costs and accuracies that are the means of three seeds."""
    archs = frame["arch"].tolist()
    params, flops = space.costs(archs, num_classes=10, image_size=32)
    seeds = np.random.default_rng(0).uniform(80, 90, (3, len(archs)))
    columns = {f"cifar10.{kind}": seeds.mean(axis=0), "cifar10.params": params}
    if space is not CELLS_101:
        columns["cifar10.flops"] = np.rint(1e6 * flops).astype(np.int64) - 10
    columns |= {f"cifar10.{kind}.seed{k}": row for k, row in enumerate(seeds, start=1)}
    return frame.assign(index=np.arange(len(archs)), **columns)


def cells_101_table() -> pd.DataFrame:
    """Nine cells; two are isomorphic, two are the same once pruned."""
    archs = ["1;", "101;3", "101;m", "111;1", "110010;31", "110011;13", "110011;31"]
    archs += ["101011;33", "100110100001001010101;3m331"]
    frame = pd.DataFrame({"arch": archs, "key": [hash_101(arch) for arch in archs]})
    frame["cifar10.train_seconds"] = np.arange(1.0, len(archs) + 1)
    return _with_seeds(frame, CELLS_101, "valid")


def macro_table() -> pd.DataFrame:
    """27 networks, of which some are the same."""
    archs = [f"1{a}0{b}{c}200" for a, b, c in product("012", repeat=3)]
    frame = pd.DataFrame({"arch": archs, "canonical": list(map(canonical_macro, archs))})
    frame["isomorph"] = MACRO.isomorph(archs)
    return _with_seeds(frame, MACRO, "test")


def channel_table() -> pd.DataFrame:
    """Sixteen networks of the two smallest widths."""
    archs = [f"1{a}{b}1{c}{d}1" for a, b, c, d in product("12", repeat=4)]
    return _with_seeds(pd.DataFrame({"arch": archs}), CHANNEL_RESNET, "test")


ABROAD: dict[str, Callable[[], pd.DataFrame]] = {
    "nas-bench-101": cells_101_table,
    "nas-bench-macro": macro_table,
    "channel-resnet": channel_table,
}


@pytest.fixture
def abroad(tmp_path: Path) -> Path:
    """A data folder with small tables of the benchmarks beyond NATS-Bench."""
    for name, table in ABROAD.items():
        save_table(table(), TABLES[name].path(tmp_path))
    return tmp_path
