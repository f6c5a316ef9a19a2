"""Train one architecture from several seeds at once.

Networks this small are all overhead: eight of them as one network, whose convolutions have
eight groups, train about three times as fast as one after the other. The seeds share nothing
but the clock: each has its own weights, its own order of images and its own batch statistics,
and its gradient does not depend on the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from greenmachine.networks.blocks import Cell

__all__ = ["Images", "Recipe", "fuse", "train"]


@dataclass(frozen=True)
class Images:
    """Normalised images (n, 3, S, S) float32 and labels (n,)."""

    pixels: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum, warm-up, then half a cosine.

    ``seeds`` of them in all, ``together`` at a time.
    """

    seeds: int = 8
    together: int = 8
    steps: int = 448
    batch: int = 32
    learning_rate: float = 0.1
    warmup: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    @property
    def groups(self) -> list[range]:
        """The seeds that are trained together."""
        starts = range(0, self.seeds, self.together)
        return [range(first, min(first + self.together, self.seeds)) for first in starts]


class _Linears(nn.Module):
    """One linear layer a seed: (B, seeds·features) to logits (B, seeds, classes)."""

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([linear.weight.detach() for linear in linears]))
        self.bias = nn.Parameter(torch.stack([linear.bias.detach() for linear in linears]))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each seed's layer to its own features."""
        features = x.view(len(x), len(self.weight), -1)
        return torch.einsum("bsi,soi->bso", features, self.weight) + self.bias


def fuse(networks: Sequence[nn.Module]) -> nn.Module:
    """Return one network that does what ``networks``, alike but for their weights, do.

    It maps images (B, seeds·3, S, S), one after the other along the channels, to logits
    (B, seeds, classes). The first of ``networks`` is used up.

    Raises:
        TypeError: a layer with parameters is no convolution, batch norm or linear layer.
    """
    first, seeds = networks[0], len(networks)
    if isinstance(first, nn.Linear):
        return _Linears([network for network in networks if isinstance(network, nn.Linear)])
    if isinstance(first, nn.Conv2d):
        fused = nn.Conv2d(
            first.in_channels * seeds,
            first.out_channels * seeds,
            first.kernel_size,
            first.stride,
            first.padding,
            groups=seeds,
            bias=False,
        )
        fused.weight.data = torch.cat([network.weight.detach() for network in networks])
        return fused
    if isinstance(first, nn.BatchNorm2d):
        return nn.BatchNorm2d(first.num_features * seeds)
    if next(first.parameters(recurse=False), None) is not None:
        raise TypeError(f"cannot fuse {type(first).__name__}")
    for name, _ in list(first.named_children()):
        setattr(first, name, fuse([network.get_submodule(name) for network in networks]))
    if isinstance(first, Cell):
        first.outputs *= seeds
    return first


def train(
    build: Callable[[], nn.Module],
    images: Images,
    test: Images,
    recipe: Recipe,
    seeds: Sequence[int],
) -> tuple[list[float], list[float]]:
    """Return test accuracy in percent and mean test cross-entropy of every one of ``seeds``.

    Args:
        build: returns an untrained network, drawn from torch's global generator.
        images: for training, drawn with replacement.
        test: every seed is tested on all of them.
        recipe: steps, learning rate and the rest.
        seeds: of the weights; the first one also of the order of the images.
    """
    networks = []
    for seed in seeds:
        torch.manual_seed(seed)
        networks.append(build())
    network = fuse(networks).to(memory_format=torch.channels_last)
    parameters = list(network.parameters())
    optimiser = torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )
    order = torch.Generator().manual_seed(seeds[0])
    size = images.pixels.shape[-1]
    for step in range(recipe.steps):
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * _schedule(step, recipe)
        chosen = torch.randint(len(images.pixels), (recipe.batch, len(seeds)), generator=order)
        pixels = images.pixels[chosen].reshape(recipe.batch, -1, size, size)
        logits = network(pixels.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits.flatten(0, 1), images.labels[chosen].flatten())
        optimiser.zero_grad()
        (len(seeds) * loss).backward()  # the sum over seeds of each one's mean
        optimiser.step()
    return _test(network, test, len(seeds))


def _schedule(step: int, recipe: Recipe) -> float:
    warm = (step + 1) / (recipe.warmup * recipe.steps)
    return min(1.0, warm) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))


@torch.no_grad()
def _test(network: nn.Module, test: Images, seeds: int) -> tuple[list[float], list[float]]:
    network.eval()
    correct, loss = torch.zeros(seeds), torch.zeros(seeds)
    for pixels, labels in zip(test.pixels.split(256), test.labels.split(256), strict=True):
        repeated = pixels.repeat(1, seeds, 1, 1).contiguous(memory_format=torch.channels_last)
        logits = network(repeated)
        correct += (logits.argmax(-1) == labels[:, None]).sum(0)
        target = labels[:, None].expand(-1, seeds)
        loss += functional.cross_entropy(logits.transpose(1, 2), target, reduction="none").sum(0)
    count = len(test.labels)
    return (100 * correct / count).tolist(), (loss / count).tolist()
