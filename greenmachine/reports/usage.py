"""Which words the population used, by generation."""

from __future__ import annotations

import pandas as pd

from greenmachine.language import Expression
from greenmachine.reports.markup import Element, element

__all__ = ["draw_usage"]

_WORDS, _COLUMNS = 24, 60  # at most: more words say little, more columns are thinner than a pixel
_NAME, _WIDTH, _SHARE, _ROW = 190.0, 480.0, 46.0, 17.0


def draw_usage(words: pd.DataFrame, champion: Expression | None) -> Element:
    """Return a map of the most used words: a row a word, a column a generation.

    Args:
        words: see :class:`~greenmachine.reports.record.Record`.
        champion: its words are stressed.
    """
    counts = words.drop(columns=["generation", "population"])
    shares = counts.div(words["population"], axis=0).fillna(0.0)
    last = shares.iloc[-1].sort_values(ascending=False, kind="stable")
    names = [str(name) for name in last.index[:_WORDS] if last[name] > 0]
    shares = shares[:: -(-len(shares) // _COLUMNS)]
    used = {node.op for node in champion.walk()} if champion else set()
    wide, bottom = _WIDTH / len(shares), len(names) * _ROW
    total = _NAME + _WIDTH + _SHARE
    svg = element(
        "svg",
        element("title", "Words in use"),
        element("desc", f"Share of the individuals that hold {', '.join(names)}."),
        viewBox=f"0 0 {total:.0f} {bottom + 40:.0f}",
        width=total,
        height=bottom + 40,
        role="img",
    )
    for row, name in enumerate(names):
        y = row * _ROW
        kind = "name end stress" if name in used else "name end"
        svg.append(element("text", name, x=_NAME - 6, y=y + 13, class_=kind))
        for column, share in enumerate(shares[name]):
            if share > 0:
                svg.append(
                    element(
                        "rect",
                        x=_NAME + column * wide,
                        y=y + 1,
                        width=wide,
                        height=_ROW - 2,
                        class_="cell",
                        fill_opacity=share,
                    )
                )
        svg.append(element("text", f"{last[name]:.0%}", x=total, y=y + 13, class_="end"))
    for column, anchor in ((0, "start"), (-1, "end")):
        number = f"{words['generation'].iloc[column]:.0f}"
        x = _NAME if anchor == "start" else _NAME + _WIDTH
        svg.append(element("text", number, x=x, y=bottom + 16, class_=anchor))
    middle = _NAME + _WIDTH / 2
    svg.append(element("text", "generation", x=middle, y=bottom + 32, class_="mid"))
    return element("div", svg, class_="scroll", tabindex="0")
