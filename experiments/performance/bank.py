"""Part j: the cost of building a bank, and the speed of a search above it.

The search is the project's own, with broods, on thousands of networks. To get so many, the vectors
of the captured networks are repeated, and noise is added to their accuracies. The cost of a
candidate depends on the numbers of layers and networks and not on their values. The seconds are
processor time, so other work on the machine matters little.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from experiments.performance.report import Report
from experiments.performance.settings import Settings
from experiments.performance.workload import TimedSearch, Workload
from greenmachine.api.banks import build_bank
from greenmachine.bank import Bank, BankEvaluator
from greenmachine.config import EvolutionConfig, LanguageConfig
from greenmachine.evolution.evaluators import SampleEvaluator
from greenmachine.fitness import Task
from greenmachine.fitness.objectives import KendallTau
from greenmachine.language.grammar import Grammar
from greenmachine.selection import Tournament

__all__ = ["measure_bank"]

_HEIGHTS = (1, 4)  # as in a run above a bank
_CACHE = 2**29


def measure_bank(workload: Workload, report: Report) -> None:
    """Report the build time per network, and the candidates per second of a search."""
    settings = workload.settings
    with tempfile.TemporaryDirectory(prefix="greenmachine-") as folder:
        bank = _build(Path(folder) / "bank", settings, report)
        rate = _search(bank, workload, report)
    report.summary["bank_candidates_per_second"] = rate


def _build(path: Path, settings: Settings, report: Report) -> Bank:
    spent: list[float] = []
    bank = build_bank(
        path,
        f"{settings.benchmark}/{settings.dataset}",
        networks=settings.bank_captured,
        expressions=[f"random:{settings.bank_expressions}"],
        batch=settings.batch,
        seed=settings.seed,
        workers=1,
        announce=report.say,
        progress=lambda what, done, of: spent.append(time.process_time()),
    )
    (family,) = bank.facts.families
    networks = len(family.indices)
    report.add(
        "j",
        "building, a network",
        (spent[-1] - spent[0]) / networks,
        "s",
        f"{len(bank.leaves)} random expressions, passes {', '.join(bank.facts.passes)}, batch "
        f"{bank.facts.batch}, {networks} networks of {family.task}, one core",
    )
    report.add("j", "on disk, a network", bank.summary()["bytes"] / networks / 1000, "kB")
    return bank


def _search(bank: Bank, workload: Workload, report: Report) -> float:
    """Run a search, and return the number of candidates in its broods per second."""
    settings = workload.settings
    (family,) = bank.facts.families
    held = len(family.indices)
    places = [place % held for place in range(settings.bank_networks)]
    above = BankEvaluator(bank.vectors(family), places, cache_bytes=_CACHE)
    accuracy = workload.accuracy([family.indices[place] for place in places])
    accuracy = accuracy + np.random.default_rng(settings.seed).normal(size=len(accuracy))
    task = Task(settings.dataset, settings.dataset, np.arange(len(accuracy)), accuracy)
    evaluator = SampleEvaluator({settings.dataset: above}, [task], KendallTau())
    search = TimedSearch(
        EvolutionConfig(
            population=settings.bank_population,
            generations=settings.bank_generations,
            elites=min(10, settings.bank_population // 2),
        ),
        LanguageConfig(start_height=_HEIGHTS),
        Grammar(bank.facts.passes, settings.exclude, leaves=bank.leaves),
        Tournament(),
        evaluator,
        evaluator,
        settings.seed,
    )
    search.step()
    first = search.individuals
    started = time.process_time()
    while search.generation < settings.bank_generations:
        search.step()
        report.say(f"generation {search.generation} of {settings.bank_generations} above the bank")
    candidates = search.candidates + search.individuals - first
    rate = candidates / (time.process_time() - started)
    counts = bank.vectors(family).layer_counts
    layers = sum(counts[place] for place in places)
    report.add(
        "j",
        "candidates above a bank",
        rate,
        "1/s",
        f"a second and core; {candidates} in {settings.bank_generations} generations, "
        f"{len(places)} networks ({layers} layers); "
        "breeding, text, scores, tau",
    )
    return rate
