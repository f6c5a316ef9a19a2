"""Find the networks that the search of a proxy used; its scores there are not held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from greenmachine.benchmarks import Benchmark
from greenmachine.errors import RunError
from greenmachine.evolution.run_files import Origin
from greenmachine.evolution.run_folder import RunFolder
from greenmachine.files import read_json
from greenmachine.proxies.discovered import EvolvedProxy
from greenmachine.proxies.types import Proxy

__all__ = ["selected_on"]


def selected_on(text: str, proxy: Proxy, benchmark: Benchmark) -> NDArray[np.bool_] | None:
    """Return which networks compute the same function as one that the search of a proxy used.

    Args:
        text: how the proxy was named: a name, an expression, the path of an exported ``.py`` (a
            ``.json`` beside it records the samples of its run), or the folder of a run.
        proxy: the proxy that ``text`` names.
        benchmark: the benchmark whose networks are asked about.

    Returns:
        (n,) booleans. All are False if the proxy was not searched for on this benchmark, or if
        nothing is recorded about a search. None if the search used another version of the table.
    """
    indices: list[int] = []
    if isinstance(proxy, EvolvedProxy):
        indices = list(proxy.seen(benchmark.name))
    elif (origin := _origin(text.strip())) is not None:
        checksum = origin.checksums.get(benchmark.name)
        if checksum is not None and checksum != benchmark.checksum:
            return None
        indices = origin.selected().get(benchmark.name, [])
    inside = [index for index in indices if 0 <= index < len(benchmark)]
    return np.isin(benchmark.functions, benchmark.functions[inside])


def _origin(text: str) -> Origin | None:
    if text.endswith(".py"):
        try:
            return Origin.model_validate(read_json(Path(text).with_suffix(".json"))["manifest"])
        except (OSError, ValueError, TypeError, LookupError, ValidationError):
            return None  # an exported file may lie without the JSON file of its run
    if "(" in text or not Path(text).is_dir():
        return None
    try:
        return RunFolder(Path(text)).manifest()
    except RunError:
        return None
