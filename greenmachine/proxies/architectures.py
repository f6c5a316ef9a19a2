"""The scores of architectures by an architecture proxy."""

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
    """Return what ``proxy`` says of architectures of ``space``, (len(archs),).

    Args:
        proxy: of the zoo, or your own.
        space: such as ``load_benchmark("nats-tss").space``.
        archs: architecture strings; none is built.

    Returns:
        The scores as they are: not finite where the proxy's notes say so.

    Raises:
        ConfigError: the proxy does not read architectures of this space.
        DataError: a string is no architecture of it.
    """
    checked_space(proxy, space)
    return proxy.functions[space.name](archs)


def checked_space(proxy: ArchitectureProxy, space: Space) -> None:
    """Check that ``proxy`` reads architectures of ``space``.

    Raises:
        ConfigError: it does not.
    """
    # A user's own space may be called tss: only a name that no space of ours has is enough.
    own = space.name not in SPACES
    if space.name not in proxy.functions or not (own or space.built_in):
        known = " or ".join(proxy.functions)
        raise ConfigError(
            f"{proxy.name} reads architectures of the space {known}, not those of this benchmark: "
            "score it without"
        )
