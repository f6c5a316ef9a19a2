"""Which network ``greenmachine.rank`` puts first, and where failed ones stand."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.errors import ConfigError
from greenmachine.proxies.functions import NOT_FINITE
from tests.api.small_networks import Broken, build, dict_of, wide
from tests.proxies.tiny_networks import SHAPE, batch, network


@pytest.mark.parametrize(("direction", "order"), [(1, [1, 2, 0]), (-1, [0, 2, 1])])
def test_rank_follows_the_direction(direction: int, order: list[int]) -> None:
    proxy = greenmachine.ExpressionProxy(
        name="size", expression="sum_layers(numel(weight))", direction=direction
    )
    table = greenmachine.rank([wide(2), wide(9), wide(5)], proxy, shape=SHAPE)
    assert table.columns.tolist() == ["name", "score", "rank", "coverage", "failure"]
    assert table["name"].tolist() == order
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["failure"].tolist() == [""] * 3
    assert table["score"].tolist() == [27.0 * [2, 9, 5][place] for place in order]


def test_ties_share_a_rank_in_the_order_given() -> None:
    models = {"small": wide(2), "b": wide(4), "a": wide(4)}
    table = greenmachine.rank(models, "weight_count", images=torch.zeros(SHAPE))
    assert table["name"].tolist() == ["b", "a", "small"]
    assert table["rank"].tolist() == [1, 1, 3]


@pytest.mark.parametrize("direction", [1, -1])
def test_networks_that_fail_rank_last_and_say_why(direction: int) -> None:
    infinite = wide(2)
    nn.init.constant_(infinite.weight, math.inf)
    proxy = greenmachine.ExpressionProxy(
        name="norm", expression="sum_layers(l2_norm(weight))", direction=direction
    )
    models = {"broken": Broken(), "infinite": infinite, "fine": wide(2)}
    table = greenmachine.rank(models, proxy, shape=SHAPE).set_index("name")
    assert table.index.tolist() == ["fine", "broken", "infinite"]
    assert table["rank"].tolist() == [1, 2, 2]
    assert table.loc["broken", "failure"] == "ArithmeticError: no way through"
    assert math.isnan(table.loc["broken", "score"])
    assert table.loc["infinite", "failure"] == NOT_FINITE


@pytest.mark.parametrize(
    "proxies",
    [
        (name for name in ["l2_norm"]),
        {"l2_norm"},
        {"l2_norm": 1},
        map(str, ["l2_norm"]),
        [["l2_norm"]],
        np.array(["l2_norm"]),
        pd.Series(["l2_norm"]),
    ],
    ids=["generator", "set", "dict", "map", "nested", "array", "series"],
)
def test_several_proxies_are_a_list(proxies: Any) -> None:
    with pytest.raises(ConfigError, match=r"list of them, such as \["):
        greenmachine.rank([network("plain")], proxies, shape=SHAPE)


@pytest.mark.parametrize("models", [None, 3, b"a", "a.b:c", nn.Sequential(), [("a", wide(2), 1)]])
def test_what_are_no_networks_is_refused_in_one_line(models: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        greenmachine.rank(models, "l2_norm", shape=SHAPE)
    assert "\n" not in str(raised.value)


class Refuses(nn.Module):
    """A network that raises an error of this package, for example because it scores another."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise greenmachine.errors.ConfigError("not here")


@pytest.mark.parametrize(
    "proxy", ["nwot_inputs", "synflow", ["l2_norm", "params"], lambda m, x, y: m(x).var()]
)
@pytest.mark.parametrize("bad", ["no model", "a b:c", Refuses(), lambda: Refuses(), 3])
def test_a_network_that_fails_in_a_generator_costs_one_row(bad: Any, proxy: Any) -> None:
    good = network("plain")
    table = greenmachine.rank(iter([("a", good), ("bad", bad), ("b", good)]), proxy, shape=SHAPE)
    failed = table.set_index("name")["failure"]
    assert failed["bad"] and failed["a"] == failed["b"]


def test_models_of_a_generator_come_and_go() -> None:
    alive: list[weakref.ref[nn.Module]] = []

    def models() -> Iterator[tuple[str, nn.Module]]:
        for width in (3, 5, 4, 6):
            assert sum(reference() is not None for reference in alive) <= 1
            model = wide(width)
            alive.append(weakref.ref(model))
            yield f"width {width}", model
            del model

    table = greenmachine.rank(models(), "weight_count", shape=SHAPE)
    assert table["name"].tolist() == ["width 6", "width 5", "width 4", "width 3"]


def test_rank_repeats() -> None:
    tables = [
        greenmachine.rank([network("plain", seed) for seed in range(3)], "grad_norm",
                          **dict_of(batch()))
        for _ in range(2)
    ]  # fmt: skip
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("models", [[], {}, iter(())])
def test_rank_of_nothing_is_refused(models: Any) -> None:
    with pytest.raises(ConfigError, match="models is empty"):
        greenmachine.rank(models, "synflow", shape=SHAPE)


def test_rank_of_one_network_does_not_rank_its_layers() -> None:
    with pytest.raises(ConfigError, match="several networks"):
        greenmachine.rank(network("plain"), "synflow", shape=SHAPE)  # type: ignore[arg-type]


def test_rank_orders_by_the_mean_over_seeds() -> None:
    models = {"small": build, "large": lambda: nn.Conv2d(3, 400, 3), "broken": Broken()}
    table = greenmachine.rank(models, "l2_norm", shape=SHAPE, seed=2, seeds=3)
    assert table["name"].tolist() == ["large", "small", "broken"]
    for name in ("small", "large"):
        found = greenmachine.score(models[name], "l2_norm", shape=SHAPE, seed=2, seeds=3)
        row = table.set_index("name").loc[name]
        assert (row["score"], row["deviation"]) == (found.mean, found.deviation)
    assert table.iloc[2][["score", "deviation"]].isna().all()
    assert "no way" in table["failure"][2]
    assert "deviation" not in greenmachine.rank(models, "l2_norm", shape=SHAPE)


@pytest.mark.parametrize("proxies", [["l2_norm", "synflow"], ("synflow", "l2_norm", "synflow")])
def test_ranks_of_a_list_sum(proxies: Any) -> None:
    models = {"a": wide(4), "b": wide(9), "broken": Broken(), "c": wide(2)}
    table = greenmachine.rank(models, proxies, shape=SHAPE).set_index("name")
    names = list(dict.fromkeys(proxies))
    for name in names:
        alone = greenmachine.rank(models, name, shape=SHAPE).set_index("name")
        assert table[name].equals(alone["score"].loc[table.index])
        assert table[f"{name} rank"].equals(alone["rank"].loc[table.index].rename(f"{name} rank"))
    text = greenmachine.rank(models, f"rank_sum({', '.join(names)})", shape=SHAPE)
    pd.testing.assert_frame_equal(table.reset_index(), text)
    assert table.index.tolist() == ["b", "a", "c", "broken"]
    assert table.loc["broken", "rank"] == 4 and "no way through" in table.loc["broken", "failure"]


def test_a_minus_in_a_rank_sum_turns_a_proxy_round() -> None:
    models = {"a": wide(4), "b": wide(9), "c": wide(2)}
    table = greenmachine.rank(models, "log_rank_sum(-params, -l2_norm)", shape=SHAPE)
    assert table["name"].tolist() == ["c", "a", "b"]
    assert table["params rank"].tolist() == [1, 2, 3]
    with pytest.raises(ConfigError, match="rank"):
        greenmachine.score(wide(4), "rank_sum(params, l2_norm)", shape=SHAPE)


@pytest.mark.parametrize("text", ["rank_sum(params, synflow)", "log_rank_sum(a, -b)", "az_nas"])
def test_a_rank_sum_beside_other_proxies_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="alone"):
        greenmachine.rank([wide(4), wide(2)], ["l2_norm", text], shape=SHAPE)


def test_not_a_network_costs_one_row() -> None:
    models: Any = {"three": 3, "fine": wide(3), "class": nn.Linear}
    table = greenmachine.rank(models, "l2_norm", shape=SHAPE).set_index("name")
    assert table.loc["fine", "rank"] == 1
    assert "int" in table.loc["three", "failure"] and "TypeError" in table.loc["class", "failure"]


def test_the_same_network_twice_has_one_score() -> None:
    model = wide(3)
    table = greenmachine.rank([model, ("again", model)], ["l2_norm", "synflow"], shape=SHAPE)
    assert table["rank"].tolist() == [1, 1] and table["l2_norm"].nunique() == 1


@pytest.mark.parametrize(("terminal", "progress"), [(True, True), (True, False), (False, True)])
def test_a_bar_is_drawn_in_a_terminal_alone(
    terminal: bool,
    progress: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    greenmachine.rank([wide(3), wide(4)], "l2_norm", shape=SHAPE, progress=progress)
    printed = capsys.readouterr()
    assert ("2/2" in printed.err or "networks" in printed.err) == (terminal and progress)
    assert printed.out == ""
