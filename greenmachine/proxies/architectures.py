"""Apply an architecture proxy to architecture strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from greenmachine.benchmarks import SPACES, Space
from greenmachine.errors import ConfigError
from greenmachine.proxies.types import ArchitectureProxy

__all__ = ["architecture_scores", "checked_space"]


def architecture_scores(
    proxy: ArchitectureProxy, space: Space, archs: Sequence[str]
) -> NDArray[np.float64]:
    """Return the scores of architectures of ``space`` by ``proxy``.

    Args:
        proxy: a proxy of the zoo, or your own.
        space: for example ``load_benchmark("nats-tss").space``.
        archs: architecture strings; no network is built.

    Returns:
        (len(archs),). A score may be infinite or NaN where the notes of the proxy say so.

    Raises:
        ConfigError: the proxy does not read architectures of this space.
        DataError: a string is not an architecture of the space.
    """
    checked_space(proxy, space)
    return proxy.functions[space.name](archs)


def checked_space(proxy: ArchitectureProxy, space: Space) -> None:
    """Check that ``proxy`` reads architectures of ``space``.

    Raises:
        ConfigError: it does not.
    """
    # A user's own space may also be called tss, and its strings are then not those of the zoo.
    own = space.name not in SPACES
    if space.name not in proxy.functions or not (own or space.built_in):
        known = " or ".join(proxy.functions)
        raise ConfigError(
            f"{proxy.name} reads architectures of the space {known}, not those of this benchmark: "
            "leave this proxy out"
        )
