"""MeCo: the least eigenvalue of the correlation between channels.

Jiang et al., "MeCo: zero-shot NAS with one data and single forward pass via minimum eigenvalue
of correlation", NeurIPS 2023.

The paper sums over layers; the authors' code sums over the outputs of all modules. Both are here
for one image, beside variants in the language that read a whole batch.
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

_SAMPLED = 8  # channels that the sampled variants look at: the authors' n

_Term: TypeAlias = Callable[[Tensor], float]
"""What one feature map (channels, positions) adds."""


def meco_of_layers(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the sum over convolutions and linear layers of the least eigenvalue.

    Args:
        model: the network; run in train mode.
        images: (B, C, H, W), of which only the first is read.
        labels: not read.
        seed: of randomness inside the network (dropout).

    Raises:
        ValueError: no convolution or linear layer fired, or batch norm refuses a single image.
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
    """Return the sum over the outputs of all modules of the least eigenvalue.

    Args:
        model: the network; run in train mode.
        images: (B, C, H, W), of which only the first is read.
        labels: not read.
        seed: of randomness inside the network (dropout).

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
        raise ValueError("no convolution or linear layer fired")
    return sum(term(layer.signals["output"][0].flatten(0, 1).mT) for layer in layers)


def _sum_over_modules(model: nn.Module, images: Tensor, seed: int, term: _Term) -> float:
    total = 0.0

    def hook(module: nn.Module, args: object, output: object) -> None:
        nonlocal total
        maps = output[0] if isinstance(output, tuple | list) and output else output
        # Now, not after the pass: an activation that follows may work in place.
        if isinstance(maps, Tensor) and maps.is_floating_point() and maps.dim() > 2:
            total += term(maps[0].flatten(1))

    with untouched(model, seed), torch.no_grad():  # which removes the hooks too
        for module in model.modules():
            module.register_forward_hook(hook)
        model(fresh_copy(images[:1]))
    return total


def _least_eigenvalue(rows: Tensor) -> float:
    channels, positions = rows.shape
    if not 0 < channels < positions:
        return 0.0  # centred rows are linearly dependent; a solver would return rounding
    correlation = channel_correlation(rows.double()[None, None, :, :, None])[0]
    correlation = correlation.nan_to_num(0.0, 0.0, 0.0).cpu()
    return max(0.0, float(torch.linalg.eigvalsh(correlation)[0]))


def _sampled(seed: int) -> _Term:
    """Return what 8 channels add, drawn anew for every map."""
    generator = torch.Generator().manual_seed(seed)

    def term(rows: Tensor) -> float:
        channels = len(rows)
        chosen = torch.randperm(channels, generator=generator)[:_SAMPLED].to(rows.device)
        return channels / max(1, len(chosen)) * _least_eigenvalue(rows[chosen])

    return term


_REFERENCE = "Jiang et al., NeurIPS 2023"
_CODE = "Jiang et al., NeurIPS 2023, the authors' code"
_ZERO = (
    "Float64. Entries that are not defined (a constant channel) are 0, and so is the eigenvalue "
    "where there are no more positions than channels looked at: rounding below 0 is cut, where the "
    "authors' float32 solver leaves about 1e-7 of either sign. "
)
_LAYERS = (
    "The first of the N(0, 1) images alone, one forward pass in train mode, outputs before "
    "normalisation. A linear layer on vectors has one position and adds 0; on tokens its features "
    "are the channels. A layer that fires twice counts twice. "
)
_MODULES = (
    "The first image of the data set alone, one forward pass in train mode, the network's own "
    "weights (PyTorch's default initialisation in the authors' protocol and in the built-in "
    "spaces). Every module counts each time it fires, the network itself and containers too, so "
    "a map counts once per level of nesting: the score depends on how the code nests modules. The "
    "axis after the batch is that of the channels; of a tuple the first tensor counts; vectors, "
    "such as logits, have one position and add 0. Scores of other image sizes do not compare: the "
    "authors also take one N(0, 1) image of 64×64. "
)
_SAMPLE = (
    "The channels are drawn anew for every map, and weighed by channels / 8; a map of fewer "
    "gives all, with weight 1 (this project's choice)."
)
_BATCH = "Over a batch, where meco is the formula of the paper for one image. "

PROXIES = (
    FunctionProxy(
        name="meco",
        layers_only=True,
        function=meco_of_layers,
        passes=("noise",),
        reference=_REFERENCE,
        words="Sum over convolutions and linear layers of the least eigenvalue of the Pearson "
        "correlation of the output's channels over the positions of one image.",
        notes=_LAYERS + _ZERO.rstrip(),
    ),
    FunctionProxy(
        name="meco_opt",
        layers_only=True,
        function=meco_of_layers_sampled,
        passes=("noise",),
        reference=_REFERENCE,
        words="Sum over convolutions and linear layers of channels / 8 times the least eigenvalue "
        "of the Pearson correlation of 8 random channels of the output.",
        notes=_LAYERS + _ZERO + _SAMPLE,
    ),
    FunctionProxy(
        name="meco_modules",
        function=meco_of_modules,
        passes=("data",),
        reference=_CODE,
        words="Sum over the outputs of all modules of the least eigenvalue of the Pearson "
        "correlation of their channels over the positions of one image.",
        notes=_MODULES + _ZERO.rstrip(),
    ),
    FunctionProxy(
        name="meco_opt_modules",
        function=meco_of_modules_sampled,
        passes=("data",),
        reference=_CODE,
        words="Sum over the outputs of all modules of channels / 8 times the least eigenvalue of "
        "the Pearson correlation of 8 random channels.",
        notes=_MODULES + _ZERO + _SAMPLE,
    ),
    ExpressionProxy(
        name="meco_outputs",
        expression="sum_layers(min_eigenvalue(channel_correlation(noise_output)))",
        reference=f"{_REFERENCE}, over a batch",
        words="Sum over the layers of the least eigenvalue of the Pearson correlation of the "
        "output's channels over all positions of all images.",
        notes=_BATCH + "Larger batches lift eigenvalues that are 0 where there are more "
        "channels than positions. Batch normalisation does not change a correlation: its "
        "output gives the same. Entries that are not defined (a constant channel) are 0.",
    ),
    ExpressionProxy(
        name="meco_images",
        expression="sum_layers(min_eigenvalue(channel_correlation_per_image(noise_output)))",
        reference=f"{_REFERENCE}, mean over a batch",
        words="Sum over the layers of the least eigenvalue of the mean over the images of the "
        "Pearson correlation of the output's channels over the positions of one image.",
        notes=_BATCH + "On more images it is the eigenvalue of the mean correlation, not the "
        "mean of their eigenvalues.",
    ),
    ExpressionProxy(
        name="meco_inputs",
        expression="sum_layers(min_eigenvalue(channel_correlation(noise_input)))",
        reference=f"{_REFERENCE}, at the layer inputs over a batch",
        words="Sum over the layers of the least eigenvalue of the Pearson correlation of the "
        "input's channels over all positions of all images.",
        notes="This project's variant: inputs, so after the ReLUs, instead of outputs.",
    ),
)
