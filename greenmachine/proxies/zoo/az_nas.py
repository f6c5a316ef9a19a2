"""AZ-NAS: expressivity, progressivity, trainability and complexity, combined by their ranks.

Lee and Ham, "AZ-NAS: assembling zero-cost proxies for network architecture search", CVPR 2024.

Expressivity, progressivity and trainability are proxies here; complexity is the proxy ``flops``.
:func:`az_nas` combines the four. It is defined on a sample of networks, not on a single network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from greenmachine.networks.layers import WEIGHTED, gradients_expected
from greenmachine.networks.untouched import untouched
from greenmachine.proxies.rank_sums import log_rank_sum
from greenmachine.proxies.types import FunctionProxy
from greenmachine.signals.capture import fresh_copy

__all__ = ["COMPONENTS", "PROXIES", "az_nas", "expressivity", "progressivity", "trainability"]

COMPONENTS = ("az_expressivity", "az_progressivity", "az_trainability", "flops")
"""Proxies whose ranks among the scored networks make AZ-NAS."""

_PLUMBING = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_EPSILON = 1e-6  # the authors' value; it keeps 1/sigma finite where there is no gradient


def az_nas(components: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return the sum over the components of log(rank / networks), a score for every network.

    Args:
        components: the scores of each proxy by name, (networks,), higher is better; in the paper
            ``az_expressivity``, ``az_progressivity``, ``az_trainability`` and ``flops``. A score
            that is not finite ranks below all others.

    Returns:
        (networks,), at most 0, higher is better. Ties share the mean of their ranks, as in the
        authors' code. The values depend on the sample: those of two samples cannot be compared.

    Raises:
        ValueError: there is no component, or they are not vectors of one length.
    """
    return log_rank_sum(components)


def expressivity(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the sum over blocks of the entropy of their features' principal components.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: not read.
        seed: seed of randomness inside the network (dropout).

    Returns:
        The score; NaN where a block gives the same features everywhere.

    Raises:
        ValueError: fewer than two blocks give maps.
    """
    return float(sum(_entropies(model, images, seed)))


def progressivity(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the smallest increase of that entropy between two blocks; see :func:`expressivity`."""
    return float(np.diff(_entropies(model, images, seed)).min())


def trainability(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the mean over successive blocks of 2 - sigma - 1/sigma.

    sigma is the largest singular value of an estimate of the Jacobian between two blocks. Random
    signs g at the output of the later block are backpropagated to the earlier one, which gives g';
    the estimate is the mean over images and positions of g'·gᵀ.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: not read.
        seed: seed of the signs, drawn on the CPU for every device, and of dropout.

    Returns:
        The score, at most 0; minus infinity if a block returns its input unchanged.

    Raises:
        ValueError: fewer than two blocks give maps, or a map is larger than the one before.
    """
    # Not `seed` itself: noise images of that seed are made of the same random numbers.
    generator = torch.Generator("cpu").manual_seed(seed + 1)
    values = []
    with untouched(model, seed):
        maps = _block_maps(model, images.detach().requires_grad_(images.is_floating_point()))
        for before, after in zip(maps[-2::-1], maps[:0:-1], strict=True):
            signs = torch.randint(2, after.shape, generator=generator).to(after) * 2 - 1
            back = None
            if after.requires_grad and before.requires_grad:
                # Passing the signs as grad_outputs would be equal, but make torch import sympy,
                # which takes a second.
                (back,) = torch.autograd.grad((after * signs).sum(), before, allow_unused=True)
            values.append(_balance(torch.zeros_like(before) if back is None else back, signs))
    return float(np.mean(values))


def _entropies(model: nn.Module, images: Tensor, seed: int) -> list[float]:
    with untouched(model, seed), torch.no_grad():
        return [_entropy(maps) for maps in _block_maps(model, images)]


def _entropy(maps: Tensor) -> float:
    """Return the entropy of the normalised eigenvalues of the channels' covariance, or NaN."""
    if not maps.isfinite().all():
        return math.nan
    rows = maps.transpose(0, 1).flatten(1).double()
    covariance = torch.cov(rows, correction=0).reshape(len(rows), -1).cpu()
    values = torch.linalg.eigvalsh(covariance).clamp_min(0)
    return float(torch.special.entr(values / values.sum()).sum())


def _balance(back: Tensor, signs: Tensor) -> float:
    """Return 2 - sigma - 1/sigma of what came back, (B, C, H, W), for signs (B, C', H', W')."""
    if torch.equal(back, signs):
        return -torch.inf
    height, width = signs.shape[2:]
    given, came = (
        maps.double().transpose(0, 1).flatten(1) for maps in (signs, _aligned(back, height, width))
    )
    jacobian = came @ given.T / given.shape[1]
    sigma = float(torch.linalg.svdvals(jacobian.cpu())[0])
    return 2 - sigma - 1 / (sigma + _EPSILON)


def _aligned(maps: Tensor, height: int, width: int) -> Tensor:
    """Return (B, C·s·t, height, width): every s×t positions of (B, C, H, W) become channels.

    Where H is no multiple of height the border is cut off, likewise for W.

    Raises:
        ValueError: H < height or W < width.
    """
    tall, wide = maps.shape[2] // height, maps.shape[3] // width
    if not tall or not wide:
        raise ValueError(
            "az_trainability is not defined for a network whose maps grow from block to block"
        )
    top, left = (maps.shape[2] - tall * height) // 2, (maps.shape[3] - wide * width) // 2
    inner = maps[:, :, top : top + tall * height, left : left + wide * width]
    split = inner.reshape(*inner.shape[:2], height, tall, width, wide)
    return split.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def _block_maps(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Run the network; return the maps (B, C, H, W) of its blocks in execution order.

    Raises:
        ValueError: there are fewer than two.
    """
    seen: list[tuple[nn.Module, Tensor]] = []

    def hook(module: nn.Module, args: object, output: object) -> Tensor | None:
        if not isinstance(output, Tensor) or output.dim() != 4 or len(output) != len(images):
            return None
        turned = _channels_last(output, given)
        maps = output.permute(0, 3, 1, 2) if turned else output
        if maps.shape[2:].numel() == 1:
            return None
        seen.append((module, maps))
        # The network continues with a copy, because it may change its tensors in place.
        return maps.permute(0, 2, 3, 1).clone() if turned else maps.clone()

    given: list[tuple[nn.Module, tuple[int, ...]]] = []  # the last layer that fired, its shape

    def layer_hook(module: nn.Module, args: object, output: Tensor) -> None:
        given[:] = [(module, tuple(output.shape))]

    handles = [
        module.register_forward_hook(layer_hook)
        for module in model.modules()
        if isinstance(module, (*WEIGHTED, nn.LayerNorm))
    ]
    handles += [block.register_forward_hook(hook) for block in blocks_of(model)]
    try:
        with gradients_expected(model):
            model(fresh_copy(images))
    finally:
        for handle in handles:
            handle.remove()
    composite = [maps for module, maps in seen if _has_children(module)]
    found = composite if len(composite) > 1 else [maps for _, maps in seen]
    if len(found) < 2:
        raise ValueError(
            f"az_nas compares successive blocks: this network has {len(found)} blocks that return "
            "feature maps, and needs two or more"
        )
    return found


def _channels_last(maps: Tensor, given: list[tuple[nn.Module, tuple[int, ...]]]) -> bool:
    """Return whether a block's maps are (B, H, W, C), the layout of linear layers, as in Swin."""
    if not given or not isinstance(given[0][0], nn.Linear | nn.LayerNorm):
        return False
    last = given[0][1]
    if tuple(maps.shape) != last:
        return False
    # There are as many channels as rows and columns; transposed maps would not be contiguous.
    return maps.is_contiguous() or last != (last[0], last[3], last[1], last[2])


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return the modules that count as blocks: children, with plain containers opened."""
    blocks = list(dict.fromkeys(_opened(model)))
    return blocks_of(blocks[0]) if len(blocks) == 1 else blocks


def _opened(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        fires = isinstance(child, nn.Sequential)  # lists and dictionaries of modules do not
        nested = any(map(_has_children, child.children()))
        if type(child) in _PLUMBING and (nested or not fires):
            yield from _opened(child)
        else:
            yield child


def _has_children(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


_REFERENCE = "Lee and Ham, CVPR 2024"
_BLOCKS = (
    "N(0, 1) images, train mode, the network's own weights (the authors draw Kaiming-normal ones). "
    "What counts as a block is this project's choice: the children of the network, where a plain "
    "Sequential of blocks, a list of modules and an only child are replaced by their children. A "
    "block counts each time it runs if its output is a feature map (B, C, H, W), or (B, H, W, C) "
    "after a linear layer, with several positions. Single layers count only if there are fewer "
    "than two other blocks. In both spaces of NATS-Bench the blocks are the stem, every cell and "
    "every residual block. "
)
_JOIN = (
    "AZ-NAS is greenmachine.proxies.zoo.az_nas.az_nas of the scores of a sample by "
    "az_expressivity, az_progressivity, az_trainability and flops."
)

PROXIES = (
    FunctionProxy(
        name="az_expressivity",
        function=expressivity,
        passes=("noise",),
        reference=_REFERENCE,
        description="Sum over blocks of the entropy of the eigenvalues, normalised to sum 1, of "
        "the covariance of the output's channels over all positions of all images.",
        notes=f"{_BLOCKS}NaN, which counts as failed, if the output of a block is constant, as "
        f"that of a cell without a path is. {_JOIN}",
    ),
    FunctionProxy(
        name="az_progressivity",
        function=progressivity,
        passes=("noise",),
        reference=_REFERENCE,
        description="Smallest increase of the entropy of az_expressivity from a block to the next.",
        notes=f"{_BLOCKS}NaN if the output of a block is constant. {_JOIN}",
    ),
    FunctionProxy(
        name="az_trainability",
        function=trainability,
        passes=("noise",),
        reference=_REFERENCE,
        description="Mean over successive blocks of 2 - sigma - 1/sigma, where sigma is the "
        "largest singular value of the mean over images and positions of g' g^T, g are random "
        "signs at the later block and g' their gradient at the earlier one.",
        notes=f"{_BLOCKS}If a map shrinks by a factor s, s×s positions of the earlier one count as "
        "channels; a border that s does not divide is cut off. 1e-6 is added to sigma in 1/sigma. "
        "Minus infinity, which counts as failed, if a block returns its input unchanged, as in "
        f"the authors' code. {_JOIN}",
    ),
)
