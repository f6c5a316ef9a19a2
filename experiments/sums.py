"""Sums of simple scores, found by a greedy search over a bank of the topology space.

    python -m experiments.sums BANK --start results/proxies/earlier/gm_tss_large_first.py --terms 6
    python -m experiments.sums BANK --start results/proxies/earlier/gm_tss_large_first.py --folds 3

The networks of the bank compute different functions (``python -m experiments.families_bank topology
BANK``). A term is a boundary expression of the bank on noise images, aggregated over the layers in
one of the ways of ``experiments.products``, changed by one of ``CHANGES``, and multiplied by a
number. The search begins with a proxy and adds one term at a time: that with which Kendall's tau
increases most, averaged over the data sets, where the last one counts as much as all others
together. It is estimated on pairs of random cells of the space that compute a function of the bank
(three fifths), and on pairs of cells of different functions that are equally likely (two fifths).

``--folds`` tests how well this generalises: the functions that fewer than ``LARGE`` cells compute
are divided into folds, and the sum found without a fold is tested on the cells of this fold and
those of the other, large functions, which are a part of every random sample of the space.

Each line shows tau on cells and, after a slash, on cells of different functions, by data set.
CIFAR-100 has the scores of networks built for CIFAR-10.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.families import scores
from experiments.products import factors_of
from greenmachine.bank import Bank
from greenmachine.benchmarks import load_benchmark
from greenmachine.evolution.bank_tasks import bank_networks, bank_places
from greenmachine.fitness import directed_tau
from greenmachine.language import canonical, parse
from greenmachine.proxies import ExpressionProxy, resolve

say = partial(print, flush=True)

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Values = dict[str, npt.NDArray[np.float32]]
"""Scores by data set, (..., functions)."""
Differences = npt.NDArray[np.float32]
Sum = tuple[tuple[int, float], ...]
"""Terms and their numbers."""

BENCHMARK = "nats-tss"
SOURCES = {"cifar10": "cifar10", "cifar100": "cifar10", "imagenet16-120": "imagenet16-120"}
"""Data set whose networks give the scores, by data set."""
WEIGHTS = {"cifar10": 0.25, "cifar100": 0.25, "imagenet16-120": 0.5}
CELLS = 0.6
"""Weight of pairs of random cells; the rest is that of pairs of different functions."""
LARGE = 20
OTHER_PASSES = ("ones_", "data_", "perturbed_")
CHANGES: dict[str, Callable[[Floats], Floats]] = {
    "{}": lambda x: x,
    "tanh({})": lambda x: np.tanh(x),
    "tanh(log1p_abs({}))": lambda x: np.tanh(np.log1p(np.abs(x))),
    "log1p_abs({})": lambda x: np.log1p(np.abs(x)),
}
NUMBERS = (-0.4, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.4)
"""In standard deviations: that of the term's contribution divided by that of the start."""
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
    accuracy: dict[str, Floats]

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

    def tau(self, score: Values, allowed: npt.NDArray[np.bool_]) -> Floats:
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
    scales: Floats


def terms_of(texts: Sequence[str], values: dict[str, Floats]) -> Terms:
    """Return the changed texts that vary enough and alike on all data sets, without far outliers.

    Args:
        texts: aggregated expressions.
        values: (texts, functions) by data set.
    """
    chosen: list[tuple[str, list[Floats], float]] = []
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
            for weight in (CELLS, 1 - CELLS):
                drawn = every if weight == CELLS else cells.different(every, rng)
                first, second = drawn[rng.integers(0, len(drawn), (2, number))]
                accuracy = cells.accuracy[name]
                other = (cells.function[first] != cells.function[second]) & (
                    accuracy[first] != accuracy[second]
                )
                swap = accuracy[first] < accuracy[second]
                better = cells.function[np.where(swap, second, first)[other]]
                worse = cells.function[np.where(swap, first, second)[other]]
                self._parts.append((source, better, worse, weight * WEIGHTS[name]))

    def differences(self, values: Values, rows: Places | None = None) -> list[Differences]:
        """Return (..., pairs) of each part: the value of the better cell less that of the other."""
        found = []
        for source, better, worse, _ in self._parts:
            each = values[source] if rows is None else values[source][rows]
            found.append(each[..., better] - each[..., worse])
        return found

    def tau(self, differences: Sequence[Differences]) -> Floats:
        """Return the weighted mean of tau over the parts; pairs with one score count half."""
        total = np.zeros(())
        for each, (*_, weight) in zip(differences, self._parts, strict=True):
            total = total + weight * (2 * (each > 0).mean(-1) - 1 + (each == 0).mean(-1))
        return np.asarray(total, dtype=np.float64)


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


def expression(start: str, unit: float, terms: Terms, found: Sum) -> str:
    """Return a sum as an expression; ``unit`` is the standard deviation of the start."""
    for term, number in found:
        factor = float(f"{number * unit / terms.scales[term]:.2g}")
        start = f"add({start}, scale({terms.texts[term]}, {factor}))"
    return str(canonical(parse(start)))


def told(tau: Floats) -> str:
    """Return tau by data set: on cells, and on cells of different functions."""
    return " ".join(f"{cells:.3f}/{functions:.3f}" for cells, functions in tau)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("--start", required=True, help="proxy with which sums begin")
    parser.add_argument("--terms", type=int, default=4, help="greatest number of terms")
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--folds", type=int, default=0, help="folds of a test; 0 means none")
    args = parser.parse_args()
    bank, benchmark = Bank(args.bank), load_benchmark(BENCHMARK)
    proxy = resolve(args.start)
    if not isinstance(proxy, ExpressionProxy):
        parser.error(f"--start {args.start}: it is not an expression")
    families = {f.dataset: f for f in bank.facts.families if f.benchmark == BENCHMARK}
    networks = bank_networks(bank, benchmark, families)
    place = {function: at for at, function in enumerate(benchmark.functions[networks])}
    covered = np.flatnonzero(np.isin(benchmark.functions, benchmark.functions[networks]))
    cells = Cells(
        np.array([place[function] for function in benchmark.functions[covered]]),
        {name: benchmark.accuracy(name)[covered] for name in SOURCES},
    )
    factors = [
        text for text in factors_of(bank) if not any(other in text for other in OTHER_PASSES)
    ]
    forms = [canonical(parse(text)) for text in (proxy.expression, *factors)]
    values = {
        name: scores(bank, families[name], bank_places(families[name], benchmark, networks), forms)
        for name in dict.fromkeys(SOURCES.values())
    }
    terms = terms_of(factors, {name: each[1:] for name, each in values.items()})
    unit = float(values["cifar10"][0].std())
    start = {
        name: (proxy.direction * each[0] / unit).astype(np.float32) for name, each in values.items()
    }
    every = np.ones(len(networks), dtype=bool)
    say(f"{len(terms.texts)} terms, {len(networks)} functions, {len(covered)} cells")
    say(f"{told(cells.tau(start, every))} {args.start}")
    if not args.folds:
        for sums in search(start, terms, cells, every, length=args.terms, beam=args.beam, seed=1):
            for one in sums:
                text = expression(proxy.expression, unit, terms, one)
                say(len(one), told(cells.tau(total(start, terms, one), every)), text)
        return
    fold = np.random.default_rng(1).integers(0, args.folds, len(networks))
    gains: Floats = np.zeros((args.folds, args.terms, len(SOURCES), 2))
    for number in range(args.folds):
        used, tested = cells.large | (fold != number), cells.large | (fold == number)
        before = cells.tau(start, tested)
        folds = search(
            start, terms, cells, used, length=args.terms, beam=args.beam, seed=10 * number
        )
        for at, (best, *_) in enumerate(folds):
            gains[number, at] = cells.tau(total(start, terms, best), tested) - before
            say(f"fold {number}, {at + 1} terms: gain", told(gains[number, at]))
    for at, gain in enumerate(gains.mean(axis=0)):
        say(f"{at + 1} terms: mean gain", told(gain))


if __name__ == "__main__":
    main()
