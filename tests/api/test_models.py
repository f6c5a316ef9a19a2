"""Networks by name: what a text builds, and what it says where it builds nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.api.models import ModelText, known_shape
from greenmachine.errors import ConfigError, GreenMachineError, NetworkError

NETS = """
import sys
import torch
from torch import nn
from beside_of_mine import WIDTH

INPUT_SHAPE = (3, 9, 9)

def small(width=WIDTH, *, norm="batch"):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))

def net(width=WIDTH):
    return nn.Conv2d(3, width, 3)

def leaves():
    sys.exit(0)

def fails():
    raise ValueError("no\\nway")

def pair():
    return net(), 3

def double():
    torch.set_default_dtype(torch.float64)
    return net()

class Zoo:
    net = staticmethod(net)

kept = net()
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "nets_of_mine.py").write_text(NETS)
    (tmp_path / "beside_of_mine.py").write_text("WIDTH = 5\n")
    (tmp_path / "broken_of_mine.py").write_text("import no_such_thing_at_all\n")
    (tmp_path / "leaving_of_mine.py").write_text("raise SystemExit('bye')\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.endswith("_of_mine")]:
        del sys.modules[name]  # the next test writes another


@pytest.mark.parametrize("source", ["nets_of_mine", "nets_of_mine.py", "./nets_of_mine.py"])
def test_a_module_and_a_file_build_the_same_network(source: str, folder: Path) -> None:
    path = list(sys.path)
    built = ModelText.read(f"{source}:net").build(seed=4)
    again = ModelText.read(f" {source}:net(width=5) ").build(seed=4).model
    assert sys.path == path
    assert built.shape == (3, 9, 9)
    assert isinstance(built.model, nn.Conv2d) and built.model.out_channels == 5
    torch.manual_seed(4)
    assert torch.equal(built.model.weight, nn.Conv2d(3, 5, 3).weight)
    assert torch.equal(built.model.weight, next(iter(again.parameters())))


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ("nets_of_mine:net(7)", 7),
        ("nets_of_mine:Zoo.net(width=8)", 8),
        ("nets_of_mine:kept", 5),
        ("torch.nn:Conv2d(3, 6, kernel_size=(3, 3), padding='same', bias=False)", 6),
        ("torch.nn:Conv2d(3, 6, -1 + 4j and 3)", None),
    ],
)
def test_arguments_are_literals(text: str, channels: int | None, folder: Path) -> None:
    if channels is None:
        with pytest.raises(ConfigError):
            greenmachine.load_model(text)
        return
    model = greenmachine.load_model(text)
    assert isinstance(model, nn.Conv2d) and model.out_channels == channels


def test_loading_leaves_the_generators_and_settings_of_torch(folder: Path) -> None:
    state = torch.get_rng_state()
    greenmachine.load_model("nets_of_mine:net", seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    greenmachine.load_model("nets_of_mine:double")
    assert torch.get_default_dtype() == torch.float32
    weight = next(greenmachine.load_model("nets_of_mine:net").parameters())
    assert weight.dtype == torch.float32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resnet",
        ":net",
        "nets:",
        "nets.py:",
        "a b:net",
        "..nets:net",
        "nets:a-b",
        "nets:net(",
        "nets:net(1))",
        "nets:net(1)(2)",
        "nets:net(1) + nets:net(2)",
        "nets:net(1); import os",
        "nets:net(width)",
        "nets:net(__import__('os').system('touch ran'))",
        "nets:net([].__class__)",
        'nets:net(f\'{open("ran", "w")}\')',
        "nets:net(lambda: 1)",
        "nets:net(x := 3)",
        "nets:net(10**10)",
        "nets:net('a' * 10)",
        "nets:net(*[1])",
        "nets:net(**{'width': 1})",
        "nets:net(width=1, width=2)",
        "nets:net(1,, 2)",
        "nets:net(\0)",
        "nets:net(" + "[" * 9999,
        "pytorchcv:resnet20_cifar10(print('ran'))",
    ],
)
def test_a_text_with_a_fault_is_refused_before_anything_runs(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        ModelText.read(text)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
    with pytest.raises(ConfigError):  # before the first network is scored
        greenmachine.rank(["torch.nn:Linear(3, 2)", text], "l2_norm", shape=(2, 3))
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no_such_module_here:net", ["no_such_module_here", "install"]),
        ("nets_of_mine.inner:net", ["nets_of_mine.inner"]),
        ("no_such_file.py:net", ["no_such_file.py"]),
        ("broken_of_mine:net", ["broken_of_mine", "no_such_thing_at_all"]),
        ("broken_of_mine.py:net", ["broken_of_mine.py", "no_such_thing_at_all"]),
        ("leaving_of_mine:net", ["SystemExit", "bye"]),
        ("leaving_of_mine.py:net", ["SystemExit", "bye"]),
        ("nets_of_mine:smal", ["small"]),
        ("nets_of_mine:Zoo.nett", ["Zoo.nett", "net"]),
        ("nets_of_mine:number", ["number", "int"]),
        ("nets_of_mine:leaves", ["SystemExit: 0"]),
        ("nets_of_mine:fails", ["ValueError: no way"]),
        ("nets_of_mine.py:fails", ["ValueError: no way"]),
        ("nets_of_mine:pair", ["tuple", "torch.nn.Module"]),
        ("nets_of_mine:net(1, 2)", ["net(1, 2)", "too many", "(width=5)"]),
        ("nets_of_mine:small(norms='batch')", ["norms", "norm='batch'"]),
        ("nets_of_mine:kept(3)", ["kept", "leave out"]),
        ("os:getcwd", ["str", "torch.nn.Module"]),
        ("timm:resnet18", ["timm", "pip install timm"]),
    ],
)
def test_what_cannot_be_built_is_one_line(text: str, words: list[str], folder: Path) -> None:
    if text.startswith("timm:") and _has("timm"):
        pytest.skip("timm is installed")
    with pytest.raises(NetworkError) as failed:
        greenmachine.load_model(text)
    said = str(failed.value)
    assert said.startswith(f"{text}: ") and "\n" not in said
    assert all(word in said.removeprefix(text) for word in words), said
    # The others are still scored.
    good = "torch.nn:Conv2d(3, 4, 3)"
    table = greenmachine.rank([text, good], "l2_norm", shape=(2, 3, 9, 9)).set_index("name")
    assert table.loc[good, "rank"] == 1 and table.loc[good, "failure"] == ""
    assert said == f"{text}: {table.loc[text, 'failure']}"


def _has(library: str) -> bool:
    try:
        __import__(library)
    except ImportError:
        return False
    return True


def test_timm_is_asked_for_random_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # timm needs torchvision, which tests do without: a stand-in shows the call and the shape.
    (folder / "timm.py").write_text(
        "from torch import nn\n"
        "def create_model(name, pretrained=True, **kwargs):\n"
        "    assert (name, pretrained, kwargs) == ('resnet18', False, {'num_classes': 7})\n"
        "    model = nn.Conv2d(3, 7, 3)\n"
        "    model.pretrained_cfg = {'input_size': (3, 64, 48)}\n"
        "    return model\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    try:
        assert ModelText.read("timm:resnet18(num_classes=7)").build().shape == (3, 64, 48)
    finally:
        sys.modules.pop("timm", None)


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({}, None),
        ({"in_size": (32, 24)}, (3, 32, 24)),
        ({"in_size": 32}, (3, 32, 32)),
        ({"in_size": "32"}, None),
        ({"in_size": (0, 3)}, None),
        ({"pretrained_cfg": {"input_size": (3, 8, 8)}}, (3, 8, 8)),
        ({"pretrained_cfg": {}}, None),
        ({"pretrained_cfg": 3, "config": 4}, None),
        ({"main_input_name": "pixel_values"}, None),
    ],
)
def test_shape_is_what_the_network_says(attributes: dict[str, object], shape: object) -> None:
    model = nn.Conv2d(3, 4, 3)
    for name, value in attributes.items():
        setattr(model, name, value)
    assert known_shape(model) == shape


def test_pytorchcv() -> None:
    pytest.importorskip("pytorchcv")
    built = ModelText.read("pytorchcv:resnet20_cifar10").build()
    assert built.shape == (3, 32, 32)
    assert known_shape(greenmachine.load_model("pytorchcv:resnet18_wd4(in_channels=1)")) == (
        1, 224, 224,
    )  # fmt: skip
    for text, word in (
        ("pytorchcv:resnet21_cifar10", "resnet20_cifar10"),
        ("pytorchcv:resnet20_cifar10(3)", "by name"),
        ("pytorchcv:resnet20_cifar10(nonsense=3)", "nonsense"),
    ):
        with pytest.raises(NetworkError, match=word):
            greenmachine.load_model(text)


TINY = "image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=1, num_attention_heads=2"


@pytest.mark.parametrize(
    ("text", "kind", "shape"),
    [
        (f"ViTConfig({TINY})", "ViTForImageClassification", (3, 32, 32)),
        (f"ViTForImageClassification({TINY}, num_channels=1)", "ViTForImageClassification",
         (1, 32, 32)),
        (f"vit({TINY})", "ViTForImageClassification", (3, 32, 32)),
        (f"ViTModel({TINY})", "ViTModel", (3, 32, 32)),
        ("resnet(hidden_sizes=[8], depths=[1])", "ResNetForImageClassification", None),
        ("bert(hidden_size=8, num_hidden_layers=1, num_attention_heads=1)",
         "BertForSequenceClassification", None),
        ("folder", "ResNetForImageClassification", None),
    ],
)  # fmt: skip
def test_transformers_from_configurations(
    text: str,
    kind: str,
    shape: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transformers = pytest.importorskip("transformers")
    if text == "folder":
        transformers.ResNetConfig(hidden_sizes=[8], depths=[1]).save_pretrained(tmp_path / text)
        text = f"./{text}"
    monkeypatch.chdir(tmp_path)
    built = ModelText.read(f"transformers:{text}").build()
    assert (type(built.model).__name__, built.shape) == (kind, shape)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ViTConfig(imagesize=32)", "image_size"),
        ("ViTConfg", "ViTConfig"),
        ("ViTConfig(32)", "by name"),
        ("ViTConfig(patch_size='x')", "patch_size"),
        ("pipeline", "class"),
        ("AutoModel", "class"),
        ("PreTrainedModel", "class"),
        ("google/vit-base-patch16-224", "internet"),
        ("./no_folder", "config.json"),
    ],
)
def test_transformers_says_what_it_needs(
    text: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    hub = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(NetworkError) as failed:
        greenmachine.load_model(f"transformers:{text}")
    assert word in str(failed.value) and "\n" not in str(failed.value)


def test_an_error_of_the_text_is_one_of_the_package() -> None:
    with pytest.raises(GreenMachineError):
        greenmachine.score("resnet", "l2_norm", shape=(1, 3))
