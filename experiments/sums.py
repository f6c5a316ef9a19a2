"""Sums of simple scores, found by a greedy search over a bank of the topology space.

    python -m experiments.sums BANK --start results/proxies/earlier/gm_tss_large_first.py --terms 6
    python -m experiments.sums BANK --start results/proxies/earlier/gm_tss_large_first.py --folds 3

The networks of the bank compute different functions (``python -m experiments.families_bank topology
BANK``). A term is a boundary expression of the bank on noise images or weights, aggregated over the
layers in one of the ways of ``experiments.products`` (or not, if it is one number for the network),
changed by one of ``CHANGES``, and multiplied by a number. The search begins with a proxy and adds
one term at a time. It keeps the ``--beam`` best sums, and adds to each the terms with which
Kendall's tau increases most: first estimated on a few pairs of cells, then the best of these on
more pairs. The tau that counts is a mean over the data sets, where the last one counts as much as
all others together. Three fifths of it come from pairs of random cells of the space that compute a
function of the bank; two fifths from pairs of functions of which each is equally likely, with one
random cell for each function. Cells of one function, or of one accuracy, are no pair.

``--folds`` tests how well this generalises. The functions that fewer than ``LARGE`` cells compute
are divided into folds, and a search sees all functions but those of a fold. The gain in tau is
shown for the cells of this fold and of the large functions, which the search used and every random
sample of the space contains, and for the cells of the fold alone.

Each line shows tau by data set, on cells and, after a slash, on cells of different functions.
CIFAR-100 has the scores of networks built for CIFAR-10.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.families import facts_of, scores
from experiments.products import Floats, factors_of
from greenmachine.bank import Bank
from greenmachine.benchmarks import load_benchmark
from greenmachine.evolution.bank_tasks import bank_networks, bank_places
from greenmachine.files import write_json
from greenmachine.fitness import directed_tau
from greenmachine.language import canonical, parse
from greenmachine.manifest import manifest
from greenmachine.proxies import ExpressionProxy, resolve

say = partial(print, flush=True)

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Values = dict[str, Floats]
"""Scores by data set, (..., functions)."""
Sum = tuple[tuple[int, float], ...]
"""Terms and their numbers."""

BENCHMARK = "nats-tss"
SOURCES = {"cifar10": "cifar10", "cifar100": "cifar10", "imagenet16-120": "imagenet16-120"}
"""Data set whose networks give the scores, by data set."""
WEIGHTS = {"cifar10": 0.25, "cifar100": 0.25, "imagenet16-120": 0.5}
CELLS = 0.6
"""Weight of pairs of random cells; the rest is that of pairs of different functions."""
LARGE = 20
"""Functions that so many cells compute are in no fold."""
OTHER_PASSES = ("ones_", "data_", "perturbed_")
"""Beginnings of the signals that are not used."""
CHANGES: dict[str, Callable[[Doubles], Doubles]] = {
    "{}": lambda x: x,
    "tanh({})": np.tanh,
    "tanh(log1p_abs({}))": lambda x: np.tanh(np.log1p(np.abs(x))),
    "log1p_abs({})": lambda x: np.log1p(np.abs(x)),
}
NUMBERS = (-0.4, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.4)
"""Standard deviation of a term's contribution, in those of the start on CIFAR-10."""
_ROUGH, _FINE = 1500, 16000  # pairs of cells of a data set
_TRIED = 300  # terms that are tried on the larger number


@dataclass(frozen=True)
class Cells:
    """All cells of the space that compute a function of the bank.

    Attributes:
        function: (cells,) place of the function in the bank.
        accuracy: (cells,) in percent, by data set.
    """

    function: Places
    accuracy: dict[str, Doubles]

    @property
    def large(self) -> npt.NDArray[np.bool_]:
        """Which functions many cells compute, (functions,)."""
        return np.bincount(self.function) >= LARGE

    def of(self, allowed: npt.NDArray[np.bool_]) -> Places:
        """Return the cells whose functions are allowed."""
        return np.flatnonzero(allowed[self.function])

    def different(self, cells: Places, rng: np.random.Generator) -> Places:
        """Return one random cell of each function among ``cells``."""
        mixed = rng.permutation(cells)
        _, first = np.unique(self.function[mixed], return_index=True)
        return mixed[first]

    def tau(self, score: Values, allowed: npt.NDArray[np.bool_]) -> Doubles:
        """Return (data sets, 2): tau on cells, and on cells of different functions."""
        cells = self.of(allowed)
        parts = cells, self.different(cells, np.random.default_rng(9))
        return np.array(
            [
                [
                    directed_tau(
                        score[source][self.function[part]][None].astype(np.float64),
                        self.accuracy[name][part],
                        1,
                    )[0]
                    for part in parts
                ]
                for name, source in SOURCES.items()
            ]
        )


@dataclass(frozen=True)
class Terms:
    """Terms that a sum may have.

    Attributes:
        texts: expressions.
        values: (terms, functions) by data set, divided by ``scales``.
        scales: (terms,) standard deviations, the mean over the data sets.
    """

    texts: list[str]
    values: Values
    scales: Doubles


def terms_of(texts: Sequence[str], values: dict[str, Doubles]) -> Terms:
    """Return the changed texts that vary enough, and as much on the last data set as on the first.

    Texts with far outliers on the first data set, or with the same values as an earlier one there,
    are left out.

    Args:
        texts: aggregated expressions.
        values: (texts, functions) by data set.
    """
    chosen: list[tuple[str, list[Doubles], float]] = []
    seen = set()
    with np.errstate(all="ignore"):
        for number, text in enumerate(texts):
            raw = [each[number] for each in values.values()]
            if not all(np.isfinite(row).all() for row in raw):
                continue
            for form, change in CHANGES.items():
                rows = [change(row) for row in raw]
                spread = [float(row.std()) for row in rows]
                enough = [
                    np.isfinite(s) and s > max(1e-4, 0.01 * np.abs(row).max())
                    for s, row in zip(spread, rows, strict=True)
                ]
                if not all(enough) or not 0.4 < spread[0] / spread[-1] < 2.5:
                    continue
                normal = (rows[0] - rows[0].mean()) / spread[0]
                key = np.round(normal[:200], 4).tobytes()
                if np.abs(normal).max() <= 10 and key not in seen:
                    seen.add(key)
                    chosen.append((form.format(text), rows, float(np.mean(spread))))
    scaled = {
        name: np.array([rows[at] / scale for _, rows, scale in chosen], dtype=np.float32)
        for at, name in enumerate(values)
    }
    return Terms([text for text, *_ in chosen], scaled, np.array([s for *_, s in chosen]))


class Pairs:
    """Random pairs of cells of each data set, the better one first."""

    def __init__(
        self, cells: Cells, allowed: npt.NDArray[np.bool_], number: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        self._parts: list[tuple[str, Places, Places, float]] = []
        every = cells.of(allowed)
        for name, source in SOURCES.items():
            for different, weight in ((False, CELLS), (True, 1 - CELLS)):
                drawn = cells.different(every, rng) if different else every
                first, second = drawn[rng.integers(0, len(drawn), (2, number))]
                accuracy = cells.accuracy[name]
                other = (cells.function[first] != cells.function[second]) & (
                    accuracy[first] != accuracy[second]
                )
                swap = accuracy[first] < accuracy[second]
                better = cells.function[np.where(swap, second, first)[other]]
                worse = cells.function[np.where(swap, first, second)[other]]
                self._parts.append((source, better, worse, weight * WEIGHTS[name]))

    def differences(self, values: Values, rows: Places | None = None) -> list[Floats]:
        """Return (..., pairs) of each part: the value of the better cell less that of the other."""
        found = []
        for source, better, worse, _ in self._parts:
            each = values[source] if rows is None else values[source][rows]
            found.append(each[..., better] - each[..., worse])
        return found

    def tau(self, differences: Sequence[Floats]) -> Doubles:
        """Return the weighted mean of tau over the parts; pairs with one score count half."""
        mean = np.zeros(())
        for each, (*_, weight) in zip(differences, self._parts, strict=True):
            mean = mean + weight * (2 * (each > 0).mean(-1) - 1 + (each == 0).mean(-1))
        return np.asarray(mean, dtype=np.float64)


def total(start: Values, terms: Terms, found: Sum) -> Values:
    """Return the scores of a sum."""
    result = {}
    for name, value in start.items():
        for term, number in found:
            value = value + np.float32(number) * terms.values[name][term]
        result[name] = value
    return result


def search(
    start: Values, terms: Terms, cells: Cells, allowed: npt.NDArray[np.bool_], *,
    length: int, beam: int, seed: int,
) -> list[list[Sum]]:  # fmt: skip
    """Return the best sums of each number of terms, the best first.

    Args:
        start: (functions,) scores with which all sums begin, by data set.
        terms: terms that may be added.
        cells: cells on which tau is estimated.
        allowed: (functions,) which functions may be used.
        length: greatest number of terms.
        beam: number of sums that are kept.
        seed: of the random pairs.
    """
    rough = Pairs(cells, allowed, _ROUGH, seed)
    fine = Pairs(cells, allowed, _FINE, seed + 1)
    every = rough.differences(terms.values)
    best: list[Sum] = [()]
    result = []
    for _ in range(length):
        candidates: dict[frozenset[tuple[int, float]], tuple[float, Sum]] = {}
        for found in best:
            scored = total(start, terms, found)
            base, fine_base = rough.differences(scored), fine.differences(scored)
            tried = [
                (value, term, number)
                for number in NUMBERS
                for term, value in enumerate(
                    rough.tau(
                        [b + np.float32(number) * d for b, d in zip(base, every, strict=True)]
                    )
                )
            ]
            tried.sort(key=lambda each: -each[0])
            rows = np.array([term for _, term, _ in tried[:_TRIED]])
            numbers = np.array([number for *_, number in tried[:_TRIED]], dtype=np.float32)
            values = fine.tau(
                [
                    b + numbers[:, None] * d
                    for b, d in zip(fine_base, fine.differences(terms.values, rows), strict=True)
                ]
            )
            for at in np.argsort(-values, kind="stable")[:beam]:
                longer = (*found, tried[at][1:])
                candidates[frozenset(longer)] = (float(values[at]), longer)
        ranked = sorted(candidates.values(), key=lambda each: -each[0])
        best = [found for _, found in ranked[:beam]]
        result.append(best)
    return result


def rounded(terms: Terms, found: Sum, unit: float) -> Sum:
    """Return terms and their factors in an expression: two digits.

    Args:
        terms: terms of the search.
        found: a sum of it.
        unit: standard deviation of the start.
    """
    return tuple((t, float(f"{number * unit / terms.scales[t]:.2g}")) for t, number in found)


def expression(start: str, direction: int, terms: Terms, factors: Sum) -> str:
    """Return a sum as an expression, of which a high score is good."""
    text = start if direction == 1 else f"scale({start}, -1.0)"
    for term, factor in factors:
        text = f"add({text}, scale({terms.texts[term]}, {factor}))"
    return str(canonical(parse(text)))


def told(tau: Doubles) -> str:
    """Return tau by data set: on cells, and on cells of different functions."""
    return " ".join(f"{cells:.3f}/{functions:.3f}" for cells, functions in tau)


@dataclass(frozen=True)
class Task:
    """What is searched: a start, terms, and cells on which they are judged.

    Attributes:
        proxy: the proxy with which all sums begin.
        unit: standard deviation of its scores on CIFAR-10.
        start: its scores, higher is better, divided by ``unit``.
    """

    proxy: ExpressionProxy
    unit: float
    start: Values
    terms: Terms
    cells: Cells

    @classmethod
    def read(cls, bank: Bank, proxy: ExpressionProxy) -> Task:
        """Compute the scores of the proxy and of all terms on the networks of a bank."""
        benchmark = load_benchmark(BENCHMARK)
        families = {f.dataset: f for f in bank.facts.families if f.benchmark == BENCHMARK}
        networks = bank_networks(bank, benchmark, families)
        place = {function: at for at, function in enumerate(benchmark.functions[networks])}
        covered = np.flatnonzero(np.isin(benchmark.functions, benchmark.functions[networks]))
        cells = Cells(
            np.array([place[function] for function in benchmark.functions[covered]]),
            {name: benchmark.accuracy(name)[covered] for name in SOURCES},
        )
        factors = [
            text
            for text in factors_of(bank)
            if not any(t.startswith(OTHER_PASSES) for t in parse(text).terminals)
        ]
        forms = [canonical(parse(text)) for text in (proxy.expression, *factors)]
        values = {
            name: scores(
                bank, families[name], bank_places(families[name], benchmark, networks), forms
            )
            for name in dict.fromkeys(SOURCES.values())
        }
        terms = terms_of(factors, {name: each[1:] for name, each in values.items()})
        unit = float(values["cifar10"][0].std())
        start = {
            name: (proxy.direction * each[0] / unit).astype(np.float32)
            for name, each in values.items()
        }
        return cls(proxy, unit, start, terms, cells)

    @property
    def functions(self) -> int:
        """Number of functions."""
        return len(self.start["cifar10"])

    def sums(self, length: int, beam: int) -> list[dict[str, Any]]:
        """Return and print the best sums of each number of terms."""
        every = np.ones(self.functions, dtype=bool)
        found = []
        for sums in search(
            self.start, self.terms, self.cells, every, length=length, beam=beam, seed=1
        ):
            for each in sums:
                factors = rounded(self.terms, each, self.unit)
                same = tuple((t, f * self.terms.scales[t] / self.unit) for t, f in factors)
                tau = self.cells.tau(total(self.start, self.terms, same), every)
                text = expression(self.proxy.expression, self.proxy.direction, self.terms, factors)
                say(len(each), told(tau), text)
                found.append({"terms": len(each), "tau": tau.tolist(), "expression": text})
        return found

    def folds(self, number: int, length: int, beam: int) -> list[dict[str, Any]]:
        """Return and print the mean gain of each number of terms, by fold."""
        cells, large = self.cells, self.cells.large
        fold = np.random.default_rng(1).integers(0, number, self.functions)
        gains: Doubles = np.zeros((number, length, 2, len(SOURCES), 2))
        for at in range(number):
            alone = ~large & (fold == at)
            tested = (alone | large, alone)
            sums = search(
                self.start, self.terms, cells, large | (fold != at),
                length=length, beam=beam, seed=10 * at,
            )  # fmt: skip
            for size, (best, *_) in enumerate(sums):
                scored = total(self.start, self.terms, best)
                for part, allowed in enumerate(tested):
                    gain = cells.tau(scored, allowed) - cells.tau(self.start, allowed)
                    gains[at, size, part] = gain
                say(f"fold {at}, {size + 1} terms:", *map(told, gains[at, size]), sep="  ")
        for size, (with_large, alone_gain) in enumerate(gains.mean(axis=0)):
            say(
                f"{size + 1} terms: mean gain {told(with_large)}, fold alone {told(alone_gain)}",
            )
        return [
            {"fold": at, "terms": size + 1, "gain": row[0].tolist(), "fold_alone": row[1].tolist()}
            for at, rows in enumerate(gains)
            for size, row in enumerate(rows)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("--start", required=True, help="proxy with which sums begin")
    parser.add_argument("--terms", type=int, default=6, help="greatest number of terms")
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--folds", type=int, default=0, help="folds of a test; 0 means none")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    bank, proxy = Bank(args.bank), resolve(args.start)
    if not isinstance(proxy, ExpressionProxy):
        parser.error(f"--start {args.start}: it is not an expression")
    task = Task.read(bank, proxy)
    tau = task.cells.tau(task.start, np.ones(task.functions, dtype=bool))
    size = f"{task.functions} functions, {len(task.cells.function)} cells"
    say(f"{len(task.terms.texts)} terms, {size}")
    say(f"{told(tau)} {args.start}")
    if args.folds:
        found = {"folds": task.folds(args.folds, args.terms, args.beam)}
    else:
        found = {"sums": task.sums(args.terms, args.beam)}
    if args.out:
        facts = {"start": proxy.expression, "beam": args.beam, "tau": tau.tolist(), **found}
        write_json(args.out, manifest(seed=0, bank=facts_of(bank), **facts))


if __name__ == "__main__":
    main()
