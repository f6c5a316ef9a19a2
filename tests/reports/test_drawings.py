"""Axes, charts, trees and vocabulary by themselves."""

from __future__ import annotations

import math
import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.language import Expression, parse, terminal
from greenmachine.language.expression import number
from greenmachine.language.grammar import Grammar
from greenmachine.language.kinds import ALIASES, KIND_TYPES, LEAVES
from greenmachine.reports.charts import Axis, Chart
from greenmachine.reports.markup import Element, element, html
from greenmachine.reports.tables import duration
from greenmachine.reports.tree import draw_tree, word_table
from greenmachine.reports.usage import draw_usage
from greenmachine.reports.vocabulary import KIND_GROUPS, doc_of
from greenmachine.signals.passes import PASSES

FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(st.lists(FLOATS, max_size=8), st.integers(2, 8), st.booleans())
def test_axis_shows_all_values_with_ticks_that_differ(
    values: list[float], ticks: int, whole: bool
) -> None:
    axis = Axis.over(values, ticks, whole=whole)
    places = axis.ticks
    assert whole or 2 <= len(places) <= 3 * ticks + 2
    assert len({axis.label(tick) for tick in places}) == len(places)
    slack = axis.step * 1e-6
    for value in values:
        if math.isfinite(value):
            kept = max(-1e300, min(1e300, value))
            assert axis.low - slack <= kept <= axis.high + slack
            assert 0 <= axis.place(value) <= 1


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.12, 0.58], ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]),
        ([-1.0, 1.0], ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
        ([0, 41_000], ["0", "10,000", "20,000", "30,000", "40,000", "50,000"]),
        ([0, 4e-9], ["0", "1e−9", "2e−9", "3e−9", "4e−9"]),
        ([], ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round(values: list[float], labels: list[str]) -> None:
    axis = Axis.over(values)
    assert [axis.label(tick) for tick in axis.ticks] == labels


def parts(drawing: Element, tag: str) -> list[Element]:
    return list(drawing.iter(tag))


def test_line_breaks_where_there_is_no_value_and_dots_leave_it_out() -> None:
    axis = Axis.over([0, 4])
    chart = Chart("title", axis, axis, ("x", "y"), "text")
    chart.line([0, 1, 2, 3], [0, 1, math.nan, 3], "first")
    chart.points([0, 1, math.inf], [0, math.nan, 1])
    figure = chart.figure("a note")
    (line,) = [p for p in parts(figure, "path") if "line" in (p.get("class") or "")]
    assert (line.get("d") or "").count("M") == 2
    assert len(parts(figure, "circle")) == 1
    assert parts(figure, "ul") == []  # one line needs no legend
    chart.line([0, 4], [4, 0], "second", 9, dashed=True)
    assert [li[0].get("class") for li in parts(chart.figure(), "li")] == [
        "swatch line c0",
        "swatch line c1 dashed",
    ]


def box_of(group: Element) -> tuple[float, float, float, float]:
    left, top, width, height = (float(group[1].get(n, "")) for n in ("x", "y", "width", "height"))
    return left, top, left + width, top + height


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_boxes_of_a_tree_never_meet(seed: int) -> None:
    random.seed(seed)
    grammar = Grammar(PASSES)
    expression = grammar.expression(grammar.generate("NetworkScalar", 9, full=False))
    (tree,) = parts(draw_tree(expression), "svg")
    boxes = [box_of(group) for group in tree if group.tag == "g"]
    assert len(boxes) == expression.size
    width, height = float(tree.get("width", "")), float(tree.get("height", ""))
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
        for a, b, c, d in boxes[:place]:
            assert right < a or c < left or bottom < b or d < top


def test_arguments_of_a_tree_are_in_order_from_the_top() -> None:
    (tree,) = parts(draw_tree(parse("sub(mean_layers(depth), sum_layers(depth))")), "svg")
    tops = {group[2].text: box_of(group)[1] for group in tree if group.tag == "g"}
    assert tops["mean_layers"] < tops["sub"] < tops["sum_layers"]


def test_words_are_told_once() -> None:
    expression = parse("sub(mean_layers(depth), mean_layers(depth))")
    rows = parts(word_table(expression), "tr")[1:]
    assert [row[0].text for row in rows] == ["sub", "mean_layers", "depth"]


@pytest.mark.parametrize("name", LEAVES)
def test_every_signal_has_a_line(name: str) -> None:
    assert doc_of(terminal(name)).endswith(".")


def test_lines_of_signals_differ() -> None:
    told: list[Expression] = [terminal(name) for name in LEAVES if name not in ALIASES]
    assert len({doc_of(node) for node in [*told, number(2.0)]}) == len(told) + 1


def test_every_kind_has_a_colour() -> None:
    assert set(KIND_GROUPS) == set(KIND_TYPES)


def test_usage_shows_the_words_of_the_last_generation() -> None:
    words = pd.DataFrame(
        {
            "generation": [0.0, 1.0],
            "population": [4.0, 5.0],
            "depth": [1.0, 5.0],
            "weight": [4.0, 1.0],
            "sub": [2.0, 0.0],
        }
    )
    drawing = draw_usage(words, parse("sum_layers(depth)"))
    texts = [(text.text, text.get("class")) for text in parts(drawing, "text")]
    assert texts[:4] == [
        ("depth", "name end stress"),
        ("100%", "end"),
        ("weight", "name end"),
        ("20%", "end"),
    ]
    shares = [cell.get("fill-opacity") for cell in parts(drawing, "rect")]
    assert shares == ["0.25", "1", "1", "0.2"]


@settings(max_examples=40, deadline=None)
@given(st.text(), st.text())
def test_what_is_written_is_read_again(text: str, attribute: str) -> None:
    made = element("p", text, element("b", text), "after", text, class_="x", data_x=attribute)
    assert "".join(made.itertext()) == f"{text}{text}after{text}"
    assert made.get("data-x") == attribute
    html("title", made).encode("utf-8")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(8.26, "8.3 s"), (59.7, "59.7 s"), (101, "1 min 41 s"), (3725, "1 h 2 min")],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said
