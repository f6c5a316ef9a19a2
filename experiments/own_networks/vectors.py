"""Perceptrons on vectors of 64 numbers: ``tanh-16x3-ln`` has three hidden layers of 16.

Words after the size: ``ln`` (layer normalisation after every hidden linear layer) or nothing.
This file is a space for GreenMachine, as ``mixed.py``; the accuracies are in ``vectors.csv``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

INPUT_SHAPE = (64,)
NUM_CLASSES = 10

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def build(arch: str) -> nn.Module:
    """Return the untrained network of ``arch``; its weights come from torch's generator."""
    activation, size, *words = arch.split("-")
    width, depth = (int(number) for number in size.split("x"))
    if words not in ([], ["ln"]):
        raise ValueError(f"no word {'-'.join(words)}: use ln or nothing")
    layers: list[nn.Module] = []
    for place in range(depth):
        layers.append(nn.Linear(width if place else 64, width))
        if words:
            layers.append(nn.LayerNorm(width))
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers, nn.Linear(width, NUM_CLASSES))


def images() -> tuple[np.ndarray, np.ndarray]:
    """Return 100 training vectors, (100, 64) float32, and their labels, for the data pass."""
    with np.load(Path(__file__).with_name("digits.npz")) as arrays:
        return arrays["images"].reshape(-1, 64).astype(np.float32), arrays["labels"]
