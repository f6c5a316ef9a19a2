"""VKDNW: how evenly the data determine the parameters, by the spectrum of the Fisher information.

Tybl and Neumann, "Training-free neural architecture search through variance of knowledge of deep
network weights", CVPR 2025.

The Fisher information matrix is computed for one entry of each parameter tensor. The more equal its
eigenvalues are, the higher is the score. :func:`vkdnw_agg` combines the score with the components
of AZ-NAS; it is defined on a sample of networks, not on a single network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.rank_sums import log_rank_sum
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.az_nas import COMPONENTS
from greenmachine.proxies.zoo.gradients import logits
from greenmachine.proxies.zoo.layers import parameter_tensors
from greenmachine.proxies.zoo.redraw import redraw

__all__ = ["AGG", "PROXIES", "vkdnw", "vkdnw_agg", "vkdnw_entropy"]

AGG = (*COMPONENTS, "vkdnw")
"""Proxies whose ranks among the scored networks form VKDNW_agg, the paper's aggregate."""

_TENSORS = 256  # the authors' limit; only the first so many are used
_MIXED = 0.05  # weight of the uniform distribution in the class probabilities, as the authors'


def vkdnw_agg(components: Mapping[str, ArrayLike]) -> NDArray[Any]:
    """Return the sum over the components of log(rank / networks), a score for every network.

    Args:
        components: the scores of each proxy of ``AGG`` by name, (networks,), higher is better. A
            score that is not finite ranks below all others.

    Returns:
        (networks,), at most 0, higher is better. The values depend on the sample.

    Raises:
        ValueError: a component is missing, or they are not vectors of one length.
    """
    missing = [name for name in AGG if name not in components]
    if missing:
        raise ValueError(f"vkdnw_agg needs the scores of {', '.join(missing)} too")
    return log_rank_sum({name: components[name] for name in AGG})


def vkdnw(model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0) -> float:
    """Return the number of parameter tensors plus :func:`vkdnw_entropy`."""
    return parameter_tensors(model) + vkdnw_entropy(model, images, labels, seed)


def vkdnw_entropy(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return the entropy of the deciles of the Fisher information's eigenvalues.

    Args:
        model: the network; it runs with Kaiming-normal weights, in evaluation mode.
        images: (B, C, H, W).
        labels: not read.
        seed: seed of the weights, drawn on the CPU for every device.

    Returns:
        The score, between 0 and log 9; NaN if the outputs depend on no parameter.

    Raises:
        ValueError: the network has no parameters, or returns no logits; or there are so few images
            that all nine deciles are 0.
    """
    with untouched(model, seed):
        # Not `seed` itself: noise images of that seed are made of the same random numbers.
        generator = torch.Generator("cpu").manual_seed(seed + 1)
        redraw(model, images, generator, lambda weight: math.sqrt(2 / weight[0].numel()))
        model.eval()
        jacobian, outputs = _jacobian(model, images)
    root = _cholesky(outputs.softmax(dim=1)) @ jacobian
    batch, classes, entries = root.shape
    values = torch.zeros(entries, dtype=torch.float64)
    found = torch.linalg.svdvals(root.reshape(batch * classes, entries) / math.sqrt(batch)).square()
    values[: len(found)] = found
    deciles = values.quantile(torch.arange(1, 10, dtype=torch.float64) / 10)
    if not deciles.any() and found.any():
        raise ValueError(
            f"all deciles of the {entries} eigenvalues are 0, because {batch} images and {classes} "
            f"classes allow {min(entries, batch * (classes - 1))} others: use a larger batch"
        )
    return float(torch.special.entr(deciles / deciles.sum()).sum())


def _cholesky(probabilities: Tensor) -> Tensor:
    """Return L (B, C, C), lower triangular, L Lᵀ = diag(p) - p pᵀ, for p (B, C) mixed with 1/C.

    The matrix is singular, because p sums to 1, so a numerical solver fails; this is the closed
    form. Let q_k be the total probability of the classes after k. Then L_kk² = p_k q_k / q_(k-1)
    and L_ik = -L_kk p_i / q_k below the diagonal; the last column is 0.
    """
    classes = probabilities.shape[1]
    p = probabilities * (1 - _MIXED) + _MIXED / classes
    left = p.flip(1).cumsum(1).flip(1)  # q_(k-1): class k and those after it
    after = torch.cat([left[:, 1:], torch.zeros_like(left[:, :1])], dim=1)
    diagonal = (p * after / left).sqrt()
    below = torch.where(after > 0, -diagonal / after.clamp_min(1e-300), 0.0)
    columns = (p[:, :, None] * below[:, None, :]).tril(-1)
    return columns + torch.diag_embed(diagonal)


@dataclass
class _Firing:
    """One call of a module that has selected parameters.

    Attributes:
        tangents: a column of the Jacobian, the channels of the output that depend on its entry,
            and their derivative, (B, channels, ...).
        edge: where autograd delivers the gradient of the output.
    """

    tangents: list[tuple[int, Tensor, Tensor]]
    edge: GradientEdge | None = None


@dataclass
class _Recorder:
    """Hooks that differentiate a module's output with respect to its own parameters (forward)."""

    columns: dict[int, int]
    firings: list[_Firing] = field(default_factory=list)
    open: list[_Firing] = field(default_factory=list)
    busy: bool = False

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.busy:
            return
        self.busy = True  # the module runs again for each of its parameters; not recorded
        try:
            given, named = _copied(args), _copied(kwargs)
            tangents = [
                (self.columns[id(parameter)], *_moved(module, name, parameter, given, named))
                for name, parameter in module._parameters.items()
                if parameter is not None and id(parameter) in self.columns
            ]
        finally:
            self.busy = False
        self.open.append(_Firing(tangents))

    def after(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self.busy:
            return None
        firing = self.open.pop()
        self.firings.append(firing)
        if output.requires_grad:
            firing.edge = get_gradient_edge(output)
            return None
        # The module's input does not depend on the images, such as the zeros of an empty node, but
        # the network's output still depends on the module's parameters.
        leaf = output.detach().requires_grad_()
        firing.edge = get_gradient_edge(leaf)
        return leaf.clone()  # the next module may change it in place


def _copied(value: Any) -> Any:
    """Return the arguments with copies of their tensors that are outside the graph."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return tuple(map(_copied, value)) if isinstance(value, tuple) else value


def _moved(
    module: nn.Module,
    name: str,
    parameter: Tensor,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Tensor, Tensor]:
    """Return the channels that depend on a parameter's first entry, and their derivative."""
    flat = parameter.detach().flatten()

    def run(entry: Tensor) -> Tensor:
        whole = torch.cat([entry, flat[1:]]).reshape(parameter.shape)
        result: Tensor = torch.func.functional_call(
            module, {name: whole}, _copied(args), _copied(kwargs)
        )
        return result

    with torch.no_grad():
        derivative = torch.func.jvp(run, (flat[:1],), (torch.ones_like(flat[:1]),))[1]
        channels = derivative.transpose(0, 1).flatten(1).any(dim=1).nonzero()[:, 0]
        return channels, derivative[:, channels].double()


def _jacobian(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return d logits / d first entries, (B, C, entries), and the logits (B, C), on the CPU.

    It differentiates forward through the module that owns an entry, and backward through the rest.
    In evaluation mode an image affects only its own logits, so one backward pass per class is
    enough for all images.

    Raises:
        ValueError: there are no parameters, or the network returns no logits.
    """
    chosen: Sequence[Tensor] = list(network.parameters())[:_TENSORS]
    if not chosen:
        raise ValueError("vkdnw needs parameters, and the network has none")
    recorder = _Recorder({id(parameter): column for column, parameter in enumerate(chosen)})
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    handles = []
    for module in network.modules():
        own = [p for p in module._parameters.values() if p is not None]
        if any(id(parameter) in recorder.columns for parameter in own):
            handles.append(module.register_forward_pre_hook(recorder.before, with_kwargs=True))
            handles.append(module.register_forward_hook(recorder.after))
    try:
        outputs = logits(network, images.detach().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    jacobian = torch.zeros(*outputs.shape, len(chosen), dtype=torch.float64)
    edges = [firing.edge for firing in recorder.firings if firing.edge is not None]
    # Constant outputs have no graph, and their Jacobian is zero.
    for index in range(outputs.shape[1] if outputs.requires_grad else 0):
        found = torch.autograd.grad(
            outputs[:, index].sum(), edges, retain_graph=True, allow_unused=True
        )
        for firing, gradient in zip(recorder.firings, found, strict=True):
            if gradient is None:
                continue
            for column, channels, derivative in firing.tangents:
                product = derivative * gradient[:, channels].double()
                jacobian[:, index, column] += product.flatten(1).sum(dim=1).cpu()
    return jacobian, outputs.detach().to("cpu", torch.float64)


PROXIES = (
    FunctionProxy(
        name="vkdnw",
        function=vkdnw,
        passes=("noise",),
        reference="Tybl and Neumann, CVPR 2025",
        description="Number of parameter tensors (trainable_layers), plus the entropy of the nine "
        "deciles, normalised to sum 1, of the eigenvalues of F = mean over images of J'J, where J "
        "= L dz/dw for the logits z and one entry w of each parameter tensor, and L L' = diag(p) - "
        "p p' for p = softmax(z).",
        notes="N(0, 1) images, as in the authors' main table. The network runs in evaluation mode, "
        "where batch normalisation uses mean 0 and variance 1. Weights of convolutions and linear "
        "layers are Kaiming normal (fan-in), their biases 0; normalisation layers have scale 1 and "
        "shift 0. As in the authors' code, the first entry of each of the first 256 parameter "
        "tensors is used, p is mixed with .05 of the uniform distribution, and J is L dz/dw. "
        "Computation after the Jacobian is in float64 (float32 in their code). The entropy is at "
        "most log 9, so it only orders networks with equally many tensors; the authors' code sorts "
        "by the number and then by entropy. One backward pass per class. The rank of F is at most "
        "images x (classes - 1). If the network has many more parameter tensors, most deciles are "
        "0 and the entropy says little (at batch 8 and 10 classes, seven of the nine deciles of a "
        "network with 291 tensors), so use a large batch. If all are 0, the network fails with "
        "this reason. The score is NaN, which counts as failed, if no logit "
        "depends on a parameter. VKDNW_agg is "
        "greenmachine.proxies.zoo.vkdnw.vkdnw_agg of the scores of a sample by az_expressivity, "
        "az_progressivity, az_trainability, flops and vkdnw.",
    ),
)
