"""A run from settings to a folder: samples, capture, generations, champion on the test sample.

The folder (``--out``) and its files are those of ``run_folder.py``. ``--resume`` continues from
the last whole generation, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from greenmachine.config import RunConfig
from greenmachine.energy import Energy, Meter, metered
from greenmachine.errors import ConfigError, GreenMachineError, RunError, one_line
from greenmachine.evolution.degenerate import degenerate_warnings, unranked_warning
from greenmachine.evolution.entry import by_sample, check_stand_ins, check_truths, enter, fitted
from greenmachine.evolution.history import row_of, words_of
from greenmachine.evolution.judges import Judges
from greenmachine.evolution.listener import Listener
from greenmachine.evolution.result import conclude
from greenmachine.evolution.run_folder import UNTIL, Checkpoint, RunFolder, until
from greenmachine.evolution.search import Search
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
        listener: told what happens.

    Raises:
        ConfigError: the settings do not fit the benchmark.
        DataError: the benchmark's data is missing or broken.
        RunError: the folder holds another run.
    """

    def __init__(
        self, config: RunConfig, folder: Path, seeds: Sequence[Expression], listener: Listener
    ) -> None:
        self.config, benchmarks = fitted(config)
        config = self.config
        self.folder = RunFolder(folder)
        self.seeds = list(seeds)
        self.listener = listener
        language = LANGUAGES[config.language.name]
        self.grammar = Grammar(config.passes, config.language.exclude, language, config.plugins)
        for seed in self.seeds:
            self.grammar.tree(seed)  # a seed that the language cannot say is refused now
        self.entries = enter(config, benchmarks)
        check_stand_ins(config, self.entries, list(self.grammar.terminals))
        check_truths(self.entries)
        self._seconds = 0.0
        self._energy = Energy()
        self._rows: list[dict[str, int | float]] = []
        self._words: list[dict[str, int | float]] = []

    @classmethod
    def resume(cls, folder: Path, listener: Listener, config: RunConfig | None = None) -> Run:
        """Return the run that ``folder`` holds.

        Args:
            folder: of the run.
            listener: told what happens.
            config: its settings, maybe with other ``workers``, another ``backend``, or another
                end (``evolution.generations``, ``seconds``, ``patience``).

        Raises:
            RunError: it holds none.
        """
        described = RunFolder(folder).description()
        try:
            seeds = [parse(text) for text in described.seeds]
        except GreenMachineError as error:
            raise RunError(
                f"{folder}/config.json has a seed that is none: {one_line(error)}"
            ) from None
        return cls(config or described.config, folder, seeds, listener)

    @staticmethod
    def settings(folder: Path) -> RunConfig:
        """Return the settings of the run that ``folder`` holds; RunError where it holds none."""
        return RunFolder(folder).description().config

    def execute(self) -> dict[str, Any]:
        """Run, or go on, to the end and return the content of ``result.json``.

        Raises:
            RunError: the folder holds another run or somebody else's files, another command is at
                work there, or what is needed is gone or damaged.
            ConfigError: the run has more generations by now than it is to have.
        """
        if (finished := self._finished()) is not None:
            self._check_data()
            # What a kill left behind the result goes, where the folder may be written.
            with suppress(RunError, OSError), self.folder.held():
                self.folder.go_on(keep_signals=self.config.capture.keep)
            self.listener.say(f"{self.folder.path} is finished")
            return finished
        with backend(self.config.backend, self.config.workers), self.folder.held():
            self._describe()
            gpu = self.config.capture.device != "cpu"
            with metered(gpu, self.config.backend, self.listener.say) as meter:
                return self._execute(meter)

    def _finished(self) -> dict[str, Any] | None:
        """Return the result, where the folder has the one that these settings end with.

        Raises:
            RunError: the folder holds another run, or a file of the result is damaged.
        """
        if not self.folder.holds_run or self._differs() or not self.folder.finished:
            return None
        result = self.folder.result()
        self.folder.scores()
        if self.folder.checkpoint() is None:
            return None  # somebody removed it, as told where it is damaged: the search is repeated
        # Another: it was killed when it began to go on to a later end.
        return result if result["until"] == until(self.config) else None

    def _execute(self, meter: Meter) -> dict[str, Any]:
        started = time.monotonic()
        config = self.config
        saved = self.folder.go_on(keep_signals=True)
        if saved is None:
            self.folder.drop_result()  # of a run whose checkpoint was removed
        judges = Judges(
            config,
            self.entries,
            list(self.grammar.terminals),
            self.folder.signals,
            self.listener,
            self.folder.check,
        )
        train, validation = judges.judge("train"), judges.judge("validation")
        search = Search(
            config.evolution,
            config.language,
            self.grammar,
            config.selection,
            train,
            validation,
            config.seed,
            judges.heat() if config.evolution.racing else None,
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
            trees = [self.grammar.expression(individual) for individual in search.population]
            self._words.append(words_of(search.generation, trees))
            self.folder.save(self._checkpoint(search))
            self.listener.generation(row, search)
            if search.generation == 0 and (why := unranked_warning(search)):
                self.listener.say(why)
        scores, result = conclude(search, train, validation, judges)
        result["seconds"] = round(before + time.monotonic() - started, 1)
        result |= (drawn + meter.read()).facts()
        self.folder.finish(scores, result)
        if not config.capture.keep:
            self.folder.drop_signals()
        for warning in degenerate_warnings(scores, result):
            self.listener.say(warning)
        return result

    def _enough(self, search: Search) -> bool:
        """Whether the search ends here, by any of the settings that say so."""
        limits = self.config.evolution
        if search.generation < 0:
            return False
        best = [row["best_validation"] for row in self._rows]
        waited = len(best) - 1 - best.index(max(best))
        return (
            search.generation >= limits.generations
            or (limits.seconds is not None and self._seconds >= limits.seconds)
            or (limits.patience > 0 and waited >= limits.patience)
        )

    def _differs(self) -> bool:
        """Whether this run is to end elsewhere than the one in the folder.

        Raises:
            RunError: the folder holds another run.
        """
        described = self.folder.description()
        # Who does the work changes no result: a run may go on with other workers. Where it ends
        # changes no generation before.
        free = {"workers": self.config.workers, "backend": self.config.backend}
        end = described.config.evolution.model_copy(update=until(self.config))
        known = described.config.model_copy(update={**free, "evolution": end})
        seeds = [seed.text for seed in self.seeds]
        if known.model_dump(mode="json") != self.config.model_dump(mode="json") or (
            described.seeds != seeds
        ):
            raise RunError(f"{self.folder.path} holds another run: choose another --out")
        return until(described.config) != until(self.config)

    def _describe(self) -> None:
        """Write what the run is, once; refuse a folder that holds another run."""
        seeds = [seed.text for seed in self.seeds]
        if self.folder.holds_run:
            changed = self._differs()
            self._check_data()
            if changed:
                self._check_end()
                self.folder.extend(self.config, seeds)
            self.folder.drop_result()  # of another end, where there is one
            return
        checksums = [entry.benchmark.checksum for entry in self.entries]
        several = len(checksums) > 1
        first = self.entries[0]
        facts = manifest(
            seed=self.config.seed,
            benchmark={
                "name": self.config.model_dump(mode="json")["benchmark"],
                "sha256": checksums if several else checksums[0],
            },
            samples=by_sample(
                self.entries,
                lambda name, indices: len(indices) if name == "test" else indices.tolist(),
            ),
            input_shape=list(first.benchmark.input_shape(next(iter(first.tasks)))),
            # What the taus of the hall of fame are of, where the settings alone do not say it.
            tasks=[t for e in self.entries for t in e.tasks.values()] if several else None,
        )
        self.folder.begin(self.config, seeds, facts)

    def _check_end(self) -> None:
        """Refuse to end a run before where it is."""
        saved = self.folder.checkpoint()
        wanted = self.config.evolution.generations
        if saved is not None and saved.search.generation > wanted:
            raise ConfigError(
                f"evolution.generations: {self.folder.path} has {saved.search.generation} by now: "
                f"give more than that, or start again in another --out ({', '.join(UNTIL)} say "
                "when a run ends)"
            )

    def _check_data(self) -> None:
        """Refuse to go on with other accuracies or networks than those the run began with."""
        known = list(self.folder.manifest().benchmark.checksums.values())
        pairs = zip(self.entries, known, strict=False)
        changed = [entry.benchmark.name for entry, was in pairs if entry.benchmark.checksum != was]
        if changed or len(known) != len(self.entries):
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
        self._rows, self._words = list(saved.history), list(saved.words)
        self._seconds = saved.seconds
        self.listener.say(f"resuming after generation {search.generation}")

    def _checkpoint(self, search: Search) -> Checkpoint:
        return Checkpoint.model_validate(
            {
                "search": search.state(),
                "history": self._rows,
                "words": self._words,
                "seconds": self._seconds,
                "energy": self._energy.facts().get("energy", {}),
            }
        )
