"""VKDNW: does the training data pin every layer of the network down equally well?

Tybl and Neumann, "Training-free neural architecture search through variance of knowledge of deep
network weights", CVPR 2025.

The Fisher information of one entry of each parameter tensor has eigenvalues; the more even these
are, the higher the score. :func:`vkdnw_agg` joins it with the components of AZ-NAS: it ranks a
sample, and says nothing of one network alone.
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
"""Proxies whose ranks among the scored networks make the aggregate of the paper."""

_TENSORS = 256  # the authors' limit: of more, the first
_MIXED = 0.05  # share of the uniform distribution in the class probabilities, the authors'


def vkdnw_agg(components: Mapping[str, ArrayLike]) -> NDArray[Any]:
    """Return the sum over the components of log(rank / networks), a score for every network.

    Args:
        components: by name the scores of one proxy, (networks,), higher is better: those of
            ``AGG``. A score that is not finite = failed ranks below all others.

    Returns:
        (networks,), at most 0, higher is better; it depends on the sample.

    Raises:
        ValueError: a component is missing, or they are no vectors of one length.
    """
    missing = [name for name in AGG if name not in components]
    if missing:
        raise ValueError(f"vkdnw_agg lacks {', '.join(missing)}")
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
        seed: of the weights, drawn on the CPU for every device.

    Returns:
        The score, between 0 and log 9; NaN where no parameter moves the outputs.

    Raises:
        ValueError: the network has no parameters, or returns no logits.
    """
    with untouched(model, seed):
        # Not `seed` itself: noise images of that seed would be the weights' own numbers.
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
    return float(torch.special.entr(deciles / deciles.sum()).sum())


def _cholesky(probabilities: Tensor) -> Tensor:
    """Return L (B, C, C), lower triangular, L Lᵀ = diag(p) - p pᵀ, for p (B, C) mixed with 1/C.

    In closed form: that matrix is singular, since p sums to 1, and no solver would take it. With
    q_k what is left of the probability after class k, L_kk² = p_k q_k / q_(k-1) and
    L_ik = -L_kk p_i / q_k below the diagonal; the last column is 0.
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
    """One firing of a module that owns chosen parameters.

    Attributes:
        tangents: by column of the Jacobian: the channels of the output that the entry moves, and
            their derivative, (B, channels, ...).
        edge: where autograd delivers the gradient of the output.
    """

    tangents: list[tuple[int, Tensor, Tensor]]
    edge: GradientEdge | None = None


@dataclass
class _Recorder:
    """Hooks that differentiate a module's output in its own parameters, forward, as it fires."""

    columns: dict[int, int]
    firings: list[_Firing] = field(default_factory=list)
    open: list[_Firing] = field(default_factory=list)
    busy: bool = False

    def before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.busy:
            return
        self.busy = True  # the module runs again for each of its parameters: not to be seen
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
        # What it read depends on no image, such as the zeros of an empty node: its own parameters
        # move the network all the same.
        leaf = output.detach().requires_grad_()
        firing.edge = get_gradient_edge(leaf)
        return leaf.clone()  # a ReLU that works in place may follow


def _copied(value: Any) -> Any:
    """Return arguments whose tensors are outside the graph, for a module to work on."""
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
    """Return the channels that the first entry of a parameter moves, and the derivative there."""
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

    Forward through the module that owns an entry, backward through the rest: in evaluation mode
    an image moves its own logits alone, so one backward pass a class serves all images.

    Raises:
        ValueError: there are no parameters, or the network returns no logits.
    """
    chosen: Sequence[Tensor] = list(network.parameters())[:_TENSORS]
    if not chosen:
        raise ValueError("vkdnw reads parameters, and the network has none")
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
    # Outputs that depend on nothing have no graph, and a Jacobian of zeros.
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
        words="Number of parameter tensors (trainable_layers), plus the entropy of the nine "
        "deciles, normalised to sum 1, of the eigenvalues of F = mean over images of J'J, with J = "
        "L dz/dw for the logits z, one entry w of each parameter tensor, and L L' = diag(p) - p p' "
        "for p = softmax(z).",
        notes="N(0, 1) images as in the authors' main table. The network runs in "
        "evaluation mode, where batch normalisation takes mean 0 and variance 1. Weights of "
        "convolutions and linear layers are Kaiming normal (fan-in), their biases 0, normalisation "
        "1 and 0. Of the first 256 parameter tensors the first entry each; p is mixed with .05 of "
        "the uniform distribution, and J is L dz/dw, as in the authors' code. In float64 from the "
        "Jacobian on (float32 there). The entropy is at most log 9, so it decides between networks "
        "of one size; the authors' code sorts by size and then by entropy. One backward pass a "
        "class. Not a number, which counts as failed, where no parameter moves a logit. VKDNW agg "
        "is greenmachine.proxies.zoo.vkdnw.vkdnw_agg of the scores of a sample by az_expressivity, "
        "az_progressivity, az_trainability, flops and vkdnw.",
    ),
)
