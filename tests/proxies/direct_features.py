"""The functions of the zoo that read feature maps, as their papers write them: slow and plain.

What is random comes from the same draws, which the functions document: ``SEED`` is that of the
score, and whatever a function draws itself comes from ``SEED + 1`` (meco: ``SEED``).
"""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from tests.proxies.direct import Direct, by_channel, least_eigenvalue, maps_of

SEED = 2


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def laid_out(model: nn.Module) -> nn.Module:
    """In train mode and the layout of the functions: dropout draws its mask in that order."""
    return model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def params(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return sum(float(np.prod(p.shape)) for p in model.parameters())


# --- zen -----------------------------------------------------------------------------------


def zen(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    draws = generator(SEED + 1)
    moved = noise + 0.01 * torch.randn(noise.shape, generator=draws).to(noise)
    gaussian = laid_out(copy.deepcopy(model))
    norms = [m for m in gaussian.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer in gaussian.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data = torch.randn(layer.weight.shape, generator=draws).to(noise)
            if layer.bias is not None:
                layer.bias.data = torch.zeros_like(layer.bias)
    running = {norm: np.ones(norm.num_features) for norm in norms}

    def follow(norm: nn.Module, args: tuple[Tensor]) -> None:
        variances = [channel.var(ddof=1) for channel in by_channel(args[0])]
        running[norm] = 0.9 * running[norm] + 0.1 * np.array(variances)

    for norm in norms:
        norm.register_forward_pre_hook(follow)
    features: list[np.ndarray] = []  # type: ignore[type-arg]
    ends = [m for m in gaussian.modules() if isinstance(m, nn.AdaptiveAvgPool2d)] or [
        m for m in gaussian.modules() if isinstance(m, nn.Linear)
    ]
    ends[-1].register_forward_pre_hook(
        lambda module, args: features.append(args[0].detach().double().numpy())
    )
    for given in (noise, moved):
        torch.manual_seed(SEED)
        gaussian(given.contiguous(memory_format=torch.channels_last))
    changes = [np.sqrt(((a - b) ** 2).sum()) for a, b in zip(*features, strict=True)]
    scales = [np.log(np.sqrt(variance.mean())) for variance in running.values()]
    return float(np.log(np.mean(changes)) + sum(scales))


# --- meco ----------------------------------------------------------------------------------


def meco(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return sum(least_eigenvalue(m) for m in layer_maps(model, noise))


def meco_opt(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return of_eight(layer_maps(model, noise))


def meco_modules(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return sum(least_eigenvalue(m) for m in module_maps(model, images))


def meco_opt_modules(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return of_eight(module_maps(model, images))


def layer_maps(model: nn.Module, images: Tensor) -> list[np.ndarray]:  # type: ignore[type-arg]
    torch.manual_seed(SEED)
    return [by_channel(out)[:, 0] for _, out in maps_of(laid_out(model), images[:1])]


def module_maps(model: nn.Module, images: Tensor) -> list[np.ndarray]:  # type: ignore[type-arg]
    seen = []

    def hook(module: nn.Module, args: object, output: Tensor) -> None:
        if output.dim() == 4:
            seen.append(output.detach().double().clone().reshape(output.shape[1], -1).numpy())

    handles = [module.register_forward_hook(hook) for module in model.modules()]
    torch.manual_seed(SEED)
    laid_out(model)(images[:1])
    for handle in handles:
        handle.remove()
    return seen


def of_eight(maps: list[np.ndarray]) -> float:  # type: ignore[type-arg]
    draws = generator(SEED)
    total = 0.0
    for one in maps:
        chosen = torch.randperm(len(one), generator=draws)[:8].tolist()
        total += len(one) / min(len(one), 8) * least_eigenvalue(one[chosen])
    return total


# --- az_nas --------------------------------------------------------------------------------


def block_maps(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Outputs of the children of a sequential network, without its head."""
    maps = [images.clone().requires_grad_()]
    for child in model.train():  # type: ignore[attr-defined]
        maps.append(child(maps[-1]))
    return [one for one in maps[1:] if one.dim() == 4]


def entropies(model: nn.Module, images: Tensor) -> list[float]:
    found = []
    for one in block_maps(model, images):
        rows = by_channel(one).reshape(one.shape[1], -1)
        values = np.linalg.eigvalsh(np.cov(rows)).clip(1e-300)
        shares = values / values.sum()
        found.append(float(-(shares * np.log(shares)).sum()))
    return found


def az_expressivity(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return sum(entropies(model, noise))


def az_progressivity(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    values = entropies(model, noise)
    return min(later - earlier for earlier, later in pairwise(values))


def az_trainability(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    """Position by position, where the zoo multiplies matrices."""
    draws = generator(SEED + 1)
    maps = block_maps(model, noise)
    scores = []
    for earlier, later in reversed(list(pairwise(maps))):
        signs = 2 * torch.randint(2, later.shape, generator=draws).to(later) - 1
        (back,) = torch.autograd.grad((later * signs).sum(), earlier, retain_graph=True)
        batch, _, height, width = later.shape
        tall, wide = earlier.shape[2] // height, earlier.shape[3] // width
        jacobian = 0
        for y in range(height):
            for x in range(width):
                patch = back[:, :, y * tall : (y + 1) * tall, x * wide : (x + 1) * wide]
                given = signs[:, :, y, x].numpy()
                jacobian = jacobian + patch.flatten(1).numpy().T @ given
        sigma = np.linalg.norm(jacobian / (batch * height * width), 2)
        scores.append(2 - sigma - 1 / (sigma + 1e-6))
    return float(np.mean(scores))


FEATURES: dict[str, Direct] = {
    f.__name__: f
    for f in (
        params,
        zen,
        meco,
        meco_opt,
        meco_modules,
        meco_opt_modules,
        az_expressivity,
        az_progressivity,
        az_trainability,
    )
}
