"""Charts, their tables, the tree and the vocabulary by themselves."""

from __future__ import annotations

import json
import math
import random
from xml.etree import ElementTree

import pandas as pd
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.language import Expression, terminal
from greenmachine.language.expression import number
from greenmachine.language.grammar import Grammar
from greenmachine.language.kinds import ALIASES, KIND_TYPES, LEAVES
from greenmachine.reports.charts import history_table, scatter, score_table, usage_table
from greenmachine.reports.page import duration, environment
from greenmachine.reports.vega import PALETTE
from greenmachine.reports.vocabulary import KIND_GROUPS, doc_of
from greenmachine.signals.registry import PASSES

from .conftest import Page, Tree, marks


def text_of(tree: Tree) -> str:
    name, arguments = tree
    return f"{name}({', '.join(map(text_of, arguments))})" if arguments else name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_tree_is_the_expression(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    random.seed(seed)
    grammar = Grammar(PASSES)
    expression = grammar.expression(grammar.generate("NetworkScalar", 9, full=False))
    path = tmp_path_factory.getbasetemp() / "tree.html"
    macros = environment().get_template("macros.html").make_module()
    path.write_text(macros.tree(list(expression.walk())), encoding="utf-8")
    page = Page(path)
    assert [text_of(tree) for tree in page.trees] == [expression.text]
    kinds = {f"swatch k{KIND_GROUPS[node.kind][0]}" for node in expression.walk()}
    assert sorted(v for _, _, v in page.attributes if v.startswith("swatch")) == sorted(kinds)


def history(**columns: list[float]) -> pd.DataFrame:
    """Return a history of three generations, with other values for some columns."""
    names = ["best", "best_validation", "mean", "diversity", "largest_size", "mean_size"]
    names += ["evaluated", "cache_hits", "cache_misses", "seconds", "individuals"]
    whole = {"generation": [0.0, 1.0, 2.0], **{n: [1.0, 2.0, 3.0] for n in names}, **columns}
    return pd.DataFrame(whole)


def test_counters_that_start_again_after_a_resume_are_not_negative() -> None:
    table = history_table(history(cache_hits=[0.0, 30.0, 8.0], cache_misses=[5.0, 15.0, 2.0]))
    assert table["cache hits"].tolist() == [0.0, 75.0, 80.0]


def test_time_of_the_first_generation_is_drawn_only_where_it_is_alone() -> None:
    assert history_table(history())["seconds"].isna().tolist() == [True, False, False]
    assert history_table(history()[:1])["seconds"].tolist() == [1.0]


def test_usage_is_ordered_by_the_last_generation_and_keeps_it() -> None:
    counts = pd.DataFrame(
        {
            "generation": [0.0, 1.0],
            "population": [4.0, 5.0],
            "depth": [1.0, 5.0],
            "weight": [4.0, 1.0],
            "sub": [2.0, 0.0],
        }
    )
    table = usage_table(counts)
    assert list(dict.fromkeys(table["primitive"])) == ["depth", "weight"]  # `sub` is gone
    assert table["share"].tolist() == [0.25, 1.0, 1.0, 0.2]
    long = usage_table(pd.DataFrame({"generation": range(130), "population": 2, "depth": 1}))
    assert len(long) <= 60 and long["generation"].iloc[-1] == 129


def scores(champion: list[float]) -> pd.DataFrame:
    count = len(champion)
    test = {"dataset": "d", "sample": "test", "index": range(count), "accuracy": range(count)}
    return pd.DataFrame({**test, "champion": champion, "flops": range(count)})


@pytest.mark.parametrize(
    ("champion", "failed", "far"),
    [
        ([1.0, 2.0, 3.0, 4.0, math.nan, math.inf], 2, 0),
        ([1.0, 2.0, 3.0, 4.0, 1e308, -1e308], 0, 2),
        ([math.nan] * 3, 3, 0),
        ([7.0] * 3, 0, 0),
        ([0.0] * 9 + [1e-300], 0, 0),
    ],
)
def test_scatter_draws_what_is_finite_and_says_where_the_rest_is(
    champion: list[float], failed: int, far: int
) -> None:
    whole = scores(champion)
    table = score_table(whole, {"champion": 1, "flops": -1}, 100)
    made = scatter("scores_0", whole, table, "test", 0)
    assert made[1:] == (len(champion), len(champion), failed, far)
    rows = json.loads(table.to_json(orient="records"))
    spec = made.chart.to_dict() | {"datasets": {"scores_0": rows}, "width": 200}
    drawing = ElementTree.fromstring(vl_convert.vegalite_to_svg(spec))
    assert len(marks(drawing, "symbol")) == len(champion) - failed


def test_ranks_follow_the_direction_and_failures_are_last() -> None:
    table = score_table(scores([3.0, math.nan, 1.0]), {"champion": -1, "flops": 1}, 100)
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["rank_0"].tolist() == [2, 1, 3]
    assert table["rank_1"].tolist() == [1, 2, 3]


def test_large_samples_are_thinned_out() -> None:
    whole = scores([float(n) for n in range(1001)])
    table = score_table(whole, {"champion": 1}, 100)
    made = scatter("scores_0", whole, table, "test", 0)
    assert made.networks == 1001 and made.shown == len(table) <= 100


def test_colours_have_one_dark_partner_each() -> None:
    assert len({light for light, _ in PALETTE.values()}) == len(PALETTE)


@pytest.mark.parametrize("name", LEAVES)
def test_every_signal_has_a_line(name: str) -> None:
    assert doc_of(terminal(name)).endswith(".")


def test_lines_of_signals_differ() -> None:
    nodes: list[Expression] = [terminal(name) for name in LEAVES if name not in ALIASES]
    assert len({doc_of(node) for node in [*nodes, number(2.0)]}) == len(nodes) + 1


def test_every_kind_has_a_colour() -> None:
    assert set(KIND_GROUPS) == set(KIND_TYPES)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(8.26, "8.3 s"), (59.7, "59.7 s"), (101, "1 min 41 s"), (3725, "1 h 2 min")],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said
