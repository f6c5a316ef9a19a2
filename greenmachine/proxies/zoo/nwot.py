"""NASWOT: how well the binary codes of the ReLUs distinguish the images of a batch.

Mellor et al., "Neural architecture search without training", ICML 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import ExpressionProxy, FunctionProxy
from greenmachine.proxies.zoo.rectifiers import ReluInputs
from greenmachine.signals.capture import fresh_copy

__all__ = ["PROXIES", "log_det_agreement"]


class _Codes(ReluInputs):
    """Counts, for each pair of images, the ReLU units on whose sign they agree."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(batch, batch, dtype=torch.float64)
        self.units = 0
        self.unclear: list[int] = []  # ReLUs whose shape does not show which axis is the batch
        self.shapes: list[tuple[int, ...]] = []

    def rectified(self, given: Tensor) -> None:
        batch = len(self.kernel)
        if len(given) != batch:
            raise ValueError(f"a ReLU has {len(given)} rows for {batch} images")
        if given.dim() == 3 and given.shape[1] == batch:
            self.unclear.append(len(self.shapes))
        self.shapes.append(tuple(given.shape))
        code = (given > 0).flatten(1).double()
        self.kernel += (code @ code.T + (1 - code) @ (1 - code).T).cpu()
        self.units += code.shape[1]


class _Shapes(ReluInputs):
    """Keeps the shapes of the inputs of ReLUs."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def rectified(self, given: Tensor) -> None:
        self.shapes.append(tuple(given.shape))


def log_det_agreement(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return log|det K|, K = Σ c·cᵀ + (1-c)·(1-c)ᵀ over the ReLUs with binary codes c (B, units).

    It warns if the network has activations other than rectifiers.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: not read.
        seed: seed of randomness inside the network (dropout).

    Returns:
        The score; minus infinity if K is singular, as it is if two images have equal codes.

    Raises:
        ValueError: no rectifier ran, or the first dimension of one is not the batch.
    """
    codes = _Codes(len(images))
    with untouched(model, seed), torch.no_grad():
        with codes:
            model(fresh_copy(images))
        if codes.unclear:  # running one more image shows which dimension is the batch
            with _Shapes() as more:
                model(fresh_copy(torch.cat([images, images[:1]])))
            if any(more.shapes[place][0] == len(images) for place in codes.unclear):
                raise ValueError("the first dimension of a ReLU's input is not the batch")
    if not codes.units:
        raise ValueError("no ReLU, ReLU6, LeakyReLU or PReLU ran: nwot needs at least one")
    codes.warn("nwot")
    # Counts are exact in float64, but elimination of two equal rows may give a rounding error.
    if (codes.kernel.triu(1) == codes.units).any():
        return -torch.inf
    return float(torch.linalg.slogdet(codes.kernel).logabsdet)


PROXIES = (
    FunctionProxy(
        name="nwot",
        function=log_det_agreement,
        passes=("data",),
        reference="Mellor et al., ICML 2021",
        description="log|det K|, where K counts, for each pair of images, the units of all ReLUs "
        "that are positive for both or for neither.",
        notes="One forward pass in train mode; no labels. ReLU, ReLU6, LeakyReLU, PReLU and RReLU "
        "count each time they run, as modules or as functions, even if their result does not reach "
        "the output. A network without any of them fails. If it has other activations too (GELU, "
        "SiLU, ...), the score covers only the rectifiers, and a warning says so. Rectification by "
        "other code (a maximum with 0, a product with a sign) is not detected. The score is minus "
        "infinity, which counts as failed, if two images have the same code at every ReLU.",
    ),
    ExpressionProxy(
        name="nwot_inputs",
        expression="logdet(sum_matrices(sign_agreement(noise_input)))",
        reference="Mellor et al., ICML 2021, at the layer inputs",
        description="log|det K|, where K counts, for each pair of images, the inputs of "
        "convolutions and linear layers that are positive for both or for neither.",
        notes="The paper counts the outputs of ReLUs on images of the data set; here the images "
        "are N(0, 1). If a ReLU precedes a convolution (as in every cell of NATS-Bench), its code "
        "is the sign of that convolution's input. But a ReLU that two layers read counts twice, a "
        "ReLU that no layer reads directly (before the global pool) does not count, and inputs "
        "that do not come from a ReLU (the image, pooled shortcuts) count too. Eigenvalues are "
        "raised to at least 1e-6 of the largest.",
    ),
)
