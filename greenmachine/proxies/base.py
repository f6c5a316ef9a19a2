"""A proxy: an expression with a name, a direction and a source, and the registry of the named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from greenmachine.errors import ConfigError
from greenmachine.language import parse
from greenmachine.signals.passes import PASSES, wanted_of

__all__ = ["Proxy", "ProxyRegistry"]


@dataclass(frozen=True)
class Proxy:
    """A score of networks.

    Attributes:
        name: what it is called on the command line.
        expression: text of kind ``NetworkScalar``.
        direction: 1 where a high score is good, -1 where a low one is.
        reference: who proposed it, where.
        words: its formula in one sentence.
        notes: where it deviates from the reference, and what it takes for granted.
    """

    name: str
    expression: str
    direction: int = 1
    reference: str = ""
    words: str = ""
    notes: str = ""

    @property
    def passes(self) -> tuple[str, ...]:
        """Names of the passes whose signals it reads; empty for weights alone."""
        terminals = parse(self.expression).terminals
        return tuple(name for name in PASSES if wanted_of(name, terminals))


class ProxyRegistry:
    """Proxies by name, in order of registration; write-once."""

    def __init__(self) -> None:
        self._proxies: dict[str, Proxy] = {}

    def add(self, proxy: Proxy) -> None:
        """Register ``proxy``.

        Raises:
            ValueError: the name is taken or no identifier, the direction is not 1 or -1, or the
                reference or the words are missing.
            ExpressionError: the expression has a fault.
        """
        if proxy.name in self._proxies:
            raise ValueError(f"proxy {proxy.name!r} is registered already")
        if not proxy.name.isidentifier() or proxy.direction not in (1, -1):
            raise ValueError(f"proxy {proxy.name!r} needs an identifier and direction 1 or -1")
        if not (proxy.reference and proxy.words):
            raise ValueError(f"proxy {proxy.name!r} needs its reference and its formula in words")
        parse(proxy.expression)
        self._proxies[proxy.name] = proxy

    def find(self, name: str) -> Proxy:
        """Return the proxy ``name``.

        Raises:
            ConfigError: there is none; the message names close matches.
        """
        if name not in self._proxies:
            close = get_close_matches(name, self._proxies, n=3)
            # A variant is called after its original: nwot_inputs where there is no nwot.
            close += [known for known in self._proxies if name and known.startswith(f"{name}_")]
            hint = f"did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
            hint = hint or "`greenmachine proxies list` shows the known names"
            raise ConfigError(f"unknown proxy {name!r}: {hint}")
        return self._proxies[name]

    def __contains__(self, name: object) -> bool:
        return name in self._proxies

    def __iter__(self) -> Iterator[Proxy]:
        return iter(self._proxies.values())

    def __len__(self) -> int:
        return len(self._proxies)
