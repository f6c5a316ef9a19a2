"""A run from settings to a folder: samples, capture, generations, champion on the test sample.

The folder (``--out``) holds ``config.json`` resolved, ``manifest.json``, ``history.csv``,
``words.csv`` (how many individuals hold each word), ``checkpoint.json`` (replaced atomically
every generation), ``hall_of_fame.json``, ``scores.parquet`` (what every network scores, see
``outcome.py``) and ``result.json``. ``--resume`` continues from the last whole generation, bit
for bit.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from greenmachine.config import RunConfig
from greenmachine.energy import Energy, Meter, metered
from greenmachine.errors import RunError
from greenmachine.evolution.entry import by_sample, check_stand_ins, enter, fitted
from greenmachine.evolution.history import row_of, words_of, write_history
from greenmachine.evolution.judges import Judges
from greenmachine.evolution.listener import Listener
from greenmachine.evolution.result import conclude
from greenmachine.evolution.search import Search
from greenmachine.files import alone_in, read_json, write_json
from greenmachine.language import LANGUAGES, Expression, parse
from greenmachine.language.grammar import Grammar
from greenmachine.manifest import manifest
from greenmachine.workers import backend

__all__ = ["Run"]

CHECKPOINT = "checkpoint.json"
SIGNALS = "signals"
RESULT = "result.json"  # written last: a run that has it is finished


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
        self.config, benchmarks = fitted(config)
        config = self.config
        self.folder = folder
        self.seeds = list(seeds)
        self.listener = listener
        language = LANGUAGES[config.language.name]
        self.grammar = Grammar(config.passes, config.language.exclude, language)
        for seed in self.seeds:
            self.grammar.tree(seed)  # a seed that the language cannot say is refused now
        self.entries = enter(config, benchmarks)
        check_stand_ins(config, self.entries, list(self.grammar.terminals))
        self._seconds = 0.0
        self._energy = Energy()
        self._rows: list[dict[str, float]] = []
        self._words: list[dict[str, float]] = []

    @classmethod
    def resume(cls, folder: Path, listener: Listener, config: RunConfig | None = None) -> Run:
        """Return the run that ``folder`` holds.

        Args:
            folder: of the run.
            listener: told what happens.
            config: its settings, maybe with other ``workers`` or another ``backend``.

        Raises:
            RunError: it holds none.
        """
        seeds = [parse(text) for text in _described(folder)["seeds"]]
        return cls(config or cls.settings(folder), folder, seeds, listener)

    @staticmethod
    def settings(folder: Path) -> RunConfig:
        """Return the settings of the run that ``folder`` holds; RunError where it holds none."""
        try:
            return RunConfig.model_validate(_described(folder)["config"])
        except (ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{folder}/config.json is not of this version ({reason})") from None

    def execute(self) -> dict[str, Any]:
        """Run, or go on, to the end and return the content of ``result.json``.

        Raises:
            RunError: the folder holds another run, another command is at work there, or what
                is needed is gone.
        """
        if (self.folder / RESULT).exists():
            self._describe()
            self.listener.say(f"{self.folder} is finished")
            finished: dict[str, Any] = read_json(self.folder / RESULT)
            return finished
        with backend(self.config.backend, self.config.workers), alone_in(self.folder):
            self._describe()
            gpu = self.config.capture.device != "cpu"
            with metered(gpu, self.config.backend, self.listener.say) as meter:
                return self._execute(meter)

    def _execute(self, meter: Meter) -> dict[str, Any]:
        started = time.monotonic()
        config = self.config
        judges = Judges(
            config,
            self.entries,
            list(self.grammar.terminals),
            self.folder / SIGNALS,
            self.listener,
        )
        train, validation = judges.judge("train"), judges.judge("validation")
        search = Search(
            config.evolution,
            config.language,
            self.grammar,
            train,
            validation,
            config.seed,
            judges.heat() if config.evolution.racing else None,
        )
        self._restore(search)
        before, drawn = self._seconds, self._energy
        while search.generation < config.evolution.generations:
            search.step(self.seeds)
            self._seconds = before + time.monotonic() - started
            self._energy = drawn + meter.read()
            spent = {"seconds": round(self._seconds, 3), **self._energy.column()}
            row = row_of(search, {**train.counts(), **spent})
            self._rows.append(row)
            trees = [self.grammar.expression(individual) for individual in search.population]
            self._words.append(words_of(search.generation, trees))
            self._checkpoint(search)
            self.listener.generation(row, search)
        result = conclude(search, train, validation, judges, self.folder)
        result["seconds"] = round(before + time.monotonic() - started, 1)
        result |= (drawn + meter.read()).facts()
        write_json(self.folder / RESULT, result)
        if not config.capture.keep:
            shutil.rmtree(self.folder / SIGNALS, ignore_errors=True)
        return result

    def _describe(self) -> None:
        """Write what the run is, once; refuse a folder that holds another run."""
        described: dict[str, Any] = {
            "config": self.config.model_dump(mode="json"),
            "seeds": [seed.text for seed in self.seeds],
        }
        path = self.folder / "config.json"
        if path.exists():
            # Who does the work changes no result: a run may go on with other workers.
            who = {"workers": self.config.workers, "backend": self.config.backend}
            known = self.settings(self.folder).model_copy(update=who).model_dump(mode="json")
            if {**_described(self.folder), "config": known} != described:
                raise RunError(f"{self.folder} holds another run: choose another --out")
            self._check_data()
            return
        checksums = [entry.benchmark.checksum for entry in self.entries]
        several = len(checksums) > 1
        facts = manifest(
            seed=self.config.seed,
            benchmark={
                "name": described["config"]["benchmark"],
                "sha256": checksums if several else checksums[0],
            },
            samples=by_sample(
                self.entries,
                lambda name, indices: len(indices) if name == "test" else indices.tolist(),
            ),
            # What the taus of the hall of fame are of, where the settings alone do not say it.
            **({"tasks": [t for e in self.entries for t in e.tasks.values()]} if several else {}),
        )
        write_json(self.folder / "manifest.json", facts)
        write_json(path, described)

    def _check_data(self) -> None:
        """Refuse to go on with other accuracies or networks than those the run began with."""
        path = self.folder / "manifest.json"
        try:
            known = read_json(path)["benchmark"]["sha256"]
            known = [known] if isinstance(known, str) else known
            pairs = list(zip(self.entries, known, strict=True))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error}): start again in another --out") from None
        if changed := [e.benchmark.name for e, was in pairs if e.benchmark.checksum != was]:
            raise RunError(
                f"the data changed since this run began ({', '.join(changed)}): "
                "put the old files back, or start again in another --out"
            )

    def _restore(self, search: Search) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        try:
            saved = read_json(path)
            search.restore(saved["search"])
            self._rows, self._seconds = saved["history"], saved["seconds"]
            self._words = saved.get("words", [])  # an older run counted none
            self._energy = Energy(**saved.get("energy", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error}): start again in another --out") from None
        self.listener.say(f"resuming after generation {search.generation}")

    def _checkpoint(self, search: Search) -> None:
        state = {
            "search": search.state(),
            "history": self._rows,
            "words": self._words,
            "seconds": self._seconds,
            **self._energy.facts(),
        }
        write_json(self.folder / CHECKPOINT, state)
        write_history(self.folder / "history.csv", self._rows)
        write_history(self.folder / "words.csv", self._words, missing=0)
        hall = [vars(famous) for famous in search.hall]
        write_json(self.folder / "hall_of_fame.json", hall)


def _described(folder: Path) -> dict[str, Any]:
    try:
        described: dict[str, Any] = read_json(folder / "config.json")
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} holds no run ({error})") from None
    return described
