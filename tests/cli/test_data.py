"""The ``greenmachine data`` commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from greenmachine.benchmarks import TOPOLOGY, load_benchmark
from greenmachine.benchmarks.table import save_table
from greenmachine.cli.data import app
from greenmachine.errors import ConfigError, DataError

RUN = CliRunner()
COMMANDS = (
    "list",
    "verify",
    "add",
    "import-nats",
    "import-nas-bench-101",
    "import-nas-bench-macro",
    "import-channel-bench",
    "import-images",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, in use."""
    folder = tmp_path / "data"
    monkeypatch.setenv("GREENMACHINE_DATA", str(folder))
    return folder


def cells() -> pd.DataFrame:
    """A right table of five cells, accuracies invented."""
    archs = [
        f"|{op}~0|+|none~0|none~1|+|{op}~0|none~1|none~2|"
        for op in ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    ]
    frame = pd.DataFrame({"index": range(5), "arch": archs, "isomorph": TOPOLOGY.isomorph(archs)})
    for dataset in ("cifar10", "cifar100", "imagenet16-120"):
        frame[f"{dataset}.test"] = np.linspace(10, 50, 5)
    frame["cifar10.params"] = TOPOLOGY.costs(archs, num_classes=10, image_size=32)[0]
    return frame


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    result = RUN.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: greenmachine data {command}" in result.stdout


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_added_table_is_a_benchmark(tmp_path: Path, folder: Path, suffix: str) -> None:
    table = tmp_path / f"mine{suffix}"
    if suffix == ".csv":
        cells().to_csv(table, index=False)
    else:
        save_table(cells(), table)
    result = RUN.invoke(app, ["add", str(table), "--as", "nats-tss"])
    assert result.exit_code == 0
    assert "5 rows" in result.stdout
    assert load_benchmark("nats-tss", folder).archs == cells()["arch"].tolist()


def test_a_shorter_table_is_not_added(tmp_path: Path, folder: Path) -> None:
    for rows, code in ((5, 0), (5, 0), (4, 1)):
        cells().iloc[:rows].to_csv(tmp_path / "mine.csv", index=False)
        result = RUN.invoke(app, ["add", str(tmp_path / "mine.csv"), "--as", "nats-tss"])
        assert result.exit_code == code
    assert "remove it first" in str(result.exception)
    assert len(load_benchmark("nats-tss", folder)) == 5


def test_bad_tables_are_not_added(tmp_path: Path, folder: Path) -> None:
    table = tmp_path / "mine.csv"
    cells().drop(columns="cifar10.test").to_csv(table, index=False)
    result = RUN.invoke(app, ["add", str(table), "--as", "nats-tss"])
    assert isinstance(result.exception, DataError)
    assert "has no column cifar10.test" in str(result.exception)
    result = RUN.invoke(app, ["add", str(table), "--as", "nats"])
    assert isinstance(result.exception, ConfigError)
    result = RUN.invoke(app, ["add", str(tmp_path / "no.csv"), "--as", "nats-tss"])
    assert isinstance(result.exception, DataError)
    assert not folder.exists()


def test_list(folder: Path) -> None:
    save_table(cells(), folder / "nats-bench" / "tss.parquet")
    (folder / "nats-bench" / "sss.parquet").write_bytes(b"damaged")
    lines = RUN.invoke(app, ["list"]).stdout.splitlines()
    assert any("nats-tss" in line and "5 rows" in line for line in lines)
    assert any("nats-sss" in line and "damaged" in line for line in lines)
    assert any("cifar100" in line and "missing" in line for line in lines)
    files = {file["name"]: file for file in json.loads(RUN.invoke(app, ["list", "--json"]).stdout)}
    assert files["nats-tss"]["rows"] == 5
    assert files["digits-tss"]["rows"] == 400 and files["digits"]["rows"] == 200
    assert files["nats-tss"]["sha256"] == load_benchmark("nats-tss", folder).checksum
    assert files["nats-sss"]["rows"] is None
    assert not files["cifar10"]["present"]


def failed(folder: Path, frame: pd.DataFrame) -> dict[str, str]:
    """Return the details of the checks that fail on ``frame``, by subject."""
    save_table(frame, folder / "nats-bench" / "tss.parquet")
    result = RUN.invoke(app, ["verify", "--json"])
    checks = json.loads(result.stdout)
    assert result.exit_code == int(not all(check["passed"] for check in checks))
    return {check["subject"]: check["detail"] for check in checks if not check["passed"]}


def test_verify_finds_what_the_schema_cannot_see(folder: Path) -> None:
    short = {"nats-tss rows": "5 of 15625"}
    assert failed(folder, cells()) == short
    wrong = cells()
    wrong["cifar10.params"] += wrong["index"] == 3
    found = failed(folder, wrong)
    assert found == short | {"nats-tss cifar10.params": "1 of 5 rows differ"}
    wrong = cells().assign(isomorph=0)
    assert set(failed(folder, wrong)) == {"nats-tss rows", "nats-tss isomorph"}


def test_verify_reports_files_that_cannot_be_read(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "cifar10.npz").write_bytes(b"damaged")
    found = failed(folder, cells().iloc[[0, 3]])
    assert "not a complete benchmark" in found["nats-tss"]
    assert "not a complete image file" in found["cifar10"]


def test_verify_says_that_a_partial_table_is_no_benchmark(folder: Path) -> None:
    save_table(cells().iloc[[0, 3]], folder / "nats-bench" / "tss.partial.parquet")
    result = RUN.invoke(app, ["verify"])
    assert result.exit_code == 1
    assert "FAILED nats-tss.partial: 2 rows are not a complete benchmark" in result.stdout


def test_verify_without_a_folder_checks_the_package_and_says_what_to_do() -> None:
    result = RUN.invoke(app, ["verify"])
    assert result.exit_code == 0
    assert "ok     digits-tss digits.params: 0 of 400 rows differ" in result.stdout
    assert "ok     digits images: 200 images, 20 to 20 " in result.stdout
    assert "greenmachine data import-nats" in result.stderr


@pytest.mark.data
def test_import_of_the_official_sample(real_folder: Path, folder: Path) -> None:
    sample = real_folder / "nats-bench" / "official-sample" / "NATS-sss-v1_0-50262-simple"
    result = RUN.invoke(app, ["import-nats", str(sample)])
    assert result.exit_code == 0
    assert "cannot serve as a benchmark" in result.stdout
    assert (folder / "nats-bench" / "sss.partial.parquet").is_file()


def test_imports_pass_on_what_is_wrong(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["import-nats", str(tmp_path / "nothing")])
    assert isinstance(result.exception, DataError)
    result = RUN.invoke(app, ["import-images", str(tmp_path / "nothing"), "cifar10"])
    assert isinstance(result.exception, DataError)
