"""Rank sums: how they are written, and what they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

import greenmachine
from greenmachine.errors import ConfigError
from greenmachine.evaluation import proxies_and_sums, rank_sums_of
from greenmachine.proxies import resolve
from greenmachine.proxies.combinations import PUBLISHED, read_rank_sum
from greenmachine.proxies.rank_sums import log_rank_sum, rank_sum
from greenmachine.proxies.zoo.az_nas import az_nas
from greenmachine.proxies.zoo.vkdnw import vkdnw_agg

SCORES = {
    "a": np.array([1.0, 2.0, 2.0, math.nan]),
    "b": np.array([30.0, 10.0, 20.0, 40.0]),
    "mean(c, d)": np.array([5.0, 6.0, 7.0, 8.0]),
    "failed": np.full(4, math.nan),
}
A, B, C = np.array([2, 3.5, 3.5, 1]) / 4, np.array([3, 1, 2, 4]) / 4, np.array([1, 2, 3, 4]) / 4


@pytest.mark.parametrize(
    ("text", "canonical", "expected"),
    [
        ("rank_sum(a,b)", "rank_sum(a, b)", A + B),
        (" log_rank_sum ( a , b ) ", "log_rank_sum(a, b)", np.log(A) + np.log(B)),
        ("rank_sum(b, -mean(c, d))", "rank_sum(b, -mean(c, d))", B + C[::-1]),
        ("rank_sum(failed, b)", "rank_sum(failed, b)", 2.5 / 4 + B),
        (
            "rank_sum(a, -log_rank_sum(a, b))",
            "rank_sum(a, -log_rank_sum(a, b))",
            A + rankdata(-(np.log(A) + np.log(B))) / 4,
        ),
        ("rank_sum(rank_sum(a,b),-b)", "rank_sum(rank_sum(a, b), -b)", None),
    ],
)
def test_rank_sums_by_hand(text: str, canonical: str, expected: np.ndarray | None) -> None:
    joined = read_rank_sum(text)
    assert joined is not None and joined.text == canonical
    assert read_rank_sum(canonical) == joined
    found = joined(SCORES)
    assert np.isfinite(found).all()
    if expected is not None:
        np.testing.assert_allclose(found, expected)


def test_a_failure_turned_round_is_still_a_failure() -> None:
    joined = read_rank_sum("rank_sum(-a, b)")
    assert joined is not None
    np.testing.assert_allclose(joined(SCORES), np.array([4, 2.5, 2.5, 1]) / 4 + B)


@pytest.mark.parametrize(
    "text",
    [
        "rank_sum()",
        "rank_sum(a)",
        "rank_sum(a, a)",
        "rank_sum(a, -a)",
        "rank_sum(rank_sum(a, b), rank_sum(a,b))",
        "rank_sum(a, )",
        "rank_sum(a, -)",
        "rank_sum(a, b",
        "rank_sum(a), b)",
        "rank_sum(a, b) + rank_sum(a, c)",
        "log_rank_sum(a, rank_sum(b))",
        "rank_sum(a, " * 500 + "b" + ")" * 500,
    ],
)
def test_what_joins_nothing_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_rank_sum(text)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


@pytest.mark.parametrize("text", ["nwot", "rank_sum", "sum_layers(l2_norm(weight))", "az_nas.py"])
def test_other_texts_are_no_rank_sums(text: str) -> None:
    assert read_rank_sum(text) is None


def test_leaves_come_once_and_can_be_renamed() -> None:
    joined = read_rank_sum("rank_sum(dir/a.py, -b, log_rank_sum(b, c))")
    assert joined is not None and joined.leaves == ("dir/a.py", "b", "c")
    assert joined.renamed({"dir/a.py": "a"}).text == "rank_sum(a, -b, log_rank_sum(b, c))"


@pytest.mark.parametrize(("name", "function"), [("az_nas", az_nas), ("vkdnw_agg", vkdnw_agg)])
def test_published_ones_are_the_functions_of_the_zoo(name: str, function) -> None:
    rng = np.random.default_rng(0)
    joined = PUBLISHED[name]
    scores = {leaf: rng.normal(size=50).round(1) for leaf in joined.leaves}
    scores["flops"][::7] = np.nan
    np.testing.assert_array_equal(joined(scores), function(scores))
    nested = read_rank_sum(f"rank_sum({name}, other)")
    assert nested is not None and nested.leaves == (*joined.leaves, "other")
    other = rng.normal(size=50)
    expected = rank_sum({name: function(scores), "other": other})
    scores["other"] = other
    np.testing.assert_array_equal(nested(scores), expected)


def test_small_ranks_weigh_more_in_a_log_rank_sum() -> None:
    scores = {"a": np.array([1.0, 2, 3, 4]), "b": np.array([4.0, 3, 2, 1])}
    assert len(set(rank_sum(scores).tolist())) == 1
    assert log_rank_sum(scores).argmax() in (1, 2)


@pytest.mark.parametrize("networks", [3, 7, 49, 1000])
def test_equal_sums_of_ranks_are_ties(networks: int) -> None:
    """Else rounding would rank networks that three proxies do not tell apart."""
    rng = np.random.default_rng(networks)
    scores = {name: rng.permutation(networks) for name in "abc"}
    found = rank_sum(scores)
    whole = sum(rankdata(values) for values in scores.values())
    assert len(set(found.tolist())) == len(set(whole.tolist()))


@pytest.mark.parametrize("text", ["rank_sum(nwot, synflow)", " az_nas ", "log_rank_sum(a, -b)"])
def test_a_rank_sum_is_no_proxy_of_one_network(text: str) -> None:
    with pytest.raises(ConfigError, match="ranks a set of networks"):
        resolve(text)


def test_regularised_swap_is_said_to_come_from_a_set_of_networks() -> None:
    with pytest.raises(ConfigError, match="swap params"):
        resolve("swap_regularised")
    with pytest.raises(ConfigError, match="swap and params"):
        rank_sums_of(pd.DataFrame({"swap": [1.0], "params": [2.0]}), ["swap_regularised"])


MINUS = ("-synflow", " - synflow", "-rank_sum(nwot, synflow)", "-sum_layers(l2_norm(weight))")


@pytest.mark.parametrize("text", [*MINUS, "-missing.py", "--synflow"])
@pytest.mark.parametrize(
    "call",
    [
        resolve,
        lambda text: greenmachine.score("torch.nn:Linear(2, 2)", text, shape=(1, 2)),
        lambda text: greenmachine.rank(["torch.nn:Linear(2, 2)"], ["params", text], shape=(1, 2)),
        lambda text: proxies_and_sums(["nwot", text]),
        lambda text: proxies_and_sums([f"rank_sum(nwot, -{text.strip()})"]),
    ],
    ids=["resolve", "score", "rank", "columns", "twice"],
)
def test_a_minus_outside_a_rank_sum_is_refused(call: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=r"rank_sum\(a, -b\)") as raised:
        call(text)
    assert "\n" not in str(raised.value)
