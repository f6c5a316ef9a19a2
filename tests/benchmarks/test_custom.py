"""A user's Python file and CSV as a benchmark: what they may say, and what is said of faults."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from greenmachine.benchmarks import Benchmark, absolute_name, load_benchmark
from greenmachine.engine import Evaluator
from greenmachine.errors import ConfigError, DataError
from greenmachine.language import parse
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import cached_benchmark
from greenmachine.workers import run_tasks

SPACE = """
import numpy as np
from torch import nn

INPUT_SHAPE = (6,)
NUM_CLASSES = 3


def build(arch):
    return nn.Sequential(nn.Linear(6, int(arch)), nn.ReLU(), nn.Linear(int(arch), 3))


def images():
    return np.arange(60.0).reshape(10, 6), np.arange(10, dtype=np.uint8) % 3
"""

TABLE = "arch,accuracy\n4,50.5\n012,61\n8,70\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a blank in its name."""
    python, table = tmp_path / "my work" / "space.py", tmp_path / "my work" / "acc.csv"
    python.parent.mkdir()
    python.write_text(SPACE)
    table.write_text(TABLE)
    return python, table


@pytest.fixture
def name(files: tuple[Path, Path]) -> str:
    return f"{files[0]}:{files[1]}"


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_it_is_a_benchmark(name: str, files: tuple[Path, Path]) -> None:
    found = load_benchmark(name)
    assert (found.name, found.datasets, found.archs) == (name, ("own",), ["4", "012", "8"])
    assert found.accuracy("own").tolist() == [50.5, 61.0, 70.0]
    assert (found.input_shape("own"), found.num_classes("own")) == ((6,), 3)
    assert found.groups.tolist() == [0, 1, 2]
    assert (found.source, found.code) == (files[1], (files[0],))
    assert found.build(1, "own")[0].out_features == 12
    reference = weights(found.build(0, "own"))
    assert torch.equal(weights(load_benchmark(name).build(0, "own")), reference)
    assert not torch.equal(weights(found.build(0, "own", seed=1)), reference)
    with pytest.raises(DataError, match="no data set 'cifar10'; it has own"):
        found.accuracy("cifar10")
    with pytest.raises(ConfigError, match="no build option 'cells'; it has no options"):
        found.build(0, "own", cells=2)


def test_trivial_scores_of_some(name: str) -> None:
    found = load_benchmark(name)
    state = torch.get_rng_state()
    scores = found.baseline_scores("own", [2, 0])
    assert torch.equal(torch.get_rng_state(), state)
    assert scores["params"].tolist() == [7 * 8 + 9 * 3, 7 * 4 + 5 * 3]
    assert scores["flops"].tolist() == [(7 * 8 + 9 * 3) / 1e6, (7 * 4 + 5 * 3) / 1e6]
    assert len(found.baseline_scores("own")["params"]) == 3
    assert found.baseline_scores("own", [])["flops"].shape == (0,)


def test_images_are_balanced_and_seeded(name: str) -> None:
    found = load_benchmark(name)
    images, labels = found.images("own", 6, seed=2)
    assert (images.dtype, labels.dtype, images.shape) == (torch.float32, torch.int64, (6, 6))
    assert torch.bincount(labels).tolist() == [2, 2, 2]
    assert torch.equal(images[:, 0] / 6 % 3, labels.float())
    assert torch.equal(found.images("own", 4, seed=2)[0], images[:4])
    assert not torch.equal(found.images("own", 6, seed=3)[0], images)
    with pytest.raises(ConfigError, match="choose 1 to 10"):
        found.images("own", 11)


def test_relative_names_become_absolute(
    name: str, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files[0].parent)
    assert absolute_name("space.py:acc.csv") == name
    assert load_benchmark("space.py:acc.csv").name == name
    assert CaptureSpec("space.py:acc.csv", "own", ()).benchmark == name
    assert absolute_name("nats-tss") == "nats-tss"


def test_split_at_the_last_mark(tmp_path: Path) -> None:
    folder = tmp_path / "old.py:new"
    folder.mkdir()
    (folder / "a.py").write_text(SPACE)
    (tmp_path / "b.csv").write_text(TABLE)
    assert load_benchmark(f"{folder}/a.py:{tmp_path}/b.csv").code == (folder / "a.py",)


def test_isomorphic_networks_and_other_columns(name: str, files: tuple[Path, Path]) -> None:
    files[1].write_text(
        "\ufeffnote, isomorph ,accuracy,arch\n"
        '"a, b",7,50,4\n\n, 7 ,60, 5\n"two\nlines",9,70,"with ""quotes"", and comma"\n'
    )
    found = load_benchmark(name)
    assert found.archs == ["4", "5", 'with "quotes", and comma']
    assert found.groups.tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no column arch (it has no columns)"),
        ("arch;accuracy\n4;50\n", "semicolons"),
        ("arch\taccuracy\n4\t50\n", "tabs"),
        (
            "arch,#acc\n4,50\n",
            "has no column accuracy, or one for every data set (it has arch, #acc)",
        ),
        ("arch,accuracy\n", "has no rows"),
        ("arch,accuracy\n4,50\n\n8,\n", "line 4 (8): no accuracy"),
        ("arch,accuracy\n4,50\n8\n", "line 3 (8): no accuracy"),
        ("arch,accuracy\n,50\n", "line 2: no architecture"),
        ("arch,accuracy\n4,50\n8,60\n4,70\n", "line 2 and line 4 are both '4'"),
        ("arch,accuracy\n4,50 %\n", "line 2 (4): accuracy is '50 %'"),
        ("arch,accuracy\n4,nan\n", "accuracy is 'nan'"),
        ("arch,accuracy\n4,100.1\n", "accuracy is '100.1'"),
        ("arch,accuracy\n4,-1\n", "accuracy is '-1'"),
        ("arch,accuracy\n4,0.5\n8,1\n", "write percent (93.1), not fractions (0.931)"),
        ("arch,accuracy\n4,5,6,50\n", "line 2: 4 fields for 2 columns; put quotes"),
        ("arch,accuracy,isomorph\n4,50,\n", "line 2 (4): no isomorph"),
        ("arch,accuracy,accuracy\n4,50,60\n", "has two columns accuracy"),
        ("arch,accuracy,own.test\n4,50,60\n", "two columns that mean own.test"),
        ("arch,svhn,svhn.test\n4,50,60\n", "two columns that mean svhn.test"),
        ("arch,svhn,svhn.tset\n4,50,60\n", "column svhn.tset: tset is not an accuracy"),
        (
            "arch,svhn,svhn.test@x\n4,50,60\n",
            "column 'svhn.test@x' cannot be the name of a data set",
        ),
        ("arch,Unnamed: 0\n4,0\n", "column 'Unnamed: 0' cannot be the name of a data set"),
        ("arch,a/b\n4,50\n", "column 'a/b' cannot be the name of a data set"),
        ("arch,.test\n4,50\n", "column '.test' cannot be the name of a data set"),
        ("arch,svhn,mnist.valid\n4,50,60\n", "has no column mnist.test; every data set"),
        ("arch,svhn.test@12\n4,50\n", "has no column svhn.test; every data set"),
        ("arch,svhn,mnist\n4,50,\n", "line 2 (4): no mnist"),
        ("arch,svhn,note\n4,50,good\n", "note is 'good'; write a percentage from 0 to 100; if"),
        ("arch,svhn,svhn.valid\n4,50,x\n", "svhn.valid is 'x'; write a percentage"),
        ("arch,svhn,mnist\n4,50,0.5\n8,60,0.6\n", "all values of mnist are at most 1"),
        ("arch,svhn,svhn.valid\n4,50,0.5\n", "all values of svhn.valid are at most 1"),
        ("arch,accuracy\n\xff,50\n", "save it as UTF-8"),
    ],
)
def test_wrong_tables(name: str, files: tuple[Path, Path], text: str, says: str) -> None:
    files[1].write_text(text, encoding="latin1")
    with pytest.raises(DataError) as error:
        load_benchmark(name)
    assert says in str(error.value)
    assert str(files[1]) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("INPUT_SHAPE = (1, 8, 8)", "has no function build(arch)"),
        ("build = 3\nINPUT_SHAPE = (1,)", "has no function build(arch)"),
        ("def build(arch): ...", "has no INPUT_SHAPE: write the shape of one image, such as"),
        ("def build(arch): ...\nINPUT_SHAPE = 64", "INPUT_SHAPE is 64: write"),
        ("def build(arch): ...\nINPUT_SHAPE = ()", "INPUT_SHAPE is (): write"),
        ("def build(arch): ...\nINPUT_SHAPE = (3, 0)", "INPUT_SHAPE is (3, 0): write"),
        ("def build(arch): ...\nINPUT_SHAPE = '88'", "INPUT_SHAPE is '88': write"),
        (
            "def build(arch): ...\nINPUT_SHAPE = (1,)\nNUM_CLASSES = 2.5",
            "NUM_CLASSES is 2.5: write an integer",
        ),
        ("x = 1\nimport no_such_module", ", line 2: ModuleNotFoundError: No module named"),
        ("\n\nraise ValueError('one\\ntwo')", ", line 3: ValueError: one two; correct"),
        ("def build(arch)\n    pass", ", line 1: SyntaxError: expected ':'"),
        ("import sys\nsys.exit('no')", ", line 2: SystemExit: no"),
        ("open('/no/such/file')", ", line 1: FileNotFoundError"),
    ],
)
def test_wrong_python(name: str, files: tuple[Path, Path], text: str, says: str) -> None:
    files[0].write_text(text)
    with pytest.raises(DataError) as error:
        load_benchmark(name)
    assert says in str(error.value)
    assert str(files[0]) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ("", "has no function images(), which the data pass needs"),
        ("def images(): return 1 / 0", "line 11: ZeroDivisionError: division by zero"),
        ("def images(): return 3", "images() must return (images, labels)"),
        ("def images(): return np.ones((4, 6))", "images() must return (images, labels)"),
        (
            "def images(): return np.ones((4, 5)), np.zeros(4, int)",
            "return normalised floats (n, 6)",
        ),
        ("def images(): return np.ones((4, 6), int), np.zeros(4, int)", "normalised floats (n, 6)"),
        ("def images(): return np.ones((4, 6)), np.zeros(3, int)", "integers (n,)"),
        ("def images(): return np.ones((4, 6)), np.zeros(4)", "integers (n,)"),
        ("def images(): return np.ones((4, 6)), np.full(4, 3)", "from 0 to NUM_CLASSES - 1 = 2"),
        ("def images(): return np.ones((0, 6)), np.zeros(0, int)", "labels from 0"),
    ],
)
def test_wrong_images(name: str, files: tuple[Path, Path], images: str, says: str) -> None:
    files[0].write_text(SPACE.partition("def images")[0].rstrip() + "\n" + images)
    found = load_benchmark(name)
    with pytest.raises(DataError) as error:
        found.images("own", 2)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("space.py:", "write my_space.py:accuracies.csv"),
        ("none.py:acc.csv", "no file .*none.py: give the Python file"),
        ("space.py:none.csv", "no file .*none.csv: give a CSV"),
    ],
)
def test_wrong_names(
    named: str, says: str, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files[0].parent)
    with pytest.raises(DataError, match=says):
        load_benchmark(named)


NEIGHBOURED = """
from own_models import WIDTH
from torch import nn

INPUT_SHAPE = (6,)


def build(arch):
    from own_late import CLASSES

    return nn.Sequential(nn.Linear(6, WIDTH), nn.Linear(WIDTH, CLASSES))
"""


def neighboured(folder: Path, width: int) -> str:
    folder.mkdir()
    (folder / "space.py").write_text(NEIGHBOURED)
    (folder / "acc.csv").write_text(TABLE)
    (folder / "own_models.py").write_text(f"WIDTH = {width}\n")
    (folder / "own_late").mkdir()
    (folder / "own_late" / "__init__.py").write_text("from .parts import CLASSES\n")
    (folder / "own_late" / "parts.py").write_text("CLASSES = 3\n")
    return f"{folder}/space.py:{folder}/acc.csv"


def test_neighbours_do_not_leak(tmp_path: Path) -> None:
    """Two spaces whose neighbours have the same name, loaded in one process."""
    path, modules = list(sys.path), set(sys.modules)
    first = load_benchmark(neighboured(tmp_path / "a", 4))
    second = load_benchmark(neighboured(tmp_path / "b", 5))
    for found, width in ((first, 4), (second, 5), (first, 4)):
        assert found.build(0, "own")[0].out_features == width
        assert found.build(0, "own")[1].out_features == 3
    assert first.code == (tmp_path / "a" / "own_models.py", tmp_path / "a" / "space.py")[::-1]
    assert sys.path == path
    left = {name.rpartition("_")[0] for name in set(sys.modules) - modules}
    assert left == {"_greenmachine_space"}


def width_of(name: str) -> int:
    """In a worker: what the first network looks like."""
    return int(cached_benchmark(name).build(0, "own")[0].out_features)


@pytest.mark.parametrize("workers", [1, 2])
def test_edited_files_are_read_again(tmp_path: Path, workers: int) -> None:
    """Also by workers that have lived on, and also a neighbour."""
    name = neighboured(tmp_path / "a", 4)
    checksums = {load_benchmark(name).checksum}
    assert run_tasks(width_of, [(name,)] * 4, workers) == [4] * 4
    (tmp_path / "a" / "own_models.py").write_text("WIDTH = 32\n")
    assert run_tasks(width_of, [(name,)] * 4, workers) == [32] * 4
    checksums.add(cached_benchmark(name).checksum)
    (tmp_path / "a" / "space.py").write_text(NEIGHBOURED.replace("WIDTH)", "2)"))
    assert run_tasks(width_of, [(name,)] * 4, workers) == [2] * 4
    checksums.add(cached_benchmark(name).checksum)
    (tmp_path / "a" / "acc.csv").write_text(TABLE + "16,80\n")
    assert len(cached_benchmark(name)) == 4
    checksums.add(cached_benchmark(name).checksum)
    assert len(checksums) == 4
    held = cached_benchmark(name)
    assert cached_benchmark(name) is held


def test_data_pass_and_workers(name: str) -> None:
    spec = CaptureSpec(name, "own", ("data_weight_grad", "weight"), batch=6)
    snip = parse("sum_layers(l1_norm(mul(weight, data_weight_grad)))")
    one, two = (
        Evaluator.of_networks(spec, [0, 1, 2] * 12, workers=workers).scores([snip])
        for workers in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert np.isfinite(one).all()


def test_labels_beyond_the_outputs_fail_the_network(name: str, files: tuple[Path, Path]) -> None:
    files[0].write_text(
        SPACE.replace("NUM_CLASSES = 3", "").replace("(int(arch), 3)", "(int(arch), 2)")
    )
    spec = CaptureSpec(name, "own", ("data_weight_grad",), batch=6)
    evaluator = Evaluator.of_networks(spec, [0])
    evaluator.scores([parse("sum_layers(l2_norm(data_weight_grad))")])
    assert evaluator.failures == {
        0: "ValueError: label 2 is too large for a network with 2 outputs"
    }


def test_a_pickled_custom_benchmark_is_the_same(name: str) -> None:
    found = load_benchmark(name)
    copy: Benchmark = pickle.loads(pickle.dumps(found))
    assert torch.equal(weights(copy.build(2, "own")), weights(found.build(2, "own")))
    assert torch.equal(copy.images("own", 3)[0], found.images("own", 3)[0])


SEVERAL = """
from torch import nn

INPUT_SHAPE = (6,)


class Several(nn.Sequential):
    def forward(self, x):
        features = self[0](x)
        return {"features": features, "classes": self[1](features)}


def build(arch):
    return Several(nn.Linear(6, int(arch)), nn.Linear(int(arch), 3))
"""


@pytest.mark.parametrize(
    "output", ["'classes'", "lambda returned: returned['classes']"], ids=["key", "function"]
)
def test_one_of_several_outputs(name: str, files: tuple[Path, Path], output: str) -> None:
    files[0].write_text(SEVERAL)
    gradients = CaptureSpec(name, "own", ("noise_weight_grad",), batch=2)
    trees = [parse("sum_layers(l2_norm(noise_weight_grad))")]
    refused = Evaluator.of_networks(gradients, [0], workers=1)
    assert np.isnan(refused.scores(trees)).all()
    assert "output=0" in refused.failures[0]
    files[0].write_text(f"{SEVERAL}\n\nOUTPUT = {output}\n")
    assert load_benchmark(name).build(0, "own")(torch.zeros(2, 6)).shape == (2, 3)
    found = Evaluator.of_networks(gradients, [0], workers=1).scores(trees)
    assert np.isfinite(found).all()
