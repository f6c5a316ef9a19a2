"""What a user brings in a plugin file: a benchmark of two data sets, and proxies of each kind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenmachine import plugins
from greenmachine.benchmarks import BENCHMARKS
from greenmachine.proxies import PROXIES

NETWORKS = """
import torch
from torch import nn

FEATURES = {"small": (6,), "wide": (9,)}
CLASSES = {"small": 3, "wide": 5}


def make(arch, dataset):
    width, depth, _ = map(int, arch.split("-"))
    layers = [nn.Linear(FEATURES[dataset][0], width)]
    for _ in range(depth):
        layers += [nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(width, CLASSES[dataset]))


def draw(dataset):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % CLASSES[dataset]
    return torch.randn(20, *FEATURES[dataset], generator=generator), labels
"""

SPACE = f"""{NETWORKS}

INPUT_SHAPE, NUM_CLASSES = FEATURES, CLASSES
build, images = make, draw
"""

PLUGIN = f"""{NETWORKS}
import numpy as np

import greenmachine

greenmachine.register_benchmark(
    "brought",
    table="acc.csv",
    build=lambda arch, dataset: make(arch, dataset),
    input_shape=FEATURES,
    num_classes=CLASSES,
    images=draw,
)


@greenmachine.register_proxy
def spread_of_outputs(model, images, labels, seed):
    '''Standard deviation of the outputs on noise.'''
    return model(images).std().item() + seed


@greenmachine.register_proxy(name="start_loss", needs_labels=True, direction=-1)
def loss(model, images, labels, seed):
    return nn.functional.cross_entropy(model(images), labels).item()


NORM = "sum_layers(l2_norm(noise_weight_grad))"
greenmachine.register_proxy(greenmachine.ExpressionProxy(name="my_norm", expression=NORM))
greenmachine.register_proxy(
    greenmachine.ArchitectureProxy(
        name="first_width",
        functions={{"brought": lambda archs: np.array([float(a.split("-")[0]) for a in archs])}},
    )
)
"""

FUNCTIONS = ("spread_of_outputs", "start_loss")
PROXIES_BROUGHT = (*FUNCTIONS, "my_norm")
ARCHS = [f"{width}-{depth}-{copy}" for width in range(2, 12) for depth in range(2) for copy in "01"]
"""Two copies of every network: they are isomorphic."""


def write(folder: Path) -> tuple[Path, Path, Path]:
    """Write a table, and the networks as a file and in a plugin; return plugin, file and table."""
    lines = [
        f"{arch},{arch[:-2]},{20 + 1.5 * row},{70 - (row * 7) % 40}"
        for row, arch in enumerate(ARCHS)
    ]
    (folder / "acc.csv").write_text("\n".join(["arch,isomorph,small,wide", *lines]) + "\n")
    (folder / "space.py").write_text(SPACE)
    (folder / "plugin.py").write_text(PLUGIN)
    return folder / "plugin.py", folder / "space.py", folder / "acc.csv"


@contextmanager
def forgotten() -> Iterator[None]:
    """Forget afterwards what plugins registered inside: other tests count what there is."""
    registries = (plugins._loaded, BENCHMARKS, PROXIES._proxies, PROXIES._modules)
    before = [dict(registry) for registry in registries]
    try:
        yield
    finally:
        for registry, kept in zip(registries, before, strict=True):
            registry.clear()
            registry.update(kept)
        for module in [name for name in sys.modules if name.startswith("greenmachine_plugin_")]:
            del sys.modules[module]
