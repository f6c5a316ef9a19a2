"""Multilayer perceptrons on vectors of 64 numbers.

``tanh-16x3-ln`` has three hidden layers of 16 units with tanh. The last part is optional: ``ln``
adds layer normalisation after the linear layer of every hidden layer.

Like ``mixed.py``, this file defines a benchmark; the accuracies are in ``vectors.csv``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

INPUT_SHAPE = (64,)
NUM_CLASSES = 10

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def build(arch: str) -> nn.Module:
    """Return the untrained network of ``arch``. Torch's generator draws its weights.

    Raises:
        ValueError: the name of the architecture has an unknown part.
    """
    activation, size, *words = arch.split("-")
    width, depth = (int(number) for number in size.split("x"))
    if words not in ([], ["ln"]):
        raise ValueError(f"there is no option {'-'.join(words)}: use ln or nothing")
    layers: list[nn.Module] = []
    for place in range(depth):
        layers.append(nn.Linear(width if place else 64, width))
        if words:
            layers.append(nn.LayerNorm(width))
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers, nn.Linear(width, NUM_CLASSES))


def images() -> tuple[np.ndarray, np.ndarray]:
    """Return 100 training vectors, (100, 64) float32, and labels, (100,), for ``data``."""
    with np.load(Path(__file__).with_name("digits.npz")) as arrays:
        return arrays["images"].reshape(-1, 64).astype(np.float32), arrays["labels"]
