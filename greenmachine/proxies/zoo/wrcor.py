"""WRCor: do the rectifiers, and what comes back to them, tell the images apart?

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

    a (B, units) is the input of a ReLU, da the gradient of the cross-entropy there, and both
    correlations are between images, (B, B).

    Args:
        model: the network; run in train mode, with the statistics of the batch.
        images: (B, C, H, W), two or more.
        labels: (B,) class indices.
        seed: of randomness inside the network (dropout).

    Returns:
        The score; minus infinity where K is singular.

    Raises:
        ValueError: labels are missing, there is one image alone, no ReLU fired in a block, or
            one was called in a way that is not watched.
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
            f"wrcor reads ReLUs: {calls.fired - inputs.calls} of {calls.fired} rectifiers of this "
            "network are called in another way"
        )
    if not inputs.fired:
        raise ValueError("no ReLU fired in a block: wrcor reads nothing else")
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
    """Keeps the inputs of the ReLUs of every block, and where their gradients arrive.

    Attributes:
        calls: ReLUs that fired, outside of blocks too.
        fired: the block, the input (B, units), and the edge of its gradient.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.calls = 0
        self.fired: list[tuple[int, Tensor, GradientEdge | None]] = []
        self._inside: list[int] = []

    def enter(self, number: int, module: nn.Module, args: object) -> None:
        """Note that block ``number`` begins."""
        self._inside.append(number)

    def leave(self, module: nn.Module, args: object, output: object) -> None:
        """Note that it ends."""
        self._inside.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Look at the argument of a ReLU and call ``func``."""
        kwargs = kwargs or {}
        if func in _RELUS:
            self.calls += 1
            value = args[0] if args else kwargs["input"]
            if len(value) != self.batch:
                raise ValueError(f"a ReLU has {len(value)} rows for {self.batch} images")
            if self._inside:
                edge = get_gradient_edge(value) if value.requires_grad else None
                # A copy: a ReLU that works in place overwrites it.
                self.fired.append((self._inside[-1], value.detach().flatten(1).clone(), edge))
        return func(*args, **kwargs)


def _correlation(response: Tensor) -> Tensor:
    """Return |correlation| (B, B) of a response (B, ...) between images, 0 where one is constant.

    As in the authors' code, a response that is constant for one image is left out whole.
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
        words="log|det K|, where K adds up for every ReLU of block i 2^i times the absolute "
        "correlations between images of its inputs, and of the gradients of the cross-entropy "
        "there.",
        notes="One forward and one backward pass in train mode. Blocks are those of the AZ-NAS "
        "components that have a ReLU, counted from 0 in the order of the network (the authors "
        "count the cells, residual blocks among them, and last the ReLU before the head). A "
        "response that is constant for an image is left out, as in their code. Minus infinity, "
        "which counts as failed, where K is singular.",
    ),
)
