"""gm_any_second: a zero-cost proxy exported by GreenMachine; it needs only torch.

Formula (a high score is good):

    div(
        mean_layers(
            signed_sqrt(
                times_depth(
                    previous_layer(previous_layer(previous_layer(times_depth(std(weight)))))
                )
            )
        ),
        sub(
            sum_log_layers(skewness(sqrt_abs(add(noise_weight_grad, weight)))),
            mul(
                last_layer(spectral_entropy(filter_correlation(weight))),
                sum_layers(effective_rank(filter_correlation(noise_weight_grad)))
            )
        )
    )

Use: ``score(model)`` returns a float. It is what the engine computed, which runs
on one thread: float32 gradients of a deep network on a small batch move by 1e-3 or so
with the number of threads, so call ``torch.set_num_threads(1)`` to compare scores.

Provenance:

    run: gm-any-joined
    seed: 2
    benchmark: nats-tss, nats-sss, cifar10, cifar100, imagenet16-120
    networks: 160 train, 320 validation, 1000 test
    generation: 17
    created: 2026-11-23T14:33:44+00:00
    git: 84f2ee17ea23c34e3616fae0e63189936f709316

Measured Kendall tau-b (with its standard error where known):

    train nats-tss/cifar10 champion                         0.775 ± 0.029
    train nats-tss/cifar10 params                           0.609 ± 0.046
    train nats-tss/cifar10 flops                            0.609 ± 0.046
    train nats-tss/cifar10 convolutions                     0.616 ± 0.050
    train nats-tss/cifar100 champion                        0.794 ± 0.029
    train nats-tss/cifar100 params                          0.587 ± 0.049
    train nats-tss/cifar100 flops                           0.587 ± 0.049
    train nats-tss/cifar100 convolutions                    0.649 ± 0.045
    train nats-tss/imagenet16-120 champion                  0.760 ± 0.031
    train nats-tss/imagenet16-120 params                    0.561 ± 0.050
    train nats-tss/imagenet16-120 flops                     0.561 ± 0.050
    train nats-tss/imagenet16-120 convolutions              0.638 ± 0.045
    train nats-sss/cifar10 champion                         0.787 ± 0.026
    train nats-sss/cifar10 params                           0.708 ± 0.039
    train nats-sss/cifar10 flops                            0.513 ± 0.064
    train nats-sss/cifar10 sum_log_channels                 0.799 ± 0.023
    train nats-sss/cifar10 depth2_log_channels              0.482 ± 0.056
    train nats-sss/cifar100 champion                        0.823 ± 0.021
    train nats-sss/cifar100 params                          0.584 ± 0.055
    train nats-sss/cifar100 flops                           0.252 ± 0.072
    train nats-sss/cifar100 sum_log_channels                0.649 ± 0.039
    train nats-sss/cifar100 depth2_log_channels             0.805 ± 0.028
    train nats-sss/imagenet16-120 champion                  0.884 ± 0.015
    train nats-sss/imagenet16-120 params                    0.698 ± 0.037
    train nats-sss/imagenet16-120 flops                     0.469 ± 0.064
    train nats-sss/imagenet16-120 sum_log_channels          0.828 ± 0.020
    train nats-sss/imagenet16-120 depth2_log_channels       0.608 ± 0.044
    validation nats-tss/cifar10 champion                    0.741 ± 0.024
    validation nats-tss/cifar10 params                      0.545 ± 0.039
    validation nats-tss/cifar10 flops                       0.545 ± 0.039
    validation nats-tss/cifar10 convolutions                0.525 ± 0.046
    validation nats-tss/cifar100 champion                   0.758 ± 0.023
    validation nats-tss/cifar100 params                     0.542 ± 0.040
    validation nats-tss/cifar100 flops                      0.542 ± 0.040
    validation nats-tss/cifar100 convolutions               0.563 ± 0.047
    validation nats-tss/imagenet16-120 champion             0.721 ± 0.026
    validation nats-tss/imagenet16-120 params               0.514 ± 0.040
    validation nats-tss/imagenet16-120 flops                0.514 ± 0.040
    validation nats-tss/imagenet16-120 convolutions         0.542 ± 0.046
    validation nats-sss/cifar10 champion                    0.781 ± 0.019
    validation nats-sss/cifar10 params                      0.678 ± 0.029
    validation nats-sss/cifar10 flops                       0.403 ± 0.047
    validation nats-sss/cifar10 sum_log_channels            0.830 ± 0.014
    validation nats-sss/cifar10 depth2_log_channels         0.557 ± 0.036
    validation nats-sss/cifar100 champion                   0.809 ± 0.016
    validation nats-sss/cifar100 params                     0.537 ± 0.035
    validation nats-sss/cifar100 flops                      0.201 ± 0.052
    validation nats-sss/cifar100 sum_log_channels           0.646 ± 0.028
    validation nats-sss/cifar100 depth2_log_channels        0.815 ± 0.017
    validation nats-sss/imagenet16-120 champion             0.872 ± 0.010
    validation nats-sss/imagenet16-120 params               0.669 ± 0.028
    validation nats-sss/imagenet16-120 flops                0.395 ± 0.049
    validation nats-sss/imagenet16-120 sum_log_channels     0.772 ± 0.022
    validation nats-sss/imagenet16-120 depth2_log_channels  0.645 ± 0.029
    test nats-tss/cifar10 champion                          0.762 ± 0.011
    test nats-tss/cifar10 params                            0.603 ± 0.019
    test nats-tss/cifar10 flops                             0.603 ± 0.019
    test nats-tss/cifar10 convolutions                      0.599 ± 0.021
    test nats-tss/cifar100 champion                         0.756 ± 0.013
    test nats-tss/cifar100 params                           0.579 ± 0.020
    test nats-tss/cifar100 flops                            0.579 ± 0.020
    test nats-tss/cifar100 convolutions                     0.625 ± 0.019
    test nats-tss/imagenet16-120 champion                   0.714 ± 0.015
    test nats-tss/imagenet16-120 params                     0.538 ± 0.021
    test nats-tss/imagenet16-120 flops                      0.538 ± 0.021
    test nats-tss/imagenet16-120 convolutions               0.602 ± 0.019
    test nats-sss/cifar10 champion                          0.787 ± 0.012
    test nats-sss/cifar10 params                            0.673 ± 0.016
    test nats-sss/cifar10 flops                             0.425 ± 0.027
    test nats-sss/cifar10 sum_log_channels                  0.816 ± 0.009
    test nats-sss/cifar10 depth2_log_channels               0.521 ± 0.023
    test nats-sss/cifar100 champion                         0.792 ± 0.010
    test nats-sss/cifar100 params                           0.521 ± 0.023
    test nats-sss/cifar100 flops                            0.167 ± 0.030
    test nats-sss/cifar100 sum_log_channels                 0.609 ± 0.019
    test nats-sss/cifar100 depth2_log_channels              0.829 ± 0.008
    test nats-sss/imagenet16-120 champion                   0.863 ± 0.008
    test nats-sss/imagenet16-120 params                     0.647 ± 0.018
    test nats-sss/imagenet16-120 flops                      0.405 ± 0.026
    test nats-sss/imagenet16-120 sum_log_channels           0.779 ± 0.012
    test nats-sss/imagenet16-120 depth2_log_channels        0.597 ± 0.019
"""

import math
import random
import sys
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils import checkpoint

__all__ = ["DIRECTION", "EXPRESSION", "SHAPE", "score"]

EXPRESSION = (
    "div(mean_layers(signed_sqrt(times_depth(previous_layer(previous_layer(previous_layer("
    "times_depth(std(weight)))))))), sub(sum_log_layers(skewness(sqrt_abs(add(noise_weight_grad, "
    "weight)))), mul(last_layer(spectral_entropy(filter_correlation(weight))), sum_layers("
    "effective_rank(filter_correlation(noise_weight_grad))))))"
)
DIRECTION = 1  # a high score is good
SHAPE = (4, 3, 32, 32)  # (B, C, H, W) of the noise where neither images nor a shape are given

# --- greenmachine/networks/batches.py -------------------------------------------------------


def image_batch(images: Any, model: nn.Module) -> Tensor:
    """Return a copy of ``images`` on the device of ``model``, in its dtype.

    Whole numbers (B, T) stay whole where the network has an embedding: they are token ids.

    Args:
        images: a tensor or array, (B, C, H, W), or of the shape that the network takes.
        model: the network.

    Raises:
        ValueError: this is no batch, or not all of it is finite.
    """
    like = float_like(model)
    batch = as_tensor(images, "images").to(like.device)
    if batch.dim() < 2 or not batch.numel():
        raise ValueError(f"images of shape {tuple(batch.shape)} are no batch: it is (B, C, H, W)")
    if batch.is_complex():
        raise ValueError("images are complex: give real numbers")
    if batch.dim() == 2 and not batch.is_floating_point() and embeds(model):
        return batch.long()
    if not batch.isfinite().all():
        raise ValueError("images hold NaN or infinity: remove those images")
    return batch.to(like.dtype)


def embeds(model: nn.Module) -> bool:
    """Return whether ``model`` has an embedding, and so may take token ids."""
    return any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in model.modules())


@contextmanager
def no_token_ids(model: nn.Module, shape: tuple[int, ...]) -> Iterator[None]:
    """Say what to do where noise of ``shape`` is sent to a network that takes token ids."""
    try:
        yield
    except (RuntimeError, IndexError) as error:
        if len(shape) == 2 and embeds(model):
            raise ValueError(
                "noise is no token ids: use a proxy of the data pass, or score a module that "
                "takes embeddings (B, tokens, features)"
            ) from error
        raise


def as_tensor(values: Any, what: str) -> Tensor:
    """Return a copy: autograd refuses tensors that were made in inference mode."""
    try:
        return torch.as_tensor(values).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"{what} are {type(values).__name__}, which torch cannot read: give a tensor"
        ) from None


# --- greenmachine/networks/layers.py --------------------------------------------------------

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
WEIGHTED = (*CONVOLUTIONS, nn.Linear)


@dataclass(frozen=True)
class Coverage:
    """How many of the weights that a network uses belong to its convolutions and linear layers.

    A weight is an element of a parameter with two or more dimensions. Biases and the scales of
    normalisation are none.

    Attributes:
        covered: weights of convolutions and linear layers that fired.
        used: those, and all others that the network used.
        others: names of the parameters that hold the others.
    """

    covered: int
    used: int
    others: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The covered share of the weights used; 1 where there are none."""
        return self.covered / self.used if self.used else 1.0

    def warn(self) -> None:
        """Warn where a part of the network is not covered."""
        if not self.others:
            return
        names = ", ".join(self.others[:3]) + (", ..." if len(self.others) > 3 else "")
        percent = math.floor(1000 * self.share) / 10  # never 100, since others are used
        warnings.warn(
            f"the score covers {percent}% of the weights that the network uses "
            f"({self.covered:,} of {self.used:,}): {names} belong to no convolution or linear "
            "layer that fires",
            stacklevel=3,
        )


@contextmanager
def fired_layers(model: nn.Module) -> Iterator[set[nn.Module]]:
    """Yield a set that grows by every module of ``model`` that fires inside."""
    fired: set[nn.Module] = set()
    handles = [
        module.register_forward_hook(lambda module, args, output: fired.add(module))
        for module in model.modules()
    ]
    try:
        yield fired
    finally:
        for handle in handles:
            handle.remove()


def coverage(
    model: nn.Module, fired: Set[nn.Module], run: Callable[[], object], seed: int = 0
) -> Coverage:
    """Return how much of ``model`` its convolutions and linear layers are.

    Args:
        model: the network.
        fired: its layers that fired.
        run: sends a batch through the network. It is called only where a weight belongs to no
            layer that fired, to see whether the network uses it.
        seed: of the randomness inside the network.
    """
    matrices = weight_matrices(model)
    if not others_of(matrices, fired):
        count = elements([parameter for _, _, parameter in matrices])
        return Coverage(count, count)
    with untouched(model, seed):  # computed weights are plain here
        matrices = weight_matrices(model)
        others = others_of(matrices, fired)
        reads = Reads({id(parameter) for _, _, parameter in others})
        with fired_layers(model) as ran, torch.no_grad(), reads:
            run()
        used = [
            (name, parameter)
            for name, module, parameter in others
            # A layer that fires for another reads its own weights alone.
            if id(parameter) in reads.found or (module in ran and not isinstance(module, WEIGHTED))
        ]
        unread = {id(parameter) for _, _, parameter in others}
        covered = elements([p for _, _, p in matrices if id(p) not in unread])
        missed = elements([parameter for _, parameter in used])
        return Coverage(covered, covered + missed, tuple(name for name, _ in used))


@contextmanager
def gradients_expected(model: nn.Module) -> Iterator[None]:
    """Warn of layers that fire where the network switches gradients off.

    A function that computes layers in ways of its own (without a graph, to save memory) hides
    their gradients from torch.
    """
    hidden: list[str] = []

    def hook_of(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if not torch.is_grad_enabled():
                hidden.append(name)

        return hook

    handles = []
    if torch.is_grad_enabled() and any(p.requires_grad for p in model.parameters()):
        for name, module in model.named_modules():
            if isinstance(module, WEIGHTED):
                handles.append(module.register_forward_hook(hook_of(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if hidden:
        warnings.warn(
            f"the network switches gradients off where {hidden[0]} fires (layers: {len(hidden)}): "
            "their gradients count as 0",
            stacklevel=3,
        )


def weight_matrices(model: nn.Module) -> list[tuple[str, nn.Module, Tensor]]:
    """Return name, owner and value of every parameter with two or more dimensions."""
    return [
        (f"{path}.{name}".lstrip("."), module, parameter)
        for path, module in model.named_modules()
        for name, parameter in module._parameters.items()
        if parameter is not None and len([side for side in parameter.shape if side > 1]) > 1
    ]


def elements(tensors: list[Tensor]) -> int:
    """Return the number of elements, of a tensor that is listed twice once."""
    total = 0
    for size in {id(tensor): tensor.numel() for tensor in tensors}.values():
        total += size
    return total


def others_of(
    matrices: list[tuple[str, nn.Module, Tensor]], fired: Set[nn.Module]
) -> list[tuple[str, nn.Module, Tensor]]:
    """Return those of ``matrices`` that are not the weight of a layer that fired."""
    covered = {
        id(module.weight)
        for module in fired
        if isinstance(module, WEIGHTED) and module._parameters.get("weight") is not None
    }
    return [entry for entry in matrices if id(entry[2]) not in covered]


class Reads(TorchFunctionMode):
    """Notes which of some tensors torch's functions are given.

    Attributes:
        found: their identities.
    """

    def __init__(self, wanted: set[int]) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note the arguments and call ``func``."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__":  # asking for a shape reads no value
            for value in (*args, *kwargs.values()):
                for item in value if isinstance(value, list | tuple) else (value,):
                    if id(item) in self.wanted:
                        self.found.add(id(item))
        return func(*args, **kwargs)


# --- greenmachine/networks/outputs.py -------------------------------------------------------

Output = int | str | Callable[[Any], Tensor]


def pick_output(returned: Any, output: Output | None = None) -> Tensor:
    """Return the tensor that counts as the output of a network.

    Args:
        returned: what the network returned.
        output: which part of it. None takes a tensor as it is, ``logits`` of a dictionary or an
            object, and the only tensor of a tuple, list or dictionary.

    Raises:
        ValueError: ``output`` does not fit, or without it the choice is not clear.
    """
    if output is None:
        found = clear_output(returned)
        if found is not None:
            return found
        raise ValueError(
            f"the network returned {described(returned)}: say which part is its output, with "
            "output=0 (an index), output='logits' (a key) or a function"
        )
    if isinstance(returned, Tensor) and not callable(output):
        raise ValueError(f"output={output!r} does not fit: the network returned a tensor alone")
    try:
        if callable(output):
            found = output(returned)
        elif isinstance(output, str) and not isinstance(returned, Mapping):
            found = getattr(returned, output)
        else:
            found = returned[output]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"output={output!r} does not fit, because the network returned "
            f"{described(returned)} ({type(error).__name__})"
        ) from None
    if not isinstance(found, Tensor):
        raise ValueError(f"output={output!r} is {described(found)}, not a tensor")
    return found


def clear_output(returned: Any) -> Tensor | None:
    """Return the output of a network where there is no doubt, else None."""
    if isinstance(returned, Tensor):
        return returned
    if isinstance(returned, Mapping):
        logits, parts = returned.get("logits"), list(returned.values())
    else:
        logits = getattr(returned, "logits", None)
        parts = list(returned) if isinstance(returned, list | tuple) else []
    if isinstance(logits, Tensor):
        return logits
    tensors = [part for part in parts if isinstance(part, Tensor)]
    return tensors[0] if len(tensors) == 1 else None


def described(returned: Any) -> str:
    """Say in a few words what a network returned."""
    if isinstance(returned, Tensor):
        return f"a tensor {tuple(returned.shape)}"
    kind = type(returned).__name__
    if isinstance(returned, Mapping):
        pairs = list(returned.items())
    else:
        pairs = list(enumerate(returned)) if isinstance(returned, list | tuple) else []
    if not pairs:
        return kind
    inner = [
        f"{key!r}: {tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__}"
        for key, part in pairs[:6]
    ]
    more = ", ..." if len(pairs) > 6 else ""
    return f"{kind} with {', '.join(inner)}{more}"


@contextmanager
def single_output(model: nn.Module, output: Output | None = None) -> Iterator[list[bool]]:
    """Let ``model`` return its output alone inside, where that is clear; see :func:`pick_output`.

    Yields:
        A list that grows with every output: whether it was finite.
    """
    finite: list[bool] = []

    def hook(module: nn.Module, args: Any, returned: Any) -> Any:
        found = returned
        if output is not None:
            found = pick_output(returned, output)
        elif (clear := clear_output(returned)) is not None:
            found = clear
        if isinstance(found, Tensor):
            finite.append(bool(found.detach().isfinite().all()))
        return found  # what is not clear is the business of whoever needs the output

    handle = model.register_forward_hook(hook)
    try:
        yield finite
    finally:
        handle.remove()


# --- greenmachine/networks/untouched.py -----------------------------------------------------

CONTAINERS = {dict, OrderedDict, list, set, deque}
MARK = "_is_untouched_inside"  # attribute of a network that is in this state already


@contextmanager
def untouched(model: nn.Module, seed: int) -> Iterator[None]:
    """Give ``model`` the state that the module describes; outside all is as it was found.

    Attributes that the network sets while it runs (a kept output, a new buffer) are undone too.
    Once more inside, it undoes what happened to values of parameters and to buffers.

    Args:
        model: any network.
        seed: of the randomness inside the network, such as dropout.

    Raises:
        ValueError: the network has weights that cannot be read: quantised, lazy, complex, without
            values (device ``meta``), or inside TorchScript.
    """
    if MARK in vars(model):
        with unchanged_values(model, seed):
            yield
        return
    refuse_unreadable(model)
    modules = list(model.modules())
    found = [Found(module) for module in modules]
    devices = devices_of(modules)
    with neutral(), seeded(seed, devices), torch.enable_grad(), no_checkpoints():
        try:
            held = Extras(modules)
            own_buffers(modules, held)
            if not all(f.training and f.kind.train is nn.Module.train for f in found):
                model.train()
            with torch.no_grad(), seeded(seed, devices):  # a computed weight may draw numbers
                for module in modules:
                    plain_weights(module)
            own_parameters(modules, held)
            watch_threads(modules)
            vars(model)[MARK] = True
            with own_generators(held.generators, seed):
                yield
        finally:
            vars(model).pop(MARK, None)
            late = set(model.modules()).difference(modules)
            for one in found:
                one.restore()
    if any(list(module.parameters()) for module in late):
        warnings.warn(
            "the network built layers while it ran, which the score leaves out: send a batch "
            "through it once before",
            stacklevel=3,
        )


@contextmanager
def unchanged_values(model: nn.Module, seed: int) -> Iterator[None]:
    """Undo what happens inside to buffers, values of parameters and torch's generator."""
    modules = list(model.modules())
    parameters = {p for module in modules for p in module._parameters.values() if p is not None}
    values = [(parameter, parameter.data) for parameter in parameters]
    buffers = [(module, dict(module._buffers)) for module in modules if module._buffers]
    devices = devices_of(modules)
    held = Extras(modules)
    own_buffers(modules, held)
    with seeded(seed, devices), torch.enable_grad(), own_generators(held.generators, seed):
        try:
            yield
        finally:
            for parameter, data in values:
                parameter.data = data
            for module, before in buffers:
                module._buffers.clear()
                module._buffers.update(before)


def devices_of(modules: list[nn.Module]) -> list[int]:
    """Return the GPUs on which parameters are."""
    held = (p for module in modules for p in module._parameters.values() if p is not None)
    return sorted({parameter.device.index for parameter in held if parameter.is_cuda})


def watch_threads(modules: list[nn.Module]) -> None:
    """Refuse layers that fire in another thread: torch's modes hold for one thread alone."""
    here = threading.get_ident()

    def hook(module: nn.Module, args: Any) -> None:
        if threading.get_ident() != here:
            raise ValueError(
                f"a layer ({type(module).__name__}) runs in a thread of the network's own, where "
                "it cannot be watched: run it in the thread of the caller"
            )

    for module in modules:
        if isinstance(module, (_ConvNd, nn.Linear)):
            module.register_forward_pre_hook(hook)  # it goes when the module is put back


class Extras:
    """What modules hold beside parameters and buffers.

    Attributes:
        tensors: module, attribute and value of every plain tensor.
        lists: that are not empty.
        generators: of random numbers.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self.tensors: list[tuple[nn.Module, str, Tensor]] = []
        self.lists: list[list[Any]] = []
        generators: dict[int, torch.Generator] = {}
        for module in modules:
            for name, held in vars(module).items():  # two dozen: ask for no more than the type
                kind = type(held)
                if kind is Tensor:
                    self.tensors.append((module, name, held))
                elif kind is list:
                    self.lists += [held] if held else []
                elif torch.Generator in kind.__mro__:
                    generators[id(held)] = held
        self.generators = list(generators.values())


@contextmanager
def own_generators(generators: list[torch.Generator], seed: int) -> Iterator[None]:
    """Seed generators; outside they are as they were."""
    before = [(generator, generator.get_state()) for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in before:
            generator.set_state(state)


class Found:
    """A module as it was found: its class and its attributes, containers with their content."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.kind = type(module)
        self.training = module.training
        self.attributes = dict(vars(module))
        # Most are empty (a module has a dozen dictionaries of hooks): those need no copy.
        self.contents: list[tuple[Any, Any]] = []
        waiting = [held for held in self.attributes.values() if type(held) in CONTAINERS]
        while waiting:  # containers inside containers too
            held = waiting.pop()
            if not held:
                self.contents.append((held, ()))
                continue
            self.contents.append((held, held.copy()))
            items = held.values() if isinstance(held, dict) else held
            waiting += [item for item in items if type(item) in CONTAINERS]

    def restore(self) -> None:
        """Put everything back."""
        if type(self.module) is not self.kind:
            self.module.__class__ = self.kind
        vars(self.module).clear()
        vars(self.module).update(self.attributes)
        for held, before in self.contents:
            if not held and not before:
                continue
            held.clear()
            if isinstance(held, list | deque):
                held.extend(before)
            else:
                held.update(before)


def own_buffers(modules: list[nn.Module], held: Extras) -> None:
    """Replace buffers and plain tensors by copies. What is shared stays shared."""
    replace_tensors([module._buffers for module in modules], held, lambda old: old.detach().clone())
    for module, name, tensor in held.tensors:
        # A tensor that is neither; one that was computed is a kept output and stays.
        if tensor.grad_fn is None:
            vars(module)[name] = tensor.detach().clone()


def own_parameters(modules: list[nn.Module], held: Extras) -> None:
    """Replace parameters by ones of the same memory.

    New parameters, not the network's own: the owner may hold a graph in which they take part, and
    their ``requires_grad``, layout and dtype are the owner's. What is shared stays shared.
    """
    replace_tensors([module._parameters for module in modules], held, new_parameter)


def replace_tensors(
    tables: Sequence[dict[str, Any]], held: Extras, replaced: Callable[[Tensor], Tensor]
) -> None:
    """Put ``replaced(tensor)`` in the place of every tensor, each made once."""
    new: dict[int, Tensor] = {}  # by identity of the old one
    old: list[Tensor] = []  # alive, so that no identity is given twice
    for tensors in tables:
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            if id(tensor) not in new:
                old.append(tensor)
                new[id(tensor)] = replaced(tensor)
            tensors[name] = new[id(tensor)]
    for items in held.lists:  # recurrent layers keep their parameters in a list too
        if any(isinstance(item, Tensor) for item in items):
            items[:] = [new.get(id(item), item) for item in items]


def new_parameter(tensor: Tensor) -> nn.Parameter:
    """Return a parameter with the values of ``tensor``, and where possible its memory."""
    values = tensor.detach()
    if tensor.is_inference():
        values = values.clone()  # autograd refuses tensors that were made in inference mode
    if values.dim() == 4:
        # The layout picks the convolution's algorithm: one for all, or rounding, which deep
        # networks amplify, would make a score depend on how its owner keeps the weights.
        values = values.to(memory_format=torch.channels_last)
    return nn.Parameter(values, requires_grad=values.is_floating_point())


def plain_weights(module: nn.Module) -> None:
    """Make one parameter of every tensor of ``module`` that is computed from others."""
    computed: dict[str, Tensor] = {}
    if parametrize.is_parametrized(module):
        parametrizations = module.parametrizations
        assert isinstance(parametrizations, nn.ModuleDict)
        with parametrize.cached():
            computed = {name: getattr(module, name) for name in parametrizations}
        module.__class__ = type(module).__bases__[0]
        del module._modules["parametrizations"]
    for key, hook in list(module._forward_pre_hooks.items()) if module._forward_pre_hooks else ():
        # weight_norm and spectral_norm call it name, prune _tensor_name.
        name = getattr(hook, "_tensor_name", getattr(hook, "name", None))
        if isinstance(name, str) and isinstance(vars(module).get(name), Tensor):
            hook(module, ())  # computes it anew, as before a forward pass
            computed[name] = vars(module).pop(name)
            del module._forward_pre_hooks[key]
            for tensors in (module._parameters, module._buffers):  # weight_orig, weight_g, ...
                for source in [n for n in tensors if n.startswith(f"{name}_")]:
                    del tensors[source]
    weight = module._buffers.get("weight")
    if weight is not None and isinstance(module, (_ConvNd, nn.Linear)):
        computed["weight"] = weight  # frozen by hand
        del module._buffers["weight"]
    for name, value in computed.items():
        module._parameters[name] = nn.Parameter(value.detach().clone())


@contextmanager
def no_checkpoints() -> Iterator[None]:
    """Let ``torch.utils.checkpoint`` call its functions plainly inside.

    It computes layers a second time in the backward pass, and its reentrant form refuses
    ``torch.autograd.grad``. The numbers are those of a plain call.
    """
    plain: dict[str, Any] = {
        "CheckpointFunction": PlainCall,
        "_checkpoint_without_reentrant_generator": nothing_around,
    }
    before = {name: vars(checkpoint)[name] for name in plain if name in vars(checkpoint)}
    try:
        vars(checkpoint).update({name: plain[name] for name in before})
        yield
    finally:
        vars(checkpoint).update(before)


class PlainCall:
    """Stands for ``CheckpointFunction``, whose ``apply`` runs a function without a graph."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Call ``function``."""
        return function(*args)


def nothing_around(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Stand for the generator that runs before and after a checkpointed function."""
    yield


def refuse_unreadable(model: nn.Module) -> None:
    """Raise ``ValueError`` where weights have no values that torch could differentiate."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"the network is {type(model).__name__}, not a torch.nn.Module")
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{path or 'the network'} is a TorchScript module, whose layers cannot be watched: "
                "score the network before it is traced or scripted"
            )
        if ".quantized" in type(module).__module__:
            raise ValueError(
                f"{path or 'the network'} ({type(module).__name__}) is quantised: "
                "score the network before it is quantised"
            )
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            full = f"{path}.{name}".lstrip(".")
            if is_lazy(parameter):
                raise ValueError(f"{full} has no shape yet: send images through the network once")
            if parameter.is_meta:
                raise ValueError(f"{full} is on device meta, without values: build the network")
            if parameter.dim() > 1 and not parameter.is_floating_point():
                raise ValueError(
                    f"{full} is of {parameter.dtype}: only networks of real floating-point "
                    "weights are scored"
                )


def all_finite(model: nn.Module) -> bool:
    """Return whether every parameter is finite."""
    return all(
        bool(parameter.detach().isfinite().all())
        for parameter in model.parameters()
        if parameter.is_floating_point()
    )


def float_like(model: nn.Module) -> Tensor:
    """Return a tensor of the device and floating dtype in which ``model`` computes."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.detach()
    return torch.zeros((), device="cpu", dtype=torch.float32)


# --- greenmachine/neutral.py ----------------------------------------------------------------

DEVICE_TYPES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def neutral() -> Iterator[None]:
    """Run torch with its own default settings, on one thread, one caller at a time.

    Sums and products split over threads round differently: with one thread a result does not
    depend on the number of cores. Threads that call at the same time wait for each other, because
    networks draw from one random generator of the process.
    """
    # Kept in torch, so that exported files and GreenMachine in one process share the lock.
    lock = vars(torch.random).setdefault("_untrained_network_lock", threading.RLock())
    with lock, torch.inference_mode(False), ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        stack.enter_context(full_precision())
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in DEVICE_TYPES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if "torch._dynamo" in sys.modules:  # else nothing can be compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        # One kernel of attention for all, and one that can be differentiated twice.
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


@contextmanager
def full_precision() -> Iterator[None]:
    """Let float32 products be computed in float32, on every device."""
    backends = torch.backends
    places: list[Any] = [
        part
        for backend, names in (
            (backends.mkldnn, ("conv", "matmul", "rnn")),
            (backends.cudnn, ("conv", "rnn")),
            (backends.cuda, ("matmul",)),
        )
        for name in names
        if hasattr(part := getattr(backend, name, None), "fp32_precision")
    ]
    if places:
        before = [place.fp32_precision for place in places]
        try:
            for place in places:
                place.fp32_precision = "ieee"
            yield
        finally:
            for place, precision in zip(places, before, strict=True):
                place.fp32_precision = precision
    else:  # torch before 2.9
        legacy = torch.get_float32_matmul_precision()
        try:
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.set_float32_matmul_precision(legacy)


def seed_torch(seed: int) -> None:
    """Seed torch's generators: the CPU's, and those of an accelerator that is in use.

    For each kind of accelerator that is not, ``torch.manual_seed`` formats the call stack and keeps
    it, which takes longer than all the rest and more memory at every call.
    """
    accelerator = torch.accelerator.current_accelerator()
    module = None if accelerator is None else torch.get_device_module(accelerator)
    if module is None or not getattr(module, "is_initialized", lambda: True)():
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


@contextmanager
def seeded(seed: int, devices: Sequence[int] = ()) -> Iterator[None]:
    """Seed every generator that a network may draw from; outside they are as they were.

    Args:
        seed: of torch, and of Python's and numpy's global generators.
        devices: GPUs whose generators are put back too.
    """
    numpy = sys.modules.get("numpy")  # who has not imported it does not draw from it
    python_state, numpy_state = random.getstate(), numpy and numpy.random.get_state()
    with torch.random.fork_rng(devices):
        seed_torch(seed)
        random.seed(seed)
        if numpy:
            numpy.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy:
                numpy.random.set_state(numpy_state)


# --- greenmachine/signals/capture.py --------------------------------------------------------

GRADIENTS = ("weight_grad", "input_grad", "output_grad")
BATCH_NORMS = (functional.batch_norm, torch.batch_norm)
NORMS = (
    *BATCH_NORMS,
    functional.instance_norm,
    torch.instance_norm,
    functional.layer_norm,
    torch.layer_norm,
    functional.group_norm,
    torch.group_norm,
    functional.rms_norm,
    torch.rms_norm,
)
NO_GRADIENT = (
    "no gradient comes back from the output of the network: it does not depend on what is read, or "
    "it is detached, or a predicted class"
)
HALF = (torch.float16, torch.bfloat16)
KEEPS_VALUES = "_keeps_values"  # attribute of a network in which nothing works in place


@dataclass
class Layer:
    """One firing of a convolution or linear layer.

    A module that fires twice is two layers; both carry its weights and their whole gradient.

    Attributes:
        name: path of the module; the second firing of a shared module ends in ``#2``.
        module: the module that fired.
        ends: its weight, input and output in the graph of the pass.
        edges: where autograd delivers the gradient of each end that has one.
        signals: tensors by signal name. Weights and their gradients are (O, I, kh, kw).
            Feature maps and their gradients are channels-last, (B, H, W, C); the positions of
            a linear layer (its tokens) stand in H, and W is 1.
    """

    name: str
    module: nn.Module
    ends: dict[str, Tensor]
    edges: dict[str, GradientEdge] = field(default_factory=dict)
    signals: dict[str, Tensor] = field(default_factory=dict)

    def keep(self, signal: str, value: Tensor, *, copy: bool = False) -> None:
        """Put ``value`` into the signals, in the layout of its kind.

        Args:
            signal: its name.
            value: the tensor.
            copy: whether what follows may change feature maps. A gradient is ours alone.
        """
        if signal.startswith("weight"):
            self.signals[signal] = weights_of(value, self.module)
        else:
            self.signals[signal] = maps_of(value, self.module, copy=copy)


def fresh_copy(images: Tensor) -> Tensor:
    """Return ``images`` for a network, which may work on them in place; no leaf of autograd.

    Channels last, which is what makes pooling and convolution fast on a CPU.
    """
    layout = torch.channels_last if images.dim() == 4 else torch.contiguous_format
    return images.clone(memory_format=layout)


def maps_of(tensor: Tensor, module: nn.Module, *, copy: bool = True) -> Tensor:
    """Return a layer's detached feature maps as contiguous (B, H, W, C).

    Without ``copy`` they may share the tensor's memory. Half precision becomes float32. The
    positions of one-dimensional convolutions stand in H with W = 1, and those of
    three-dimensional ones in H = depth x height.
    """
    tensor = tensor.detach()
    if tensor.dtype in HALF:
        tensor = tensor.float()
    if isinstance(module, CONVOLUTIONS):
        maps = tensor.movedim(1, -1).contiguous()
        if maps.dim() == 3:
            maps = maps.unsqueeze(2)
        elif maps.dim() == 5:
            maps = maps.flatten(1, 2)
    else:
        # The batch comes first; whatever lies between it and the features are positions.
        maps = tensor.contiguous().reshape(tensor.shape[0], -1, 1, tensor.shape[-1])
    return maps.clone() if copy and maps.data_ptr() == tensor.data_ptr() else maps


def weights_of(tensor: Tensor, module: nn.Module) -> Tensor:
    """Return a detached copy of weights as (O, I, kh, kw), one filter an output channel.

    A linear layer is a 1x1 convolution. Half precision becomes float32.
    """
    copy = tensor.detach().clone(memory_format=torch.contiguous_format)
    if copy.dtype in HALF:
        copy = copy.float()
    if isinstance(module, TRANSPOSED):  # torch keeps them as (I, O / groups, ...)
        grouped = copy.reshape(module.groups, -1, *copy.shape[1:]).transpose(1, 2)
        copy = grouped.flatten(0, 1).contiguous()
    if copy.dim() == 5:
        copy = copy.flatten(2, 3)
    return copy.reshape(*copy.shape, *(1,) * (4 - copy.dim()))


class Normalisation(TorchFunctionMode):
    """Watches or switches off normalisation, wherever it is called from.

    Functions and not modules: a subclass may do more than normalise (an activation), and that
    stays.

    Args:
        done: called with the input and the output of every normalisation.
        watched: the functions that count as one.
        batch_norms: False lets batch normalisation hand its input on unchanged.
    """

    def __init__(
        self,
        done: Callable[[Tensor, Tensor], None],
        watched: tuple[Callable[..., Tensor], ...],
        batch_norms: bool = True,
    ) -> None:
        super().__init__()
        self.done = done
        self.watched = watched
        self.batch_norms = batch_norms

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, unless it is a normalisation that is switched off."""
        kwargs = kwargs or {}
        if func not in self.watched:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs["input"]
        if func in BATCH_NORMS and not self.batch_norms:
            # A copy, as normalising makes one: an activation in place must not change the input.
            return given.clone()
        normalised = func(*args, **kwargs)
        self.done(given, normalised)
        return normalised


@contextmanager
def recording(model: nn.Module, wanted: set[str]) -> Iterator[list[Layer]]:
    """Hooks that fill the yielded list with the layers in order of firing; removed after.

    Args:
        model: the network.
        wanted: names of the signals to keep.
    """
    layers: list[Layer] = []
    firings: dict[str, int] = {}
    copy = KEEPS_VALUES not in vars(model)

    def layer_hook(path: str) -> Callable[[nn.Module, Any, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            given = args[0] if args else next(iter(kwargs.values()))
            if isinstance(module, CONVOLUTIONS) and given.dim() < module.weight.dim():
                raise ValueError(
                    f"layer {path} was given {tuple(given.shape)}, without an axis for the "
                    "images: the shape of images starts with their number, (B, C, H, W)"
                )
            count = firings[path] = firings.get(path, 0) + 1
            ends = {"weight": module.weight, "input": given, "output": output}
            layer = Layer(path if count == 1 else f"{path}#{count}", module, ends)
            # Values and gradient edges are taken now: an in-place activation that follows
            # overwrites the output and moves its edge. What we do is no part of the network:
            # no mode of torch (`Normalisation`) looks at it, call by call.
            with torch._C.DisableTorchFunction():
                for name, tensor in ends.items():
                    if name in wanted or (name == "output" and "norm_output" in wanted):
                        layer.keep(name, tensor, copy=copy)
                    if f"{name}_grad" in wanted and tensor.requires_grad:
                        layer.edges[f"{name}_grad"] = get_gradient_edge(tensor)
            layers.append(layer)

        return hook

    handles = [
        module.register_forward_hook(layer_hook(path), with_kwargs=True)
        for path, module in model.named_modules()
        if isinstance(module, WEIGHTED)
    ]
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def send(
    model: nn.Module, images: Tensor, wanted: set[str], *, norms: bool
) -> tuple[Any, list[Layer]]:
    """Send ``images`` forward; return what the network returns, and the layers as they fired.

    The recording ends with the forward pass: a network may compute layers again in the backward
    pass, to save memory.
    """
    with recording(model, wanted) as layers:

        def normalised(given: Tensor, output: Tensor) -> None:
            for layer in reversed(layers):
                if layer.ends["output"] is given:
                    layer.keep("norm_output", output, copy=KEEPS_VALUES not in vars(model))
                    break

        watch = not norms or "norm_output" in wanted
        watching = Normalisation(normalised, NORMS, norms) if watch else nullcontext()
        with watching, gradients_expected(model):
            return model(images), layers


def check_batch_axis(model: nn.Module, images: Tensor, layers: list[Layer]) -> None:
    """Raise where the images do not stand in the first dimension of a linear layer.

    Where a layer has as many tokens as images, its shape does not tell which comes first. Then
    one more image is sent through, and the first dimension has to grow by it.

    Raises:
        ValueError: another dimension is that of the images.
    """
    count = len(images)
    unclear = {
        layer.name
        for layer in layers
        if isinstance(layer.module, nn.Linear) and count in layer.ends["input"].shape[1:-1]
    }
    if not unclear:
        return
    more = torch.cat([images, images[:1]]).detach()
    with torch.no_grad():
        _, found = send(model, fresh_copy(more), set(), norms=True)
    for layer in found:
        if layer.name in unclear and len(layer.ends["input"]) != count + 1:
            raise ValueError(
                f"the first dimension of layer {layer.name} is not that of the images: build the "
                "network batch-first"
            )


def run_pass(
    model: nn.Module,
    images: Tensor,
    objective: Callable[[Tensor], Tensor],
    wanted: set[str],
    *,
    norms: bool = True,
    absent_as_zero: bool = True,
    seed: int = 0,
) -> list[Layer]:
    """Send ``images`` forward, and backward where a gradient is wanted.

    Args:
        model: any network whose output :func:`pick_output` finds.
        images: (B, C, H, W), or of the shape that the network takes.
        objective: makes a scalar of the output; its gradient is taken.
        wanted: signals to keep: ``input``, ``output``, ``norm_output``, ``weight_grad``,
            ``input_grad``, ``output_grad``.
        norms: False switches batch normalisation off.
        absent_as_zero: False leaves out a gradient that does not exist.
        seed: of the randomness inside the network (dropout).

    Returns:
        The layers in order of firing. A layer whose output reaches nothing has zero
        gradients; one that no normalisation follows has ``norm_output`` = ``output``.

    Raises:
        ValueError: the output is not clear, or a layer's first dimension is not the batch, so
            that it has no image axis.
    """
    names = [name for name in GRADIENTS if name in wanted]
    with untouched(model, seed), torch.set_grad_enabled(bool(names)):
        leaf = images.detach().requires_grad_(bool(names) and images.is_floating_point())
        returned, layers = send(model, fresh_copy(leaf), wanted, norms=norms)
        edges = [edge for layer in layers for edge in layer.edges.values()]
        found: list[Tensor | None] = []
        if edges:
            output = pick_output(returned)
            if not output.requires_grad:
                raise ValueError(NO_GRADIENT)
            found = list(torch.autograd.grad(objective(output), edges, allow_unused=True))
        if wanted - {"weight_grad"}:
            check_batch_axis(model, images, layers)
    for layer in layers:
        for name in names:
            gradient = found.pop(0) if found and name in layer.edges else None
            if gradient is None and absent_as_zero:
                gradient = torch.zeros_like(layer.ends[name.removesuffix("_grad")])
            if gradient is not None:
                layer.keep(name, gradient)
        if "norm_output" in wanted and "norm_output" not in layer.signals:
            layer.signals["norm_output"] = layer.signals["output"]
        if "output" not in wanted:
            layer.signals.pop("output", None)
        layer.ends.clear()  # lets go of the graph
        layer.edges.clear()
        for name, value in layer.signals.items():
            if not name.startswith("weight") and len(value) != len(images):
                raise ValueError(
                    f"{name} of layer {layer.name} has {len(value)} rows for {len(images)} images"
                )
    return layers


# --- greenmachine/signals/passes.py ---------------------------------------------------------


@dataclass(frozen=True)
class Inputs:
    """What a pass may send through a network.

    Attributes:
        shape: (B, C, H, W) of the images that it draws, or of the shape that the network takes.
        images: a mini-batch of the data set, where there is one.
        labels: (B,) class indices of ``images``.
    """

    shape: tuple[int, ...]
    images: Any = None
    labels: Any = None


def noise_images(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return N(0, 1) images of ``shape`` = (B, C, H, W), drawn on the CPU for every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def noise_pass(model: nn.Module, inputs: Inputs, wanted: set[str], seed: int) -> list[Layer]:
    """N(0, 1) images, gradient of the sum of the outputs."""
    noise = noise_images(inputs.shape, seed).to(float_like(model))
    with no_token_ids(model, inputs.shape):
        return run_pass(model, noise, torch.sum, wanted, seed=seed)


# --- greenmachine/export/runtime.py ---------------------------------------------------------


def shape_for(images: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The (B, C, H, W) of the noise: that of the images, or ``shape`` without any."""
    return tuple(shape) if images is None else tuple(torch.as_tensor(images).shape)


def warned(
    model: nn.Module,
    layers: list[Layer],
    score: float,
    images: Any,
    shape: tuple[int, ...],
    seed: int,
) -> float:
    """The score, NaN where a weight is not finite; warns where the layers are a part alone."""
    if images is None:
        batch = noise_images(shape, seed).to(float_like(model))
    else:
        batch = image_batch(images, model)
    fired = {layer.module for layer in layers}
    coverage(model, fired, lambda: model(batch), seed).warn()
    return score if all_finite(model) else math.nan


def merged(passes: dict[str, list[Layer]]) -> list[Layer]:
    """The layers in order of firing, with the signals of each pass under ``pass_signal``."""
    firings = [[layer.name for layer in layers] for layers in passes.values()]
    if not firings[0]:
        raise ValueError("no convolution or linear layer fired")
    if any(firing != firings[0] for firing in firings):
        raise ValueError("the layers that fire differ from pass to pass")
    layers = next(iter(passes.values()))
    signals: list[dict[str, Tensor]] = [{} for _ in layers]
    for name, fired in passes.items():
        for collected, layer in zip(signals, fired, strict=True):
            collected.update({f"{name}_{key}": value for key, value in layer.signals.items()})
    for layer, collected in zip(layers, signals, strict=True):
        layer.signals = collected
    return layers


def add_weights(layers: list[Layer]) -> None:
    """Give each layer its weights as the signal ``weight``."""
    for layer in layers:
        weight = layer.module.weight
        assert isinstance(weight, Tensor)
        layer.signals["weight"] = weights_of(weight, layer.module)


def weights(layer: Layer, name: str) -> Tensor:
    """A signal of the shape of the weights, (1, O, I, kh, kw)."""
    return layer.signals[name].unsqueeze(0)


def over_layers(values: tuple[Tensor, ...]) -> Tensor:
    """One value a layer, each (1, ...), as one network: (1, L, ...) float64."""
    return torch.cat(values).to("cpu", torch.float64).unsqueeze(0)


# --- greenmachine/primitives/_helpers.py ----------------------------------------------------

EPSILON = 1e-8  # softens division by elements near zero
FLOOR = 1e-10  # smallest magnitude whose logarithm is taken
CONSTANT = 1e-6  # a deviation below this share of the mean is rounding of a constant


def layer_dims(x: Tensor) -> tuple[int, ...]:
    """All dimensions but the stack's."""
    return tuple(range(1, x.ndim))


def inverse_or_zero(x: Tensor) -> Tensor:
    """1/x, with 0 where x is 0."""
    return torch.where(x == 0, 0.0, 1 / x)


def softened_inverse(x: Tensor) -> Tensor:
    """x/(x² + ε²): 1/x away from zero, 0 at zero, and never above 1/(2ε)."""
    energy = (x * x).add_(EPSILON**2)
    return torch.div(x, energy, out=energy)


def centred(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """x minus its mean over ``dims``, and its deviation there (0 where x is constant)."""
    mean = x.mean(dim=dims, keepdim=True)
    rest = x - mean
    std = rest.square().mean(dim=dims, keepdim=True).sqrt_()
    return rest, torch.where(std <= CONSTANT * mean.abs(), 0.0, std)


def gram(rows: Tensor) -> Tensor:
    """(..., n, features) to (..., n, n): mean over the features of products of two rows."""
    return (rows @ rows.mT).div_(rows.shape[-1])


def correlation_of_rows(rows: Tensor) -> Tensor:
    """(..., n, features) to (..., n, n): Pearson correlation, 0 where a row is constant."""
    mean = rows.mean(dim=-1, keepdim=True)
    products = gram(rows - mean)
    std = products.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = inverse_or_zero(torch.where(std <= CONSTANT * mean.squeeze(-1).abs(), 0.0, std))
    return products * scale.unsqueeze(-1) * scale.unsqueeze(-2)


# --- greenmachine/primitives/aggregations.py ------------------------------------------------


def sum_layers(x: Tensor) -> Tensor:
    """Sum over the layers."""
    return x.sum(dim=-1)


def mean_layers(x: Tensor) -> Tensor:
    """Mean over the layers."""
    return x.mean(dim=-1)


def sum_log_layers(x: Tensor) -> Tensor:
    """Sum over the layers of log|x|, floored."""
    return x.abs().clamp_min(FLOOR).log().sum(dim=-1)


def last_layer(x: Tensor) -> Tensor:
    """Value of the last layer."""
    return x[..., -1]


# --- greenmachine/primitives/elementwise.py -------------------------------------------------


def sqrt_abs(x: Tensor) -> Tensor:
    """Square root of |x|."""
    return x.abs().sqrt_()


def signed_sqrt(x: Tensor) -> Tensor:
    """sign(x)·√|x|."""
    return x.abs().sqrt_().mul_(torch.sign(x))


def add(x: Tensor, y: Tensor) -> Tensor:
    """Sum: x + y."""
    return x + y


def sub(x: Tensor, y: Tensor) -> Tensor:
    """Difference: x - y."""
    return x - y


def mul(x: Tensor, y: Tensor) -> Tensor:
    """Product: x·y."""
    return x * y


def div(x: Tensor, y: Tensor) -> Tensor:
    """x/y, softened near y = 0, and 0 where y is 0."""
    return softened_inverse(y).mul_(x)


# --- greenmachine/primitives/matrices.py ----------------------------------------------------


def filter_correlation(w: Tensor) -> Tensor:
    """Pearson correlation of each two filters over their weights."""
    return correlation_of_rows(w.flatten(2))


# --- greenmachine/primitives/reductions.py --------------------------------------------------


def std(x: Tensor) -> Tensor:
    """Standard deviation."""
    return centred(x, layer_dims(x))[1].flatten()


def skewness(x: Tensor) -> Tensor:
    """Mean cube of the standardised elements."""
    rest, deviation = centred(x, layer_dims(x))
    return rest.mul_(inverse_or_zero(deviation)).pow_(3).mean(dim=layer_dims(x))


# --- greenmachine/primitives/scalars.py -----------------------------------------------------


def previous_layer(x: Tensor) -> Tensor:
    """Value of the layer before; its own at the first layer."""
    return torch.cat([x[..., :1], x[..., :-1]], dim=-1)


def times_depth(x: Tensor) -> Tensor:
    """x times its relative depth, from 1/L at the first layer to 1 at the last."""
    n = x.shape[-1]
    return x * (torch.arange(1, n + 1, dtype=x.dtype, device=x.device) / n)


# --- greenmachine/primitives/spectra.py -----------------------------------------------------

ROUNDING = 1e-6  # eigenvalues below this share of the largest are rounding


def eigenvalues(matrix: Tensor) -> Tensor:
    """Eigenvalues of a stack of symmetric matrices, ascending, float64; not a primitive.

    Args:
        matrix: (..., n, n). Its symmetric part counts.

    Returns:
        (..., n). All NaN for a matrix with an entry that is not finite; exactly 0 where the
        magnitude is below 1e-6 of the matrix's largest.
    """
    exact = matrix.double()
    exact = (exact + exact.mT) / 2
    failed = ~torch.isfinite(exact).flatten(-2).all(dim=-1)
    values: Tensor = torch.linalg.eigvalsh(exact.masked_fill(failed[..., None, None], 0.0))
    sizes = values.abs()
    values = values.masked_fill(sizes < ROUNDING * sizes.amax(dim=-1, keepdim=True), 0.0)
    return values.masked_fill(failed[..., None], math.nan)


def shares(spectrum: Tensor) -> Tensor:
    """Magnitudes divided by their sum; 0 for a zero matrix."""
    sizes = spectrum.abs()
    return sizes * inverse_or_zero(sizes.sum(dim=-1, keepdim=True))


def information(share: Tensor) -> Tensor:
    """Entropy of shares that sum to 1, in nats."""
    terms: Tensor = torch.special.entr(share)
    return terms.sum(dim=-1)


def spectral_entropy(spectrum: Tensor) -> Tensor:
    """Entropy of the normalised magnitudes of the eigenvalues."""
    return information(shares(spectrum))


def effective_rank(spectrum: Tensor) -> Tensor:
    """Exponential of the entropy of the normalised magnitudes of the eigenvalues."""
    share = shares(spectrum)
    not_zero = share.sum(dim=-1).round()  # 1, or 0 for a zero matrix
    return information(share).exp() * not_zero


# --- the proxy ------------------------------------------------------------------------------


def layer_values(layer: Layer) -> tuple[Tensor, ...]:
    """What the formula reads of one layer."""
    weight = weights(layer, "weight")
    noise_weight_grad = weights(layer, "noise_weight_grad")
    a = eigenvalues(filter_correlation(noise_weight_grad))
    return (
        std(weight),
        skewness(sqrt_abs(add(noise_weight_grad, weight))),
        spectral_entropy(eigenvalues(filter_correlation(weight))),
        effective_rank(a),
    )


def formula(layers: list[Layer]) -> float:
    """The score of a network."""
    each = [layer_values(layer) for layer in layers]
    a, b, c, d = (over_layers(values) for values in zip(*each, strict=True))
    e = previous_layer(previous_layer(times_depth(a)))
    f = signed_sqrt(times_depth(previous_layer(e)))
    g = sub(sum_log_layers(b), mul(last_layer(c), sum_layers(d)))
    return float(div(mean_layers(f), g))


def signals_of(
    model: nn.Module, images: Any, labels: Any, shape: tuple[int, ...], seed: int
) -> list[Layer]:
    """The layers in order of firing, with the signals that the formula reads."""
    inputs = Inputs(shape, images, labels)
    passes = {
        "noise": noise_pass(model, inputs, {"weight_grad"}, seed),
    }
    layers = merged(passes)
    add_weights(layers)
    return layers


class Proxy:
    """A zero-cost proxy: call it on a network; its repr is the formula."""

    def __call__(
        self,
        model: nn.Module,
        images: Any = None,
        labels: Any = None,
        *,
        shape: tuple[int, ...] | None = None,
        seed: int = 0,
        output: Output | None = None,
    ) -> float:
        """Return the score of ``model``, which is left as it was found.

        Torch runs on one thread, whatever its settings, so that the score is the same everywhere.
        Warns where the network has weights outside of convolutions and linear layers.

        Args:
            model: any network with convolutions or linear layers, on any device.
            images: only their shape counts, for the noise; None takes ``SHAPE``.
            labels: not used.
            shape: of the noise where no images are given; None takes ``SHAPE``.
            seed: of the noise, and of randomness inside the network.
            output: which part of what the network returns is its output: an index, a key or a
                function. None takes a tensor, ``logits``, or the only tensor of several things.

        Returns:
            The score; NaN where the formula has no value or a weight is not finite.

        Raises:
            ValueError: the network, the images or the labels cannot be read.
        """
        size = shape_for(images, shape or SHAPE)
        with untouched(model, seed), single_output(model, output):
            layers = signals_of(model, images, labels, size, seed)
            with torch.no_grad():
                score = formula(layers)
            return warned(model, layers, score, images, size, seed)

    def __repr__(self) -> str:
        return EXPRESSION


score = Proxy()
