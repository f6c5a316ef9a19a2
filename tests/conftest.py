"""Data for tests that must run anywhere: a small, invented data folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from greenmachine.benchmarks import SIZE, TOPOLOGY, Space
from greenmachine.benchmarks.nats import IMAGE_SETS
from greenmachine.benchmarks.table import save_table
from greenmachine.networks.topology import OPERATIONS
from greenmachine.plugins import unload_plugins

TSS_CELLS = 300
REAL_FOLDER = os.environ.get("GREENMACHINE_DATA")  # fixtures name another folder later

# The tensors of the tests are tiny: more threads only wait for each other.
torch.set_num_threads(1)

# A shell has its background jobs ignore Ctrl-C, and what they start too: commands that tests
# interrupt would never hear of it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``data`` where there is none, before a fixture names another folder.

    With ``--dist loadgroup`` the tests of a file run in one process, which shares their fixtures;
    the documents share none, and take the longest.
    """
    for number, item in enumerate(items):
        own = item.path.name == "test_docs.py"
        item.add_marker(pytest.mark.xdist_group(f"document {number}" if own else str(item.path)))
    if not os.environ.get("GREENMACHINE_DATA"):
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(pytest.mark.skip(reason="GREENMACHINE_DATA is not set"))


def _accuracies(costs: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Between 10 and 90 percent, rising with the cost, with noise: nothing was trained."""
    ranks = costs.argsort().argsort() / max(1, len(costs) - 1)
    return (15 + 70 * ranks + generator.normal(0, 3, len(costs))).clip(10, 90)


def _table(space: Space, archs: list[str], generator: np.random.Generator) -> pd.DataFrame:
    frame = pd.DataFrame({"index": np.arange(len(archs)), "arch": archs})
    if space.canonical is not None:
        frame["isomorph"] = space.isomorph(archs)
    for images in IMAGE_SETS:
        params, flops = space.costs(archs, num_classes=images.num_classes, image_size=images.size)
        frame[f"{images.name}.test"] = _accuracies(flops, generator)
        frame[f"{images.name}.valid"] = _accuracies(flops, generator)
        frame[f"{images.name}.params"], frame[f"{images.name}.flops_m"] = params, flops
    return frame


@pytest.fixture(scope="session")
def synthetic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the real layout whose accuracies and images are invented.

    ``nats-tss`` has 300 random cells (some with dead operations, some isomorphic), ``nats-sss``
    the 243 networks of widths 8, 16 and 24. Architectures, costs and classes are real;
    accuracies follow the FLOPs with noise; images are random pixels, two of every class.
    """
    folder = tmp_path_factory.mktemp("synthetic-data")
    generator = np.random.default_rng(0)
    cells = list(product(OPERATIONS, repeat=6))
    chosen = sorted(generator.choice(len(cells), TSS_CELLS, replace=False))
    archs = ["|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*cells[i]) for i in chosen]
    save_table(_table(TOPOLOGY, archs, generator), folder / "nats-bench" / "tss.parquet")
    sizes = [":".join(map(str, widths)) for widths in product((8, 16, 24), repeat=5)]
    save_table(_table(SIZE, sizes, generator), folder / "nats-bench" / "sss.parquet")
    (folder / "images").mkdir()
    for images in IMAGE_SETS:
        labels = np.arange(2 * images.num_classes) % images.num_classes
        shape = (len(labels), images.size, images.size, 3)
        pixels = generator.integers(0, 256, shape, dtype=np.uint8)
        np.savez(folder / "images" / f"{images.name}.npz", images=pixels, labels=labels)
    return folder


@pytest.fixture(scope="module")
def synthetic_data(synthetic_folder: Path) -> Iterator[Path]:
    """``GREENMACHINE_DATA`` names :func:`synthetic_folder` for the tests of one module.

    Not for a session: tests marked ``data`` read the real folder from the same variable.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENMACHINE_DATA", str(synthetic_folder))
        yield synthetic_folder


@pytest.fixture(scope="module", autouse=True)
def plugins_end_with_their_module() -> Iterator[None]:
    """Unload the plugins that a module's tests have imported: commands use all that are loaded."""
    yield
    unload_plugins()


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The data folder of GREENMACHINE_DATA; tests that ask for it are marked ``data``."""
    assert REAL_FOLDER
    return Path(REAL_FOLDER)
