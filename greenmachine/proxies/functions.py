"""The score of a network by a function proxy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from greenmachine.errors import ConfigError
from greenmachine.proxies.base import FunctionProxy
from greenmachine.workers import one_thread

__all__ = ["function_score"]


def function_score(
    proxy: FunctionProxy,
    model: nn.Module,
    images: Tensor | None,
    labels: Tensor | None = None,
    seed: int = 0,
) -> float:
    """Return what ``proxy`` says of ``model``, which is left as it was found.

    On the CPU it runs on one thread, as in a sweep: else the score would move with the cores.

    Args:
        proxy: of the zoo, or your own.
        model: any network that the proxy can read, on any device.
        images: (B, C, H, W): those of the data set where ``proxy.passes`` says ``data``, noise
            (``greenmachine.signals.passes.noise_images``) where it says so. Without a pass it
            gets None, whatever is given here, and no labels either.
        labels: (B,) class indices, where ``proxy.needs_labels``.
        seed: of everything random.

    Returns:
        The score as it is: not finite where the proxy's notes say so.

    Raises:
        ConfigError: images or labels are missing.
        ValueError: the proxy cannot read this network.
    """
    if not proxy.passes:
        images = labels = None
    elif images is None:
        raise ConfigError(f"proxy {proxy.name!r} needs images: give a mini-batch")
    if proxy.needs_labels and labels is None:
        raise ConfigError(f"proxy {proxy.name!r} needs labels: give those of the images")
    with one_thread(), torch.inference_mode(False):
        parameter = next(model.parameters(), torch.zeros(()))
        # Copies: autograd refuses tensors that were made in inference mode.
        batch = None if images is None else images.detach().clone().to(parameter)
        target = None if labels is None else labels.clone().to(parameter.device)
        return float(proxy.function(model, batch, target, seed))
