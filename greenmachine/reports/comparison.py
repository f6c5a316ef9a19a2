"""Several runs beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from greenmachine.errors import ConfigError
from greenmachine.files import write_text
from greenmachine.reports.charts import Axis, Chart
from greenmachine.reports.figures import generation_axis
from greenmachine.reports.markup import Child, Element, element, html, table
from greenmachine.reports.reading import read_record
from greenmachine.reports.record import SAMPLES, Record
from greenmachine.reports.tables import duration, tau_text

__all__ = ["write_comparison"]


def write_comparison(folders: Sequence[Path], out: Path) -> Path:
    """Write a comparison of runs as one HTML file that needs nothing else.

    Args:
        folders: of at least two runs, finished or not.
        out: the file.

    Returns:
        The file.

    Raises:
        ConfigError: fewer than two folders.
        RunError: see :func:`~greenmachine.reports.report.write_report`.
    """
    if len(folders) < 2:
        raise ConfigError("a comparison takes two runs or more")
    records = dict(zip(_labels(folders), map(read_record, folders), strict=True))
    head = [element("h1", f"{len(records)} runs"), *_warning(list(records.values()))]
    parts = [
        element("header", *head),
        element("section", element("h2", "Runs"), _runs(records), id="runs"),
        element("section", element("h2", "Kendall's τ"), _taus(records), id="tau"),
        element("section", element("h2", "Convergence"), _curves(records), id="convergence"),
        element("section", element("h2", "Champions"), *_champions(records), id="champions"),
    ]
    write_text(out, html("comparison of runs", *parts))
    return out


def _labels(folders: Sequence[Path]) -> list[str]:
    """Return what the runs are called: the folders' names, or numbered paths where two agree."""
    for labels in ([f.resolve().name for f in folders], [str(f) for f in folders]):
        if len(set(labels)) == len(labels):
            return labels
    return [f"{place}: {folder}" for place, folder in enumerate(folders, start=1)]


def _warning(records: list[Record]) -> list[Element]:
    if all(record.identity == records[0].identity for record in records):
        return []
    note = (
        "The runs were not judged on the same networks and accuracies: between them τ also "
        "differs by the sample, or does not compare at all where the benchmarks differ."
    )
    return [element("p", note, class_="note")]


def _runs(records: dict[str, Record]) -> Element:
    measured = any(record.energy is not None for record in records.values())
    head = ["run", "benchmark", "seed", "population", "generations", "individuals", "time"]
    rows = []
    for label, record in records.items():
        evolution = record.config["evolution"]
        done = f"{record.history['generation'].iloc[-1]:.0f}"
        cells = [
            label,
            record.place,
            str(record.config["seed"]),
            f"{evolution['population']:,}",
            done if record.result else f"{done} of {evolution['generations']}, unfinished",
            f"{record.individuals:,}",
            duration(record.seconds),
        ]
        if measured:
            cells.append("" if record.energy is None else f"{record.energy:.3g} kWh")
        rows.append(cells)
    return table([*head, *(["energy"] if measured else [])], rows)


def _taus(records: dict[str, Record]) -> Element:
    head = ["run", "data set", "size", *SAMPLES, "best trivial on test"]
    rows: list[list[Child]] = []
    for label, record in records.items():
        for dataset in record.datasets:
            found = [record.tau.get(sample, {}).get(dataset, {}) for sample in SAMPLES]
            cells = [tau_text(rows["champion"]) if rows else "" for rows in found]
            trivial = {
                name: row
                for name, row in found[-1].items()
                if name != "champion" and math.isfinite(row.tau)
            }
            best = max(trivial, key=lambda name: trivial[name].tau, default=None)
            size = f"{record.champion.size} nodes"
            last = f"{tau_text(trivial[best])}, {best}" if best else ""
            rows.append([label, dataset, size, *cells, last])
    return table(head, rows)


def _curves(records: dict[str, Record]) -> Element:
    tables = [record.history for record in records.values()]
    columns = ("best_validation", "best")
    y = Axis.over(value for frame in tables for name in columns for value in frame[name])
    chart = Chart(
        "Best fitness on validation (solid) and on train (dashed)",
        generation_axis(max(frame["generation"].iloc[-1] for frame in tables)),
        y,
        ("generation", "fitness"),
        f"By generation, for {', '.join(records)}.",
        (560, 340),
    )
    for colour, (label, record) in enumerate(records.items()):
        history = record.history
        places = history["generation"].to_list()
        chart.line(places, history["best_validation"].to_list(), label, colour)
        chart.line(places, history["best"].to_list(), f"{label}, train", colour, dashed=True)
    return chart.figure()


def _champions(records: dict[str, Record]) -> list[Element]:
    made = []
    for label, record in records.items():
        champion = record.champion
        better = "high" if champion.direction > 0 else "low"
        made.append(element("h3", f"{label}: {champion.size} nodes, {better} is good"))
        made.append(element("pre", element("code", champion.expression)))
    return made
