"""The tables of a report, and how numbers are written in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from greenmachine.reports.markup import Element, element, table
from greenmachine.reports.record import SAMPLES, Record, Score

__all__ = ["duration", "facts", "hall_table", "settings_table", "tau_table", "tau_text"]

_LONGEST = 12  # values of a list that are shown


def facts(rows: Mapping[str, str]) -> Element:
    """Return labels with their values, as cards."""
    cards = [
        element("div", element("dt", label), element("dd", value)) for label, value in rows.items()
    ]
    return element("dl", *cards, class_="facts")


def tau_table(record: Record, dataset: str) -> Element:
    """Return tau of the champion and of the trivial scores on the three samples."""
    samples = [sample for sample in SAMPLES if sample in record.tau]
    names = dict.fromkeys(name for s in samples for name in record.tau[s][dataset])
    rows = []
    for name in names:
        found = [record.tau[sample][dataset].get(name) for sample in samples]
        rows.append([name, *("" if score is None else tau_text(score) for score in found)])
    head = [f"{sample}, {record.samples[sample][dataset]:,} networks" for sample in samples]
    return table(["", *head], rows, bold="champion")


def tau_text(score: Score) -> str:
    """Return tau with its standard error, and what failed."""
    if not math.isfinite(score.tau):
        text = "undefined"
    elif math.isfinite(score.standard_error):
        text = f"{score.tau:.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{score.standard_error:.3f}"
    else:
        text = f"{score.tau:.3f}"
    return f"{text}, {score.failed} failed" if score.failed else text


def hall_table(record: Record) -> Element:
    """Return the hall of fame."""
    rows = [
        (
            str(rank),
            f"{famous.validation:.4f}",
            f"{famous.train:.4f}",
            str(famous.size),
            str(famous.generation),
            "high" if famous.direction > 0 else "low",
            element("code", famous.expression),
        )
        for rank, famous in enumerate(record.hall, start=1)
    ]
    head = ("rank", "validation", "train", "nodes", "generation", "good is", "expression")
    return table(head, rows)


def settings_table(settings: Mapping[str, Any]) -> Element:
    """Return settings by dotted key; of long lists their length."""
    return table(["key", "value"], ((key, element("code", v)) for key, v in _flat(settings)))


def duration(seconds: float) -> str:
    """Return seconds as a person says them: ``8.3 s``, ``4 min 20 s``, ``1 h 2 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{key}.")
        elif isinstance(value, list) and len(value) > _LONGEST:
            yield f"{path}{key}", f"{len(value)} values"
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{path}{key}", text
