"""Score the zoo on random networks of both NATS-Bench spaces and the three data sets.

    python -m experiments.zoo_sweep --out runs/zoo

The 3,000 networks of a space are those of ``greenmachine score --sample 3000 --seed 0``, the same
for every proxy and data set, at full depth. They are scored in three rounds of 1,000, drawn evenly:
all of the first round comes before any of the second, so that a sweep that ends early leaves a
smaller random sample of everything. Batches hold 16 images, and 8 where a proxy costs a backward
pass an image (``ntk``, ``gradsign``). ``epe_nas`` correlates within classes, of which a batch of 16
images has too few where there are more than ten: CIFAR-10 only.

The same command goes on after Ctrl-C, a kill, or a reboot. Every file is one of
``greenmachine score --out``; ``<space>-<dataset>.parquet`` joins those that are there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from experiments.score_files import DATASETS, SPACES, say
from greenmachine.benchmarks import load_benchmark
from greenmachine.cli.display import bar
from greenmachine.errors import GreenMachineError
from greenmachine.evaluation import capture_spec, read_scores, score_to_file
from greenmachine.files import replace_file
from greenmachine.language import parse
from greenmachine.proxies import ExpressionProxy, resolve
from greenmachine.workers import backend

ROUNDS = 3
NETWORKS = 3000

# What one forward and one backward pass give, or less.
_FORWARD = [
    "params",
    "weight_count",
    "flops",
    "l2_norm",
    "grad_norm",
    "plain",
    "snip",
    "synflow",
    "logsynflow",
    "fisher",
    "fisher_broadcast",
    "jacov_noise",
    "nwot",
    "nwot_inputs",
    "meco",
    "meco_opt",
    "meco_modules",
    "meco_opt_modules",
    "meco_outputs",
    "meco_images",
    "meco_inputs",
    "zen",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
    "sed",
]


@dataclass(frozen=True)
class Group:
    """Proxies that are scored together.

    Attributes:
        name: in the file's name.
        proxies: names in the zoo.
        batch: images.
        datasets: where they are defined.
    """

    name: str
    proxies: tuple[str, ...]
    batch: int = 16
    datasets: tuple[str, ...] = DATASETS


GROUPS = (
    Group("forward", tuple(_FORWARD)),
    Group("gradient", ("jacov", "zico", "grasp")),
    Group("classes", ("epe_nas",), datasets=("cifar10",)),
    Group("per-sample", ("ntk", "gradsign"), batch=8),
)


@dataclass(frozen=True)
class Piece:
    """One file of the sweep."""

    round: int
    space: str
    dataset: str
    group: Group

    def path(self, folder: Path) -> Path:
        """Return where its scores are or will be."""
        name = f"{self.space}-{self.dataset}-{self.group.name}-{self.round}.parquet"
        return folder / "parts" / name


def pieces() -> Iterator[Piece]:
    """Yield all files, in the order of the work."""
    for number in range(ROUNDS):
        for dataset in DATASETS:
            for space in SPACES:
                for group in GROUPS:
                    if dataset in group.datasets:
                        yield Piece(number, space, dataset, group)


def networks(size: int, number: int) -> list[int]:
    """Return the networks of a round, ascending, of a space of ``size``."""
    rng = np.random.default_rng(0)
    drawn = rng.permutation(rng.choice(size, NETWORKS, replace=False))
    return sorted(int(i) for i in np.array_split(drawn, ROUNDS)[number])


def score(piece: Piece, folder: Path, console: Console) -> None:
    """Score one file's networks, unless they are scored.

    Raises:
        GreenMachineError: data is missing, or no network could be sent through the passes.
    """
    path = piece.path(folder)
    if path.is_file():
        return
    say(f"{path.stem}: {', '.join(piece.group.proxies)}")
    found = [resolve(name) for name in piece.group.proxies]
    spec = capture_spec(
        piece.space,
        piece.dataset,
        [parse(proxy.expression) for proxy in found if isinstance(proxy, ExpressionProxy)],
        batch=piece.group.batch,
        seed=0,
        options={},
    )
    chosen = networks(len(load_benchmark(piece.space)), piece.round)
    texts: Mapping[str, str] = {proxy.name: proxy.text for proxy in found}
    with bar(console, "networks") as told:
        score_to_file(texts, spec, chosen, path, progress=told, announce=say)


def join(folder: Path) -> None:
    """Write ``<space>-<dataset>.parquet`` of the rounds whose files are all there."""
    for space in SPACES:
        for dataset in DATASETS:
            frames = []
            for number in range(ROUNDS):
                here = [
                    p for p in pieces() if (p.round, p.space, p.dataset) == (number, space, dataset)
                ]
                paths = [piece.path(folder) for piece in here]
                if all(path.is_file() for path in paths):
                    frames.append(read_scores(paths))
            if frames:
                whole = pd.concat(frames, ignore_index=True).sort_values("index", ignore_index=True)
                whole.attrs = frames[0].attrs
                write = partial(whole.to_parquet, index=False)
                replace_file(folder / f"{space}-{dataset}.parquet", write)
                say(f"{space}, {dataset}: {len(whole)} networks")


def main(words: list[str] | None = None) -> int:
    """Score what is missing, round by round, and join."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.zoo_sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the score files")
    parser.add_argument("--workers", type=int, default=-1, help="processes; -1 takes every core")
    parser.add_argument("--rounds", type=int, default=ROUNDS, choices=range(1, ROUNDS + 1))
    parser.add_argument("--join", action="store_true", help="score nothing, join what is there")
    choice = parser.parse_args(words)
    console = Console(stderr=True)
    try:
        with backend("loky", choice.workers):
            for piece in pieces():
                if piece.round < choice.rounds and not choice.join:
                    score(piece, choice.out, console)
        join(choice.out)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 1
    except (GreenMachineError, OSError) as error:
        print(f"zoo_sweep: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
