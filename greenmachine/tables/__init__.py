"""The tables of the papers, made from stored scores; one module per table."""

from __future__ import annotations

from pathlib import Path

from greenmachine.tables import abroad, cost, factory, generalisation, meco, ranking, search, sed
from greenmachine.tables.base import Table
from greenmachine.tables.sources import Stored
from greenmachine.tables.writing import write_table

__all__ = ["TABLES", "Stored", "Table", "reproduce"]

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE
    for module in (ranking, generalisation, abroad, factory, meco, sed, search, cost)
}
"""Every table by name."""


def reproduce(table: Table, stored: Stored, out: Path) -> list[Path]:
    """Make ``table`` from stored scores; return its files in ``out``: CSV, Markdown, SVG, JSON.

    Raises:
        DataError: the scores that it needs are missing, a file is damaged or does not fit its
            space, or the tables of NATS-Bench are missing.
        ConfigError: a package that the table needs is missing.
    """
    return write_table(table, table.rows(stored), out, stored.files)
