"""Naswot: can the rectifiers tell the images apart?

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
    """Counts for each two images the units on whose sign they agree."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(batch, batch, dtype=torch.float64)
        self.units = 0
        self.unclear: list[int] = []  # rectifiers whose shape does not tell where the images are
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
    """Keeps the shapes of the inputs of rectifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def rectified(self, given: Tensor) -> None:
        self.shapes.append(tuple(given.shape))


def log_det_agreement(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return log|det K|, K = sum over the ReLUs of c·cᵀ + (1-c)·(1-c)ᵀ, c the codes (B, units).

    Warns where activations fire that are no rectifiers.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: not read.
        seed: of randomness inside the network (dropout).

    Returns:
        The score; minus infinity where K is singular, as it is for two images with one code.

    Raises:
        ValueError: no rectifier fired, or one whose first dimension is not that of the images.
    """
    codes = _Codes(len(images))
    with untouched(model, seed), torch.no_grad():
        with codes:
            model(fresh_copy(images))
        if codes.unclear:  # one more image shows which dimension is that of the images
            with _Shapes() as more:
                model(fresh_copy(torch.cat([images, images[:1]])))
            if any(more.shapes[place][0] == len(images) for place in codes.unclear):
                raise ValueError("the first dimension of a ReLU is not that of the images")
    if not codes.units:
        raise ValueError("no ReLU fired (or ReLU6, LeakyReLU, PReLU): nwot reads nothing else")
    codes.warn("nwot")
    # Counts are exact in float64. Of two equal rows elimination leaves rounding, not always 0.
    if (codes.kernel.triu(1) == codes.units).any():
        return -torch.inf
    return float(torch.linalg.slogdet(codes.kernel).logabsdet)


PROXIES = (
    FunctionProxy(
        name="nwot",
        function=log_det_agreement,
        passes=("data",),
        reference="Mellor et al., ICML 2021",
        words="log|det K|, where K counts for each two images the units of all ReLUs that are "
        "positive for both or for neither.",
        notes="One forward pass in train mode; no labels. ReLU, ReLU6, LeakyReLU, PReLU and RReLU "
        "count each time they fire, as modules or as functions, also where their result reaches "
        "no output. A network without one fails; where other activations fire too (GELU, SiLU, "
        "...) the score covers the rectifiers alone and warns. What a network computes "
        "otherwise (a maximum with 0, a product with a sign) is not seen. Minus infinity, which "
        "counts as failed, where two images have the same code at every ReLU.",
    ),
    ExpressionProxy(
        name="nwot_inputs",
        expression="logdet(sum_matrices(sign_agreement(noise_input)))",
        reference="Mellor et al., ICML 2021, at the layer inputs",
        words="log|det K|, where K counts for each two images the inputs of convolutions and "
        "linear layers that are positive for both or for neither.",
        notes="The paper counts the outputs of ReLUs, on images of the data set; here the images "
        "are N(0, 1). Where a ReLU stands before a convolution (every cell of NATS-Bench) its "
        "code is the sign of that convolution's input; but a ReLU that two layers read counts "
        "twice, one that no layer reads directly (before the global pool) does not count, and "
        "inputs that no ReLU made (the image, pooled shortcuts) count too. Eigenvalues are "
        "floored at 1e-6 of the largest.",
    ),
)
