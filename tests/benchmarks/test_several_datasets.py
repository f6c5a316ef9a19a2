"""One table with several data sets: names, truths, isomorphism, and networks of each data set."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.benchmarks.own_networks import takes_dataset
from greenmachine.benchmarks.user_table import read_accuracies
from greenmachine.errors import DataError

SPACE = """
import torch
from torch import nn

INPUT_SHAPE = {"small": (6,), "wide": (9,)}
NUM_CLASSES = {"small": 3, "wide": 5, "absent": 7}


def build(arch, dataset):
    width, classes = int(arch), NUM_CLASSES[dataset]
    return nn.Sequential(
        nn.Linear(INPUT_SHAPE[dataset][0], width), nn.ReLU(), nn.Linear(width, classes)
    )


def images(dataset):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % NUM_CLASSES[dataset]
    return torch.randn(20, *INPUT_SHAPE[dataset], generator=generator), labels
"""

TABLE = """arch,isomorph,small,wide,small.valid,small.test@12,wide.test.seed0,wide.test.seed1,#note
4,a,50.5,40,51,30,39,41,x
8,1,60,45,,31,44,46,y
16,a,70,50,69,32,49,51,z
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "space.py").write_text(SPACE)
    (tmp_path / "acc.csv").write_text(TABLE)
    return tmp_path / "space.py", tmp_path / "acc.csv"


def loaded(files: tuple[Path, Path]) -> Benchmark:
    return load_benchmark(f"{files[0]}:{files[1]}")


def test_every_data_set_has_its_accuracies_networks_and_images(files: tuple[Path, Path]) -> None:
    found = loaded(files)
    assert (found.datasets, found.truth) == (("small", "wide"), "test")
    assert found.accuracy("small").tolist() == [50.5, 60, 70]
    assert found.accuracy("wide").tolist() == [40, 45, 50]
    assert found.seed_accuracies("wide").tolist() == [[39, 44, 49], [41, 46, 51]]
    assert found.frame["small.test@12"].tolist() == [30, 31, 32]
    assert found.frame["small.valid"].isna().tolist() == [False, True, False]
    assert found.groups.tolist() == [0, 1, 0]
    for dataset, features, classes in (("small", 6, 3), ("wide", 9, 5)):
        assert found.input_shape(dataset) == (features,)
        assert found.num_classes(dataset) == classes
        model = found.build(1, dataset)
        assert (model[0].in_features, model[2].out_features) == (features, classes)
        pixels, labels = found.images(dataset, 10)
        assert model(pixels).shape == (10, classes)
        assert labels.max() == classes - 1
        params = (features + 1) * 8 + 9 * classes
        assert found.baseline_scores(dataset, [1])["params"].tolist() == [params]
    copy: Benchmark = pickle.loads(pickle.dumps(found))
    assert torch.equal(copy.build(1, "wide")[2].weight, found.build(1, "wide")[2].weight)


@pytest.mark.parametrize(
    ("table", "datasets", "truth"),
    [
        ("arch,accuracy,svhn\n4,50,x\n", ("own",), "test"),
        ("arch,accuracy,own.valid\n4,50,60\n", ("own",), "test"),
        ("arch,svhn\n4,50\n", ("svhn",), "test"),
        ("arch,svhn.valid,mnist.valid\n4,50,60\n", ("svhn", "mnist"), "valid"),
        ("arch,svhn.valid,mnist.valid,mnist\n4,50,60,70\n", ("svhn", "mnist"), "valid"),
        ("arch,imagenet16-120,v1.5\n4,50,60\n", ("imagenet16-120", "v1.5"), "test"),
        (",index,arch,svhn,svhn.params\n0,0,4,50,12345\n", ("svhn",), "test"),
    ],
)
def test_names_of_columns(
    tmp_path: Path, table: str, datasets: tuple[str, ...], truth: str
) -> None:
    (tmp_path / "a.csv").write_text(table)
    found = read_accuracies(tmp_path / "a.csv")
    assert (found.datasets, found.truth) == (datasets, truth)
    assert {f"{name}.{truth}" for name in datasets} <= set(found.frame.columns)


@pytest.mark.parametrize("kind", ["csv", "frame", "parquet"])
def test_one_table_in_every_form(tmp_path: Path, files: tuple[Path, Path], kind: str) -> None:
    frame = pd.read_csv(files[1], dtype={"arch": str})
    source: Any = {"csv": files[1], "frame": frame, "parquet": tmp_path / "a.parquet"}[kind]
    if kind == "parquet":
        frame.to_parquet(source)
    found = read_accuracies(source)
    expected = read_accuracies(files[1])
    pd.testing.assert_frame_equal(found.frame, expected.frame)
    assert found.datasets == expected.datasets


def test_values_of_a_frame_keep_every_bit() -> None:
    values = np.random.default_rng(0).uniform(10, 90, 50)
    found = read_accuracies(pd.DataFrame({"arch": range(50), "accuracy": values}), "mine")
    np.testing.assert_array_equal(found.frame["own.test"], values)
    assert found.frame["arch"].tolist() == [str(number) for number in range(50)]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame(), "mine has no column arch"),
        (pd.DataFrame({"arch": ["a", None], "svhn": [1.0, 2]}), "mine, row 1: no architecture"),
        (pd.DataFrame({"arch": ["a", "a"], "svhn": [1.0, 2]}), "row 0 and row 1 are both 'a'"),
        (pd.DataFrame({"arch": ["a"], "svhn": [np.nan]}), "row 0 (a): no svhn"),
        (pd.DataFrame({"arch": ["a"], "svhn": [True]}), "svhn is 'True'"),
        (pd.DataFrame({"arch": ["a"], 3: [200]}), "3 is '200'"),
        ({"arch": ["a"]}, "mine is dict; give a path or a pandas.DataFrame"),
    ],
)
def test_wrong_frames(frame: Any, says: str) -> None:
    with pytest.raises(DataError) as error:
        read_accuracies(frame, "mine")
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"wide": (9,)', '"wid": (9,)', "INPUT_SHAPE has no data set wide (it has small, wid)"),
        ('"wide": 5,', "", "NUM_CLASSES has no data set wide (it has small, absent)"),
        ('"wide": (9,)', '"wide": 9', "INPUT_SHAPE is 9"),
        ('"wide": 5,', '"wide": "5",', "NUM_CLASSES is '5'"),
        ("build(arch, dataset)", "build(arch)", "write build(arch, dataset)"),
    ],
)
def test_wrong_mappings(files: tuple[Path, Path], old: str, new: str, says: str) -> None:
    files[0].write_text(SPACE.replace(old, new, 1))
    with pytest.raises(DataError) as error:
        loaded(files)
    assert says in str(error.value) and str(files[0]) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_simple_form_serves_several_data_sets(files: tuple[Path, Path]) -> None:
    files[0].write_text(
        "from torch import nn, ones, arange\nINPUT_SHAPE = (6,)\n"
        "def build(arch, width=3): return nn.Linear(6, width)\n"
        "def images(): return ones(8, 6), arange(8) % 3\n"
    )
    found = loaded(files)
    for dataset in found.datasets:
        assert found.build(0, dataset).out_features == 3
        assert found.images(dataset, 4)[0].shape == (4, 6)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda arch: 0, ""),
        (lambda arch, width=3: 0, ""),
        (lambda *args: 0, ""),
        (lambda arch, name: 0, "place"),
        (lambda arch, dataset: 0, "keyword"),
        (lambda arch, width=3, dataset="": 0, "keyword"),
        (lambda arch, *, dataset: 0, "keyword"),
        (int, ""),
    ],
)
def test_how_a_function_takes_the_data_set(function: Any, expected: str) -> None:
    assert takes_dataset(function, 1) == expected
