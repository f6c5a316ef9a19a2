"""Settings of a run that its bank determines: passes, batch and the available networks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenmachine.bank import Bank, Family
from greenmachine.benchmarks import Benchmark, refuse_unnamed_code, short_name
from greenmachine.config import RunConfig
from greenmachine.errors import ConfigError

__all__ = ["bank_facts", "bank_family", "bank_networks", "bank_places", "with_bank"]

_START_HEIGHT = (1, 4)  # of random trees whose leaves are expressions already


def with_bank(config: RunConfig, bank: Bank) -> RunConfig:
    """Return the settings, completed with those that the bank determines.

    Missing tasks and passes are those of the bank. Random trees are lower than in a run without a
    bank, unless ``language.start_height`` is given.

    Raises:
        ConfigError: a setting requires something that the bank does not have.
    """
    facts = bank.facts
    if config.language.name != "typed":
        raise ConfigError("bank: a bank uses the typed language: leave language.name out")
    if missing := [name for name in config.passes if name not in facts.passes]:
        raise ConfigError(
            f"passes: {bank.path} has {', '.join(facts.passes)}, but not {', '.join(missing)}: "
            "use fewer passes, or build another bank"
        )
    capture = config.capture
    if "batch" in capture.model_fields_set and capture.batch != facts.batch:
        raise ConfigError(
            f"capture.batch: {bank.path} has a batch of {facts.batch}: leave the setting out, or "
            "build another bank"
        )
    if capture.options or capture.precision != "float32":
        raise ConfigError(
            "capture.options, capture.precision: the networks of a bank are captured already: "
            "leave both out, or build another bank with --option"
        )
    if config.evolution.racing:
        raise ConfigError(
            "evolution.racing saves tensor computation, and a search on a bank needs none: "
            "leave it out"
        )
    update: dict[str, Any] = {
        "bank": str(bank.path.resolve()),
        "passes": config.passes or tuple(facts.passes),
        "plugins": tuple(dict.fromkeys((*config.plugins, *facts.plugins))),
        "capture": capture.model_copy(update={"batch": facts.batch}),
    }
    if "tasks" not in config.model_fields_set:
        refuse_unnamed_code([family.benchmark for family in facts.families], bank.path, ())
        update["tasks"] = tuple(f"{each.benchmark}/{each.dataset}" for each in facts.families)
    if "start_height" not in config.language.model_fields_set:
        update["language"] = config.language.model_copy(update={"start_height": _START_HEIGHT})
    return config.model_copy(update=update)


def bank_family(bank: Bank, benchmark: Benchmark, dataset: str) -> Family:
    """Return the family of networks of the bank that a task uses.

    Raises:
        ConfigError: there is none.
        DataError: the benchmark has changed since the bank was built.
    """
    family = bank.family(benchmark.name, dataset)
    if family is None:
        there = ", ".join(each.task for each in bank.facts.families)
        raise ConfigError(
            f"tasks: {bank.path} has {there} and no {short_name(benchmark.name)}/{dataset}: add it "
            "with `greenmachine bank build`, or name a data set that stands for it in "
            "capture.stand_in"
        )
    family.check(benchmark)
    return family


def bank_places(family: Family, benchmark: Benchmark, indices: Iterable[int]) -> list[int]:
    """Return the places in a family of networks of its benchmark.

    For a network that the family does not have, it is the place of one that computes the same
    function.

    Raises:
        KeyError: the family has none.
    """
    functions = benchmark.functions
    own = {index: place for place, index in enumerate(family.indices)}
    alike = {functions[index]: place for index, place in own.items()}
    return [own[i] if i in own else alike[functions[i]] for i in indices]


def bank_networks(bank: Bank, benchmark: Benchmark, datasets: Iterable[str]) -> NDArray[np.int64]:
    """Return the networks that the bank has for every data set, as indices of the benchmark."""
    each = (np.array(bank_family(bank, benchmark, name).indices) for name in datasets)
    return np.asarray(reduce(np.intersect1d, each), dtype=np.int64)


def bank_facts(bank: Bank, benchmarks: Iterable[tuple[Benchmark, Iterable[str]]]) -> dict[str, Any]:
    """Return the entry of the bank in a manifest, including the checksum of the files used."""
    families = [
        bank_family(bank, benchmark, dataset)
        for benchmark, datasets in benchmarks
        for dataset in dict.fromkeys(datasets)
    ]
    return {
        "path": str(Path(bank.path).resolve()),
        "sha256": bank.checksum(families),
        "seed": bank.facts.seed,
        "expressions": len(bank.leaves),
        "options": {family.task: family.options for family in families},
    }
