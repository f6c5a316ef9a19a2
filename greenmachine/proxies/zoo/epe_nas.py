"""EPE-NAS: do images of one class pull the network in one direction?

Lopes et al., "EPE-NAS: efficient performance estimation without training for neural
architecture search", ICANN 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.gradients import given, image_correlation, input_gradients

__all__ = ["PROXIES", "class_correlation"]

_FLOOR = 1e-5
_MANY = 100  # classes; above, the sums of the classes are compared instead of added


def class_correlation(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the sum over the classes of |s|, s = sum of log(|r| + 1e-5) over the correlations r.

    Above 100 outputs it is the mean over pairs of classes of the distance between their s, each
    divided by the images of its class.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: (B,) class indices.
        seed: of randomness inside the network (dropout).

    Raises:
        ValueError: labels are missing, no class (above 100 outputs: fewer than two) has two
            images, or the gradient of an image is 0, constant or not finite.
    """
    classes = given(labels).cpu()
    members = [torch.nonzero(classes == one).flatten() for one in sorted(set(classes.tolist()))]
    members = [places for places in members if len(places) > 1]
    if not members:
        raise ValueError("epe_nas needs two images of one class: use a larger batch")
    rows, outputs = input_gradients(model, images, seed)
    logs = (image_correlation(rows).abs() + _FLOOR).log()
    sums = torch.stack([logs[places][:, places].sum() for places in members])
    if outputs <= _MANY:
        return float(sums.abs().sum())
    if len(members) < 2:
        raise ValueError("epe_nas compares classes here: two need two images, use a larger batch")
    means = sums / torch.tensor([len(places) for places in members])
    return float(torch.pdist(means[:, None]).mean())


PROXIES = (
    FunctionProxy(
        name="epe_nas",
        function=class_correlation,
        passes=("data",),
        needs_labels=True,
        reference="Lopes et al., ICANN 2021",
        words="Sum over the classes of |s|, with s the sum of log(|r| + 1e-5) over the "
        "correlations r of the gradients of the sum of outputs in the images of that class.",
        notes="Above 100 classes, counted by the outputs, it is the mean over pairs of classes "
        "of the distance between their s, each divided by the images of its class as in the "
        "authors' code. Train mode, as in jacov: batch normalisation takes the statistics of "
        "the batch. A class with one image says nothing and is left out; a batch without two "
        "images of one class fails, so 16 images serve 10 classes, not 100.",
    ),
)
