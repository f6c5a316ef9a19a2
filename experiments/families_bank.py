"""Build the banks behind results/families and results/banks, and measure what was found with them.

    python -m experiments.families_bank world BANK
    python -m experiments.families_bank topology BANK
    python -m experiments.families_bank size BANK
    python -m experiments.families_bank wide WIDE
    python -m experiments.families_bank compare BANK WIDE gm_world
    python -m experiments.families_bank rest BANK SCORES
    python -m experiments.families_bank tau BANK PROXY ...

``world`` holds networks of five families, three of them narrower than published. ``topology`` adds
networks of the topology space to it; ``size`` is a bank of the size space alone. ``wide`` holds 60
networks of these three families at twice that width, and ``compare`` prints Kendall's tau between
the scores of one network at both widths. ``rest`` prints tau of the columns of a score file, on all
of its networks, and on those that compute another function than every network of the bank. ``tau``
prints tau of proxies on the networks of a bank, and on all networks of the space that compute one
of their functions, which get the scores of those of the bank. CIFAR-100 has the scores of networks
built for CIFAR-10.

Expressions are those of results/families/expressions.json. An interrupted build continues with the
same command. On one core, ``world`` takes about an hour.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np

from greenmachine.api.banks import build_bank
from greenmachine.bank import Bank, BankEvaluator
from greenmachine.benchmarks import load_benchmark
from greenmachine.evaluation.score_file import read_scores, score_columns
from greenmachine.evolution.bank_tasks import bank_networks, bank_places
from greenmachine.fitness import directed_tau, tau_row
from greenmachine.language import canonical, parse
from greenmachine.proxies import resolve

EXPRESSIONS = Path(__file__).parents[1] / "results" / "families" / "expressions.json"
WIDTHS = {"channel-resnet": 50, "nas-bench-macro": 10, "nas-bench-101": 20}
"""Channels of the narrow networks, for the build option ``width``."""
NETWORKS = {
    "world": {
        "channel-resnet/cifar10": 300,
        "nats-sss/cifar10": 500,
        "nas-bench-macro/cifar10": 300,
        "nats-tss/cifar10": 1000,
        "nas-bench-101/cifar10": 300,
    },
    "topology": {"nats-tss/cifar10": 2500, "nats-tss/imagenet16-120": 2000},
    # Every data set has its own networks: good proxies of this space depend on the width of the
    # classifier, which is the number of classes.
    "size": {"nats-sss/cifar10": 2300, "nats-sss/imagenet16-120": 2300, "nats-sss/cifar100": 2300},
    "wide": {f"{name}/cifar10": 60 for name in WIDTHS},
}
PASSES = {"size": ("noise",)}
"""Passes of a bank, if it does not have those of a new one: noise alone takes half as long."""


def build(what: str, path: Path, workers: int) -> None:
    """Build or continue a bank."""
    expressions = json.loads(EXPRESSIONS.read_text(encoding="utf-8"))
    for task, networks in NETWORKS[what].items():
        width = WIDTHS.get(task.partition("/")[0])
        build_bank(
            path,
            task,
            networks=networks,
            expressions=expressions,
            passes=PASSES.get(what),
            options={"width": width * (2 if what == "wide" else 1)} if width else None,
            workers=workers,
            announce=partial(print, flush=True),
        )


def compare(narrow: Path, wide: Path, proxy: str) -> None:
    """Print tau between the scores of the same networks at two widths, family by family."""
    form = [canonical(parse(resolve(proxy).expression))]
    for name, width in WIDTHS.items():
        scores = {}
        common: list[int] = []
        for path in (wide, narrow):
            bank = Bank(path)
            family = bank.family(name, "cifar10")
            assert family is not None, f"{path} has no {name}"
            common = common or list(family.indices)
            places = [family.indices.index(index) for index in common]
            scores[path] = BankEvaluator(bank.vectors(family), places, cache_bytes=2**26).scores(
                form
            )
        tau = directed_tau(scores[narrow], scores[wide][0], 1)[0]
        print(f"{name}, width {width} and {2 * width}: tau {tau:.3f}, {len(common)} networks")


def rest(path: Path, scores: Path) -> None:
    """Print tau of every column of a score file, with and without the networks of a bank."""
    frame = read_scores([scores])
    benchmark = load_benchmark(frame.attrs["benchmark"])
    indices = frame["index"].to_numpy()
    accuracy = benchmark.accuracy(frame.attrs["dataset"])[indices]
    used = {
        index
        for family in Bank(path).facts.families
        if family.benchmark == benchmark.name
        for index in family.indices
    }
    known = benchmark.functions[sorted(used)]
    new = ~np.isin(benchmark.functions[indices], known)
    print(f"{len(frame)} networks, {int(new.sum())} of other functions than those of the bank")
    for name in score_columns(frame):
        values, direction = frame[name].to_numpy(np.float64), resolve(name).direction
        whole, other = (
            tau_row(values[part], accuracy[part], direction)["tau"]
            for part in (np.ones(len(frame), dtype=bool), new)
        )
        print(f"{whole:.3f} {other:.3f} {name}")


def tau(path: Path, names: list[str]) -> None:
    """Print tau on the networks of a bank of the topology space, and on all of their functions."""
    bank, benchmark = Bank(path), load_benchmark("nats-tss")
    families = {family.dataset: family for family in bank.facts.families}
    common = bank_networks(bank, benchmark, families)
    alike = np.flatnonzero(np.isin(benchmark.functions, benchmark.functions[common]))
    for name in names:
        proxy = resolve(name)
        rows = []
        for networks in (common, alike):
            for dataset in benchmark.datasets:
                family = families.get(dataset, families["cifar10"])
                places = bank_places(family, benchmark, networks.tolist())
                evaluator = BankEvaluator(bank.vectors(family), places, cache_bytes=2**28)
                scores = evaluator.scores([canonical(parse(proxy.expression))])
                truth = benchmark.accuracy(dataset)[networks]
                rows.append(directed_tau(scores, truth, proxy.direction)[0])
        each, whole = (" ".join(f"{value:.3f}" for value in part) for part in (rows[:3], rows[3:]))
        print(f"{each} on {len(common)} networks, {whole} on {len(alike)}: {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*NETWORKS, "compare", "rest", "tau"])
    parser.add_argument("bank", type=Path)
    parser.add_argument("wide", nargs="?", help="bank of wide networks, score file, or proxy")
    parser.add_argument("proxies", nargs="*")
    parser.add_argument("--workers", type=int, default=-1)
    args = parser.parse_args()
    if args.what in NETWORKS:
        build(args.what, args.bank, args.workers)
    elif args.wide is None:
        parser.error(f"{args.what} needs another argument")
    elif args.what == "tau":
        tau(args.bank, [args.wide, *args.proxies])
    elif args.what == "rest":
        rest(args.bank, Path(args.wide))
    else:
        compare(args.bank, Path(args.wide), args.proxies[0] if args.proxies else "gm_world")


if __name__ == "__main__":
    main()
