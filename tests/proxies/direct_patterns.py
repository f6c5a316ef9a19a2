"""SWAP, WRCor, VKDNW and the counts of layers as their papers write them: slow and plain."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

from tests.proxies.direct import Direct, layers_of
from tests.proxies.direct_features import SEED, generator


def trainable_layers(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return len({id(parameter) for _, parameter in model.named_parameters()})


def fired_layers(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    fired: list[nn.Module] = []
    handles = [
        layer.register_forward_hook(lambda module, *_: fired.append(module))
        for layer in layers_of(model)
    ]
    model(noise)
    for handle in handles:
        handle.remove()
    return len(fired)


# --- swap ----------------------------------------------------------------------------------


def swap(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    patterns: set[tuple[bool, ...]] = set()

    def look(module: nn.Module, args: object, output: Tensor) -> None:
        if output.dim() == 4:
            columns = (output.detach() > 0).flatten(1).T.tolist()
            patterns.update(map(tuple, columns))

    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(look)
    model(images)
    return len(patterns)


# --- wrcor ---------------------------------------------------------------------------------


def wrcor(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    """For networks of NATS-Bench: the stem has no ReLU, what follows it are the blocks."""
    seen: list[tuple[int, Tensor]] = []

    def look(level: int, value: Tensor) -> None:
        if value.requires_grad:
            value.retain_grad()
        seen.append((level, value))

    for level, block in enumerate(list(model.children())[1:]):
        for module in block.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_pre_hook(lambda _, args, level=level: look(level, args[0]))
    nn.CrossEntropyLoss()(model(images), labels).backward()
    kernel = np.zeros((len(images), len(images)))
    for level, value in seen:
        for response in (value, value.grad):
            if response is not None:
                correlation = np.abs(np.corrcoef(response.detach().flatten(1).numpy()))
                if not np.isnan(correlation).any():
                    kernel += 2**level * correlation
    return float(np.log(np.linalg.det(kernel)))


# --- vkdnw ---------------------------------------------------------------------------------


def kaiming(model: nn.Module) -> nn.Module:
    draws = generator(SEED + 1)
    network = copy.deepcopy(model)
    for layer in layers_of(network):
        weight = layer.get_parameter("weight")
        fan_in = math.prod(weight.shape[1:])
        drawn = torch.randn(weight.shape, generator=draws)
        weight.data = (drawn * (2 / fan_in) ** 0.5).to(weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return network.eval()


def root_of_covariance(p: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """The Cholesky factor of diag(p) - p pᵀ: of all classes but the last, whose row makes each
    column sum to 0."""
    covariance = np.diag(p) - np.outer(p, p)
    root = np.zeros_like(covariance)
    root[:-1, :-1] = np.linalg.cholesky(covariance[:-1, :-1])
    root[-1] = -root[:-1].sum(axis=0)
    return root


def vkdnw_entropy(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    network = kaiming(model)
    parameters = list(network.parameters())[:256]
    fisher = np.zeros((len(parameters), len(parameters)))
    for image in noise:
        logits = network(image[None])[0]
        rows = []
        for logit in logits:
            found = torch.autograd.grad(logit, parameters, retain_graph=True, allow_unused=True)
            rows.append([0.0 if g is None else g.flatten()[0].item() for g in found])
        p = 0.95 * logits.detach().softmax(0).double().numpy() + 0.05 / len(logits)
        jacobian = root_of_covariance(p) @ np.array(rows)
        fisher += jacobian.T @ jacobian / len(noise)
    values = np.linalg.svd(fisher, compute_uv=False)
    deciles = np.quantile(values, np.arange(0.1, 0.95, 0.1))
    shares = deciles[deciles > 0] / deciles.sum()
    return float(-(shares * np.log(shares)).sum())


def vkdnw(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    entropy = vkdnw_entropy(model, noise, images, labels)
    return trainable_layers(model, noise, images, labels) + entropy


PATTERNS: dict[str, Direct] = {
    f.__name__: f for f in (trainable_layers, fired_layers, swap, wrcor, vkdnw)
}
