"""Convert images and labels from users' formats to tensors that a network accepts.

This file imports only torch, because exported proxies inline its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from greenmachine.networks.untouched import float_like

__all__ = ["image_batch", "label_batch", "no_token_ids"]


def image_batch(images: Any, model: nn.Module) -> Tensor:
    """Return a copy of ``images`` on the device of ``model``, in its dtype.

    Integers (B, T) stay integers if the network has an embedding: they are token ids.

    Args:
        images: a tensor or array, (B, C, H, W), or of the shape that the network takes.
        model: the network.

    Raises:
        ValueError: this is not a batch, or a value is not finite.
    """
    like = float_like(model)
    batch = as_tensor(images, "images").to(like.device)
    if batch.dim() < 2 or not batch.numel():
        raise ValueError(f"images of shape {tuple(batch.shape)} are not a batch: give (B, C, H, W)")
    if batch.is_complex():
        raise ValueError("images are complex: give real numbers")
    if batch.dim() == 2 and not batch.is_floating_point() and embeds(model):
        return batch.long()
    if not batch.isfinite().all():
        raise ValueError("images contain NaN or infinity: remove those images")
    return batch.to(like.dtype)


def label_batch(labels: Any, count: int) -> Tensor:
    """Return ``labels`` as class indices (count,) int64.

    Raises:
        ValueError: they are not ``count`` integers of at least 0.
    """
    given = as_tensor(labels, "labels")
    if tuple(given.shape) != (count,):
        raise ValueError(
            f"labels of shape {tuple(given.shape)} do not fit {count} images: give one label each"
        )
    classes = given.real.long() if given.is_complex() else given.nan_to_num(0.5).long()
    if not torch.equal(classes.to(given), given):
        raise ValueError("labels are not integers: give the class index of each image")
    if count and classes.min() < 0:
        raise ValueError(f"label {int(classes.min())} is negative: give class indices from 0")
    return classes


def embeds(model: nn.Module) -> bool:
    """Return whether ``model`` has an embedding, and so may take token ids."""
    return any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in model.modules())


@contextmanager
def no_token_ids(model: nn.Module, shape: tuple[int, ...]) -> Iterator[None]:
    """Raise a helpful error if a network that takes token ids fails on noise of ``shape``."""
    try:
        yield
    except (RuntimeError, IndexError) as error:
        if len(shape) == 2 and embeds(model):
            raise ValueError(
                "this network takes token ids, which noise cannot be: use a proxy of the data "
                "pass, or score a module that takes embeddings (B, tokens, features)"
            ) from error
        raise


def as_tensor(values: Any, what: str) -> Tensor:
    """Return a copy as a tensor; autograd does not accept tensors made in inference mode."""
    try:
        return torch.as_tensor(values).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"{what} are {type(values).__name__}, which torch cannot read: give a tensor"
        ) from None
