"""Find the output of a network among the things that it returns.

This file imports only torch, because exported proxies inline its source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

__all__ = ["Output", "pick_output", "single_output"]

Output = int | str | Callable[[Any], Tensor]
"""An index, a key or an attribute of what the network returns, or a function of it."""


def pick_output(returned: Any, output: Output | None = None) -> Tensor:
    """Return the tensor that counts as the output of a network.

    Args:
        returned: what the network returned.
        output: which part of it. None takes a tensor itself, ``logits`` of a dictionary or an
            object, or the only tensor of a tuple, list or dictionary.

    Raises:
        ValueError: ``output`` does not fit, or the choice is ambiguous without it.
    """
    if output is None:
        found = clear_output(returned)
        if found is not None:
            return found
        raise ValueError(
            f"the network returned {described(returned)}: choose the part that is its output, with "
            "output=0 (an index), output='logits' (a key) or a function"
        )
    if isinstance(returned, Tensor) and not callable(output):
        raise ValueError(f"output={output!r} does not fit: the network returned a single tensor")
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
    """Return the output of a network if it is unambiguous, else None."""
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
    """Describe in a few words what a network returned."""
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
    """Make ``model`` return only its output inside the block, if it is unambiguous.

    Yields:
        A list to which each output adds whether it was finite.
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
        return found  # if ambiguous, code that needs the output raises the error

    handle = model.register_forward_hook(hook)
    try:
        yield finite
    finally:
        handle.remove()
