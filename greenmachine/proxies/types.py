"""The three kinds of proxy, and the registry of named proxies.

An expression proxy is computed from the signals of passes, a function proxy from the whole network,
and an architecture proxy from the string that describes the architecture.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from greenmachine.benchmarks.spaces import SPACES
from greenmachine.errors import ConfigError
from greenmachine.language import Tree, latex, parse, symbolic, tree_of
from greenmachine.plugins import belongs, loaded_plugins
from greenmachine.signals.paper_passes import modes_of
from greenmachine.signals.registry import PASSES, wanted_of

__all__ = [
    "ArchitectureFunction",
    "ArchitectureProxy",
    "ExpressionProxy",
    "Function",
    "FunctionProxy",
    "Proxy",
    "ProxyRegistry",
]

ArchitectureFunction: TypeAlias = Callable[[Sequence[str]], NDArray[np.float64]]
"""Takes n architecture strings of one space and returns n scores, (n,).

A score depends only on its own architecture. A score that is not finite counts as failed.
"""

# Any: images are a Tensor, or None for a function without a pass, whose annotation may say so.
Function: TypeAlias = Callable[[nn.Module, Any, Tensor | None, int], float]
"""Takes the network, images (B, C, H, W), labels (B,) or None, and the seed of everything random.

Images and labels are on the network's device. The function must leave the network unchanged. It
raises ``ValueError`` for a network that it cannot score; a sweep counts that network as failed.
"""


@dataclass(frozen=True, kw_only=True)
class _Described:
    """The description that every proxy has.

    Attributes:
        name: its name on the command line.
        direction: 1 if a high score is good, -1 if a low score is good.
        reference: who proposed it, and where.
        description: its formula in one sentence.
        notes: its deviations from the reference, and its assumptions.
    """

    name: str
    direction: int = 1
    reference: str = ""
    description: str = ""
    notes: str = ""


@dataclass(frozen=True, kw_only=True)
class ExpressionProxy(_Described):
    """A proxy written in the language; it can be evaluated by the engine, exported and evolved.

    Attributes:
        expression: text of kind ``NetworkScalar``.
    """

    expression: str

    @property
    def passes(self) -> tuple[str, ...]:
        """Names of the passes whose signals it reads; empty for weights alone."""
        terminals = parse(self.expression).terminals
        return (*(n for n in PASSES if wanted_of(n, terminals)), *modes_of(terminals))

    @property
    def text(self) -> str:
        """The text that :func:`greenmachine.proxies.resolve` reads as this proxy."""
        return self.expression

    def latex(self) -> str:
        """Return the formula in LaTeX's math mode, without delimiters such as ``$``."""
        return latex(parse(self.expression))

    def sympy(self) -> Any:
        """Return the formula as a SymPy expression.

        Raises:
            ConfigError: SymPy is not installed.
        """
        return symbolic(parse(self.expression))

    def tree(self) -> Tree:
        """Return the formula as a tree: ``source`` is Graphviz code, ``svg`` a drawing."""
        return tree_of(parse(self.expression))


@dataclass(frozen=True, kw_only=True)
class _Code(_Described):
    """A proxy that cannot be written in the language."""

    @property
    def expression(self) -> NoReturn:
        """Not available, because this proxy is a function.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"proxy {self.name!r} is a function, not an expression: "
            "it scores networks, but cannot be evolved or exported"
        )

    @property
    def text(self) -> str:
        """The text that :func:`greenmachine.proxies.resolve` reads as this proxy."""
        return self.name


@dataclass(frozen=True, kw_only=True)
class FunctionProxy(_Code):
    """A function of the whole network.

    Attributes:
        function: see :data:`Function`.
        passes: the images that it takes, ``("data",)`` or ``("noise",)``; ``()`` if it takes none,
            in which case images and labels are None.
        needs_labels: whether it also takes the labels of those images.
        layers_only: whether it reads only convolutions and linear layers. Scoring a network that
            has other weights then gives a warning.
    """

    function: Function
    passes: tuple[str, ...]
    needs_labels: bool = False
    layers_only: bool = False


@dataclass(frozen=True, kw_only=True)
class ArchitectureProxy(_Code):
    """A function of the architecture string; no network is built and no image is read.

    Attributes:
        functions: see :data:`ArchitectureFunction`. The keys are the names of the spaces whose
            strings it reads: keys of ``greenmachine.benchmarks.SPACES``, or the name of a
            registered benchmark.
    """

    functions: Mapping[str, ArchitectureFunction]

    @property
    def passes(self) -> tuple[str, ...]:
        """Names of the passes that it needs, of which there are none."""
        return ()


_COLUMNS = ("index", "arch", "coverage")  # of a score file, beside those of the proxies


def _check_call(name: str, function: Any, arguments: str) -> None:
    """Raise a ConfigError if ``function`` cannot be called with ``arguments``."""
    try:
        inspect.signature(function).bind(*arguments.split(", "))
    except TypeError:
        raise ConfigError(f"proxy {name!r}: write a function of ({arguments})") from None
    except ValueError:
        pass  # a function of C does not say


Proxy: TypeAlias = ExpressionProxy | FunctionProxy | ArchitectureProxy
"""A score of networks."""


class ProxyRegistry:
    """Proxies by name, in order of registration; write-once."""

    def __init__(self) -> None:
        self._proxies: dict[str, Proxy] = {}
        self._modules: dict[str, str] = {}

    def add(self, proxy: Proxy, module: str = "greenmachine") -> None:
        """Register ``proxy``.

        Args:
            proxy: the proxy.
            module: name of the module that registers it.

        Raises:
            ConfigError: the name is taken or is not an identifier, the direction is not 1 or -1, a
                function has another signature, or a function needs labels without the data pass.
            ExpressionError: the expression is invalid.
        """
        if proxy.name in self._proxies:
            raise ConfigError(f"there is a proxy {proxy.name!r} already: choose another name")
        if not proxy.name.isidentifier() or proxy.name in _COLUMNS:
            raise ConfigError(
                f"proxy {proxy.name!r}: choose a name of letters, digits and _ that is not one of "
                f"{', '.join(_COLUMNS)}"
            )
        if type(proxy.direction) is not int or proxy.direction not in (1, -1):
            raise ConfigError(
                f"proxy {proxy.name!r}: direction is {proxy.direction!r}, not 1 or -1"
            )
        if isinstance(proxy, ExpressionProxy):
            parse(proxy.expression)
        elif isinstance(proxy, ArchitectureProxy):
            if not proxy.functions:
                raise ConfigError(f"proxy {proxy.name!r} needs spaces, such as {', '.join(SPACES)}")
            for function in proxy.functions.values():
                _check_call(proxy.name, function, "archs")
        else:
            if proxy.passes not in ((), ("data",), ("noise",)):
                raise ConfigError(
                    f"proxy {proxy.name!r}: passes are {proxy.passes!r}; a function needs one, "
                    "('data',) or ('noise',), or none, ()"
                )
            if proxy.needs_labels and proxy.passes != ("data",):
                raise ConfigError(f"proxy {proxy.name!r} needs the data pass for its labels")
            _check_call(proxy.name, proxy.function, "model, images, labels, seed")
        self._proxies[proxy.name] = proxy
        self._modules[proxy.name] = module

    def module(self, name: str) -> str:
        """Return the name of the module that registered proxy ``name``."""
        return self._modules[name]

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Remove the proxies of every module for which ``gone`` returns true."""
        for name in [name for name, module in self._modules.items() if gone(module)]:
            del self._proxies[name], self._modules[name]

    def check_shared(self, proxy: Proxy) -> None:
        """Check that a worker, which receives only the name of ``proxy``, finds the same proxy.

        Raises:
            ConfigError: it is not registered, or not by a plugin; the message says what to do.
        """
        known = self._proxies.get(proxy.name)
        if known == proxy and belongs(
            self._modules[proxy.name], (plugin.name for plugin in loaded_plugins())
        ):
            return
        why = "is not registered" if known is None else "was registered outside of a plugin"
        if known is not None and known != proxy:
            why = "is not the registered one of this name"
        raise ConfigError(
            f"proxy {proxy.name!r} {why}, so workers could not find it: call "
            "greenmachine.register_proxy in a Python file, and name that as a plugin (--plugin "
            "FILE, or greenmachine.load_plugin)"
        )

    def find(self, name: str) -> Proxy:
        """Return the proxy ``name``.

        Raises:
            ConfigError: there is none; the message suggests similar names.
        """
        if name not in self._proxies:
            close = get_close_matches(name, self._proxies, n=3)
            # A variant is called after its original: jacov_noise where there is no jacov.
            close += [known for known in self._proxies if name and known.startswith(f"{name}_")]
            near = f"did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
            hint = near or "`greenmachine proxies list` shows the known names"
            hint += " (one of a plugin needs --plugin FILE)"
            raise ConfigError(f"unknown proxy {name!r}: {hint}")
        return self._proxies[name]

    def __contains__(self, name: object) -> bool:
        return name in self._proxies

    def __iter__(self) -> Iterator[Proxy]:
        return iter(self._proxies.values())

    def __len__(self) -> int:
        return len(self._proxies)
