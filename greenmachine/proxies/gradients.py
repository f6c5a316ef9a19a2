"""What the gradient proxies of the zoo share: how they run a network, and whose gradients count.

All of it runs inside ``greenmachine.signals.capture.untouched``: in train mode, so batch
normalisation takes the statistics of the images that are sent through together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from greenmachine.signals.capture import WEIGHTED, untouched

__all__ = [
    "cross_entropy",
    "gradients",
    "image_correlation",
    "input_gradients",
    "logits",
    "weights",
]


def weights(model: nn.Module) -> list[Tensor]:
    """Return the weights of the convolutions and linear layers, shared ones once.

    Neither biases nor the scales of normalisation layers count, as everywhere in the zoo.

    Raises:
        ValueError: there are none.
    """
    found = [module.weight for module in model.modules() if isinstance(module, WEIGHTED)]
    if not found:
        raise ValueError("no convolution or linear layer has weights to take gradients of")
    return list({id(weight): weight for weight in found}.values())


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return the outputs (B, classes) of a network for ``images`` (B, C, H, W).

    Raises:
        ValueError: the network returns something else.
    """
    # channels-last is what makes pooling and convolution fast on a CPU. A copy, and no leaf:
    # the network may work on it in place.
    layout = torch.channels_last if images.dim() == 4 else torch.contiguous_format
    output = model(images.clone(memory_format=layout))
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != len(images):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"the network returned {shape}, not ({len(images)}, classes)")
    return output


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
    """Return the mean cross-entropy of the network on labelled images.

    Raises:
        ValueError: there are no labels, or the network returns no logits.
    """
    if labels is None:
        raise ValueError("the cross-entropy needs labels: give those of the images")
    return functional.cross_entropy(logits(model, images), labels)


def gradients(
    scalar: Tensor, ends: Sequence[Tensor], *, create_graph: bool = False, keep_graph: bool = False
) -> list[Tensor | None]:
    """Return the gradient of ``scalar`` in each of ``ends``, None where it does not depend on it.

    Args:
        scalar: of one element; it may be a constant.
        ends: weights or images.
        create_graph: whether the gradients are to be differentiated again.
        keep_graph: whether another gradient is taken through the same forward pass.
    """
    if not scalar.requires_grad:
        return [None] * len(ends)
    found = torch.autograd.grad(
        scalar,
        ends,
        create_graph=create_graph,
        retain_graph=create_graph or keep_graph,
        allow_unused=True,
    )
    return list(found)


def input_gradients(model: nn.Module, images: Tensor, seed: int) -> tuple[Tensor, int]:
    """Return (B, values of an image) float64 on the CPU, and the number of classes.

    Row i is the gradient of the sum of all outputs of all images in image i. In train mode a
    network with batch normalisation lets image i move the outputs of the others too.

    Raises:
        ValueError: the network returns no logits.
    """
    with untouched(model, seed):
        leaf = images.detach().requires_grad_()
        outputs = logits(model, leaf)
        (found,) = gradients(outputs.sum(), [leaf])
    rows = torch.zeros_like(images) if found is None else found
    return rows.flatten(1).to("cpu", torch.float64), outputs.shape[1]


def image_correlation(rows: Tensor) -> Tensor:
    """Return the Pearson correlation (B, B) of (B, values) gradients of images.

    Raises:
        ValueError: a row is constant, so that its correlation is not defined.
    """
    centred = rows - rows.mean(dim=1, keepdim=True)
    lengths = centred.norm(dim=1, keepdim=True)
    if not (lengths > 0).all():
        raise ValueError("the output does not depend on an image: no correlation is defined")
    unit = centred / lengths
    return unit @ unit.mT
