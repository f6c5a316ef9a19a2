"""A run from settings to a folder: samples, capture, generations, champion on the test sample.

The folder (``--out``) and its files are those of ``run_folder.py``. ``--resume`` continues from
the last whole generation, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from greenmachine.bank import Bank, readable
from greenmachine.callbacks import Callback, Callbacks, Generation, RunInfo
from greenmachine.config import RunConfig
from greenmachine.energy import Energy, Meter, metered
from greenmachine.errors import ConfigError, GreenMachineError, RunError, one_line
from greenmachine.evolution.bank_evaluators import BankSampleEvaluators
from greenmachine.evolution.bank_tasks import bank_facts
from greenmachine.evolution.evaluators import SampleEvaluators
from greenmachine.evolution.history import primitive_counts, row_of
from greenmachine.evolution.run_files import Checkpoint
from greenmachine.evolution.run_folder import RunFolder
from greenmachine.evolution.search import Search
from greenmachine.evolution.summary import (
    conclude,
    degenerate_warnings,
    few_networks_warnings,
    unranked_warning,
)
from greenmachine.evolution.tasks import (
    by_sample,
    check_stand_ins,
    check_truths,
    draw_task_sets,
    fitted,
    targets,
)
from greenmachine.language import LANGUAGES, Expression, parse
from greenmachine.language.grammar import Grammar
from greenmachine.manifest import manifest
from greenmachine.workers import backend

__all__ = ["Run"]


class Run:
    """One evolution run in a folder.

    Args:
        config: the settings.
        folder: made if missing; an empty one, or that of this run.
        seeds: expressions for the first population (``config.evolution.seeds`` resolved).
        callbacks: that follow the run, besides those of ``config``.

    Attributes:
        clock: tells the seconds of ``phases`` and ``spent``: wall time, unless it is replaced.
        phases: seconds of this process, once :meth:`execute` has searched: ``capture``, ``tensors``
            (boundary expressions, by the workers), ``above`` (all else of the search) and ``test``.
        evaluated: boundary expressions computed for each sample, by then.
        cached_bytes: of the values that the evaluators keep, by then.
        spent: after every generation the seconds since the networks were captured, those of them
            in tensors, and the boundary expressions computed on train so far.

    Raises:
        ConfigError: the settings do not fit the benchmark.
        DataError: the benchmark's data is missing or broken.
        RunError: the folder holds another run.
    """

    def __init__(
        self, config: RunConfig, folder: Path, seeds: Sequence[Expression], *callbacks: Callback
    ) -> None:
        self.bank = Bank(Path(config.bank)) if config.bank else None
        self.config, benchmarks = fitted(config, self.bank)
        config = self.config
        self.folder = RunFolder(folder)
        self.seeds = list(seeds)
        self.callbacks = Callbacks([*config.callbacks, *callbacks])
        language = LANGUAGES[config.language.name]
        leaves = readable(self.bank.leaves, config.passes) if self.bank else None
        self.grammar = Grammar(
            config.passes, config.language.exclude, language, config.plugins, leaves
        )
        for seed in self.seeds:
            self.grammar.tree(seed)  # a seed that the language cannot say is refused now
        self.task_sets = draw_task_sets(config, benchmarks, self.bank)
        check_stand_ins(config, self.task_sets, list(self.grammar.terminals))
        check_truths(config.objective, self.task_sets)
        self.clock: Callable[[], float] = time.monotonic
        self.phases: dict[str, float] = {}
        self.evaluated: dict[str, int] = {}
        self.cached_bytes = 0
        self.spent: list[tuple[float, float, int]] = []
        self._seconds = 0.0
        self._energy = Energy()
        self._rows: list[dict[str, int | float]] = []
        self._primitives: list[dict[str, int | float]] = []

    @classmethod
    def resume(cls, folder: Path, *callbacks: Callback, config: RunConfig | None = None) -> Run:
        """Return the run in ``folder``.

        Args:
            folder: of the run.
            callbacks: that follow the run, besides those of its settings.
            config: its settings, maybe with other ``workers``, another ``backend``, other
                ``callbacks`` or other ``evolution.generations``.

        Raises:
            RunError: there is no run.
        """
        described = RunFolder(folder).description()
        try:
            seeds = [parse(text) for text in described.seeds]
        except GreenMachineError as error:
            raise RunError(
                f"{folder}/config.json has an invalid expression among its seeds: {one_line(error)}"
            ) from None
        return cls(config or described.config, folder, seeds, *callbacks)

    @staticmethod
    def settings(folder: Path) -> RunConfig:
        """Return the settings of the run in ``folder``; RunError if there is none."""
        return RunFolder(folder).description().config

    def check(self) -> None:
        """Refuse a folder that holds another run, before it is executed.

        Raises:
            RunError: it holds another run, or one on other data.
        """
        if self.folder.holds_run:
            self._differs()
            self._check_data()

    def execute(self) -> dict[str, Any]:
        """Start or continue the run, and return the content of ``result.json`` at its end.

        Raises:
            RunError: the folder contains another run or unknown files, another command is working
                there, or a file is missing or damaged.
            ConfigError: the run already has more generations than the settings ask for.
        """
        if (finished := self._finished()) is not None:
            self._check_data()
            # What a kill left behind the result goes, where the folder may be written.
            with suppress(RunError, OSError), self.folder.held():
                self.folder.go_on(keep_signals=self.config.capture.keep_signals)
            self.callbacks.on_message(f"{self.folder.path} is finished")
            return finished
        self.callbacks.check()
        with backend(self.config.backend, self.config.workers), self.folder.held():
            self._describe()
            gpu = self.config.capture.device != "cpu"
            saved = self.folder.go_on(keep_signals=True)
            with (
                self.callbacks.running(self._info(saved)),
                metered(gpu, self.config.backend, self.callbacks.on_message) as meter,
            ):
                result = self._execute(meter, saved)
                self.callbacks.on_end(result)
                return result

    def _finished(self) -> dict[str, Any] | None:
        """Return the result if the folder has the result of these settings.

        Raises:
            RunError: the folder contains another run, or a file of the result is damaged.
        """
        if not self.folder.holds_run:
            return None
        self._differs()  # refuses another run
        if not self.folder.finished:
            return None
        result = self.folder.result()
        self.folder.scores()
        if self.folder.checkpoint() is None:
            return None  # somebody removed it, as told where it is damaged: the search is repeated
        # Else it is to go on, further or because what ended it was taken away.
        generations = self.config.evolution.generations
        ended = result["until"] == {"generations": generations} or (
            result["until"].get("callback") in self.callbacks.written()
            and result["generations"] <= generations
        )
        return result if ended else None

    def _info(self, saved: Checkpoint | None) -> RunInfo:
        """Return the facts that callbacks receive when the run starts or is resumed."""
        created = self.folder.manifest().created
        history = saved.history if saved is not None else []
        return RunInfo(self.config.model_dump(mode="json"), self.folder.path, created, history)

    def _execute(self, meter: Meter, saved: Checkpoint | None) -> dict[str, Any]:
        started, began = time.monotonic(), self.clock()
        config = self.config
        if saved is None:
            self.folder.drop_result()  # of a run whose checkpoint was removed
            for warning in few_networks_warnings(self.task_sets):
                self.callbacks.on_message(warning)
        evaluators = self._evaluators()
        train, validation = evaluators.evaluator("train"), evaluators.evaluator("validation")
        captured = self.clock()
        search = Search(
            config.evolution,
            config.language,
            self.grammar,
            config.selection,
            train,
            validation,
            config.seed,
            evaluators.racing() if config.evolution.racing else None,
        )
        if saved is not None:
            self._restore(search, saved)
        before, drawn = self._seconds, self._energy
        while not self._enough(search):
            search.step(self.seeds)
            self._seconds = before + time.monotonic() - started
            self._energy = drawn + meter.read()
            spent = {"seconds": round(self._seconds, 3), **self._energy.column()}
            row = row_of(search, {**train.counts(), **spent})
            self._rows.append(row)
            trees = [individual.expression for individual in search.population]
            self._primitives.append(primitive_counts(search.generation, trees))
            self.folder.save(self._checkpoint(search))
            tensors, evaluated = train.seconds + validation.seconds, train.counts()["evaluated"]
            self.spent.append((self.clock() - captured, tensors, evaluated))
            rows = [dict(row) for row in self._rows]  # what a callback does to them is its own
            self.callbacks.on_generation(Generation(rows, search.hall[0], search))
            if search.generation == 0 and (why := unranked_warning(search)):
                self.callbacks.on_message(why)
        ended = self._ended(search)
        if "callback" in ended:
            name = ended["callback"]["scheme"]
            self.callbacks.on_message(
                f"{name} ended the search after generation {search.generation}"
            )
        searched = self.clock()
        scores, result = conclude(search, train, validation, evaluators)
        tensors = train.seconds + validation.seconds
        self.phases = {
            "capture": captured - began,
            "tensors": tensors,
            "above": searched - captured - tensors,
            "test": self.clock() - searched,
        }
        self.cached_bytes = train.cached_bytes + validation.cached_bytes
        self.evaluated = {
            name: each.counts()["evaluated"]
            for name, each in (("train", train), ("validation", validation))
        }
        result["until"] = ended
        result["seconds"] = round(before + time.monotonic() - started, 1)
        result |= (drawn + meter.read()).facts()
        self.folder.finish(scores, result)
        evaluators.forget()
        if not config.capture.keep_signals:
            self.folder.drop_signals()
        for warning in degenerate_warnings(scores, result):
            self.callbacks.on_message(warning)
        return result

    def _evaluators(self) -> SampleEvaluators:
        if self.bank is not None:
            return BankSampleEvaluators(self.bank, self.config, self.task_sets, self.callbacks)
        return SampleEvaluators(
            self.config,
            self.task_sets,
            list(self.grammar.terminals),
            self.folder.signals,
            self.callbacks,
            self.folder.check,
            self.clock,
        )

    def _bank_facts(self) -> dict[str, Any]:
        """Return the entry of the bank in the manifest; empty without a bank."""
        if self.bank is None:
            return {}
        sources = [(task_set.benchmark, task_set.sources.values()) for task_set in self.task_sets]
        return {"bank": bank_facts(self.bank, sources)}

    def _enough(self, search: Search) -> bool:
        """Return whether the search ends here; the first generation is always made."""
        return search.generation >= self.config.evolution.generations or (
            search.generation >= 0 and self.callbacks.ended_by is not None
        )

    def _ended(self, search: Search) -> dict[str, Any]:
        """Return what ended the search."""
        generations = self.config.evolution.generations
        if search.generation >= generations:
            return {"generations": generations}
        return {"callback": self.callbacks.ended_by}

    def _differs(self) -> bool:
        """Return whether this run has another end or other callbacks than the one in the folder.

        Raises:
            RunError: the folder contains another run.
        """
        described = self.folder.description()
        # Who does the work and who follows it changes no result: a run may go on with others.
        # Where it ends changes no generation before.
        names = ["workers", "backend", "callbacks"]
        # A bank may lie elsewhere by now; that it is the same is checked with the data.
        names += ["bank"] if described.config.bank and self.config.bank else []
        free = {name: getattr(self.config, name) for name in names}
        end = {"generations": self.config.evolution.generations}
        evolution = described.config.evolution.model_copy(update=end)
        known = described.config.model_copy(update={**free, "evolution": evolution})
        seeds = [seed.text for seed in self.seeds]
        if known.model_dump(mode="json") != self.config.model_dump(mode="json") or (
            described.seeds != seeds
        ):
            raise RunError(f"{self.folder.path} holds another run: choose another --out")
        before, now = described.config, self.config
        return (
            before.evolution != now.evolution
            or Callbacks(before.callbacks).written() != Callbacks(now.callbacks).written()
        )

    def _describe(self) -> None:
        """Write the description of the run once; refuse a folder that contains another run."""
        seeds = [seed.text for seed in self.seeds]
        if self.folder.holds_run:
            changed = self._differs()
            self._check_data()
            if changed:
                self._check_end()
                self.folder.extend(self.config, seeds)
            self.folder.drop_result()  # of another end, where there is one
            return
        first = self.task_sets[0]
        facts = manifest(
            seed=self.config.seed,
            benchmarks=[
                {"name": task_set.benchmark.name, "sha256": task_set.benchmark.checksum}
                for task_set in self.task_sets
            ],
            samples=by_sample(
                self.task_sets,
                lambda name, indices: len(indices) if name == "test" else indices.tolist(),
            ),
            input_shape=list(first.benchmark.input_shape(next(iter(first.tasks)))),
            # What the taus of the hall of fame are of.
            tasks=[task for task_set in self.task_sets for task in task_set.tasks.values()],
            targets=targets(self.task_sets),
            **self._bank_facts(),
        )
        self.folder.begin(self.config, seeds, facts)

    def _check_end(self) -> None:
        """Refuse an end that the run has already passed."""
        saved = self.folder.checkpoint()
        wanted = self.config.evolution.generations
        if saved is not None and saved.search.generation > wanted:
            raise ConfigError(
                f"evolution.generations: {self.folder.path} has {saved.search.generation} by now: "
                "give more than that, or start again in another --out"
            )

    def _check_data(self) -> None:
        """Refuse to continue with accuracies or networks that have changed since the run began."""
        described = self.folder.manifest()
        was_bank = (described.model_extra or {}).get("bank", {}).get("sha256")
        if self._bank_facts().get("bank", {}).get("sha256") != was_bank:
            raise RunError(
                f"{self.config.bank} is not the bank that this run began with, or it has more "
                "expressions by now: name the old one with --bank, or start again in another --out"
            )
        known = list(described.checksums.values())
        pairs = zip(self.task_sets, known, strict=False)
        changed = [
            task_set.benchmark.name for task_set, was in pairs if task_set.benchmark.checksum != was
        ]
        if changed or len(known) != len(self.task_sets):
            raise RunError(
                f"the data changed since this run began ({', '.join(changed)}): "
                "put the old files back, or start again in another --out"
            )

    def _restore(self, search: Search, saved: Checkpoint) -> None:
        try:
            search.restore(saved.search)
            self._energy = Energy(**saved.energy.model_dump())
        except (GreenMachineError, ValueError) as error:
            raise RunError(
                f"{self.folder.path}/checkpoint.json does not fit this run ({one_line(error)}): "
                "start again in another --out"
            ) from None
        self._rows, self._primitives = list(saved.history), list(saved.primitives)
        self._seconds = saved.seconds
        self.callbacks.on_message(f"resuming after generation {search.generation}")

    def _checkpoint(self, search: Search) -> Checkpoint:
        return Checkpoint.model_validate(
            {
                "search": search.state(),
                "history": self._rows,
                "primitives": self._primitives,
                "seconds": self._seconds,
                "energy": self._energy.facts().get("energy", {}),
            }
        )
