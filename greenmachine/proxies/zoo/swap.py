"""SWAP: the number of distinct sample-wise activation patterns of the ReLUs.

Peng et al., "SWAP-NAS: sample-wise activation patterns for ultra-fast NAS", ICLR 2024.

:func:`swap_regularised` favours networks near a given size: it combines the scores of a sample with
their numbers of parameters.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.rectifiers import ReluInputs
from greenmachine.signals.capture import fresh_copy

__all__ = ["PROXIES", "pattern_count", "swap_regularised"]


def swap_regularised(
    swap: ArrayLike,
    params: ArrayLike,
    *,
    mean: float | None = None,
    variance: float | None = None,
) -> NDArray[np.float64]:
    """Return swap * exp(-(params - mean)² / variance), a score for every network.

    Args:
        swap: (networks,), scores of the proxy ``swap``.
        params: (networks,), numbers of parameters, in the unit of ``mean``.
        mean: the favoured number of parameters. The authors set it for each space; the default,
            this project's choice, is the greatest of ``params`` among networks with both scores.
        variance: tolerance for the distance to ``mean``, in squared parameters; the default is the
            square of ``mean``, so that the unit of ``params`` does not matter.

    Returns:
        (networks,), higher is better; NaN if one of both scores is not finite. With the defaults it
        depends on the sample.

    Raises:
        ValueError: the two are not vectors of one length, or ``variance`` is not positive.
    """
    scores, sizes = np.asarray(swap, dtype=np.float64), np.asarray(params, dtype=np.float64)
    if scores.ndim != 1 or scores.shape != sizes.shape:
        raise ValueError(
            f"swap_regularised needs two vectors of one length, not {scores.shape}, {sizes.shape}"
        )
    scored = np.isfinite(scores) & np.isfinite(sizes)
    mean = float(sizes[scored].max(initial=0)) if mean is None else mean
    if variance is None:
        variance = mean**2 or 1.0  # without parameters all sizes are equal
    if not variance > 0:
        raise ValueError(f"variance is {variance}; give a positive number")
    weighted = np.full(scores.shape, np.nan)
    weighted[scored] = scores[scored] * np.exp(-((sizes[scored] - mean) ** 2) / variance)
    return weighted


def pattern_count(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the number of distinct activation patterns of the units of all ReLUs.

    A unit is one channel at one position. Its pattern is the set of images for which it is
    positive.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: not read.
        seed: seed of randomness inside the network (dropout).

    Returns:
        Between 1 and 2^B.

    Raises:
        ValueError: no rectifier read maps, or the first dimension of one is not the batch.
    """
    patterns = _Patterns(len(images))
    with untouched(model, seed), torch.no_grad(), patterns:
        model(fresh_copy(images))
    if not patterns.seen:
        raise ValueError("no ReLU read feature maps (B, C, H, W): swap needs at least one")
    patterns.warn("swap")
    return float(len(np.unique(np.concatenate(patterns.seen))))


class _Patterns(ReluInputs):
    """Keeps the distinct patterns of every rectifier that reads feature maps."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.seen: list[NDArray[np.void]] = []

    def rectified(self, given: Tensor) -> None:
        if given.dim() != 4:
            return
        if len(given) != self.batch:
            raise ValueError(f"a ReLU has {len(given)} rows for {self.batch} images")
        codes = (given > 0).flatten(1).T.cpu().numpy()
        # One row per unit, 8 images per byte.
        rows = np.ascontiguousarray(np.packbits(codes, axis=1))
        self.seen.append(np.unique(rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]))


PROXIES = (
    FunctionProxy(
        name="swap",
        function=pattern_count,
        passes=("data",),
        reference="Peng et al., ICLR 2024",
        description="Number of distinct patterns over the images of a batch among the units of all "
        "ReLUs; the pattern of a unit records for which images it is positive.",
        notes="One forward pass in train mode with the network's own weights (the authors' code "
        "draws N(0, 1) weights); no labels. Every ReLU that reads feature maps counts each time it "
        "runs, as a module or a function; other activations are not read, and give a warning. The "
        "score is at most 2 to the power of the number of images, so small batches saturate. The "
        "regularised form is greenmachine.proxies.zoo.swap.swap_regularised of a sample's swap "
        "and params.",
    ),
)
