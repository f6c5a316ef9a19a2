"""The registry of all named proxies: the zoo, the discoveries, and those of plugins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, overload

from greenmachine.errors import ConfigError
from greenmachine.plugins import when_forgotten
from greenmachine.proxies import zoo
from greenmachine.proxies.discovered import EVOLVED
from greenmachine.proxies.types import (
    ExpressionProxy,
    Function,
    FunctionProxy,
    Proxy,
    ProxyRegistry,
)

__all__ = ["PROXIES", "register_proxy"]

PROXIES = ProxyRegistry()
"""Every named proxy."""

for _proxy in (*(proxy for family in zoo.FAMILIES for proxy in family.PROXIES), *EVOLVED):
    PROXIES.add(_proxy)

when_forgotten(PROXIES.forget)

_Registered = TypeVar("_Registered", bound=Proxy | Function)


@overload
def register_proxy(proxy: _Registered, /) -> _Registered: ...


@overload
def register_proxy(
    *,
    name: str | None = None,
    passes: tuple[str, ...] | None = None,
    needs_labels: bool = False,
    layers_only: bool = False,
    direction: int = 1,
    reference: str = "",
    description: str = "",
    notes: str = "",
) -> Callable[[Function], Function]: ...


def register_proxy(
    proxy: Any = None,
    /,
    *,
    name: str | None = None,
    passes: tuple[str, ...] | None = None,
    needs_labels: bool = False,
    layers_only: bool = False,
    **described: Any,
) -> Any:
    """Register a proxy, or the decorated function as a proxy; call this in a plugin.

    Args:
        proxy: an ``ExpressionProxy``, ``FunctionProxy`` or ``ArchitectureProxy``, or a function of
            (model, images, labels, seed) that returns the score.
        name: name of the proxy; None means the name of the function.
        passes: the images that the function takes: ``("noise",)``, ``("data",)``, or ``()`` for
            none. None means ``("data",)`` if it needs labels, else ``("noise",)``.
        needs_labels: whether it takes the labels of the data pass.
        layers_only: whether it reads only convolutions and linear layers.
        described: ``direction`` (1 if a high score is good, -1 if a low score is good),
            ``reference``, ``description`` (the formula in one sentence; by default the expression,
            or the first line of the function's docstring) and ``notes``.

    Returns:
        ``proxy``, unchanged, or a decorator that returns its function unchanged.

    Raises:
        ConfigError: the name is taken or is not an identifier, or the description does not fit
            the proxy.
        ExpressionError: the expression is invalid.

    Examples:
        >>> @greenmachine.register_proxy(passes=("noise",), reference="here")
        ... def mean_output(model, images, labels, seed):
        ...     \"\"\"Mean of the outputs on noise.\"\"\"
        ...     return float(model(images).mean())
        >>> greenmachine.register_proxy(
        ...     greenmachine.ExpressionProxy(name="norm", expression="sum_layers(l2_norm(weight))")
        ... )
    """
    module = str(sys._getframe(1).f_globals["__name__"])

    def register(given: Any) -> Any:
        if isinstance(given, Proxy):
            if name is not None or passes is not None or needs_labels or layers_only or described:
                raise ConfigError(
                    f"proxy {given.name!r} has its own description: give it as the only argument"
                )
            wordless = isinstance(given, ExpressionProxy) and not given.description
            PROXIES.add(replace(given, description=given.expression) if wordless else given, module)
            return given
        if not callable(given):
            raise ConfigError(f"{given!r} is not a proxy: give a proxy or a function")
        usual = "data" if needs_labels else "noise"
        images = usual if passes is None else passes
        made = FunctionProxy(
            name=str(getattr(given, "__name__", "")) if name is None else name,
            function=given,
            passes=(images,) if isinstance(images, str) else tuple(images),
            needs_labels=needs_labels,
            layers_only=layers_only,
            **{"description": (given.__doc__ or "").strip().partition("\n")[0], **described},
        )
        PROXIES.add(made, module)
        return given

    return register if proxy is None else register(proxy)
