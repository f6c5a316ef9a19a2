"""The features of the forests in GreenFactory's table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from greenmachine.benchmarks import Benchmark
from greenmachine.evaluation import score_columns
from greenmachine.networks import OPERATIONS, parse_size, parse_topology
from greenmachine.proxies import EVOLVED, PROXIES
from greenmachine.tables.sources import Scored

__all__ = ["ENCODINGS", "INPUTS", "Inputs", "encoding"]


def encoding(benchmark: Benchmark, indices: pd.Series[int]) -> pd.DataFrame:
    """Return features of the architectures' strings, (networks, features).

    They are the operation of every edge, one-hot, or the five widths.
    """
    archs = [benchmark.archs[index] for index in indices]
    if benchmark.name == "nats-sss":
        widths = np.array([parse_size(arch) for arch in archs])
        return pd.DataFrame({f"width {n}": column for n, column in enumerate(widths.T)})
    ops = np.array([parse_topology(arch) for arch in archs])
    return pd.DataFrame(
        {f"{op} {n}": column == op for n, column in enumerate(ops.T) for op in OPERATIONS},
        dtype=np.float64,
    )


@dataclass(frozen=True)
class Inputs:
    """The features of a forest.

    Attributes:
        zoo: whether all scored proxies of the zoo, which need no accuracies, are features.
        evolved: whether the proxies that this project evolved are.
        baselines: whether the baselines are.
        text: whether the encoded architecture string is.
        whole: whether every network of the space counts, or only those on which the zoo was scored.
    """

    zoo: bool = False
    evolved: bool = False
    baselines: bool = False
    text: bool = False
    whole: bool = False

    def networks(self, scored: Scored) -> pd.DataFrame:
        """Return the score table of the networks on which it is fitted and evaluated."""
        return scored.whole if self.whole and scored.whole is not None else scored.frame

    def proxies(self, scored: Scored) -> list[str]:
        """Return the names of the proxies that it reads."""
        evolved = {proxy.name for proxy in EVOLVED}
        named = [name for name in score_columns(self.networks(scored)) if name in PROXIES]
        return [name for name in named if (self.evolved if name in evolved else self.zoo)]

    def columns(self, scored: Scored) -> pd.DataFrame:
        """Return (networks, features)."""
        frame = self.networks(scored)
        parts = [frame[self.proxies(scored)]]
        if self.baselines:
            found = scored.benchmark.baseline_scores(scored.dataset, frame["index"].to_numpy())
            parts.append(pd.DataFrame({f"({n})": v for n, v in found.items()}, frame.index))
        if self.text:
            parts.append(encoding(scored.benchmark, frame["index"]).set_axis(frame.index))
        return pd.concat(parts, axis=1)

    def apply(self, scored: Scored) -> bool:
        """Return whether the scores contain the features."""
        found = set(self.proxies(scored))
        if self.evolved:
            return bool(found & {proxy.name for proxy in EVOLVED})
        wider = len(self.networks(scored)) > len(scored.frame)
        return (wider or not self.whole) and (bool(found) or self.text)


INPUTS = {
    "green_factory": Inputs(zoo=True),
    "green_factory_trivial": Inputs(zoo=True, baselines=True),
    "green_factory_all": Inputs(zoo=True, evolved=True, baselines=True),
    "green_factory_space": Inputs(zoo=True, whole=True),
    "green_factory_evolved": Inputs(zoo=True, evolved=True, baselines=True, whole=True),
    "(encoding)": Inputs(text=True),
    "(encoding_space)": Inputs(text=True, whole=True),
}
ENCODINGS = tuple(name for name, inputs in INPUTS.items() if inputs.text)
"""Names of the forests without proxies as features."""
