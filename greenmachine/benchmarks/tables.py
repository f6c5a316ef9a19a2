"""The benchmarks whose tables are in the data folder."""

from __future__ import annotations

from greenmachine.benchmarks import nas_benchmarks, nats
from greenmachine.benchmarks.table_benchmark import TableBenchmark

__all__ = ["TABLES"]

TABLES: dict[str, TableBenchmark] = {
    table.name: table for table in (*nats.TABLES, *nas_benchmarks.TABLES)
}
"""Benchmarks by name, in the order of the list."""
