"""A user's space: what torch classifiers of convolutions and linear layers look like.

Images are (3, 8, 8). ``FAMILIES`` work; each of ``BROKEN`` fails in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

INPUT_SHAPE = (3, 8, 8)
NUM_CLASSES = 4


@dataclass
class Plan:
    """Dataclasses look up the module that defines them."""

    width: int = 6


WIDTH = Plan().width


def images() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.arange(12) % NUM_CLASSES
    return generator.normal(size=(12, *INPUT_SHAPE)), labels


class Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Tokens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mT


class Resize(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, self.size)


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


class Skip(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Dense(Skip):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.inner(x)], dim=1)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.project(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.merge(functional.scaled_dot_product_attention(*parts).mT.flatten(1, 2).mT)


class Torch(nn.Module):
    """torch's own attention: functional calls, so that only the linear layers around it fire."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


def cnn(*middle: nn.Module, width: int = WIDTH) -> nn.Module:
    stem = nn.Conv2d(3, WIDTH, 3, padding=1)
    return nn.Sequential(stem, *middle, Pool(), nn.Linear(width, NUM_CLASSES))


def vit(*middle: nn.Module) -> nn.Module:
    patches = [nn.Conv2d(3, WIDTH, 2, stride=2), Tokens()]
    return nn.Sequential(
        *patches, *middle, nn.LayerNorm(WIDTH), Mean(), nn.Linear(WIDTH, NUM_CLASSES)
    )


def conv(**options: object) -> nn.Module:
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=1, **options)


class Twins(nn.Module):
    """Returns two tensors, and nobody says which is the output."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


FAMILIES = {
    "plain": lambda: cnn(nn.ReLU(), conv(), nn.ReLU()),
    "grouped": lambda: cnn(nn.ReLU(), conv(groups=3), nn.GroupNorm(3, WIDTH), nn.ReLU()),
    "depthwise": lambda: cnn(conv(groups=WIDTH, bias=False), nn.BatchNorm2d(WIDTH), nn.SiLU()),
    "multiplied": lambda: cnn(nn.Conv2d(WIDTH, 12, 3, groups=WIDTH), nn.GELU(), width=12),
    "dilated": lambda: cnn(conv(dilation=2, stride=2), nn.InstanceNorm2d(WIDTH), nn.ReLU()),
    "wide-kernel": lambda: cnn(nn.Conv2d(WIDTH, WIDTH, (1, 5)), nn.ReLU()),
    "residual": lambda: cnn(Skip(nn.Sequential(nn.ReLU(), conv(), nn.BatchNorm2d(WIDTH)))),
    "dense": lambda: cnn(Dense(conv()), nn.ReLU(), width=2 * WIDTH),
    "larger": lambda: nn.Sequential(Resize(16), cnn(nn.ReLU(), conv())),
    "smaller": lambda: nn.Sequential(Resize(4), cnn(nn.ReLU(), conv())),
    "one-position": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), cnn(nn.Tanh(), conv())),
    "one-channel": lambda: cnn(nn.Conv2d(WIDTH, 1, 1), nn.ReLU(), nn.Conv2d(1, WIDTH, 1)),
    "mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(192, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, NUM_CLASSES)
    ),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, NUM_CLASSES)),
    "lazy": lambda: nn.Sequential(
        nn.LazyConv2d(5, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)
    ),
    "double": lambda: cnn(nn.ReLU(), conv(), nn.ReLU()).double(),
    "vit": lambda: vit(
        Skip(nn.Sequential(nn.LayerNorm(WIDTH), Attention(WIDTH, 2))),
        Skip(nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU())),
    ),
    "torch-attention": lambda: vit(Torch()),
    "dropout": lambda: cnn(nn.Dropout(0.3), conv(), nn.ReLU(inplace=True)),
}

BROKEN = {
    "raises": lambda: 1 / 0,
    "no-module": lambda: 3,
    "no-layer": lambda: nn.Sequential(nn.Flatten(), nn.ReLU()),
    "wrong-shape": lambda: nn.Conv2d(5, 2, 3),
    "no-tensor": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4), Twins()),
}

SAYS = {
    "raises": "ZeroDivisionError: division by zero",
    "no-module": "TypeError: build('no-module') returned int, not an nn.Module",
    "no-layer": "ValueError: no convolution or linear layer ran",
    "wrong-shape": "RuntimeError: Given groups=1, weight of size [2, 5, 3, 3]",
    "no-tensor": "ValueError: the network returned tuple with 0: (",
}


def build(arch: str) -> nn.Module:
    return (FAMILIES | BROKEN)[arch]()
