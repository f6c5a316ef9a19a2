"""Small synthetic data folders, and the real one where GREENMACHINE_DATA names it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks.nats import IMAGE_SETS
from greenmachine.benchmarks.spaces import SIZE, TOPOLOGY, Space
from greenmachine.benchmarks.table import save_table


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
