"""Pages: Jinja2 templates with escaping, charts, and the format of numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from greenmachine.reports import vega
from greenmachine.reports.record import Score
from greenmachine.reports.vocabulary import KIND_GROUPS, doc_of

__all__ = ["PAGE_MARK", "duration", "environment", "flat", "leaves", "render", "shown", "tau_text"]

PAGE_MARK = b'name="generator" content="GreenMachine"'
"""Bytes that every page of this project contains."""

_LONGEST = 12  # most values of a list that are shown


def render(template: str, tables: Mapping[str, pd.DataFrame], **content: object) -> str:
    """Return a complete, self-contained page.

    Args:
        template: name of its file in ``templates``.
        tables: the tables of the charts, by name.
        content: the variables of the template.
    """
    page = (
        environment()
        .get_template(template)
        .render(
            palette=vega.PALETTE,
            colour_rules=Markup(vega.colour_rules()),
            vega=Markup(vega.javascript()),
            config=vega.CONFIG,
            data={name: _columns(table) for name, table in tables.items()},
            **content,
        )
    )
    # A file name that is not UTF-8 contains surrogates, which no text file can.
    return page.encode("utf-8", "replace").decode("utf-8")


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns of a table for JSON: seven digits, None for values that are not finite."""
    return {str(name): [_plain(value) for value in table[name].tolist()] for name in table}


def _plain(value: float | str) -> float | str | None:
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.7g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e7 else rounded


@cache
def environment() -> Environment:
    """Return the templates with their filters; all text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "better": lambda direction: "higher" if direction > 0 else "lower",
        "doc": doc_of,
        "duration": duration,
        "flat": flat,
        "kind_group": KIND_GROUPS.__getitem__,
        "short_tau": _short_tau,
        "spec": vega.spec,
        "tau": tau_text,
    }
    return environment


def tau_text(score: Score | None) -> str:
    """Return tau with its standard error and the number of failures; an empty text for None."""
    if score is None:
        return ""
    if not math.isfinite(score.tau):
        text = "undefined"
    elif math.isfinite(score.standard_error):
        text = f"{score.tau:.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{score.standard_error:.3f}"
    else:
        text = f"{score.tau:.3f}"
    return f"{text}, {score.failed} failed" if score.failed else text


def _short_tau(score: Score | None) -> str:
    return f"τ = {score.tau:.3f}" if score and math.isfinite(score.tau) else "τ undefined"


def duration(seconds: float) -> str:
    """Return seconds in a readable form: ``8.3 s``, ``4 min 20 s``, ``1 h 2 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield nested settings as text by dotted key; a long list is replaced by its length."""
    return ((key, shown(value)) for key, value in leaves(settings))


def leaves(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings by dotted key."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def shown(value: Any) -> str:
    """Return the value of a setting to be read."""
    if isinstance(value, list) and len(value) > _LONGEST:
        return f"{len(value)} values"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
