"""WRCor: how well ReLU inputs and their gradients distinguish the images of a batch.

Jing et al., "Zero-shot neural architecture search with weighted response correlation",
arXiv 2507.08841, 2025.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from greenmachine.networks.untouched import untouched
from greenmachine.proxies.types import FunctionProxy
from greenmachine.proxies.zoo.az_nas import blocks_of
from greenmachine.proxies.zoo.gradients import cross_entropy, given
from greenmachine.proxies.zoo.rectifiers import ReluInputs

__all__ = ["PROXIES", "weighted_correlation"]

_RELUS = (
    functional.relu,
    functional.relu_,
    torch.relu,
    torch.relu_,
    Tensor.relu,
    Tensor.relu_,
    functional.leaky_relu,
    functional.prelu,
    functional.relu6,
)


def weighted_correlation(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, seed: int = 0
) -> float:
    """Return log|det K|, K = sum over blocks i and their ReLUs of 2^i (|corr a| + |corr da|).

    a (B, units) is the input of a ReLU, da the gradient of the cross-entropy with respect to it,
    and both correlations are between images, (B, B).

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W), two or more.
        labels: (B,) class indices.
        seed: seed of randomness inside the network (dropout).

    Returns:
        The score; minus infinity if K is singular.

    Raises:
        ValueError: labels are missing, there is only one image, no ReLU ran in a block, or a ReLU
            was called in a way that is not detected.
    """
    classes = given(labels)
    if len(images) < 2:
        raise ValueError("wrcor correlates images: give 2 or more")
    calls, inputs = ReluInputs(), _Inputs(len(images))
    handles = []
    for number, block in enumerate(blocks_of(model)):
        handles.append(block.register_forward_pre_hook(partial(inputs.enter, number)))
        handles.append(block.register_forward_hook(inputs.leave))
    try:
        with untouched(model, seed):
            with calls, inputs:
                loss = cross_entropy(model, images, classes)
            edges = [edge for *_, edge in inputs.fired if edge is not None]
            found = iter(
                torch.autograd.grad(loss, edges, allow_unused=True)
                if edges and loss.requires_grad
                else [None] * len(edges)
            )
    finally:
        for handle in handles:
            handle.remove()
    if calls.fired > inputs.calls:
        raise ValueError(
            f"wrcor cannot read {calls.fired - inputs.calls} of the {calls.fired} rectifiers of "
            "this network: call them as ReLU modules or torch.nn.functional.relu"
        )
    if not inputs.fired:
        raise ValueError("no ReLU ran in a block: wrcor needs at least one")
    calls.warn("wrcor")
    levels = {block: level for level, block in enumerate(sorted({b for b, *_ in inputs.fired}))}
    fired = [(levels[block], value, edge) for block, value, edge in inputs.fired]
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)
    for weight, value, edge in fired:
        back = None if edge is None else next(found)
        for response in (value, back):
            if response is not None:
                kernel += 2.0**weight * _correlation(response)
    return float(torch.linalg.slogdet(kernel).logabsdet)


class _Inputs(TorchFunctionMode):
    """Keeps the inputs of the ReLUs of every block, and the edges that receive their gradients.

    Attributes:
        calls: number of calls of ReLUs, including those outside of blocks.
        fired: for each call in a block: the block, the input (B, units), the gradient edge.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.calls = 0
        self.fired: list[tuple[int, Tensor, GradientEdge | None]] = []
        self._inside: list[int] = []

    def enter(self, number: int, module: nn.Module, args: object) -> None:
        """Record that block ``number`` begins."""
        self._inside.append(number)

    def leave(self, module: nn.Module, args: object, output: object) -> None:
        """Record that the innermost block ends."""
        self._inside.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Inspect the argument of a ReLU and call ``func``."""
        kwargs = kwargs or {}
        if func in _RELUS:
            self.calls += 1
            value = args[0] if args else kwargs["input"]
            if len(value) != self.batch:
                raise ValueError(f"a ReLU has {len(value)} rows for {self.batch} images")
            if self._inside:
                edge = get_gradient_edge(value) if value.requires_grad else None
                # A copy, because an in-place ReLU overwrites it.
                self.fired.append((self._inside[-1], value.detach().flatten(1).clone(), edge))
        return func(*args, **kwargs)


def _correlation(response: Tensor) -> Tensor:
    """Return |correlation| (B, B) between images of a response (B, ...).

    As in the authors' code, it is 0 everywhere if the response to one image is constant.
    """
    rows = response.flatten(1).to("cpu", torch.float64)
    centred = rows - rows.mean(dim=1, keepdim=True)
    lengths = centred.norm(dim=1, keepdim=True)
    if not (lengths > 1e-12 * rows.norm(dim=1, keepdim=True)).all():
        return torch.zeros(len(rows), len(rows), dtype=torch.float64)
    unit = centred / lengths
    result: Tensor = (unit @ unit.mT).abs()
    return result


PROXIES = (
    FunctionProxy(
        name="wrcor",
        function=weighted_correlation,
        passes=("data",),
        needs_labels=True,
        reference="Jing et al., arXiv 2507.08841, 2025",
        description="log|det K|, where K is the sum over the ReLUs of block i of 2^i times the "
        "absolute correlations between images of the ReLU's input, plus those of the gradient of "
        "the cross-entropy with respect to it.",
        notes="One forward and one backward pass in train mode. Blocks are those of the AZ-NAS "
        "components that have a ReLU, counted from 0 in the order of the network (the authors "
        "count the cells, including residual blocks, and finally the ReLU before the classifier). "
        "A response that is constant for an image is left out, as in their code. The score is "
        "minus infinity, which counts as failed, if K is singular.",
    ),
)
