"""Naswot: can the rectifiers tell the images apart?

Mellor et al., "Neural architecture search without training", ICML 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.proxies.base import ExpressionProxy, FunctionProxy
from greenmachine.signals.capture import fresh_copy, untouched

__all__ = ["PROXIES", "log_det_agreement"]


def log_det_agreement(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return log|det K|, K = sum over the ReLUs of c·cᵀ + (1-c)·(1-c)ᵀ, c the codes (B, units).

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: not read.
        seed: of randomness inside the network (dropout).

    Returns:
        The score; minus infinity where K is singular, as it is for two images with one code.

    Raises:
        ValueError: no ``nn.ReLU`` module fired, or one whose first dimension is not the batch.
    """
    batch = len(images)
    kernel = torch.zeros(batch, batch, dtype=torch.float64)
    units = 0

    def hook(module: nn.Module, args: object, output: Tensor) -> None:
        nonlocal units
        if len(output) != batch:
            raise ValueError(f"a ReLU has {len(output)} rows for {batch} images")
        # Positive exactly where the input was, which a ReLU that works in place has overwritten.
        code = (output.detach() > 0).flatten(1).double()
        kernel.add_((code @ code.T + (1 - code) @ (1 - code).T).cpu())
        units += code.shape[1]

    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    handles = [relu.register_forward_hook(hook) for relu in relus]
    try:
        with untouched(model, seed), torch.no_grad():
            model(fresh_copy(images))
    finally:
        for handle in handles:
            handle.remove()
    if not units:
        raise ValueError("no nn.ReLU module fired: nwot reads nothing else")
    # Counts are exact in float64. Of two equal rows elimination leaves rounding, not always 0.
    if (kernel.triu(1) == units).any():
        return -torch.inf
    return float(torch.linalg.slogdet(kernel).logabsdet)


PROXIES = (
    FunctionProxy(
        name="nwot",
        function=log_det_agreement,
        passes=("data",),
        reference="Mellor et al., ICML 2021",
        words="log|det K|, where K counts for each two images the units of all ReLUs that are "
        "positive for both or for neither.",
        notes="One forward pass in train mode; no labels. Every nn.ReLU module counts each time "
        "it fires, also where its result reaches no output; ReLUs that are no module are not "
        "seen, and a network without one fails. Minus infinity, which counts as failed, where "
        "two images have the same code at every ReLU.",
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
