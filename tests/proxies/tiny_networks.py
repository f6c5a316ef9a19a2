"""Small networks and images, for both sides of a comparison; needs torch alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHAPE = (4, 3, 8, 8)


class Branches(nn.Module):
    """Normalisation, groups, a stride, a layer that fires twice, a dead end, dropout, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.twice = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.dead = nn.Conv2d(6, 4, 1)
        self.down = nn.Sequential(
            nn.ReLU(), nn.Conv2d(6, 10, 3, stride=2, bias=False), nn.BatchNorm2d(10)
        )
        self.head = nn.Sequential(
            nn.ReLU(inplace=True), nn.Dropout(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.linear = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.twice(torch.relu(x)) + x
        self.dead(x)
        x = self.twice(torch.tanh(x)) + x
        result: Tensor = self.linear(self.head(self.down(x)))
        return result


def plain() -> nn.Module:
    """Convolutions and ReLUs in a row, no normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(5, 7, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(63, 5),
    )


def network(kind: str, seed: int = 0) -> nn.Module:
    """Return a network; ``branches-double`` is in float64."""
    torch.manual_seed(seed)
    if kind == "plain":
        return plain()
    return Branches().double() if kind == "branches-double" else Branches()


def batch(seed: int = 7) -> tuple[Tensor, Tensor]:
    """Return labelled images."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(SHAPE, generator=generator)
    return images, torch.randint(5, (SHAPE[0],), generator=generator)
