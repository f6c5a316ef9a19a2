"""The proxies of the zoo as their papers write them, in plain torch: nothing of the engine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

Direct = Callable[[nn.Module, Tensor, Tensor, Tensor], float]
"""Takes the network, noise images, images, labels."""


def layers_of(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def weights_of(model: nn.Module) -> list[Tensor]:
    return [m.get_parameter("weight") for m in layers_of(model)]


def gradients_of(model: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(w) if w.grad is None else w.grad for w in weights_of(model)]


def backward(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    model.zero_grad()
    loss: Tensor = nn.CrossEntropyLoss()(model(images), labels)
    loss.backward()


def maps_of(model: nn.Module, images: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Inputs and outputs of the layers, in order of firing, their gradients retained."""
    seen: list[tuple[Tensor, Tensor]] = []

    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        seen.append((args[0], output))

    handles = [layer.register_forward_hook(hook) for layer in layers_of(model)]
    model.outputs = model(images)  # type: ignore[assignment]
    for handle in handles:
        handle.remove()
    return seen


def weight_count(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return sum(w.numel() for w in weights_of(model))


def flops(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    outputs = [out for _, out in maps_of(model, noise)]
    pairs = zip(firing_weights(model, noise), outputs, strict=True)
    return sum(weight.numel() * output[0, 0].numel() for weight, output in pairs)


def firing_weights(model: nn.Module, images: Tensor) -> list[Tensor]:
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda m, _, __: seen.append(m.weight))
        for layer in layers_of(model)
    ]
    model(images)
    for hook in hooks:
        hook.remove()
    return seen


def l2_norm(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return sum(w.pow(2).sum().sqrt().item() for w in weights_of(model))


def grad_norm(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    backward(model, images, labels)
    return sum(g.pow(2).sum().sqrt().item() for g in gradients_of(model))


def plain(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    backward(model, images, labels)
    pairs = zip(weights_of(model), gradients_of(model), strict=True)
    return sum((w.double() * g.double()).sum().item() for w, g in pairs)


def snip(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    backward(model, images, labels)
    pairs = zip(weights_of(model), gradients_of(model), strict=True)
    return sum((w * g).abs().sum().item() for w, g in pairs)


def linearised(model: nn.Module, noise: Tensor) -> nn.Module:
    """The network of synflow after its backward pass."""
    linear = copy.deepcopy(model).double()
    for parent in list(linear.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(parameter.abs())
    linear.zero_grad()
    linear(torch.ones(1, *noise.shape[1:], dtype=torch.float64)).sum().backward()
    return linear


def synflow(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    linear = linearised(model, noise)
    pairs = zip(weights_of(linear), gradients_of(linear), strict=True)
    return sum((w * g).abs().sum().item() for w, g in pairs)


def logsynflow(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    linear = linearised(model, noise)
    pairs = zip(weights_of(linear), gradients_of(linear), strict=True)
    return sum((w * torch.log(1 + g)).sum().item() for w, g in pairs)


def fisher_of_channels(model: nn.Module, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Per layer in order of firing, (channels,)."""
    maps = maps_of(model, images)
    nn.functional.cross_entropy(model.outputs, labels).backward()  # type: ignore[arg-type]
    found = []
    for _, output in maps:
        gradient = torch.zeros_like(output) if output.grad is None else output.grad
        by_image = (output * gradient).flatten(2) if output.dim() == 4 else None
        summed = output * gradient if by_image is None else by_image.sum(-1)
        found.append(0.5 * summed.pow(2).mean(0))
    return found


def fisher(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    return sum(f.sum().item() for f in fisher_of_channels(model, images, labels))


def fisher_broadcast(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    total = 0.0
    weights = firing_weights(model, images)
    for weight, channels in zip(weights, fisher_of_channels(model, images, labels), strict=True):
        for one, value in zip(weight, channels, strict=True):
            total += value.item() * one.numel()
    return total


def jacov_noise(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    leaf = noise.clone().requires_grad_()
    model(leaf).sum().backward()
    assert leaf.grad is not None
    values = np.linalg.eigvalsh(np.corrcoef(leaf.grad.flatten(1).double().numpy()))
    return float(-np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5)))


def nwot_inputs(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    kernel = np.zeros((len(noise), len(noise)))
    for given, _ in maps_of(model, noise):
        code = (given.detach().flatten(1) > 0).double().numpy()
        kernel += code @ code.T + (1 - code) @ (1 - code).T
    return float(np.linalg.slogdet(kernel)[1])


def nwot(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    """Pair by pair from the inputs of the ReLUs, where the zoo multiplies codes of outputs."""
    codes: list[np.ndarray] = []

    def noting(relu: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def note(given: Tensor) -> Tensor:
            codes.append((given.detach() > 0).flatten(1).numpy())
            return relu(given)

        return note

    # Modules and functions alike end in these two.
    with (
        mock.patch.object(torch, "relu", noting(torch.relu)),
        mock.patch.object(torch, "relu_", noting(torch.relu_)),
    ):
        model.train()(images)
    kernel = [
        [sum((c[i] == c[j]).sum() for c in codes) for j in range(len(images))]
        for i in range(len(images))
    ]
    return float(np.log(np.abs(np.linalg.det(np.array(kernel, dtype=np.float64)))))


def least_eigenvalue(rows: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(np.linalg.eigvalsh(correlation(rows))[0])


def correlation(rows: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Pearson correlation of (channels, observations), entries that are not defined 0."""
    with np.errstate(all="ignore"):
        return np.nan_to_num(np.corrcoef(rows).reshape(len(rows), -1), posinf=0, neginf=0)


def by_channel(tensor: Tensor) -> np.ndarray:  # type: ignore[type-arg]
    """(C, B, positions) float64."""
    tensor = tensor.detach().double()
    return tensor.reshape(*tensor.shape[:2], -1).transpose(0, 1).numpy()


def meco_outputs(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    maps = [by_channel(out) for _, out in maps_of(model, noise)]
    return sum(least_eigenvalue(m.reshape(len(m), -1)) for m in maps)


def meco_inputs(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    maps = [by_channel(given) for given, _ in maps_of(model, noise)]
    return sum(least_eigenvalue(m.reshape(len(m), -1)) for m in maps)


def meco_images(model: nn.Module, noise: Tensor, images: Tensor, labels: Tensor) -> float:
    total = 0.0
    for _, out in maps_of(model, noise):
        m = by_channel(out)
        mean = sum(correlation(m[:, image]) for image in range(len(noise))) / len(noise)
        total += float(np.linalg.eigvalsh(mean)[0])
    return total


DIRECT: dict[str, Direct] = {
    f.__name__: f
    for f in (
        weight_count,
        flops,
        l2_norm,
        grad_norm,
        plain,
        snip,
        synflow,
        logsynflow,
        fisher,
        fisher_broadcast,
        jacov_noise,
        nwot,
        nwot_inputs,
        meco_outputs,
        meco_images,
        meco_inputs,
    )
}
