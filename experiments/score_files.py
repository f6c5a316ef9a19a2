"""Score files of both NATS-Bench spaces, ``<space>-<dataset>.parquet``, and tables of results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.errors import DataError
from greenmachine.evaluation import check_rows, read_scores
from greenmachine.files import replace_file, sha256, write_json, write_text
from greenmachine.manifest import manifest

__all__ = ["DATASETS", "SPACES", "ScoreFile", "markdown", "save", "say", "score_files"]

SPACES = ("nats-tss", "nats-sss")
DATASETS = ("cifar10", "cifar100", "imagenet16-120")


@dataclass(frozen=True)
class ScoreFile:
    """Scores of networks of one space on one data set."""

    path: Path
    benchmark: Benchmark
    dataset: str
    frame: pd.DataFrame


def score_files(folder: Path) -> Iterator[ScoreFile]:
    """Yield the files that ``folder`` has, and say which are missing.

    Raises:
        DataError: there are none, one is damaged, or the tables of the benchmark are missing.
    """
    found = 0
    for space in SPACES:
        for dataset in DATASETS:
            path = folder / f"{space}-{dataset}.parquet"
            if not path.is_file():
                say(f"{path} is missing: left out")
                continue
            found += 1
            frame = read_scores([path])
            benchmark = load_benchmark(space)
            check_rows(frame, benchmark)
            yield ScoreFile(path, benchmark, dataset, frame)
    if not found:
        raise DataError(
            f"{folder} has no scores: `greenmachine score PROXY... --on nats-tss --dataset "
            f"cifar10 --sample all --out {folder}/nats-tss-cifar10.parquet` makes some"
        )


def save(folder: Path, table: pd.DataFrame, text: str, files: list[Path], **facts: Any) -> None:
    """Write ``table.csv``, ``table.md`` and ``manifest.json`` with the checksums of ``files``."""
    replace_file(folder / "table.csv", lambda temporary: table.to_csv(temporary, index=False))
    write_text(folder / "table.md", text)
    known = {path.name: sha256(path) for path in files}
    write_json(folder / "manifest.json", manifest(scores=known, **facts))
    say(f"{len(table)} rows in {folder / 'table.csv'}, and {folder / 'table.md'}")


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """Return a table of rows with the same keys."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def say(line: str) -> None:
    """Tell the progress on the error stream."""
    print(line, file=sys.stderr, flush=True)
