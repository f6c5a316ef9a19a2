"""The alternatives to SED, on cells that can be counted by hand."""

from __future__ import annotations

from math import log

import pytest

from greenmachine.tables.entropies import topology_scores

# Node 1 is a convolution and a pool follows it; a skip stands beside them.
CELL = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
EMPTY = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|"
ONE, POOL = log(32) / 2, -log(3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sed", ONE + POOL),
        ("spatial", POOL),
        ("paths_sum", ONE + POOL),
        ("paths_mean", (ONE + POOL) / 2),
        ("power", log(32 / 9 + 1) / 2),
        ("output", log(1 / 9 + 1) / 2),
        ("(additive_count)", 0),
    ],
)
def test_one_cell(name: str, expected: float) -> None:
    found = topology_scores([CELL, EMPTY])[name]
    assert found[0] == pytest.approx(expected, abs=1e-8)
    assert found[1] == float("-inf")
