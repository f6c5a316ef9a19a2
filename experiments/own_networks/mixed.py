"""MLPs, convolutional networks and small vision transformers for 8×8 grey images.

| architecture | parts of its name |
|---|---|
| ``mlp-64-32-relu`` | widths of the hidden layers; an activation: ``relu gelu tanh sigmoid`` |
| ``cnn-8-16-gn-res`` | widths of the stages; any of the options ``bn gn res dense dw grouped`` |
| ``vit-16-2-4`` | width of the tokens, number of blocks, number of heads; patches are 2×2 |

This file defines a benchmark: ``build`` makes the network of an architecture, and ``mixed.csv``
has the accuracies, which ``train.py`` measured.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

INPUT_SHAPE = (1, 8, 8)
NUM_CLASSES = 10

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def build(arch: str) -> nn.Module:
    """Return the untrained network of ``arch``. Torch's generator draws its weights.

    Raises:
        ValueError: the name of the architecture has an unknown part.
    """
    family, *words = arch.split("-")
    numbers = [int(word) for word in words if word.isdigit()]
    flags = [word for word in words if not word.isdigit()]
    if family == "mlp":
        return mlp(numbers, *flags)
    if family == "cnn":
        return CNN(numbers, flags)
    if family == "vit":
        return ViT(*numbers)
    raise ValueError(f"there is no family {family!r}: use mlp, cnn or vit")


def images() -> tuple[np.ndarray, np.ndarray]:
    """Return 100 training images, (100, 1, 8, 8) float32, and labels, (100,), for ``data``."""
    with np.load(Path(__file__).with_name("digits.npz")) as arrays:
        return arrays["images"].astype(np.float32), arrays["labels"]


def mlp(widths: list[int], activation: str) -> nn.Module:
    """Return a multilayer perceptron that reads the flattened image."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in zip([64, *widths], widths, strict=False):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], NUM_CLASSES))


def conv(inputs: int, outputs: int, flags: list[str]) -> nn.Module:
    """Return a 3×3 convolution, its normalisation and ReLU."""
    layers: list[nn.Module]
    if "dw" in flags and inputs > 1:
        layers = [
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1),
        ]
    else:
        groups = 4 if "grouped" in flags and inputs > 1 else 1
        layers = [nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)]
    if "bn" in flags:
        layers.append(nn.BatchNorm2d(outputs))
    elif "gn" in flags:
        layers.append(nn.GroupNorm(4, outputs))
    return nn.Sequential(*layers, nn.ReLU())


class CNN(nn.Module):
    """A convolutional network with one convolution per stage.

    With ``res`` or ``dense`` a stage has a second convolution, whose output is added to its input
    or concatenated with it. Pooling halves the feature maps after each of the first two stages.
    """

    def __init__(self, widths: list[int], flags: list[str]) -> None:
        super().__init__()
        unknown = set(flags) - {"bn", "gn", "res", "dense", "dw", "grouped"}
        if unknown:
            raise ValueError(f"a cnn has no option {', '.join(sorted(unknown))}")
        self.first, self.second = nn.ModuleList(), nn.ModuleList()
        self.dense = "dense" in flags
        channels = 1
        for width in widths:
            self.first.append(conv(channels, width, flags))
            twice = self.dense or "res" in flags
            self.second.append(conv(width, width, flags) if twice else nn.Identity())
            channels = 2 * width if self.dense else width
        self.residual = "res" in flags
        self.head = nn.Linear(channels, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, 10) of images (B, 1, 8, 8)."""
        for stage, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            x = first(x)
            if self.dense:
                x = torch.cat([x, second(x)], dim=1)
            elif self.residual:
                x = x + second(x)
            if stage < 2:
                x = nn.functional.max_pool2d(x, 2)
        return self.head(x.mean(dim=(2, 3)))


class Attention(nn.Module):
    """Self-attention built from linear layers.

    ``nn.MultiheadAttention`` would call functions instead of layers, so no signals would be
    recorded.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens after attention, (B, T, width)."""
        parts = self.project(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*parts)
        return self.merge(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A transformer block: attention and a perceptron, each with a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape, (B, T, width)."""
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class ViT(nn.Module):
    """A vision transformer on 16 patches of 2×2 pixels; it classifies the mean of the tokens."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.places = nn.Parameter(torch.randn(16, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, 10) of images (B, 1, 8, 8)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))
