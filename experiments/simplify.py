"""Shorten an evolved expression where this reduces τ-b only a little.

    python -m experiments.simplify results/proxies/gm_tss.json
    python -m experiments.simplify results/proxies/gm_any.json --loss 0.005 --out shorter.py
    python -m experiments.simplify champion.json --to "sum_layers(depth)" --out shorter.py

In each step every subtree is replaced by each of its own subtrees of the same kind, in turn. All
resulting expressions are scored on the training and validation networks of the run, for each of its
data sets; the test sample is not used. For a run on a bank, the scores come from the bank, and an
expression that needs values that it does not have is left out. The next step starts from the
shortest expression whose mean τ-b is at most ``--loss`` below that of the run's expression. The
search ends when there is none.
Each step is printed: size, mean τ-b, τ-b by task, expression. With ``--out`` the last expression is
exported, with its τ-b on every sample of the run, including the test sample. The key
``shortened_from`` of the .json has the expression that the run found. With ``--to`` there is no
search: the given expression was shortened by hand. A run on a bank that is elsewhere now needs
``--bank``.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.evolved_samples import run_networks
from greenmachine.bank import Bank, BankEvaluator, leaves_of
from greenmachine.benchmarks import Benchmark, load_benchmark, short_name
from greenmachine.config import RunConfig
from greenmachine.errors import GreenMachineError, RunError, one_line
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.evolution.bank_tasks import bank_family, bank_places
from greenmachine.evolution.tasks import by_sample, draw_task_sets, fitted, source_of
from greenmachine.export.run_export import check_place, write_discovery
from greenmachine.files import read_json
from greenmachine.fitness import directed_tau, tau_row
from greenmachine.language import Expression, parse

Networks = Mapping[str, Sequence[int]]
CACHE_BYTES = 2**28  # of the values of a bank


def shorter(expression: Expression) -> Iterator[str]:
    """Yield every expression in which one subtree is replaced by a part of itself."""
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
    """Yield every proper subtree that contains a terminal."""
    for argument in expression.args:
        if argument.terminals:
            yield argument
        yield from parts(argument)


@dataclass(frozen=True)
class Exported:
    """A proxy of a run.

    Attributes:
        known: the JSON that ``greenmachine export`` wrote.
        config: settings of the run.
        bank: its bank, if it had one.
        workers: processes that score.
    """

    known: dict[str, Any]
    config: RunConfig
    bank: Bank | None
    workers: int

    @classmethod
    def read(cls, path: Path, bank: Path | None = None, workers: int = -1) -> Exported:
        """Read the JSON.

        Args:
            path: the JSON.
            bank: place of the bank, if it is not that of the run.
            workers: processes.

        Raises:
            RunError: it is another file, or the bank is not there.
        """
        try:
            known = read_json(path)
            config = RunConfig.model_validate(known["config"])
            if known["direction"] not in (1, -1) or not known["tau"] or not known["manifest"]:
                raise ValueError("a part is missing")
            parse(known["expression"])
        except (OSError, ValueError, KeyError, TypeError, GreenMachineError) as error:
            raise RunError(
                f"{path} cannot be read as the .json of `greenmachine export` ({one_line(error)})"
            ) from None
        place = bank or (Path(config.bank) if config.bank else None)
        return cls(known, config, Bank(place) if place else None, workers)


def measure(texts: list[str], of: Exported, chosen: Networks) -> dict[str, pd.DataFrame]:
    """Return by benchmark/data set each text's scores (columns) on ``chosen``, and ``accuracy``.

    Args:
        texts: expressions.
        of: the run.
        chosen: networks by benchmark.
    """
    config = of.config
    found = {}
    for name, indices in chosen.items():
        benchmark = load_benchmark(name)
        for dataset in (d for d in config.datasets if d in benchmark.datasets):
            accuracy = benchmark.accuracy(dataset)[indices]
            if of.bank is not None:
                scores = on_bank(texts, of, of.bank, benchmark, dataset, indices)
                found[f"{name}/{dataset}"] = scores.assign(accuracy=accuracy)
                continue
            spec = capture_spec(
                name,
                dataset,
                [parse(text) for text in texts],
                batch=config.capture.batch,
                seed=config.seed,
                options=config.capture.options,
            )
            scores = score_networks(
                {text: text for text in texts}, spec, indices, workers=of.workers
            )
            found[f"{name}/{dataset}"] = scores[texts].assign(accuracy=accuracy)
    return found


def on_bank(
    texts: list[str],
    of: Exported,
    bank: Bank,
    benchmark: Benchmark,
    dataset: str,
    indices: Sequence[int],
) -> pd.DataFrame:
    """Return each text's scores (columns) on networks of a bank, as the run computes them."""
    if bank.family(benchmark.name, dataset) is None:
        short = short_name(benchmark.name)
        dataset = source_of(of.config.capture.stand_in, short, dataset)
    family = bank_family(bank, benchmark, dataset)
    places = bank_places(family, benchmark, indices)
    evaluator = BankEvaluator(bank.vectors(family), places, cache_bytes=CACHE_BYTES)
    scores = evaluator.scores([parse(text) for text in texts])
    return pd.DataFrame(dict(zip(texts, scores, strict=True)))


def known_to(bank: Bank | None, text: str) -> bool:
    """Return whether a bank has the values that an expression reads; True without a bank."""
    if bank is None:
        return True
    has = {leaf.text for leaf in bank.leaves}
    return all(leaf.text in has for leaf in leaves_of([parse(text)]))


def shortest(of: Exported, loss: float) -> Expression:
    """Return the last step of the search, and print every step."""
    best = parse(of.known["expression"])
    chosen = run_networks({**of.known, "also_used": {}})
    least = None
    while True:
        shorts = (parse(text).text for text in shorter(best))
        texts = list(dict.fromkeys([best.text, *(t for t in shorts if known_to(of.bank, t))]))
        found = measure(texts, of, chosen)
        tau = pd.DataFrame(
            {
                task: directed_tau(
                    frame[texts].to_numpy(dtype=np.float64).T,
                    frame["accuracy"].to_numpy(),
                    of.known["direction"],
                )
                for task, frame in found.items()
            },
            index=texts,
        )
        mean = tau.mean(axis=1).fillna(-1.0)
        least = mean.iloc[0] - loss if least is None else least
        by_task = "  ".join(f"{task} {value:.4f}" for task, value in tau.iloc[0].items())
        print(f"{best.size} nodes  mean {mean.iloc[0]:.4f}  {by_task}\n  {best.text}", flush=True)
        good = sorted((parse(t).size, -mean[t], t) for t in texts[1:] if mean[t] >= least)
        if not good:
            return best
        best = parse(good[0][2])


def judged(best: Expression, of: Exported) -> dict[str, Any]:
    """Return the JSON of a shorter expression, with its tau in place of the champion's.

    Raises:
        RunError: this version draws other samples than the run did.
    """
    known, config = of.known, of.config
    tau = copy.deepcopy(known["tau"])
    task_sets = draw_task_sets(*fitted(config, of.bank), of.bank)
    drawn = by_sample(task_sets, lambda name, indices: indices.tolist())
    kept = known["manifest"]["samples"]
    if any(drawn[name] != kept[name] for name in ("train", "validation")):
        raise RunError(
            f"other samples are drawn now than at commit {known['manifest']['git']}: use that one"
        )
    for sample, networks in drawn.items():
        found = measure([best.text], of, networks)
        for task_set in task_sets:
            for dataset, task in task_set.tasks.items():
                frame = found[f"{task_set.benchmark.name}/{dataset}"]
                scores, accuracy = frame[best.text].to_numpy(), frame["accuracy"].to_numpy()
                value = config.objective.value(scores, accuracy, known["direction"])
                row = {"objective": value, **tau_row(scores, accuracy, known["direction"])}
                tau[sample][task]["champion"] = row
    return {
        **known,
        "expression": best.text,
        "size": best.size,
        "tau": tau,
        "shortened_from": known.get("shortened_from", known["expression"]),
    }


def main(words: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("known", type=Path, help="JSON that `greenmachine export` wrote")
    parser.add_argument("--loss", type=float, default=0.002, help="of the mean tau")
    parser.add_argument("--to", help="shorter expression, instead of a search")
    parser.add_argument("--out", type=Path, help="Python file; a .json goes beside it")
    parser.add_argument("--bank", type=Path, help="place of the bank [default: that of the run]")
    parser.add_argument("--workers", type=int, default=-1)
    args = parser.parse_args(words)
    try:
        of = Exported.read(args.known, args.bank, args.workers)
        if args.out is not None:
            check_place(args.out)
        best = shortest(of, args.loss) if args.to is None else parse(args.to)
        if args.out is not None:
            shortened = judged(best, of)
            write_discovery(args.out, {**shortened, "name": args.out.stem})
            for task, rows in shortened["tau"]["test"].items():
                print(f"test {task} {rows['champion']['tau']:.4f}")
    except (GreenMachineError, OSError) as error:
        print(f"simplify: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
