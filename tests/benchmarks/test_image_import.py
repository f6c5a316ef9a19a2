"""Import of image archives, on small archives of the official form."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from greenmachine.benchmarks.images import import_images
from greenmachine.benchmarks.nats import IMAGE_SETS
from greenmachine.errors import ConfigError, DataError

CIFAR10, CIFAR100, IMAGENET = IMAGE_SETS


def batch(labels: list[int], key: str, size: int, *, protocol: int = 2) -> bytes:
    """A batch whose every pixel is the label, plus 1 in the green and 2 in the blue channel."""
    plane = size * size
    data = np.repeat(np.array(labels, dtype=np.uint8)[:, None], 3 * plane, axis=1)
    data[:, plane : 2 * plane] += 1
    data[:, 2 * plane :] += 2
    return pickle.dumps({"data": data, key: labels}, protocol)


def archive(path: Path, files: dict[str, bytes]) -> str:
    """Write a .tar.gz of ``files`` and return its MD5."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def cifar10_files() -> dict[str, bytes]:
    labels = list(range(10)) * 2
    return {f"cifar-10-batches-py/data_batch_{i}": batch(labels, "labels", 32) for i in range(1, 6)}


def check_pixels(images: np.ndarray, shown: np.ndarray) -> None:
    """Images are (n, S, S, 3) and show their label in red, green and blue."""
    expected = shown[:, None, None, None] + np.arange(3)
    assert np.array_equal(images, np.broadcast_to(expected, images.shape))


def test_cifar10(tmp_path: Path) -> None:
    source = tmp_path / "cifar-10-python.tar.gz"
    checksums = {"cifar10": archive(source, cifar10_files())}
    path = import_images(source, "cifar10", tmp_path, count=30, checksums=checksums)
    images, labels = CIFAR10.read(tmp_path)
    assert path == tmp_path / "images" / "cifar10.npz"
    assert np.bincount(labels).tolist() == [3] * 10
    check_pixels(images, labels)
    import_images(source, "cifar10", tmp_path, count=30, seed=1, checksums=checksums)
    assert not np.array_equal(CIFAR10.read(tmp_path)[1], labels)


def test_cifar100(tmp_path: Path) -> None:
    source = tmp_path / "cifar-100-python.tar.gz"
    content = {"cifar-100-python/train": batch(list(range(100)), "fine_labels", 32)}
    checksums = {"cifar100": archive(source, content)}
    import_images(source, "cifar100", tmp_path, checksums=checksums)
    images, labels = CIFAR100.read(tmp_path)
    assert sorted(labels) == list(range(100))
    check_pixels(images, labels)


def test_imagenet_keeps_the_first_120_classes(tmp_path: Path) -> None:
    for i in range(1, 11):
        content = batch([1, 120, 121, 200], "labels", 16, protocol=2 + i % 3)
        (tmp_path / f"train_data_batch_{i}").write_bytes(content)
    import_images(tmp_path, "imagenet16-120", tmp_path, count=4)
    images, labels = IMAGENET.read(tmp_path)
    assert sorted(labels) == [0, 0, 119, 119]
    check_pixels(images, labels + 1)


def test_wrong_checksum_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    source = tmp_path / "cifar-10-python.tar.gz"
    archive(source, cifar10_files())
    with pytest.raises(DataError, match="has MD5 .*, not c58f30108f718f92721af3b95e74349a"):
        import_images(source, "cifar10", tmp_path)
    assert not (tmp_path / "images").exists()


def test_archive_without_a_batch(tmp_path: Path) -> None:
    source = tmp_path / "archive.tar.gz"
    checksums = {"cifar10": archive(source, {"cifar-10-batches-py/data_batch_1": b""})}
    with pytest.raises(DataError, match="not the official archive.*data_batch_2"):
        import_images(source, "cifar10", tmp_path, checksums=checksums)


def test_truncated_archive(tmp_path: Path) -> None:
    source = tmp_path / "archive.tar.gz"
    archive(source, cifar10_files())
    source.write_bytes(source.read_bytes()[:200])
    checksums = {"cifar10": hashlib.md5(source.read_bytes()).hexdigest()}
    with pytest.raises(DataError, match="not the official archive"):
        import_images(source, "cifar10", tmp_path, checksums=checksums)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (pickle.dumps(print), "rejected.* would run (__builtin__|builtins).print"),
        (pickle.dumps({"labels": [1]}), "not a batch of cifar10 images: 'data'"),
        (pickle.dumps([1, 2]), "not a batch of cifar10 images"),
        (batch([1], "labels", 16), "pixels are uint8"),
        (batch([1, 2], "fine_labels", 32), "not a batch of cifar10 images: 'labels'"),
    ],
)
def test_batches_of_another_form(tmp_path: Path, content: bytes, fault: str) -> None:
    source = tmp_path / "archive.tar.gz"
    files = cifar10_files() | {"cifar-10-batches-py/data_batch_3": content}
    checksums = {"cifar10": archive(source, files)}
    with pytest.raises(DataError, match=fault):
        import_images(source, "cifar10", tmp_path, checksums=checksums)
    assert not (tmp_path / "images").exists()


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set 'mnist' to import; known: cifar10"):
        import_images(tmp_path, "mnist", tmp_path)
    with pytest.raises(ConfigError, match="cannot keep 0 images"):
        import_images(tmp_path, "cifar10", tmp_path, count=0)
    with pytest.raises(DataError, match="no file or folder"):
        import_images(tmp_path / "nothing", "cifar10", tmp_path)
    with pytest.raises(DataError, match="is not a file"):
        import_images(tmp_path, "cifar10", tmp_path)
    with pytest.raises(DataError, match="does not contain train_data_batch_1, train_data_batch_2"):
        import_images(tmp_path, "imagenet16-120", tmp_path)
