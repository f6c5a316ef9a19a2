"""MeCo: the smallest eigenvalue of the correlation matrix of the channels.

Jiang et al., "MeCo: zero-shot NAS with one data and single forward pass via minimum eigenvalue
of correlation", NeurIPS 2023.

The paper sums over layers, the authors' code over the outputs of all modules. This file has both
for one image, and variants in the language that read a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from greenmachine.networks.untouched import untouched
from greenmachine.primitives.matrices import channel_correlation
from greenmachine.proxies.types import ExpressionProxy, FunctionProxy
from greenmachine.signals.capture import fresh_copy, run_pass

__all__ = [
    "PROXIES",
    "meco_of_layers",
    "meco_of_layers_sampled",
    "meco_of_modules",
    "meco_of_modules_sampled",
]

_SAMPLED = 8  # number of channels in the sampled variants: the authors' n

_Term: TypeAlias = Callable[[Tensor], float]
"""The contribution of one feature map (channels, positions)."""


def meco_of_layers(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return Σ_l λ_min(corr(X_l)) over the outputs X_l of convolutions and linear layers.

    Args:
        model: the network; run in train mode.
        images: (B, C, H, W), of which only the first is read.
        labels: not read.
        seed: seed of randomness inside the network (dropout).

    Raises:
        ValueError: no convolution or linear layer ran, or batch norm refuses a single image.
    """
    return _sum_over_layers(model, images, seed, _least_eigenvalue)


def meco_of_layers_sampled(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the same of 8 channels drawn by ``seed``, times channels / 8."""
    return _sum_over_layers(model, images, seed, _sampled(seed))


def meco_of_modules(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return Σ_m λ_min(corr(X_m)) over the outputs X_m of all modules.

    Args:
        model: the network; run in train mode.
        images: (B, C, H, W), of which only the first is read.
        labels: not read.
        seed: seed of randomness inside the network (dropout).

    Raises:
        ValueError: batch norm refuses a single image.
    """
    return _sum_over_modules(model, images, seed, _least_eigenvalue)


def meco_of_modules_sampled(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the same of 8 channels drawn by ``seed``, times channels / 8."""
    return _sum_over_modules(model, images, seed, _sampled(seed))


def _sum_over_layers(model: nn.Module, images: Tensor, seed: int, term: _Term) -> float:
    layers = run_pass(model, images[:1], torch.sum, {"output"}, seed=seed)
    if not layers:
        raise ValueError("no convolution or linear layer ran in the forward pass")
    return sum(term(layer.signals["output"][0].flatten(0, 1).mT) for layer in layers)


def _sum_over_modules(model: nn.Module, images: Tensor, seed: int, term: _Term) -> float:
    total = 0.0

    def hook(module: nn.Module, args: object, output: object) -> None:
        nonlocal total
        maps = output[0] if isinstance(output, tuple | list) and output else output
        # Computed here and not after the pass: a later activation may change the map in place.
        if isinstance(maps, Tensor) and maps.is_floating_point() and maps.dim() > 2:
            total += term(maps[0].flatten(1))

    with untouched(model, seed), torch.no_grad():  # `untouched` also removes the hooks
        for module in model.modules():
            module.register_forward_hook(hook)
        model(fresh_copy(images[:1]))
    return total


def _least_eigenvalue(rows: Tensor) -> float:
    channels, positions = rows.shape
    if not 0 < channels < positions:
        return 0.0  # centred rows are linearly dependent; a solver would return a rounding error
    correlation = channel_correlation(rows.double()[None, None, :, :, None])[0]
    correlation = correlation.nan_to_num(0.0, 0.0, 0.0).cpu()
    return max(0.0, float(torch.linalg.eigvalsh(correlation)[0]))


def _sampled(seed: int) -> _Term:
    """Return the contribution of 8 channels, which are drawn anew for every map."""
    generator = torch.Generator().manual_seed(seed)

    def term(rows: Tensor) -> float:
        channels = len(rows)
        chosen = torch.randperm(channels, generator=generator)[:_SAMPLED].to(rows.device)
        return channels / max(1, len(chosen)) * _least_eigenvalue(rows[chosen])

    return term


_REFERENCE = "Jiang et al., NeurIPS 2023"
_CODE = "Jiang et al., NeurIPS 2023, the authors' code"
_ZERO = (
    "Computed in float64. Correlations that are not defined (of a constant channel) are 0. The "
    "eigenvalue is 0 if there are at most as many positions as channels, and at least 0 otherwise; "
    "the authors' float32 solver gives about 1e-7 of either sign there. "
)
_LAYERS = (
    "Only the first of the N(0, 1) images is used, in one forward pass in train mode; the outputs "
    "are those before normalisation. A linear layer on vectors has one position and contributes 0; "
    "on tokens its features are the channels. A layer that runs twice counts twice. "
)
_MODULES = (
    "Only the first image of the batch is used, in one forward pass in train mode with the "
    "network's own weights (PyTorch's default initialisation in the authors' protocol and in the "
    "built-in spaces). Every module counts each time it runs, including containers and the network "
    "itself. A map therefore counts once per level of nesting, so the score depends on how the "
    "code nests modules. The axis after the batch is that of the channels; of a tuple the first "
    "tensor counts; vectors, such as logits, have one position and contribute 0. Scores on other "
    "image sizes cannot be compared: the authors also use one N(0, 1) image of 64×64. "
)
_SAMPLE = (
    "The channels are drawn anew for every map, and the eigenvalue is weighted by channels / 8; a "
    "map with fewer channels contributes all of them, with weight 1 (this project's choice)."
)
_BATCH = "Computed over a batch; meco is the formula of the paper, for one image. "

PROXIES = (
    FunctionProxy(
        name="meco",
        layers_only=True,
        function=meco_of_layers,
        passes=("noise",),
        reference=_REFERENCE,
        description="Sum over convolutions and linear layers of the smallest eigenvalue of the "
        "Pearson correlation of the output's channels over the positions of one image.",
        notes=_LAYERS + _ZERO.rstrip(),
    ),
    FunctionProxy(
        name="meco_opt",
        layers_only=True,
        function=meco_of_layers_sampled,
        passes=("noise",),
        reference=_REFERENCE,
        description="Sum over convolutions and linear layers of channels / 8 times the smallest "
        "eigenvalue of the Pearson correlation of 8 random channels of the output.",
        notes=_LAYERS + _ZERO + _SAMPLE,
    ),
    FunctionProxy(
        name="meco_modules",
        function=meco_of_modules,
        passes=("data",),
        reference=_CODE,
        description="Sum over the outputs of all modules of the smallest eigenvalue of the Pearson "
        "correlation of their channels over the positions of one image.",
        notes=_MODULES + _ZERO.rstrip(),
    ),
    FunctionProxy(
        name="meco_opt_modules",
        function=meco_of_modules_sampled,
        passes=("data",),
        reference=_CODE,
        description="Sum over the outputs of all modules of channels / 8 times the smallest "
        "eigenvalue of the Pearson correlation of 8 random channels.",
        notes=_MODULES + _ZERO + _SAMPLE,
    ),
    ExpressionProxy(
        name="meco_outputs",
        expression="sum_layers(min_eigenvalue(channel_correlation(noise_output)))",
        reference=f"{_REFERENCE}, over a batch",
        description="Sum over the layers of the smallest eigenvalue of the Pearson correlation of "
        "the output's channels over all positions of all images.",
        notes=_BATCH + "An eigenvalue that is 0 on one image, because there are more channels than "
        "positions, can be positive on a larger batch. Batch normalisation does not change a "
        "correlation, so its output gives the same score. Correlations that are not defined (of a "
        "constant channel) are 0.",
    ),
    ExpressionProxy(
        name="meco_images",
        expression="sum_layers(min_eigenvalue(channel_correlation_per_image(noise_output)))",
        reference=f"{_REFERENCE}, mean over a batch",
        description="Sum over the layers of the smallest eigenvalue of the mean over the images "
        "of the Pearson correlation of the output's channels over the positions of one image.",
        notes=_BATCH + "It is the smallest eigenvalue of the mean correlation matrix, not the "
        "mean of the smallest eigenvalues.",
    ),
    ExpressionProxy(
        name="meco_inputs",
        expression="sum_layers(min_eigenvalue(channel_correlation(noise_input)))",
        reference=f"{_REFERENCE}, at the layer inputs over a batch",
        description="Sum over the layers of the smallest eigenvalue of the Pearson correlation of "
        "the input's channels over all positions of all images.",
        notes="This project's variant reads the inputs of layers, after the ReLUs, instead of "
        "their outputs.",
    ),
)
