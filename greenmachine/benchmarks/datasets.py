"""Labelled images of a data set: where they are stored, how they are normalised and drawn."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from greenmachine.benchmarks.paths import image_path
from greenmachine.errors import ConfigError, DataError
from greenmachine.files import replace_file

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "IMAGENET16_120",
    "ImageSet",
    "Images",
    "balanced_order",
    "checked_batch",
    "save_images",
]

# What numpy raises on a damaged .npz, depending on where the damage is.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class Images(Protocol):
    """The interface of a data set for a benchmark."""

    @property
    def name(self) -> str:
        """Name as in the columns of the tables."""

    @property
    def num_classes(self) -> int:
        """Number of classes; labels are 0 to num_classes-1; 0 if it is not known."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, usually (channels, height, width)."""

    @property
    def size(self) -> int:
        """Last length of ``shape``."""

    def draw(self, folder: Path, batch: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return (B, *shape) float32 normalised images and (B,) int64 labels, class-balanced."""


@dataclass(frozen=True)
class ImageSet:
    """A data set of square RGB images.

    Attributes:
        name: as in the columns of the tables, such as ``cifar10``.
        num_classes: labels are 0 to num_classes-1.
        size: height and width in pixels.
        mean: mean of each channel over the training images, on the scale 0 to 255.
        std: standard deviation of each channel, on the same scale.
    """

    name: str
    num_classes: int
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, size, size)."""
        return 3, self.size, self.size

    def read(self, folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return images (n, size, size, 3) and labels (n,) from data folder ``folder``.

        Raises:
            DataError: the file is missing, damaged, or contains other images.
        """
        path = image_path(folder, self.name)
        command = f"greenmachine data import-images ARCHIVE {self.name}"
        if not path.is_file():
            raise DataError(f"no images at {path}; make them with `{command}`")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                images, labels = arrays["images"], arrays["labels"]
        except _UNREADABLE as error:
            raise DataError(
                f"{path} is not a complete image file ({error}); make it again with `{command}`"
            ) from error
        if images.dtype != np.uint8 or images.shape[1:] != (self.size, self.size, 3):
            raise DataError(
                f"{path}: images are {images.dtype} {images.shape}, not uint8 "
                f"(n, {self.size}, {self.size}, 3); make it again with `{command}`"
            )
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(
                f"{path}: labels are {labels.dtype} {labels.shape} for {len(images)} images; "
                f"make it again with `{command}`"
            )
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= self.num_classes:
            raise DataError(
                f"{path}: labels must be 0 to {self.num_classes - 1}; "
                f"make it again with `{command}`"
            )
        return images, labels.astype(np.int64)

    def draw(self, folder: Path, batch: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return ``batch`` normalised images (B, 3, size, size) float32 and labels (B,) int64.

        Classes are drawn as evenly as the file allows, without repeating an image; the same
        ``seed`` gives the same images, and a smaller batch is the beginning of a larger one.

        Raises:
            DataError: as in ``read``.
            ConfigError: ``batch`` is not between 1 and the number of images.
        """
        images, labels = self.read(folder)
        checked_batch(batch, len(images), self.name)
        chosen = balanced_order(labels, seed)[:batch]
        mean, std = np.array(self.mean, dtype=np.float32), np.array(self.std, dtype=np.float32)
        scaled = (images[chosen].astype(np.float32) - mean) / std
        pixels = torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))
        return pixels, torch.from_numpy(labels[chosen])


def save_images(path: Path, images: NDArray[Any], labels: NDArray[np.int64]) -> None:
    """Write images (n, ...) and labels (n,) as ``ImageSet.read`` reads them, atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # a name without .npz would get it added
            np.savez_compressed(file, images=np.ascontiguousarray(images), labels=labels)

    replace_file(path, write)


def checked_batch(batch: int, count: int, name: str) -> None:
    """Raise a ConfigError if data set ``name`` with ``count`` images has no such batch."""
    if not 1 <= batch <= count:
        raise ConfigError(
            f"a batch of {batch} images of {name} is not possible: choose 1 to {count}"
        )


def balanced_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
    """Return a seeded order of the images: one of each class before the second of any."""
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    class_place = generator.permutation(int(labels.max()) + 1)
    seen = np.zeros(len(class_place), dtype=np.int64)
    turn = np.empty(len(labels), dtype=np.int64)
    for place, label in enumerate(labels[shuffled]):
        turn[place] = seen[label]
        seen[label] += 1
    # First the first image of each class, in the order of the classes, then the second, and so on.
    return shuffled[np.lexsort((class_place[labels[shuffled]], turn))]


# Means and standard deviations with which the networks of NATS-Bench were trained.
CIFAR10 = ImageSet("cifar10", 10, 32, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
CIFAR100 = ImageSet("cifar100", 100, 32, (129.3, 124.1, 112.4), (68.2, 65.4, 70.4))
IMAGENET16_120 = ImageSet(
    "imagenet16-120", 120, 16, (122.68, 116.66, 104.01), (63.22, 61.26, 65.09)
)
