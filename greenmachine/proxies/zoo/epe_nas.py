"""EPE-NAS: the correlation of input gradients between images of one class.

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
_MANY = 100  # classes; with more, the sums of the classes are compared instead of added


def class_correlation(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return Σ |s_c| over the classes c, where s_c = Σ log(|r| + 1e-5) over the correlations r.

    With more than 100 outputs it is the mean over pairs of classes of |s_c/n_c - s_d/n_d|, where
    n_c is the number of images of class c.

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W).
        labels: (B,) class indices.
        seed: seed of randomness inside the network (dropout).

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
        raise ValueError(
            "epe_nas compares classes: two classes need two images each, use a larger batch"
        )
    means = sums / torch.tensor([len(places) for places in members])
    return float(torch.pdist(means[:, None]).mean())


PROXIES = (
    FunctionProxy(
        name="epe_nas",
        function=class_correlation,
        passes=("data",),
        needs_labels=True,
        reference="Lopes et al., ICANN 2021",
        description="Sum over the classes of |s|, where s is the sum of log(|r| + 1e-5) over the "
        "correlations r between the images of that class, of the gradients of the sum of outputs "
        "with respect to the images.",
        notes="For networks with more than 100 outputs it is the mean over pairs of classes of the "
        "distance between their s, each divided by the number of images of its class, as in the "
        "authors' code. Train mode, as in jacov: batch normalisation uses the statistics of the "
        "batch. A class with one image is left out, and a batch without two images of one class "
        "fails. So 16 images are enough for 10 classes, but not for 100.",
    ),
)
