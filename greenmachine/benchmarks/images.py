"""Import a class-balanced sample of images from the official archives.

CIFAR-10 and CIFAR-100 are the ``*-python.tar.gz`` archives of their authors, identified by their
MD5. ImageNet16-120 is the folder of the 16×16 batches ``train_data_batch_1`` to ``_10`` (classes 1
to 120 of 1,000), whose checksum is not known here. The batches are pickles; all are read by the
unpickler of ``pickles.py``, which executes nothing.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenmachine.benchmarks.datasets import (
    CIFAR10,
    CIFAR100,
    IMAGENET16_120,
    ImageSet,
    balanced_order,
    save_images,
)
from greenmachine.benchmarks.paths import image_path
from greenmachine.benchmarks.pickles import load_pickle
from greenmachine.errors import ConfigError, DataError

__all__ = ["MD5", "import_images"]

MD5: dict[str, str] = {
    "cifar10": "c58f30108f718f92721af3b95e74349a",
    "cifar100": "eb9058c3a382ffc7106e4002c42a8d85",
}
"""MD5 of ``cifar-10-python.tar.gz`` and ``cifar-100-python.tar.gz``."""

_SETS: dict[str, ImageSet] = {images.name: images for images in (CIFAR10, CIFAR100, IMAGENET16_120)}

# Files of the training images, and the key of their labels.
_BATCHES: dict[str, tuple[tuple[str, ...], str]] = {
    "cifar10": (tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)), "labels"),
    "cifar100": (("cifar-100-python/train",), "fine_labels"),
    "imagenet16-120": (tuple(f"train_data_batch_{i}" for i in range(1, 11)), "labels"),
}


def import_images(
    source: Path,
    dataset: str,
    out: Path,
    *,
    count: int = 1000,
    seed: int = 0,
    checksums: Mapping[str, str] = MD5,
) -> Path:
    """Write ``count`` training images, balanced over the classes, into data folder ``out``.

    Args:
        source: the archive (CIFAR) or the folder of the batches (ImageNet16-120).
        dataset: ``cifar10``, ``cifar100`` or ``imagenet16-120``.
        out: the data folder.
        count: how many images to keep; all if there are fewer.
        seed: seed of the choice of images; they are written in the order in which they are drawn.
        checksums: MD5 of the archive by data set.

    Returns:
        The path of the image file.

    Raises:
        ConfigError: unknown data set, or ``count`` below 1.
        DataError: the archive is missing, damaged, or not the official one.
    """
    if dataset not in _SETS:
        raise ConfigError(f"no data set {dataset!r} to import; known: {', '.join(_SETS)}")
    if count < 1:
        raise ConfigError(f"cannot keep {count} images; choose 1 or more")
    if not source.exists():
        raise DataError(f"no file or folder {source}; give the official files of {dataset}")
    names, key = _BATCHES[dataset]
    if dataset in checksums:
        contents = _archive_files(source, names, checksums[dataset])
    else:
        contents = _folder_files(source, names)
    parts = [_batch(content, name, key, _SETS[dataset]) for name, content in contents.items()]
    images = np.concatenate([pixels for pixels, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    if len(labels) == 0:
        raise DataError(f"{source} contains no image of {dataset}; download it again")
    chosen = balanced_order(labels, seed)[:count]
    path = image_path(out, dataset)
    save_images(path, images[chosen], labels[chosen])
    return path


def _archive_files(source: Path, names: tuple[str, ...], checksum: str) -> dict[str, bytes]:
    if not source.is_file():
        raise DataError(f"{source} is not a file; give the official .tar.gz archive")
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    if digest != checksum:
        raise DataError(f"{source} has MD5 {digest}, not {checksum}; download it again")
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(source) as archive:
            for name in names:
                member = archive.extractfile(name)
                if member is None:
                    raise KeyError(f"{name} is not a file")
                contents[name] = member.read()
    except (tarfile.TarError, OSError, EOFError, KeyError, zlib.error) as error:
        raise DataError(f"{source} is not the official archive: {error}") from error
    return contents


def _folder_files(source: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    missing = [name for name in names if not (source / name).is_file()]
    if missing:
        raise DataError(
            f"{source} does not contain {', '.join(missing)}; unpack the official archive there"
        )
    return {name: (source / name).read_bytes() for name in names}


def _batch(
    content: bytes, name: str, key: str, dataset: ImageSet
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images (n, S, S, 3) and labels (n,) of one batch that belong to ``dataset``."""
    batch: Any = load_pickle(content, name, encoding="latin1")
    size = dataset.size
    try:
        pixels = np.asarray(batch["data"])
        labels = np.asarray(batch[key], dtype=np.int64)
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * size * size):
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape} for {len(labels)} labels")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{name} is not a batch of {dataset.name} images: {error}") from error
    if dataset is IMAGENET16_120:
        labels = labels - 1  # the archive counts its 1,000 classes from 1
    inside = (labels >= 0) & (labels < dataset.num_classes)
    images = pixels[inside].reshape(-1, 3, size, size).transpose(0, 2, 3, 1)
    return images, labels[inside]
