"""Draw an expression as a tree: Graphviz source, and SVG."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenmachine.errors import ConfigError
from greenmachine.files import write_text
from greenmachine.language.expression import Expression

__all__ = ["Tree", "tree_of"]

_ROW = 26  # height of a leaf, in pixels
_LETTER = 6.6  # approximate width of a letter, in pixels


@dataclass(frozen=True)
class Tree:
    """The tree of an expression; notebooks display it.

    Attributes:
        expression: the expression.
        source: the tree in Graphviz's language (DOT).
    """

    expression: Expression
    source: str

    @property
    def svg(self) -> str:
        """The drawing as SVG, by Graphviz if its ``dot`` is installed, else by Vega."""
        dot = shutil.which("dot")
        if dot is None:
            return _tidy(self.expression)
        ran = subprocess.run(
            [dot, "-Tsvg"], input=self.source, capture_output=True, text=True, check=False
        )
        return ran.stdout if ran.returncode == 0 else _tidy(self.expression)

    def save(self, path: str | Path) -> Path:
        """Write the drawing to ``path``: Graphviz source for a name in .dot or .gv, else SVG.

        Returns:
            The path.

        Raises:
            ConfigError: the name ends in something else.
        """
        path = Path(path)
        if path.suffix not in (".dot", ".gv", ".svg"):
            raise ConfigError(f"{path}: the name must end in .svg, .dot or .gv")
        write_text(path, self.svg if path.suffix == ".svg" else self.source)
        return path

    def __str__(self) -> str:
        return self.source

    def _repr_svg_(self) -> str:
        return self.svg


def tree_of(expression: Expression) -> Tree:
    """Return the tree of ``expression``, drawn with the root on the left."""
    lines = ["digraph proxy {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for row in _rows(expression):
        style = "" if row["inner"] else ", style=filled, fillcolor=lightgrey"
        lines.append(f"  n{row['id']} [label={json.dumps(row['name'])}{style}];")
        if row["parent"] is not None:
            lines.append(f"  n{row['parent']} -> n{row['id']};")
    return Tree(expression, "\n".join([*lines, "}"]) + "\n")


def _rows(expression: Expression) -> list[dict[str, Any]]:
    """Return a row for each node, the root first."""
    rows: list[dict[str, Any]] = []

    def add(node: Expression, parent: int | None) -> None:
        number = len(rows)
        rows.append({"id": number, "parent": parent, "name": node.op, "inner": bool(node.args)})
        for argument in node.args:
            add(argument, number)

    add(expression, None)
    return rows


def _tidy(expression: Expression) -> str:
    import vl_convert

    rows = _rows(expression)
    column = 40 + round(_LETTER * max(len(row["name"]) for row in rows))
    leaves = sum(not row["inner"] for row in rows)
    text = {"align": {"value": "left"}, "baseline": {"value": "middle"}, "fontSize": {"value": 12}}
    spec = {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "width": column * expression.height,
        "height": _ROW * leaves,
        "padding": {"left": 10, "right": column, "top": 10, "bottom": 10},
        "autosize": "none",
        "background": "white",
        "data": [
            {
                "name": "nodes",
                "values": rows,
                "transform": [
                    {"type": "stratify", "key": "id", "parentKey": "parent"},
                    {
                        "type": "tree",
                        "method": "tidy",
                        "size": [{"signal": "height"}, {"signal": "width"}],
                        "as": ["y", "x", "depth", "children"],
                    },
                ],
            },
            {
                "name": "links",
                "source": "nodes",
                "transform": [
                    {"type": "treelinks"},
                    {"type": "linkpath", "orient": "horizontal", "shape": "diagonal"},
                ],
            },
        ],
        "marks": [
            {
                "type": "path",
                "from": {"data": "links"},
                "encode": {"enter": {"path": {"field": "path"}, "stroke": {"value": "#9aa4b1"}}},
            },
            {
                "type": "symbol",
                "from": {"data": "nodes"},
                "encode": {
                    "enter": {
                        "x": {"field": "x"},
                        "y": {"field": "y"},
                        "size": {"value": 60},
                        "fill": {"signal": "datum.inner ? '#1d66d6' : '#c2570c'"},
                    }
                },
            },
            {
                "type": "text",
                "from": {"data": "nodes"},
                "encode": {
                    "enter": {
                        "x": {"field": "x", "offset": 8},
                        "y": {"field": "y", "offset": -9},
                        "text": {"field": "name"},
                        "fill": {"value": "#1b2430"},
                        **text,
                    }
                },
            },
        ],
    }
    drawn: str = vl_convert.vega_to_svg(spec)
    # A wide tree shrinks to the width of a page or a notebook.
    return drawn.replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)
