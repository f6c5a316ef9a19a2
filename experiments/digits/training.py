"""What is trained, on what: the architectures and the images of the embedded benchmarks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from experiments.digits.compose import Scans, compose, split_scans
from experiments.digits.ensemble import Images, Recipe, train
from greenmachine.benchmarks import SIZE, TOPOLOGY, Space
from greenmachine.benchmarks.digits import CELL_OPTIONS, DIGITS
from greenmachine.files import write_json
from greenmachine.networks.topology import OPERATIONS

__all__ = ["RECIPES", "SPACES", "TEST_IMAGES", "TRAINING_IMAGES", "architectures", "train_one"]

SPACES: dict[str, tuple[Space, dict[str, int], int]] = {
    "digits-tss": (TOPOLOGY, CELL_OPTIONS, 400),
    "digits-sss": (SIZE, {}, 300),
}
"""Space, build options and number of architectures by benchmark."""

RECIPES = {"digits-tss": Recipe(seeds=12), "digits-sss": Recipe(steps=768)}
"""Training by benchmark: networks of the size space are deeper, and learn later."""

WIDTHS = (2, 3, 4, 5, 6, 8)  # of digits-sss
TRAINING_IMAGES = 16_384
TEST_IMAGES = 3_072


def architectures(name: str, count: int) -> list[str]:
    """Return ``count`` random architectures, isomorphic ones once, in the order of the draw."""
    generator = np.random.default_rng(0)
    space = SPACES[name][0]
    found: dict[str, str] = {}
    while len(found) < count:
        if space is TOPOLOGY:
            cell = generator.choice(np.array(OPERATIONS), 6)
            arch = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*cell)
        else:
            arch = ":".join(str(width) for width in generator.choice(np.array(WIDTHS), 5))
        found.setdefault(space.canonical(arch) if space.canonical else arch, arch)
    return list(found.values())


@lru_cache(maxsize=1)
def data() -> tuple[Images, Images]:
    """Return the images for training and for the test, composed once a process."""
    train_scans, test_scans = split_scans()
    return _images(train_scans, TRAINING_IMAGES, 1), _images(test_scans, TEST_IMAGES, 2)


def _images(scans: Scans, count: int, seed: int) -> Images:
    pixels, labels = compose(scans, count, seed)
    scaled = (pixels.astype(np.float32) - DIGITS.mean) / np.array(DIGITS.std)
    channels_first = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)
    return Images(torch.from_numpy(channels_first), torch.from_numpy(labels))


def train_one(name: str, arch: str, seeds: Sequence[int], path: Path) -> None:
    """Train ``arch`` from some seeds and write what came of it to ``path``."""
    torch.set_num_threads(1)
    space, options, _ = SPACES[name]
    started = time.monotonic()
    accuracies, losses = train(
        lambda: space.build(arch, num_classes=DIGITS.num_classes, **options),
        *data(),
        RECIPES[name],
        seeds,
    )
    seconds = time.monotonic() - started
    write_json(path, {"arch": arch, "test": accuracies, "loss": losses, "seconds": seconds})
