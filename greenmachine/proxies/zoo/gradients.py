"""Functions that the gradient proxies of the zoo share: running a network, and taking gradients.

They run inside ``greenmachine.networks.untouched``, in train mode, so that batch normalisation uses
the statistics of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from greenmachine.networks.layers import WEIGHTED, gradients_expected
from greenmachine.networks.outputs import pick_output
from greenmachine.networks.untouched import untouched
from greenmachine.signals.capture import NO_GRADIENT, fresh_copy
from greenmachine.signals.passes import class_loss

__all__ = [
    "cross_entropy",
    "given",
    "gradients",
    "image_correlation",
    "input_gradients",
    "logits",
    "weights",
]


def weights(model: nn.Module) -> list[Tensor]:
    """Return the weights of the convolutions and linear layers; a shared weight occurs once.

    Biases and the scales of normalisation layers do not count, as everywhere in the zoo.

    Raises:
        ValueError: there are none.
    """
    layers = [module for module in model.modules() if isinstance(module, WEIGHTED)]
    # A weight that a wrapper computes in its forward pass is not a parameter; `coverage` warns.
    found = [layer.weight for layer in layers if "weight" in layer._parameters]
    if not found:
        raise ValueError("no convolution or linear layer has weights to take gradients of")
    return list({id(weight): weight for weight in found}.values())


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the outputs (B, classes) of a network for ``images`` (B, C, H, W).

    Raises:
        ValueError: the network returns something else.
    """
    with gradients_expected(model):
        output = pick_output(model(fresh_copy(images)))
    if output.dim() != 2 or len(output) != len(images):
        shape = tuple(output.shape)
        raise ValueError(f"the network returned {shape}, not ({len(images)}, classes)")
    return output


def given(labels: Tensor | None) -> Tensor:
    """Return the labels.

    Raises:
        ValueError: there are none.
    """
    if labels is None:
        raise ValueError("labels are missing: give the labels of the images")
    return labels


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of the network on labelled images.

    Raises:
        ValueError: the network returns no logits.
    """
    return class_loss(logits(model, images), labels)


def gradients(
    scalar: Tensor, ends: Sequence[Tensor], *, create_graph: bool = False, keep_graph: bool = False
) -> list[Tensor]:
    """Return the gradient of ``scalar`` with respect to each of ``ends``; 0 if independent.

    Args:
        scalar: a tensor of one element.
        ends: weights or images.
        create_graph: whether the gradients will be differentiated again.
        keep_graph: whether another gradient will be taken through the same forward pass.

    Raises:
        ValueError: ``scalar`` depends on none of ``ends``, or a gradient is not finite (signs and
            ratios would hide this).
    """
    if not scalar.requires_grad:
        raise ValueError(NO_GRADIENT)
    reached = torch.autograd.grad(
        scalar,
        ends,
        create_graph=create_graph,
        retain_graph=create_graph or keep_graph,
        allow_unused=True,
    )
    if all(gradient is None for gradient in reached):
        raise ValueError(NO_GRADIENT)
    found = [
        torch.zeros_like(end) if gradient is None else gradient
        for end, gradient in zip(ends, reached, strict=True)
    ]
    if not all(gradient.isfinite().all() for gradient in found):
        raise ValueError("a gradient is not finite: the network overflows or divides by 0")
    return found


def input_gradients(model: nn.Module, images: Tensor, seed: int) -> tuple[Tensor, int]:
    """Return (B, values of an image) float64 on the CPU, and the number of classes.

    Row i is the gradient of the sum of all outputs of all images with respect to image i. In train
    mode with batch normalisation, image i also changes the outputs of the other images.

    Raises:
        ValueError: the network returns no logits.
    """
    with untouched(model, seed):
        if not images.is_floating_point():
            raise ValueError(
                "token ids have no gradient: score the part of the network after its embedding"
            )
        leaf = images.detach().requires_grad_()
        outputs = logits(model, leaf)
        (found,) = gradients(outputs.sum(), [leaf])
    return found.flatten(1).to("cpu", torch.float64), outputs.shape[1]


def image_correlation(rows: Tensor) -> Tensor:
    """Return the Pearson correlation (B, B) of (B, values) gradients of images.

    Raises:
        ValueError: a row is constant, so that its correlation is not defined.
    """
    centred = rows - rows.mean(dim=1, keepdim=True)
    lengths = centred.norm(dim=1, keepdim=True)
    # A constant row minus its mean can be a rounding error instead of 0.
    if not (lengths > 1e-12 * rows.norm(dim=1, keepdim=True)).all():
        raise ValueError("the gradient of an image is 0 or constant: no correlation is defined")
    unit: Tensor = centred / lengths
    return unit @ unit.mT
