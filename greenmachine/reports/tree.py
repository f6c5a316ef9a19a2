"""The formula as a tree: the score on the left, the signals that it reads on the right."""

from __future__ import annotations

from dataclasses import dataclass

from greenmachine.language import Expression
from greenmachine.reports.charts import key
from greenmachine.reports.markup import Element, element, table
from greenmachine.reports.vocabulary import KIND_GROUPS, doc_of
from primitives.registry import NUMBER

__all__ = ["draw_tree", "word_table"]

_ROW, _BOX, _GAP = 30.0, 22.0, 18.0  # height of a row and of a box, width between two boxes
_LETTER = 7.3  # width of a letter, at least, in the 12 px typeface of the boxes


@dataclass
class _Node:
    """A node with its place: left end and middle of its box."""

    expression: Expression
    x: float
    y: float
    children: list[_Node]

    @property
    def right(self) -> float:
        return self.x + 12 + _LETTER * len(self.expression.op)


def draw_tree(expression: Expression) -> Element:
    """Return the drawing with the legend of its kinds.

    Every leaf has a row of its own and a parent stands in the middle of its children, right
    after its own parent: no box can meet another, and arguments are in order from the top.
    """
    nodes: list[_Node] = []
    _place(expression, 1.0, nodes)
    leaves = sum(not node.children for node in nodes)
    width, height = max(node.right for node in nodes) + 1, leaves * _ROW
    svg = element(
        "svg",
        element("title", "the formula as a tree"),
        element("desc", expression.text),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width,
        height=height,
        role="img",
        class_="tree",
    )
    for node in nodes:
        for child in node.children:
            middle = (node.right + child.x) / 2
            curve = (
                f"M{node.right:.1f} {node.y:.1f}C{middle:.1f} {node.y:.1f} "
                f"{middle:.1f} {child.y:.1f} {child.x:.1f} {child.y:.1f}"
            )
            svg.append(element("path", class_="edge", d=curve))
    for node in nodes:
        svg.append(_box(node))
    groups = dict.fromkeys(KIND_GROUPS[node.expression.kind] for node in nodes)
    legend = [key(name, f"box k{place}") for place, name in sorted(groups)]
    return element(
        "figure",
        element("div", svg, class_="scroll", tabindex="0"),
        element("ul", *legend, class_="legend"),
        class_="wide",
    )


def word_table(expression: Expression) -> Element:
    """Return what every word of ``expression`` means, in order of appearance."""
    words = {node.op: node for node in expression.walk() if node.kind != NUMBER}
    rows = [
        (op, node.kind, element("span", doc_of(node), class_="prose")) for op, node in words.items()
    ]
    return table(["word", "gives", "meaning"], rows)


def _place(expression: Expression, x: float, nodes: list[_Node], row: int = 0) -> tuple[_Node, int]:
    """Place ``expression`` and all below it from ``row`` on; return its node and the next row."""
    node = _Node(expression, x, 0.0, [])
    nodes.append(node)
    for argument in expression.args:
        child, row = _place(argument, node.right + _GAP, nodes, row)
        node.children.append(child)
    if node.children:
        node.y = (node.children[0].y + node.children[-1].y) / 2
    else:
        node.y, row = (row + 0.5) * _ROW, row + 1
    return node, row


def _box(node: _Node) -> Element:
    expression = node.expression
    group, _ = KIND_GROUPS[expression.kind]
    return element(
        "g",
        element("title", f"{expression.op}: {doc_of(expression)}\ngives: {expression.kind}"),
        element(
            "rect", x=node.x, y=node.y - _BOX / 2, width=node.right - node.x, height=_BOX, rx=5.0
        ),
        element("text", expression.op, x=node.x + 6, y=node.y + 4),
        class_=f"box k{group}",
    )
