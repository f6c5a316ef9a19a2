"""Make an evolved expression shorter where that costs next to nothing.

    python -m experiments.simplify results/proxies/gm_tss.json
    python -m experiments.simplify results/proxies/gm_any.json --loss 0.005

Every subtree is replaced by each of its own parts of the same kind, in turn, and all that come of
that are scored on the training and validation networks of the run, for each of its data sets; the
test sample is not touched. The shortest that loses no more than ``--loss`` of the mean τ-b, against
the expression that the run found, is the next start; the search ends where none is left. Each step
is printed: size, mean τ, τ by task, expression.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.evolved_samples import run_networks
from greenmachine.benchmarks import load_benchmark
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.files import read_json
from greenmachine.fitness import directed_tau
from greenmachine.language import Expression, parse


def shorter(expression: Expression) -> Iterator[str]:
    """Yield the text of every expression in which one subtree gave way to a part of itself."""
    if not expression.args:
        return
    for part in parts(expression):
        if part.kind == expression.kind:
            yield part.text
    for place, argument in enumerate(expression.args):
        for text in shorter(argument):
            texts = [a.text for a in expression.args]
            texts[place] = text
            yield f"{expression.op}({', '.join(texts)})"


def parts(expression: Expression) -> Iterator[Expression]:
    """Yield every proper subtree that holds a terminal."""
    for argument in expression.args:
        if argument.terminals:
            yield argument
        yield from parts(argument)


def measure(texts: list[str], known: dict[str, Any], workers: int) -> pd.DataFrame:
    """Return tau of each text (rows) on each task of the run (columns), train and validation."""
    config = known["config"]
    columns = {}
    for name, chosen in run_networks(known).items():
        benchmark = load_benchmark(name)
        for dataset in (d for d in config["datasets"] if d in benchmark.datasets):
            spec = capture_spec(
                name,
                dataset,
                [parse(text) for text in texts],
                batch=config["capture"]["batch"],
                seed=config["seed"],
                options=config["capture"]["options"],
            )
            found = score_networks({text: text for text in texts}, spec, chosen, workers=workers)
            scores = found[texts].to_numpy(dtype=np.float64).T
            accuracy = benchmark.accuracy(dataset)[chosen]
            columns[f"{name}/{dataset}"] = directed_tau(scores, accuracy, known["direction"])
    return pd.DataFrame(columns, index=texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("known", type=Path, help="JSON that `greenmachine export` wrote")
    parser.add_argument("--loss", type=float, default=0.002, help="of the mean tau")
    parser.add_argument("--workers", type=int, default=-1)
    args = parser.parse_args()
    known = read_json(args.known)
    best = parse(known["expression"])
    least = None
    while True:
        texts = list(dict.fromkeys([best.text, *(parse(text).text for text in shorter(best))]))
        tau = measure(texts, known, args.workers)
        mean = tau.mean(axis=1).fillna(-1.0)
        least = mean.iloc[0] - args.loss if least is None else least
        by_task = "  ".join(f"{task} {value:.4f}" for task, value in tau.iloc[0].items())
        print(f"{best.size} nodes  mean {mean.iloc[0]:.4f}  {by_task}\n  {best.text}", flush=True)
        good = sorted((parse(t).size, -mean[t], t) for t in texts[1:] if mean[t] >= least)
        if not good:
            return
        best = parse(good[0][2])


if __name__ == "__main__":
    main()
