"""The report of one run: the content of its folder, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.energy import ENERGY
from greenmachine.errors import ExpressionError
from greenmachine.evolution.summary import PLACE, directions
from greenmachine.files import refuse_foreign, write_text
from greenmachine.language import Expression, parse
from greenmachine.reports.page import PAGE_MARK, render
from greenmachine.reports.reading import read_record
from greenmachine.reports.record import SAMPLES, Record, Score
from greenmachine.reports.spending import spending_texts

__all__ = ["write_report"]

_MOST = 1500  # networks of a sample in a chart
_BUDGET = 9_000  # networks in all charts of a page, which has to stay under 2 MB


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the run in ``folder`` as one self-contained HTML file.

    Args:
        folder: folder of the run. The report of an unfinished run ends at its last complete
            generation; parts whose files an older version did not write are left out.
        out: the file; by default ``report.html`` in the folder.

    Returns:
        The file.

    Raises:
        RunError: the folder contains no run, one without a complete generation, or damaged files.
    """
    record = read_record(folder)
    out = folder / "report.html" if out is None else out
    refuse_foreign(out, PAGE_MARK, "report of greenmachine")
    write_text(out, _page(record))
    return out


def _page(record: Record) -> str:
    from greenmachine.reports import charts

    nodes, fault = _parsed(record.champion.expression)
    tables = {"history": charts.history_table(record.history)}
    usage = None
    if record.primitives is not None and len(shares := charts.usage_table(record.primitives)):
        tables["usage"] = shares
        usage = charts.usage(shares, [node.op for node in nodes])
    if record.front:
        tables["front"] = charts.front_table(record.front)
    samples = [sample for sample in SAMPLES if sample in record.tau]
    return render(
        "report.html",
        tables,
        run=record,
        done=int(record.history["generation"].iloc[-1]),
        sample_heads={
            name: [f"{sample}, {record.samples[sample][name]:,} networks" for sample in samples]
            for name in record.datasets
        },
        taus={name: _taus(record, samples, name) for name in record.datasets},
        nodes=nodes,
        fault=fault,
        history=charts.history_charts(),
        rankings=_rankings(record, tables),
        usage=usage,
        front=charts.front_chart() if record.front else None,
        spending=_spending(record),
    )


def _parsed(text: str) -> tuple[list[Expression], str]:
    """Return the nodes, the root first, or the reason for none (other versions differ)."""
    try:
        return list(parse(text).walk()), ""
    except ExpressionError as error:
        return [], str(error).splitlines()[0]


def _taus(record: Record, samples: Sequence[str], dataset: str) -> dict[str, list[Score | None]]:
    """Return the champion and the baselines on ``samples``."""
    found = [record.tau[sample][dataset] for sample in samples]
    names = dict.fromkeys(name for scores in found for name in scores)
    return {name: [scores.get(name) for scores in found] for name in names}


def _rankings(record: Record, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the charts of scores by data set, and add their tables to ``tables``."""
    from greenmachine.reports import charts

    if record.scores is None:
        return {}
    most = max(100, min(_MOST, _BUDGET // (len(SAMPLES) * len(record.datasets))))
    made = {}
    for number, dataset in enumerate(record.datasets):
        scores = record.scores[record.scores["dataset"] == dataset]
        # Another benchmark of the run may have baselines that this one does not have.
        others = set(scores.columns) - {*PLACE, *record.tau["test"][dataset]}
        scores = scores.drop(columns=list(others))
        signs = directions(scores, record.champion.direction)
        source = f"scores_{number}"
        tables[source] = charts.score_table(scores, signs, most)
        made[dataset] = {
            "scatter": {
                sample: charts.scatter(
                    source, scores, tables[source], sample, SAMPLES.index(sample)
                )
                for sample in SAMPLES
            },
            "ranks": charts.ranks(source, list(signs), int((scores["sample"] == "test").sum())),
        }
    return made


def _spending(record: Record) -> list[str]:
    so_far = {"seconds": record.seconds}
    if record.energy is not None:
        so_far[ENERGY] = record.energy
    return spending_texts(record.result or so_far)
