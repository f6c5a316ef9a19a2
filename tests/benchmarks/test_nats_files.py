"""Import of official files: the real sample, and everything that is not official."""

from __future__ import annotations

import bz2
import hashlib
import os
import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark, nats_files
from greenmachine.benchmarks.nats import TOPOLOGY_TABLE
from greenmachine.benchmarks.nats_files import import_nats
from greenmachine.benchmarks.tables import TABLES
from greenmachine.errors import DataError

FOLDERS = {"tss": "NATS-tss-v1_0-3ffb9-simple", "sss": "NATS-sss-v1_0-50262-simple"}


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bz2.compress(pickle.dumps(content, 4)))
    return path


def read(path: Path) -> object:
    return pickle.loads(bz2.decompress(path.read_bytes()))


@pytest.mark.data
@pytest.mark.parametrize("space", FOLDERS)
def test_official_sample_equals_the_table(space: str, real_folder: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    source = real_folder / "nats-bench" / "official-sample" / FOLDERS[space]
    path = import_nats(source, tmp_path, lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert path == TABLES[f"nats-{space}"].partial_path(tmp_path)
    table = pd.read_parquet(real_folder / "nats-bench" / f"{space}.parquet").loc[[0, 11, 284]]
    imported = pd.read_parquet(path)
    assert imported["index"].tolist() == [0, 11, 284]
    assert set(table.columns) <= set(imported.columns)
    # Both round accuracies to six decimals.
    pd.testing.assert_frame_equal(
        imported[table.columns], table.reset_index(drop=True), check_dtype=False, rtol=0, atol=1e-6
    )


@pytest.mark.data
def test_partial_import_leaves_the_whole_table_alone(real_folder: Path, folder: Path) -> None:
    before = load_benchmark("nats-sss", folder).checksum
    import_nats(real_folder / "nats-bench" / "official-sample" / FOLDERS["sss"], folder)
    assert load_benchmark("nats-sss", folder).checksum == before


@pytest.fixture
def single_file(real_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The official sample as one file of three architectures, under a name with its MD5."""
    sample = real_folder / "nats-bench" / "official-sample" / FOLDERS["tss"]
    archs = read(sample / "meta.pickle.pbz2")["meta_archs"]  # type: ignore[index]
    files = [0, 11, 284]
    results = {row: read(sample / f"{i:06d}.pickle.pbz2") for row, i in enumerate(files)}
    content = {
        "meta_archs": [archs[i] for i in files],
        "arch2infos": results,
        "evaluated_indexes": set(results),
    }
    path = write(tmp_path / "file", content)
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    base = f"NATS-tss-v1_0-{digest[-5:]}"
    monkeypatch.setattr(nats_files, "OFFICIAL", {base: (TOPOLOGY_TABLE, "200")})
    return path.rename(tmp_path / f"{base}.pickle.pbz2")


@pytest.mark.data
def test_single_file_gives_a_whole_benchmark(single_file: Path, tmp_path: Path) -> None:
    TABLES["nats-tss"].partial_path(tmp_path).parent.mkdir()
    TABLES["nats-tss"].partial_path(tmp_path).touch()
    import_nats(single_file, tmp_path)
    assert not TABLES["nats-tss"].partial_path(tmp_path).exists()
    benchmark = load_benchmark("nats-tss", tmp_path)
    assert benchmark.accuracy("cifar10").tolist() == pytest.approx([85.863333, 91.583333, 88.79])


@pytest.mark.data
def test_damaged_single_file_is_rejected(single_file: Path, tmp_path: Path) -> None:
    content = bytearray(single_file.read_bytes())
    content[len(content) // 2] ^= 1
    single_file.write_bytes(content)
    with pytest.raises(DataError, match="has MD5 .* download it again"):
        import_nats(single_file, tmp_path)


@pytest.mark.data
def test_architecture_of_another_form(real_folder: Path, tmp_path: Path) -> None:
    sample = real_folder / "nats-bench" / "official-sample" / FOLDERS["tss"]
    copy = Path(shutil.copytree(sample, tmp_path / FOLDERS["tss"], copy_function=shutil.copyfile))
    copy.chmod(0o755)
    write(copy / "000011.pickle.pbz2", {"200": {}})
    with pytest.raises(DataError, match="architecture 11 .* format"):
        import_nats(copy, tmp_path)
    assert not (tmp_path / "nats-bench").exists()


@pytest.mark.parametrize("name", ["NATS-tss-v1_0-aaaaa-simple", "NATS-tss-v1_0-3ffb9", "simple"])
def test_folder_of_another_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="not an official name.*NATS-tss-v1_0-3ffb9-simple/"):
        import_nats(tmp_path / name, tmp_path)


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        import_nats(tmp_path / FOLDERS["tss"], tmp_path)


def test_folder_without_its_list(tmp_path: Path) -> None:
    (tmp_path / FOLDERS["sss"]).mkdir()
    with pytest.raises(DataError, match=r"no file .*meta\.pickle\.pbz2"):
        import_nats(tmp_path / FOLDERS["sss"], tmp_path)


def test_folder_without_architectures(tmp_path: Path) -> None:
    source = tmp_path / FOLDERS["sss"]
    write(source / "meta.pickle.pbz2", {"meta_archs": ["8:8:8:8:8"]})
    with pytest.raises(DataError, match="contains no architecture"):
        import_nats(source, tmp_path)


class Trap:
    """Pickles as a call that makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("trapped", ["meta.pickle.pbz2", "000000.pickle.pbz2"])
def test_forged_folder_runs_nothing(tmp_path: Path, trapped: str) -> None:
    source = tmp_path / FOLDERS["sss"]
    write(source / "meta.pickle.pbz2", {"meta_archs": ["8:8:8:8:8"]})
    write(source / trapped, Trap(tmp_path / "made-by-the-pickle"))
    with pytest.raises(DataError, match=f"{trapped} is rejected.*mkdir"):
        import_nats(source, tmp_path)
    assert not (tmp_path / "made-by-the-pickle").exists()


def test_forged_single_file_with_a_matching_checksum_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "file", Trap(tmp_path / "made-by-the-pickle"))
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    base = f"NATS-tss-v1_0-{digest[:5]}"
    monkeypatch.setattr(nats_files, "OFFICIAL", {base: (TOPOLOGY_TABLE, "200")})
    with pytest.raises(DataError, match="is rejected.*mkdir"):
        import_nats(path.rename(tmp_path / f"{base}.pickle.pbz2"), tmp_path)
    assert not (tmp_path / "made-by-the-pickle").exists()
