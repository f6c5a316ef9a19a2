r"""Join score files into one small file for the repository, with a manifest.

    python -m experiments.collect_scores runs/one.parquet runs/two.parquet \
        --out results/scores/zoo/nats-tss-cifar10.parquet

The files are those of ``greenmachine score --out``, all of one benchmark. Only networks that are in
all files are kept, in the order of their index (``greenmachine.evaluation.keep_scores``). A
``.json`` beside the file has the metadata of each input file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from greenmachine.errors import GreenMachineError
from greenmachine.evaluation import keep_scores, read_scores, score_columns

__all__ = ["collect"]


def collect(paths: list[Path], out: Path, columns: str | None = None) -> None:
    """Write the joined scores of ``paths`` to ``out``, and the manifest beside it.

    Args:
        paths: of the files.
        out: where they go.
        columns: those to keep, with commas between them; None keeps all.

    Raises:
        DataError: a file is missing, damaged, or does not fit the others.
        ConfigError: a column is not there.
    """
    frame = read_scores(paths)
    kept = frame[["index", *score_columns(frame, columns)]]
    kept.attrs = frame.attrs
    keep_scores(kept, out, paths)
    size = out.stat().st_size / 1e6
    print(f"{len(kept)} networks in {out}, {size:.1f} MB", file=sys.stderr)


def main(words: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.collect_scores",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scores", type=Path, nargs="+", help="files of greenmachine score --out")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--columns", help="proxies to keep, with commas between them; default all")
    choice = parser.parse_args(words)
    try:
        collect(choice.scores, choice.out, choice.columns)
    except GreenMachineError as error:
        print(f"collect_scores: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
