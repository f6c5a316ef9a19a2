"""Which proxy runs on networks that other people's libraries build.

    python -m experiments.libraries --out results/libraries

Needs the libraries: ``pip install -e '.[zoo-tests]'``. Nothing is downloaded: the networks of
transformers are built from small configurations, those of pytorchcv without pretrained weights,
all with random weights of one seed. Every proxy scores every network once. A row holds the score,
or the message of the refusal, or the score with its warning and the share of the weights that it
covers. Networks of pytorchcv for ImageNet get a global pool in place of their last one, which takes
images of 224x224 alone.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

import greenmachine
from greenmachine.errors import GreenMachineError
from greenmachine.files import replace_file, write_json, write_text
from greenmachine.manifest import manifest
from greenmachine.tables.writing import grid

SEED = 1
CLASSES = 4
IMAGES = 4
PROXIES = (
    "gm_any",
    "gm_tss",
    "synflow",
    "zico",
    "nwot",
    "snip",
    "meco",
    "zen",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
)

say = partial(print, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Network:
    """A network of a library, and a batch that it takes.

    Attributes:
        library: the package that builds it.
        family: what the table calls it.
        make: builds it; weights come from torch's generator.
        shape: of the batch: (B, C, H, W), or (B, T, F) for embeddings, or (B, T) for token ids.
        tokens: how many token ids there are; 0 where the batch is of real numbers.
    """

    library: str
    family: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = (IMAGES, 3, 32, 32)
    tokens: int = 0

    def build(self) -> nn.Module:
        """Return the network with weights of ``SEED``."""
        with torch.random.fork_rng([]):
            torch.manual_seed(SEED)
            return self.make()

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return images, embeddings or token ids, and a label of each."""
        generator = torch.Generator("cpu").manual_seed(SEED)
        labels = torch.arange(self.shape[0]) % CLASSES
        if self.tokens:
            return torch.randint(self.tokens, self.shape, generator=generator), labels
        return torch.randn(self.shape, generator=generator), labels


class ThroughEmbeddings(nn.Module):
    """Passes a batch of embeddings (B, T, F) to a language model of transformers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor) -> Any:
        """Return what the model returns."""
        return self.model(inputs_embeds=embeddings)


def vit() -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(
            image_size=32,
            patch_size=8,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            num_labels=CLASSES,
        )
    )


def swin() -> Any:
    from transformers import SwinConfig, SwinForImageClassification

    return SwinForImageClassification(
        SwinConfig(
            image_size=32,
            patch_size=2,
            embed_dim=16,
            depths=[2, 2],
            num_heads=[2, 4],
            window_size=4,
            num_labels=CLASSES,
        )
    )


def convnext() -> Any:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    return ConvNextForImageClassification(
        ConvNextConfig(
            patch_size=2,
            hidden_sizes=[16, 32, 48],
            depths=[1, 1, 1],
            num_stages=3,
            num_labels=CLASSES,
        )
    )


def resnet() -> Any:
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(
        ResNetConfig(
            embedding_size=8,
            hidden_sizes=[16, 32],
            depths=[2, 2],
            layer_type="basic",
            num_labels=CLASSES,
        )
    )


def mobilenet_v2() -> Any:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    return MobileNetV2ForImageClassification(
        MobileNetV2Config(depth_multiplier=0.35, image_size=64, num_labels=CLASSES)
    )


def bert() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=16,
            num_labels=CLASSES,
        )
    )


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2ForSequenceClassification

    return GPT2ForSequenceClassification(
        GPT2Config(
            vocab_size=50,
            n_positions=16,
            n_embd=32,
            n_layer=2,
            n_head=2,
            num_labels=CLASSES,
            pad_token_id=0,
        )
    )


def pytorchcv(name: str) -> Any:
    """Return a network of pytorchcv; one for ImageNet gets a global pool for any image size."""
    from pytorchcv.model_provider import get_model

    if "cifar" in name:
        return get_model(name, pretrained=False)
    model = get_model(name, pretrained=False, num_classes=CLASSES)
    for module in model.modules():
        for child, pool in module.named_children():
            if isinstance(pool, nn.AvgPool2d) and pool.kernel_size in (7, 13):
                setattr(module, child, nn.AdaptiveAvgPool2d(1))
    return model


CIFAR = (
    "nin_cifar10",
    "resnet20_cifar10",
    "preresnet20_cifar10",
    "seresnet20_cifar10",
    "sepreresnet20_cifar10",
    "densenet40_k12_bc_cifar10",
    "resdropresnet20_cifar10",
    "shakeshakeresnet20_2x16d_cifar10",
    "shakedropresnet20_cifar10",
    "diaresnet20_cifar10",
)
IMAGENET = (
    "resnet18_wd4",
    "mobilenet_wd4",
    "fdmobilenet_wd4",
    "mobilenetv2_wd4",
    "mobilenetv3_small_w7d20",
    "shufflenet_g1_wd4",
    "shufflenetv2_wd2",
    "squeezenet_v1_1",
)

WORDS = (IMAGES, 8)
NETWORKS = (
    Network("transformers", "ViT", vit),
    Network("transformers", "Swin", swin),
    Network("transformers", "ConvNeXt", convnext),
    Network("transformers", "ResNet", resnet),
    Network("transformers", "MobileNetV2", mobilenet_v2, (IMAGES, 3, 64, 64)),
    Network("transformers", "BERT, embeddings", lambda: ThroughEmbeddings(bert()), (*WORDS, 32)),
    Network("transformers", "BERT, token ids", bert, WORDS, tokens=50),
    Network("transformers", "GPT-2, embeddings", lambda: ThroughEmbeddings(gpt2()), (*WORDS, 32)),
    Network("transformers", "GPT-2, token ids", gpt2, WORDS, tokens=50),
    *(Network("pytorchcv", name, partial(pytorchcv, name)) for name in CIFAR),
    *(
        Network("pytorchcv", name, partial(pytorchcv, name), (IMAGES, 3, 64, 64))
        for name in IMAGENET
    ),
)


@dataclass(frozen=True)
class Outcome:
    """The result of one proxy on one network.

    Attributes:
        score: NaN where the proxy refuses the network.
        coverage: the share of the weights used that the score covers; NaN where it refuses.
        refusal: the error message if there is no score, else empty.
        warning: what the proxy did not cover besides weights, else empty.
        seconds: wall clock time.
    """

    score: float
    coverage: float
    refusal: str
    warning: str
    seconds: float


def outcome(model: nn.Module, proxy: str, images: Tensor, labels: Tensor) -> Outcome:
    """Return the score of ``model`` by ``proxy``, or its refusal."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = greenmachine.rank([model], proxy, images=images, labels=labels, seed=SEED)
    seconds = time.perf_counter() - start
    row = frame.iloc[0]
    said = dict.fromkeys(str(warning.message) for warning in caught)
    return Outcome(row["score"], row["coverage"], row["failure"], "; ".join(said), seconds)


def table() -> Iterator[dict[str, object]]:
    """Yield a row for every network and proxy."""
    for network in NETWORKS:
        say(f"{network.library}: {network.family}")
        model, (images, labels) = network.build(), network.batch()
        for proxy in PROXIES:
            found = outcome(model, proxy, images, labels)
            yield {
                "library": network.library,
                "network": network.family,
                "shape": "x".join(map(str, network.shape)),
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "proxy": proxy,
                "score": found.score,
                "coverage": round(found.coverage, 6),
                "refusal": found.refusal,
                "warning": found.warning,
                "seconds": round(found.seconds, 2),
            }


def page(rows: pd.DataFrame) -> str:
    """Return the Markdown: scores, and below them explanations of the notes in the cells."""
    notes: dict[str, str] = {}

    def cell(row: Any) -> str:
        text = row.refusal or row.warning
        mark = f" [{notes.setdefault(generic(text), str(len(notes) + 1))}]" if text else ""
        share = f" ({row.coverage:.1%})" if row.coverage < 1 else ""
        return f"refused{mark}" if row.refusal else f"{row.score:.4g}{share}{mark}"

    lines: dict[str, dict[str, str]] = {}
    for row in rows.itertuples():
        line = lines.setdefault(str(row.network), {"network": f"{row.library}: {row.network}"})
        line[str(row.proxy)] = cell(row)
    explained = "\n".join(f"- [{mark}] {text}" for text, mark in notes.items())
    return (
        f"{__doc__}\nA share in brackets is that of the weights that the score covers; without one "
        f"it covers all.\n\n{grid(list(lines.values()))}\n{explained}\n"
    )


def generic(message: str) -> str:
    """Return ``message`` with dots for the names and numbers that differ between networks."""
    return re.sub(r"(layer )\S+|\b\d+(?=\b|x)", lambda found: f"{found[1] or ''}...", message)


def main(words: list[str] | None = None) -> int:
    """Score and write ``libraries.csv``, ``libraries.md`` and ``manifest.json``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.libraries",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    choice = parser.parse_args(words)
    libraries = sorted({network.library for network in NETWORKS})
    try:
        versions = {name: version(name) for name in libraries}
        rows = pd.DataFrame(table())
        replace_file(
            choice.out / "libraries.csv", lambda temporary: rows.to_csv(temporary, index=False)
        )
        write_text(choice.out / "libraries.md", page(rows))
        write_json(choice.out / "manifest.json", manifest(seed=SEED, libraries=versions))
    except PackageNotFoundError as error:
        print(f"libraries: {error}: pip install -e '.[zoo-tests]'", file=sys.stderr)
        return 1
    except (GreenMachineError, OSError) as error:
        print(f"libraries: {error}", file=sys.stderr)
        return 1
    say(f"{len(rows)} rows in {choice.out / 'libraries.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
