"""Products of powers of simple scores, found by a greedy search over a bank.

    python -m experiments.products BANK --on nats-sss
    python -m experiments.products BANK --leave-one-out --out FILE

A factor is a boundary expression of the bank, aggregated over the layers in one of ``AGGREGATED``
ways, with one of the exponents ``EXPONENTS``. Factors must be positive on all networks, so that the
logarithm of a product is a sum. The search keeps the ``--beam`` best products and adds to each the
factor with which Kendall's tau increases most, averaged over the tasks: first estimated on a few
pairs of networks, then the best of these on more pairs.

``--on`` prints the best products of each number of factors, with tau on the first networks of each
task, which the search used, and on the last ``--test``. With ``--start`` all products begin with
the given proxies. ``--leave-one-out`` searches on all families of the bank but one, and tests the
best product on the family left out. The number of factors and the objective of a fold are those
with the best mean tau on the left-out families of searches that leave out a second family, too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.families import accuracies, facts_of, scores
from greenmachine.bank import Bank, Family
from greenmachine.benchmarks import short_name
from greenmachine.files import write_json
from greenmachine.fitness import directed_tau
from greenmachine.language import canonical, parse
from greenmachine.manifest import manifest
from greenmachine.primitives.registry import LAYER_SCALAR
from greenmachine.proxies import ExpressionProxy, resolve

say = partial(print, flush=True)

Floats = npt.NDArray[np.float32]
Product = tuple[tuple[int, float], ...]
"""Factors and their exponents."""

_CHANGED = (
    "{}",
    "log1p_abs({})",
    "sqrt_abs({})",
    "square({})",
    "times_depth({})",
    "cumulative_sum({})",
    "previous_layer({})",
    "previous_layer(previous_layer(previous_layer({})))",
)
_LAYERS = (
    "sum_layers",
    "mean_log_layers",
    "first_layer",
    "last_layer",
    "min_layers",
    "max_layers",
    "median_layers",
    "std_layers",
    "depth_weighted_sum",
    "depth2_weighted_sum",
    "early_half_sum",
    "late_half_sum",
)
AGGREGATED = tuple(f"{layers}({changed})" for layers in _LAYERS for changed in _CHANGED)
EXPONENTS = (-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0)
OBJECTIVES = {"mean": 0.0, "half worst": 0.5}
"""Weight of the worst task; the rest is that of the mean over the tasks."""
_ROUGH, _FINE = 1500, 12000  # pairs of networks of a task
_TRIED = 300  # factors that are tried on the larger number


@dataclass
class Task:
    """Factors on the networks of a task.

    Attributes:
        name: the benchmark, or the benchmark and its data set.
        values: (factors, networks) scores of the factors.
        accuracy: (networks,) in percent.
    """

    name: str
    values: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    def tau(self, product: Product, part: slice = slice(None)) -> float:
        """Return Kendall's tau of a product on some networks; networks without a value are last."""
        score = np.ones(len(self.accuracy))
        with np.errstate(all="ignore"):
            for factor, exponent in product:
                value = self.values[factor]
                score = score * np.sign(value) * np.abs(value) ** exponent
        score = np.where(np.isfinite(score), score, np.nan)
        return float(directed_tau(score[None, part], self.accuracy[part], 1)[0])


def factors_of(bank: Bank) -> list[str]:
    """Return the expressions of all factors."""
    texts = [text for part in bank.facts.parts for text in part]
    layers = [text for text in texts if parse(text, kind=None).kind == LAYER_SCALAR]
    whole = [text for text in texts if text not in set(layers)]
    return [form.format(text) for text in layers for form in AGGREGATED] + whole


def tasks_of(bank: Bank, families: Iterable[Family], factors: Sequence[str]) -> list[Task]:
    """Return the factors on all networks of some families."""
    forms = [canonical(parse(text)) for text in factors]
    tasks = []
    for family in families:
        places = list(range(len(family.indices)))
        values = scores(bank, family, places, forms)
        tasks.append(Task(family.task, values, accuracies(family, places)))
        say(f"{family.task}: {len(forms)} factors on {len(places)} networks")
    return tasks


def usable(tasks: Sequence[Task], factors: Sequence[str], used: int | None) -> list[int]:
    """Return the factors that are positive and vary on all tasks, the shortest of those alike."""
    kept: dict[bytes, int] = {}
    for number, text in enumerate(factors):
        rows = [task.values[number, :used] for task in tasks]
        if not all(np.isfinite(row).all() and (row > 0).all() for row in rows):
            continue
        logs = [np.log(row) - np.log(row).mean() for row in rows]
        if not all(log.std() > 1e-9 for log in logs):
            continue
        size = float(np.sqrt(sum((log**2).sum() for log in logs)))
        key = np.round(np.concatenate([log[:100] for log in logs]) / size, 6).tobytes()
        if key not in kept or len(text) < len(factors[kept[key]]):
            kept[key] = number
    return sorted(kept.values())


class Pairs:
    """Random pairs of networks of a task, the better one first."""

    def __init__(self, logs: Floats, accuracy: npt.NDArray[np.float64], number: int) -> None:
        rng = np.random.default_rng(0)
        first, second = rng.integers(0, len(accuracy), (2, number))
        other = accuracy[first] != accuracy[second]
        swap = accuracy[first] < accuracy[second]
        better, worse = np.where(swap, second, first)[other], np.where(swap, first, second)[other]
        self._logs, self._better, self._worse = logs, better, worse

    def differences(self, factors: Any = slice(None)) -> Floats:
        """Return (factors, pairs): the logarithm of the better network less that of the other."""
        logs = self._logs[factors]
        return logs[:, self._better] - logs[:, self._worse]


def search(
    tasks: Sequence[Task], kept: Sequence[int], *, worst: float, factors: int, beam: int,
    start: Product = (), used: int | None = None,
) -> list[list[Product]]:  # fmt: skip
    """Return the best products of each number of factors, the best first.

    Args:
        tasks: factors on the networks.
        kept: factors that may be used.
        worst: weight of the task with the smallest tau.
        factors: greatest number of factors.
        beam: number of products that are kept.
        start: product with which all begin.
        used: number of networks of each task; None means all.
    """
    logs = [np.log(task.values[list(kept), :used]).astype(np.float32) for task in tasks]
    kinds = [
        [Pairs(log, task.accuracy[:used], number) for log, task in zip(logs, tasks, strict=True)]
        for number in (_ROUGH, _FINE)
    ]
    rough = [pairs.differences() for pairs in kinds[0]]

    def quality(sums: Sequence[Floats]) -> npt.NDArray[np.float64]:
        tau = np.stack([2 * (each > 0).mean(axis=1) - 1 for each in sums])
        return (1 - worst) * tau.mean(axis=0) + worst * tau.min(axis=0)

    def sums(pairs: Sequence[Pairs], product: Product) -> list[Floats]:
        return [
            sum((np.float32(e) * each.differences([f])[0] for f, e in product), np.float32(0))
            for each in pairs
        ]

    place = {factor: number for number, factor in enumerate(kept)}
    best: list[Product] = [tuple((place[factor], exponent) for factor, exponent in start)]
    found = []
    for number in range(factors):
        candidates: dict[frozenset[tuple[int, float]], tuple[float, Product]] = {}
        for product in best:
            base, fine_base = sums(kinds[0], product), sums(kinds[1], product)
            tried = [
                (value, factor, exponent)
                for exponent in (EXPONENTS if product else (-1.0, 1.0))
                for factor, value in enumerate(
                    quality(
                        [s + np.float32(exponent) * d for s, d in zip(base, rough, strict=True)]
                    )
                )
            ]
            tried.sort(key=lambda each: -each[0])
            chosen = [each for each in tried if each[1] not in dict(product)][:_TRIED]
            places = [factor for _, factor, _ in chosen]
            scale = np.array([[exponent] for *_, exponent in chosen], dtype=np.float32)
            values = quality(
                [s + scale * each.differences(places)
                 for s, each in zip(fine_base, kinds[1], strict=True)]
            )  # fmt: skip
            order = np.argsort(-values, kind="stable")[: beam if not number else beam // 2]
            for at in order:
                longer = (*product, (places[at], float(scale[at, 0])))
                candidates[frozenset(longer)] = (float(values[at]), longer)
        ranked = sorted(candidates.values(), key=lambda each: -each[0])
        best = [product for _, product in ranked[:beam]]
        found.append([tuple((kept[f], e) for f, e in product) for product in best])
    return found


def expression(product: Product, factors: Sequence[str]) -> str:
    """Return a product as an expression of the language."""
    text = ""
    for factor, exponent in product:
        value = factors[factor]
        if exponent != 1:
            value = f"power({value}, {exponent})"
        text = f"mul({text}, {value})" if text else value
    return text


def on(bank: Bank, args: argparse.Namespace) -> None:
    """Search on all data sets of a benchmark."""
    factors = factors_of(bank)
    start: Product = ()
    for name in args.start:
        proxy = resolve(name)
        if not isinstance(proxy, ExpressionProxy):
            raise SystemExit(f"--start {name}: it is not an expression")
        start = (*start, (len(factors), float(proxy.direction)))
        factors.append(proxy.expression)
    tasks = tasks_of(bank, [f for f in bank.facts.families if f.benchmark == args.on], factors)
    used = min(len(task.accuracy) for task in tasks) - args.test
    kept = usable(tasks, factors, used)
    say(f"{len(kept)} of {len(factors)} factors are positive and differ")
    found = []
    for name, worst in OBJECTIVES.items():
        for products in search(
            tasks,
            kept,
            worst=worst,
            factors=args.factors,
            beam=args.beam,
            start=start,
            used=used,
        ):
            for product in products:
                taus = [
                    [task.tau(product, part) for task in tasks]
                    for part in (slice(used), slice(used, None))
                ]
                text = expression(product, factors)
                found.append({"objective": name, "tau": taus[0], "test": taus[1]} | {"text": text})
                say(name, len(product), np.round(taus[0], 3), np.round(taus[1], 3), text)
    if args.out:
        write_json(args.out, manifest(seed=0, bank=facts_of(bank), products=found))


def leave_one_out(bank: Bank, args: argparse.Namespace) -> None:
    """Search on all families but one, and test on that one."""
    factors = factors_of(bank)
    families = list(bank.facts.families)
    tasks = tasks_of(bank, families, factors)
    names = [short_name(family.benchmark) for family in families]

    def products(left: Sequence[int], objective: str) -> list[Product]:
        seen = [task for number, task in enumerate(tasks) if number not in left]
        kept = usable(seen, factors, None)
        found = search(
            seen, kept, worst=OBJECTIVES[objective], factors=args.factors, beam=args.beam
        )
        return [best[0] for best in found]

    inner = []
    for first, second in combinations(range(len(tasks)), 2):
        for objective in OBJECTIVES:
            for number, product in enumerate(products((first, second), objective), start=1):
                for one, other in ((first, second), (second, first)):
                    inner.append((objective, number, one, other, tasks[one].tau(product)))
        say(f"without {names[first]} and {names[second]}")
    table = []
    for left in [*range(len(tasks)), None]:
        means = {
            (objective, number): np.mean(
                [tau for o, n, _, other, tau in inner
                 if (o, n) == (objective, number) and left in (None, other)]
            )
            for objective in OBJECTIVES
            for number in range(1, args.factors + 1)
        }  # fmt: skip
        objective, number = max(means, key=lambda key: means[key])
        product = products(() if left is None else (left,), objective)[number - 1]
        tested = range(len(tasks)) if left is None else [left]
        row = {
            "without": None if left is None else names[left],
            "objective": objective,
            "factors": number,
            "expected": float(means[objective, number]),
            "tau": {names[one]: tasks[one].tau(product) for one in tested},
            "expression": expression(product, factors),
        }
        table.append(row)
        say(json.dumps(row))
    say(f"mean over the families left out: {np.mean([*map(_only, table[:-1])]):.3f}")
    if args.out:
        pairs = [
            {"objective": o, "factors": n, "family": names[one], "also_left_out": names[other]}
            | {"tau": tau}
            for o, n, one, other, tau in inner
        ]
        write_json(args.out, manifest(seed=0, bank=facts_of(bank), folds=table, pairs=pairs))


def _only(row: dict[str, Any]) -> float:
    (value,) = row["tau"].values()
    return float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("--on", help="benchmark")
    parser.add_argument("--start", nargs="*", default=[], help="proxies that --on multiplies")
    parser.add_argument("--leave-one-out", action="store_true")
    parser.add_argument("--factors", type=int, default=4, help="greatest number of factors")
    parser.add_argument("--beam", type=int, default=6)
    parser.add_argument("--test", type=int, default=300, help="networks of a task left for a test")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    (leave_one_out if args.leave_one_out else on)(Bank(args.bank), args)


if __name__ == "__main__":
    main()
