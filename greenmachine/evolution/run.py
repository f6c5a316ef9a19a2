"""A run from settings to a folder: samples, capture, generations, champion on the test sample.

The folder (``--out``) holds ``config.json`` resolved, ``manifest.json``, ``history.csv``,
``checkpoint.json`` (replaced atomically every generation), ``hall_of_fame.json`` and
``result.json``. ``--resume`` continues from the last whole generation, bit for bit.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from greenmachine.benchmarks import load_benchmark
from greenmachine.config import RunConfig
from greenmachine.engine import Evaluator
from greenmachine.errors import RunError
from greenmachine.evolution.history import row_of, write_history
from greenmachine.evolution.judge import Judge
from greenmachine.evolution.outcome import Rows, compare
from greenmachine.evolution.samples import draw_samples, fitted_sizes
from greenmachine.evolution.search import Search
from greenmachine.files import read_json, write_json
from greenmachine.language import Expression, parse
from greenmachine.language.grammar import Grammar
from greenmachine.manifest import manifest
from greenmachine.signals import CaptureSpec, Store

__all__ = ["Listener", "Run"]

CHECKPOINT = "checkpoint.json"
RESULT = "result.json"  # written last: a run that has it is finished


class Listener(Protocol):
    """What a display is told while a run goes on."""

    def say(self, line: str) -> None:
        """Take a line that should stay."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Take the progress of capture or scoring."""

    def generation(self, row: dict[str, float], search: Search) -> None:
        """Take the row of a finished generation."""


class Run:
    """One evolution run in a folder.

    Args:
        config: the settings.
        folder: made if missing.
        seeds: expressions for the first population (``config.evolution.seeds`` resolved).
        listener: told what happens.

    Raises:
        ConfigError: the settings do not fit the benchmark.
        DataError: the benchmark's data is missing or broken.
        RunError: the folder holds another run.
    """

    def __init__(
        self, config: RunConfig, folder: Path, seeds: Sequence[Expression], listener: Listener
    ) -> None:
        self.benchmark = load_benchmark(config.benchmark)
        # As it will be written: a resumed run needs neither this folder nor these defaults.
        self.config = config = config.model_copy(
            update={
                "benchmark": self.benchmark.name,
                "datasets": config.datasets or self.benchmark.datasets[:1],
                "passes": config.passes or self.benchmark.passes,
                "samples": fitted_sizes(config.samples, self.benchmark),
            }
        )
        self.folder = folder
        self.seeds = list(seeds)
        self.listener = listener
        self.grammar = Grammar(config.passes, config.language.exclude)
        for seed in self.seeds:
            self.grammar.tree(seed)  # a seed that the language cannot say is refused now
        self.split = draw_samples(self.benchmark, config)
        self._seconds = 0.0
        self._rows: list[dict[str, float]] = []

    @classmethod
    def resume(cls, folder: Path, listener: Listener) -> Run:
        """Return the run that ``folder`` holds.

        Raises:
            RunError: it holds none.
        """
        seeds = [parse(text) for text in _described(folder)["seeds"]]
        return cls(cls.settings(folder), folder, seeds, listener)

    @staticmethod
    def settings(folder: Path) -> RunConfig:
        """Return the settings of the run that ``folder`` holds; RunError where it holds none."""
        try:
            return RunConfig.model_validate(_described(folder)["config"])
        except (ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{folder}/config.json is not of this version ({reason})") from None

    def execute(self) -> dict[str, Any]:
        """Run, or go on, to the end and return the content of ``result.json``."""
        started = time.monotonic()
        self._describe()
        if (self.folder / RESULT).exists():
            self.listener.say(f"{self.folder} is finished")
            finished: dict[str, Any] = read_json(self.folder / RESULT)
            return finished
        train = self._judge("train", self.split.train)
        validation = self._judge("validation", self.split.validation)
        config = self.config
        search = Search(
            config.evolution, config.language, self.grammar, train, validation, config.seed
        )
        self._restore(search)
        before = self._seconds
        while search.generation < config.evolution.generations:
            search.step(self.seeds)
            self._seconds = before + time.monotonic() - started
            row = row_of(search, {**train.counts(), "seconds": round(self._seconds, 3)})
            self._rows.append(row)
            self._checkpoint(search)
            self.listener.generation(row, search)
        result = self._result(search, train, validation)
        result["seconds"] = round(before + time.monotonic() - started, 1)
        write_json(self.folder / RESULT, result)
        if not config.capture.keep:
            shutil.rmtree(self.folder / "signals", ignore_errors=True)
        return result

    def _tell_failures(self, what: str, failures: Mapping[int, str], networks: int) -> None:
        if failures:
            self.listener.say(
                f"{len(failures)} of {networks} {what} networks failed and rank below all others; "
                f"the first: {next(iter(failures.values()))}"
            )

    def _describe(self) -> None:
        """Write what the run is, once; refuse a folder that holds another run."""
        described = {
            "config": self.config.model_dump(mode="json"),
            "seeds": [seed.text for seed in self.seeds],
        }
        path = self.folder / "config.json"
        if path.exists():
            if read_json(path) != described:
                raise RunError(f"{self.folder} holds another run: choose another --out")
            self._check_data()
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = manifest(
            seed=self.config.seed,
            benchmark={"name": self.benchmark.name, "sha256": self.benchmark.checksum},
            samples={
                "train": self.split.train.tolist(),
                "validation": self.split.validation.tolist(),
                "test": len(self.split.test),
            },
        )
        write_json(self.folder / "manifest.json", facts)
        write_json(path, described)

    def _check_data(self) -> None:
        """Refuse to go on with other accuracies or networks than those the run began with."""
        path = self.folder / "manifest.json"
        try:
            known = read_json(path)["benchmark"]["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error}): start again in another --out") from None
        if known != self.benchmark.checksum:
            raise RunError(
                f"the data changed since this run began ({self.benchmark.name}): "
                "put the old files back, or start again in another --out"
            )

    def _judge(self, sample: str, indices: NDArray[np.int64]) -> Judge:
        evaluators = {}
        for dataset in self.config.datasets:
            spec = self._spec(dataset, self.grammar.terminals)
            store = Store(self.folder / "signals" / f"{dataset}-{sample}", spec, indices.tolist())
            store.build(
                self.config.workers,
                announce=self.listener.say,
                progress=partial(self.listener.progress, f"capture {dataset} {sample}"),
            )
            failures = store.failures
            if len(failures) == len(indices):
                raise RunError(
                    f"all {len(indices)} {dataset} {sample} networks failed; "
                    f"the first: {next(iter(failures.values()))}"
                )
            self._tell_failures(f"{dataset} {sample}", failures, len(indices))
            evaluators[dataset] = Evaluator.of_store(
                store, workers=self.config.workers, device=self.config.capture.device
            )
        accuracies = {d: self.benchmark.accuracy(d)[indices] for d in self.config.datasets}
        return Judge(evaluators, accuracies, self.config.objective)

    def _spec(self, dataset: str, terminals: Sequence[str]) -> CaptureSpec:
        capture = self.config.capture
        return CaptureSpec(
            benchmark=self.config.benchmark,
            dataset=dataset,
            terminals=tuple(sorted(terminals)),
            batch=capture.batch,
            seed=self.config.seed,
            options=dict(capture.options),
            device=capture.device,
        )

    def _restore(self, search: Search) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        try:
            saved = read_json(path)
            search.restore(saved["search"])
            self._rows, self._seconds = saved["history"], saved["seconds"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error}): start again in another --out") from None
        self.listener.say(f"resuming after generation {search.generation}")

    def _checkpoint(self, search: Search) -> None:
        state = {"search": search.state(), "history": self._rows, "seconds": self._seconds}
        write_json(self.folder / CHECKPOINT, state)
        write_history(self.folder / "history.csv", self._rows)
        hall = [vars(famous) for famous in search.hall]
        write_json(self.folder / "hall_of_fame.json", hall)

    def _result(self, search: Search, train: Judge, validation: Judge) -> dict[str, Any]:
        champion = search.hall[0]
        expression = parse(champion.expression)
        rows: dict[str, dict[str, Rows]] = {"train": {}, "validation": {}, "test": {}}
        for dataset in self.config.datasets:
            scores = {
                "train": train.evaluators[dataset].scores([expression])[0],
                "validation": validation.evaluators[dataset].scores([expression])[0],
                "test": self._test(expression, dataset),
            }
            compared = compare(
                self.benchmark, dataset, vars(self.split), scores, champion.direction
            )
            for sample, of_sample in compared.items():
                rows[sample][dataset] = of_sample
        return {
            "name": self.config.name,
            "benchmark": self.config.benchmark,
            "datasets": list(self.config.datasets),
            "best": {
                "expression": champion.expression,
                "direction": champion.direction,
                "size": champion.size,
                "generation": champion.generation,
                "tau": {
                    sample: {name: row["champion"]["tau"] for name, row in of_sample.items()}
                    for sample, of_sample in rows.items()
                },
            },
            **rows,
            "samples": {name: len(indices) for name, indices in vars(self.split).items()},
            "individuals": search.individuals,
            "generations": search.generation,
            **train.counts(),
        }

    def _test(self, expression: Expression, dataset: str) -> NDArray[np.float64]:
        """Return the scores on the test sample, (networks,), whose signals are not kept."""
        spec = self._spec(dataset, sorted(expression.terminals))
        evaluator = Evaluator.of_networks(
            spec, self.split.test.tolist(), workers=self.config.workers
        )
        progress = partial(self.listener.progress, f"test {dataset}")
        (scores,) = evaluator.scores([expression], progress)
        self._tell_failures(f"{dataset} test", evaluator.failures, evaluator.size)
        return np.asarray(scores, dtype=np.float64)


def _described(folder: Path) -> dict[str, Any]:
    try:
        described: dict[str, Any] = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} holds no run ({error})") from None
    return described
