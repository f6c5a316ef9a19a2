"""Small networks, each with one thing that capturing must survive. Images are (B, 3, 8, 8)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


class Base(nn.Module):
    """Convolution, `middle`, global average pool, linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.middle: nn.Module = nn.ReLU()
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.middle(self.stem(x)).mean(dim=(2, 3)))


class Plain(Base):
    """Nothing special."""


class InPlace(Base):
    """In-place activations on the input, after a convolution, and after a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Any:
        return super().forward(x.mul_(2.0))


class Grouped(Base):
    """Grouped and depthwise convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(
            nn.Conv2d(6, 6, 3, groups=3), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6)
        )


class Shared(Base):
    """One module that fires twice."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.middle(self.stem(x)).tanh()
        return self.head(self.middle(x).mean(dim=(2, 3)))


class Dead(Base):
    """A branch whose output nobody reads, and a layer that never fires."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = nn.Conv2d(6, 2, 1)
        self.never = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        self.unread(x)
        return self.head(self.middle(x).mean(dim=(2, 3)))


class Zeros(Base):
    """A convolution that receives zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Conv2d(6, 6, 3, bias=False)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        return self.head((x[:, :, 1:-1, 1:-1] + self.middle(torch.zeros_like(x))).mean(dim=(2, 3)))


class Tokens(Base):
    """Linear layers on tokens (B, T, C), with layer norms."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.middle = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Any:
        tokens = self.stem(x).flatten(2).mT
        return self.head(self.norm(self.middle(tokens)).mean(dim=1))


class Frozen(Base):
    """Parameters that are not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.stem.requires_grad_(False)
        self.head.bias.requires_grad_(False)


class Dropping(Base):
    """Dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(6, 6, 3))


class Evaluating(Base):
    """In evaluation mode, but for one module."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6))
        self.eval()
        self.middle[0].train()


class GroupNormed(Base):
    """Group normalisation after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Sequential(nn.GroupNorm(2, 6), nn.ReLU())


class VectorNormed(Base):
    """Batch norm of vectors, which refuses one image in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Any:
        return self.norm(super().forward(x)).tanh()


class WeightNormed(Base):
    """A parametrised weight."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = weight_norm(nn.Conv2d(6, 6, 3))


class SpectralNormed(Base):
    """A parametrised weight whose buffers move whenever it is read in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = spectral_norm(nn.Conv2d(6, 6, 3))


class Buffered(Base):
    """A buffer that is changed in place and one that is replaced."""

    inside: Tensor
    replaced: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("inside", torch.zeros(1))
        self.register_buffer("replaced", torch.zeros(1))

    def forward(self, x: Tensor) -> Any:
        self.inside += x.detach().mean()
        self.replaced = self.replaced + 1
        return super().forward(x)


class Logits(Base):
    """Returns an object with ``.logits``, as Hugging Face models do."""

    def forward(self, x: Tensor) -> Any:
        return SimpleNamespace(logits=super().forward(x))


NETWORKS: tuple[type[Base], ...] = (
    Plain,
    InPlace,
    Grouped,
    Shared,
    Dead,
    Zeros,
    Tokens,
    Frozen,
    Dropping,
    Evaluating,
    GroupNormed,
    VectorNormed,
    WeightNormed,
    SpectralNormed,
    Buffered,
    Logits,
)


class Raising(Buffered):
    """Raises after its first layer fired."""

    def forward(self, x: Tensor) -> Any:
        super().forward(x)
        raise RuntimeError("on purpose")


class Transposed(Base):
    """A transposed convolution: weights that are neither Conv2d nor Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.ConvTranspose2d(6, 6, 3)


class Folded(Base):
    """A linear layer that sees patches of all images in its first dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Any:
        rows = self.stem(x).permute(0, 2, 3, 1).flatten(0, 2)
        return self.head(self.middle(rows).reshape(len(x), -1, 6).mean(dim=1))


def make(network: type[Base]) -> Base:
    """Return a network whose weights depend on nothing but its class."""
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        return network()
