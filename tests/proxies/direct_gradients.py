"""The gradient proxies as their papers write them, in plain torch: slow, one image at a time."""

from __future__ import annotations

import copy
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.proxies.direct import Direct, backward, gradients_of, weights_of

Floats = NDArray[np.float64]


def jacobian(model: nn.Module, images: Tensor) -> Floats:
    """(B, values): how the sum of outputs moves with every value of every image."""
    leaf = images.clone().requires_grad_()
    model.train()(leaf).sum().backward()
    assert leaf.grad is not None
    return leaf.grad.flatten(1).double().numpy()


def flat_gradient(model: nn.Module) -> Tensor:
    return torch.cat([g.double().flatten() for g in gradients_of(model)])


def jacov(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    values = np.linalg.eigvalsh(np.corrcoef(jacobian(model, images)))
    return -sum(np.log(v + 1e-5) + 1 / (v + 1e-5) for v in values)


def epe_nas(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    rows, classes = jacobian(model, images), model(images).shape[1]
    sums, means = [], []
    for label in set(labels.tolist()):
        own = [row for row, other in zip(rows, labels.tolist(), strict=True) if other == label]
        if len(own) < 2:
            continue
        logs = [np.log(abs(np.corrcoef(a, b)[0, 1]) + 1e-5) for a in own for b in own]
        sums.append(sum(logs))
        means.append(sum(logs) / len(own))
    if classes <= 100:
        return float(sum(abs(s) for s in sums))
    return float(np.mean([abs(a - b) for a, b in combinations(means, 2)]))


def ntk(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    rows = []
    images = images[:8]
    for image in range(len(images)):
        model.zero_grad()
        model.train()(images)[image].sum().backward()
        rows.append(flat_gradient(model).numpy())
    singular = np.linalg.svd(np.array(rows), compute_uv=False)
    return float((singular[0] / singular[-1]) ** 2)


def gradsign(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    signs = []
    for image in range(len(images)):
        backward(model.train(), images[image : image + 1], labels[image : image + 1])
        signs.append(flat_gradient(model).sign())
    return float(sum(signs).abs().sum())  # type: ignore[union-attr]


def zico(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    half, found = len(images) // 2, []
    for part in (range(half), range(half, len(images))):
        backward(model.train(), images[list(part)], labels[list(part)])
        found.append([g.double().numpy().copy() for g in gradients_of(model)])
    total = 0.0
    for layer in zip(*found, strict=True):
        mean, std = np.mean(np.abs(layer), axis=0), np.std(layer, axis=0)
        if (std != 0).any():
            total += np.log(np.sum(mean[std != 0] / std[std != 0]))
    return float(total)


def grasp(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    """No second derivative: how the gradient moves where the weights move a little along it."""
    model = copy.deepcopy(model).double().train()
    images = images.double()

    def gradient() -> list[Tensor]:
        backward(model, images, labels)
        return [g.clone() for g in gradients_of(model)]

    weights = weights_of(model)
    kept, direction = [w.detach().clone() for w in weights], gradient()
    # So small that no ReLU changes side: there the gradient jumps.
    step = 1e-9 / max(float(g.abs().max()) for g in direction)
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            for w, start, g in zip(weights, kept, direction, strict=True):
                w.copy_(start + sign * step * g)
        moved.append(gradient())
    products = [(ahead - behind) / (2 * step) for ahead, behind in zip(*moved, strict=True)]
    return -sum(float((w * p).sum()) for w, p in zip(kept, products, strict=True))


DIRECT: dict[str, Direct] = {f.__name__: f for f in (jacov, epe_nas, ntk, gradsign, zico, grasp)}
