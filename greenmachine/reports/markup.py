"""HTML and SVG as elements: every text and attribute is escaped because none is ever pasted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

__all__ = ["STYLE", "Child", "Element", "element", "html", "table"]

Child = Element | str

STYLE = Path(__file__).with_name("style.css")
"""Colours and classes of pages and of drawings."""


def element(tag: str, *children: Child, **attributes: str | float) -> Element:
    """Return ``<tag attributes>children</tag>``.

    Args:
        tag: of HTML or SVG.
        children: elements and texts, in order. An element stands in one place only.
        attributes: ``class_`` becomes ``class``, ``stroke_width`` becomes ``stroke-width``;
            numbers are written with two decimals at most.
    """
    made = Element(tag)
    for name, value in attributes.items():
        text = value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
        made.set(name.rstrip("_").replace("_", "-"), text)
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def table(head: Sequence[str], rows: Iterable[Sequence[Child]], bold: str | None = None) -> Element:
    """Return a table that scrolls in a narrow window; the first cell of a row is its header.

    Args:
        head: titles of the columns.
        rows: their cells.
        bold: first cell of the rows to stress.
    """
    body = element("tbody")
    for first, *cells in rows:
        row = element("tr", element("th", first, scope="row"), *(element("td", c) for c in cells))
        if first == bold:
            row.set("class", "bold")
        body.append(row)
    titles = element("tr", *(element("th", title, scope="col") for title in head))
    return element(
        "div", element("table", element("thead", titles), body), class_="scroll", tabindex="0"
    )


def html(title: str, *body: Element) -> str:
    """Return the whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", STYLE.read_text(encoding="utf-8")),
    )
    page = element("html", head, element("body", element("main", *body)), lang="en")
    text = f"<!DOCTYPE html>\n{tostring(page, encoding='unicode', method='html')}\n"
    # A file name that is not UTF-8 holds surrogates, which no file of text can.
    return text.encode("utf-8", "replace").decode("utf-8")
