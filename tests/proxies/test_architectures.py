"""Architecture proxies: which architectures they read, and that nothing is built for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from greenmachine.benchmarks import SIZE, TOPOLOGY, load_benchmark
from greenmachine.errors import ConfigError
from greenmachine.proxies import (
    PROXIES,
    ArchitectureProxy,
    ProxyRegistry,
    architecture_scores,
    resolve,
)

ARCHITECTURES = [proxy for proxy in PROXIES if isinstance(proxy, ArchitectureProxy)]
EACH = pytest.mark.parametrize("proxy", ARCHITECTURES, ids=lambda p: p.name)


def lengths(archs: Sequence[str]) -> NDArray[np.float64]:
    return np.array([len(arch) for arch in archs], dtype=np.float64)


LENGTH = ArchitectureProxy(
    name="length", functions={"tss": lengths}, reference="a paper", description="Letters."
)


@EACH
@pytest.mark.parametrize("name", ["digits-tss", "digits-sss"])
def test_scores_of_every_space_that_is_declared(proxy: ArchitectureProxy, name: str) -> None:
    benchmark = load_benchmark(name)
    if benchmark.space.name not in proxy.functions:
        with pytest.raises(ConfigError, match="not those of this benchmark"):
            architecture_scores(proxy, benchmark.space, benchmark.archs)
        return
    scores = architecture_scores(proxy, benchmark.space, benchmark.archs)
    assert scores.shape == (len(benchmark),) and scores.dtype == np.float64
    assert not np.isnan(scores).any() and len(np.unique(scores)) > 1
    again = architecture_scores(proxy, benchmark.space, benchmark.archs[::-1])
    np.testing.assert_array_equal(again[::-1], scores)


def test_a_space_is_told_by_what_it_is_and_not_by_its_name() -> None:
    assert architecture_scores(LENGTH, TOPOLOGY, ["abc"]).tolist() == [3.0]
    own = replace(TOPOLOGY, rows=None)  # as of a user's file called tss.py
    for space in (SIZE, own):
        with pytest.raises(ConfigError, match="length reads architectures of the space tss") as e:
            architecture_scores(LENGTH, space, ["abc"])
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("functions", [{}, {"tss": 3}, {"tss": lambda: 3}])
def test_registry_refuses_functions_of_no_architectures(functions: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="length"):
        ProxyRegistry().add(replace(LENGTH, functions=functions))


@EACH
def test_there_is_no_expression(proxy: ArchitectureProxy) -> None:
    assert resolve(proxy.text) is proxy
    with pytest.raises(ConfigError, match=f"'{proxy.name}' is a function, not an expression"):
        proxy.expression  # noqa: B018
