"""A search for networks: Optuna's sampler suggests them, workers score them.

The sampler suggests networks in batches. The networks of a batch are scored in any order, and their
results are stored together, in the order of the suggestions. If the search is stopped before that,
the same batch is suggested again, so a resumed search finds what the unbroken one finds. Several
processes may work on one storage; each has batches of its own.

What is said of an architecture is kept with its trial, and nothing is scored twice: not in this
search, and not what is isomorphic to a network of the benchmark's table that was scored.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.benchmarks.packed import PackedBenchmark
from greenmachine.errors import ConfigError, DataError, GreenMachineError, RunError, one_line
from greenmachine.evaluation import check_rows
from greenmachine.interrupts import interrupts_held
from greenmachine.search.enumeration import enumerate_space
from greenmachine.search.goals import Column, Constraint, columns_of, read_goal
from greenmachine.search.samplers import ABANDONED, make_sampler
from greenmachine.search.scoring import Columns, check_columns, score_arch, spec_of
from greenmachine.signals.network_capture import packed_benchmark
from greenmachine.workers import Progress, stream_tasks

__all__ = ["NetworkSearch", "Settings", "open_storage"]

_IDENTITY = "greenmachine"  # user attribute of a study: what it searches for
_OWNER, _ARCH, _SCORES, _FAILURE, _INVALID = "owner", "arch", "scores", "failure", "invalid"
_MOST_IN_VAIN = 2_000  # trials in a row that no constraint or no space allows
_MOST_FAILED = 64  # networks that all fail, before the search gives up
_ASKING = 10  # seconds after which a process has said that a trial is its own, unless it was killed
_LARGEST = 1_000_000  # architectures that are enumerated


@dataclass(frozen=True)
class Settings:
    """What a search finds depends on these alone.

    Attributes:
        benchmark: see ``load_benchmark``.
        objectives: see ``read_goal``.
        constraints: see ``Constraint.read``.
        dataset: data set; None takes the first of the benchmark.
        target: which accuracy of the table is the true one; None takes that of the benchmark.
        sampler: one of ``SAMPLERS``; None takes ``evolution`` for one objective, ``nsga2`` for
            several.
        seed: of sampler, weights and noise.
        batch: images a pass.
        ask: networks that are asked for at once.
        options: build options of the benchmark.
        device: of the passes.
    """

    benchmark: str
    objectives: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    dataset: str | None = None
    target: str | None = None
    sampler: str | None = None
    seed: int = 0
    batch: int = 8
    ask: int = 10
    options: Mapping[str, int] = field(default_factory=dict)
    device: str = "cpu"


def open_storage(text: str | None, folder: Path | None = None) -> BaseStorage:
    """Return the storage that ``text`` names: ``sqlite:///FILE`` or another database URL.

    Without a text it is the file ``study.journal`` of ``folder``, and without a folder memory.

    Raises:
        ConfigError: the database cannot be opened.
    """
    if text is None:
        if folder is None:
            return InMemoryStorage()
        folder.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    # A process waits while another one writes.
    waiting = {"connect_args": {"timeout": 100}} if text.startswith("sqlite:") else {}
    for last in (False, False, False, True):
        try:
            return RDBStorage(text, engine_kwargs=waiting)
        except Exception as error:  # SQLAlchemy's, or the driver's own
            if last:
                raise ConfigError(
                    f"storage {text} cannot be opened ({one_line(error, 200)}): write "
                    "sqlite:///FILE.db"
                ) from None
            time.sleep(0.5)  # two processes that make one database at the same time disturb it
    raise AssertionError


class NetworkSearch:
    """A search on a storage.

    Args:
        settings: of the search.
        trials: networks to score in all, those of earlier calls and other processes included;
            None is 500, and all of the space for the exhaustive search.
        storage: of Optuna.
        study: name of the study there.
        scores: a table of ``read_scores``: what it knows is not scored again.

    Attributes:
        benchmark: that is searched.
        goals: the objectives.
        study: Optuna's.

    Raises:
        ConfigError: a setting is wrong, or the study searches for something else.
        DataError: the space does not say how its architectures are chosen.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        trials: int | None = None,
        storage: BaseStorage | None = None,
        study: str = "greenmachine",
        scores: pd.DataFrame | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        benchmark = load_benchmark(settings.benchmark)
        self.benchmark = (
            benchmark if settings.target is None else benchmark.with_target(settings.target)
        )
        self.settings = settings
        self.dataset = settings.dataset or self.benchmark.datasets[0]
        self.benchmark.input_shape(self.dataset)  # refuses an unknown data set
        if not settings.objectives:
            raise ConfigError("a search needs an objective: give a proxy, such as nwot")
        if settings.ask < 1 or (trials is not None and trials < 1):
            raise ConfigError("a search has 1 or more trials, and asks for 1 or more at once")
        self.goals = [read_goal(text) for text in settings.objectives]
        self.constraints = [Constraint.read(text) for text in settings.constraints]
        self.columns = columns_of(self.goals, self.constraints)
        check_columns(self.columns, self.benchmark, self.dataset)
        self._suggest = suggest_of(self.benchmark)
        self.sampler = settings.sampler or ("evolution" if len(self.goals) == 1 else "nsga2")
        entries: list[dict[str, Any]] = []
        if self.sampler == "exhaustive":
            for params in enumerate_space(self._suggest):
                entries.append(params)
                if len(entries) > _LARGEST:
                    raise ConfigError(
                        f"the space has more than {_LARGEST:,} architectures: take another sampler"
                    )
        whole = len(entries) if self.sampler == "exhaustive" else math.inf
        self.trials = int(min(whole, trials or (whole if entries else 500)))
        self._sampler = make_sampler(self.sampler, settings.seed, len(self.goals), entries)
        self._spec = spec_of(
            self.benchmark.name,
            self.dataset,
            self.columns,
            batch=settings.batch,
            seed=settings.seed,
            device=settings.device,
            options=self.benchmark.settings(settings.options) if settings.options else {},
        )
        self._known = _known_scores(scores, self.columns, self.benchmark)
        self.study = self._open(storage or InMemoryStorage(), study)

    def identity(self) -> dict[str, Any]:
        """Return what makes two searches the same; JSON."""
        told = asdict(self.settings) | {
            "benchmark": self.benchmark.name,
            "dataset": self.dataset,
            "target": self.benchmark.truth,
            "sampler": self.sampler,
            "checksum": self.benchmark.checksum,
            "columns": {column.text: column.source for column in self.columns},
        }
        return {name: list(v) if isinstance(v, tuple) else v for name, v in told.items()}

    def run(
        self,
        *,
        workers: int = 1,
        progress: Progress | None = None,
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Search until the study has all its trials.

        Args:
            workers: processes; results do not depend on it.
            progress: is called with the number of scored networks, and of all.
            announce: is called with lines to print: the first failure, and the state of other
                processes.

        Raises:
            RunError: every network fails, or a worker died again and again.
            ConfigError: no network keeps the constraints.
            GreenMachineError: as in ``score``.
        """
        told = progress or (lambda done, total: None)
        self._abandon(_is_dead)
        vain, said, started = 0, False, time.monotonic()
        before = float(self.study.user_attrs.get("seconds", 0.0))
        while True:
            trials = self._all()
            # Every architecture has its turn once in an exhaustive search, allowed or not.
            ended = self.sampler == "exhaustive"
            scored = [t for t in trials if _counts(t) or (ended and t.state.is_finished())]
            told(min(len(scored), self.trials), self.trials)
            failed = [t for t in scored if _FAILURE in t.user_attrs]
            if failed and not said:
                announce(f"a network failed: {failed[0].user_attrs[_FAILURE]}")
                said = True
            if failed and len(failed) == len(scored) >= min(_MOST_FAILED, self.trials):
                why = failed[0].user_attrs[_FAILURE]
                raise RunError(f"all {len(failed)} networks failed; the first: {why}")
            running = sum(t.state == TrialState.RUNNING for t in trials)
            if len(scored) + running >= self.trials:
                if not any(
                    t.state == TrialState.RUNNING and _OWNER not in t.user_attrs for t in trials
                ):
                    break
                time.sleep(0.5)  # its process is about to say whose it is, or was killed
                self._abandon(_is_dead)
                continue
            number = min(self.settings.ask, self.trials - len(scored) - running)
            with self._abandoned_unless_told():
                reasons = self._batch(number, trials, workers)
            vain = vain + number if all(reasons) else 0
            if vain >= _MOST_IN_VAIN:
                raise ConfigError(
                    f"none of {vain} networks in a row is allowed ({reasons[-1]}): relax the "
                    "constraints, or correct suggest(trial)"
                )
            self.study.set_user_attr("seconds", before + time.monotonic() - started)
        if running:
            announce(f"{running} networks are still being scored by other processes")

    def _open(self, storage: BaseStorage, name: str) -> optuna.Study:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            sampler=self._sampler,
            directions=["maximize" if g.direction > 0 else "minimize" for g in self.goals],
            load_if_exists=True,
        )
        mine, known = self.identity(), study.user_attrs.get(_IDENTITY)
        if known is None and not study.get_trials(deepcopy=False):
            study.set_user_attr(_IDENTITY, mine)
        elif known != mine:
            differ = [key for key in mine if not known or known.get(key) != mine[key]]
            raise ConfigError(
                f"study {name!r} of this storage is another search ({', '.join(differ)} differ): "
                "give another --study, --storage or --out"
            )
        return study

    def _all(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False)
        return [t for t in trials if ABANDONED not in t.user_attrs]

    @contextmanager
    def _abandoned_unless_told(self) -> Iterator[None]:
        """Abandon the trials of a batch that is not told to its end: it is asked for again."""
        try:
            yield
        except BaseException:
            with interrupts_held():
                self._abandon(lambda owner: owner == _owner())
            raise

    def _abandon(self, whose: Callable[[str], bool]) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # A trial without an owner is being asked for at this moment, or its process was killed
            # then: after some seconds it was killed.
            owner = str(trial.user_attrs.get(_OWNER, ""))
            if whose(owner) if owner else _age(trial) > _ASKING:
                storage = self.study._storage
                storage.set_trial_user_attr(trial._trial_id, ABANDONED, True)
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _batch(self, number: int, before: Sequence[FrozenTrial], workers: int) -> list[str]:
        """Ask for trials, score and tell them; return why each is not allowed, empty if it is."""
        asked: list[Trial] = []
        archs: list[str | None] = []
        reasons: list[str] = []
        for _ in range(number):
            asked.append(self.study.ask())
            asked[-1].set_user_attr(_OWNER, _owner())
            # At once: the sampler of a trial is gone when the next one is asked for.
            arch, why = self._architecture(asked[-1])
            archs.append(arch)
            reasons.append(why)
        memory = _memory(self.study.get_trials(deepcopy=False), self.columns)
        scores: list[dict[str, float]] = [{} for _ in asked]
        failures = [""] * len(asked)
        first = [c for c in self.columns if c.at_once]
        for place, arch in enumerate(archs):
            if arch is not None:
                scores[place], failures[place] = self._at_once(first, arch)
                reasons[place] = self._unknown(arch) or self._broken(scores[place], first)
        wanted = [p for p, arch in enumerate(archs) if arch is not None and not reasons[p]]
        found = self._score({str(archs[p]) for p in wanted}, memory, workers)
        for place in wanted:
            more = found[str(archs[place])]
            scores[place] |= more.values
            failures[place] = failures[place] or more.failure
            asked[place].set_user_attr(_SCORES, _plain(scores[place]))
            reasons[place] = self._broken(scores[place], self.columns)
        values = self._values(scores, wanted, before)
        with interrupts_held():
            for place, trial in enumerate(asked):
                self._tell(trial, scores[place], values[place], reasons[place], failures[place])
        return reasons

    def _architecture(self, trial: Trial) -> tuple[str | None, str]:
        try:
            arch = self._suggest(trial)
        except (DataError, ValueError) as error:
            return None, one_line(error, 200)
        except GreenMachineError:
            raise
        except Exception as error:  # anybody's code
            raise DataError(
                f"suggest(trial) of {self.benchmark.name} raised {type(error).__name__}: "
                f"{one_line(error, 200)}; correct it"
            ) from error
        trial.set_user_attr(_ARCH, arch)
        return arch, ""

    def _at_once(self, columns: Sequence[Column], arch: str) -> tuple[dict[str, float], str]:
        """Return what is known of ``arch`` without its network, and the first failure."""
        said = score_arch(self._spec, columns, arch, self._packed)
        values = dict(said.values)
        if self._reads_accuracy and (index := self.benchmark.find(arch)) is not None:
            values["accuracy"] = float(self.benchmark.accuracy(self.dataset)[index])
        return values, said.failure

    @cached_property
    def _packed(self) -> PackedBenchmark:
        return packed_benchmark(self._spec.benchmark)

    @cached_property
    def _reads_accuracy(self) -> bool:
        return any(column.kind == "accuracy" for column in self.columns)

    def _unknown(self, arch: str) -> str:
        """Return why the accuracy of ``arch`` is not known, where it is wanted."""
        unknown = self._reads_accuracy and self.benchmark.find(arch) is None
        return f"the table of {self.benchmark.name} lacks this architecture" if unknown else ""

    def _score(
        self, archs: set[str], memory: Mapping[str, Mapping[str, float]], workers: int
    ) -> dict[str, Columns]:
        """Return the columns that need a network, by architecture."""
        columns = [column for column in self.columns if not column.at_once]
        found: dict[str, Columns] = {}
        tasks: dict[str, list[Column]] = {}
        stands = {arch: self._representative(arch) for arch in sorted(archs)}
        if not columns:
            return {arch: Columns({}) for arch in archs}
        for standing in stands.values():
            known = {**memory.get(standing, {}), **self._known.get(standing, {})}
            missing = [column for column in columns if column.text not in known]
            found.setdefault(standing, Columns(known))
            if missing:
                tasks[standing] = missing
        jobs = [(self._spec, missing, arch, self._packed) for arch, missing in tasks.items()]
        for arch, said in zip(
            tasks,
            stream_tasks(score_arch, jobs, workers, device=self.settings.device),
            strict=True,
        ):
            found[arch] = Columns({**found[arch].values, **said.values}, said.failure)
        return {arch: found[standing] for arch, standing in stands.items()}

    def _representative(self, arch: str) -> str:
        """Return the architecture that is scored in place of ``arch``: isomorphic, of the table.

        A score of its own, from a file, comes first: initial weights of isomorphic cells differ.
        """
        if arch in self._known:
            return arch
        index = self.benchmark.find(arch)
        if index is None:
            return arch
        group = self.benchmark.groups
        return self.benchmark.archs[int(self._firsts[group[index]])]

    @cached_property
    def _firsts(self) -> dict[int, int]:
        groups, firsts = np.unique(self.benchmark.groups, return_index=True)
        return dict(zip(groups.tolist(), firsts.tolist(), strict=True))

    def _broken(self, scores: Mapping[str, float], columns: Sequence[Column]) -> str:
        """Return the first constraint that is broken, of those whose columns are known."""
        for constraint in self.constraints:
            if constraint.column in columns:
                value = scores[constraint.column.text]
                if math.isfinite(value) and constraint.violation(value) > 0:
                    return f"{constraint.text}: {constraint.column.text} is {value:.6g}"
        return ""

    def _values(
        self,
        scores: Sequence[Mapping[str, float]],
        wanted: Sequence[int],
        before: Sequence[FrozenTrial],
    ) -> list[list[float]]:
        """Return the objectives of every trial of a batch; a rank sum ranks all so far."""
        rows: list[Mapping[str, float]] = [scores[place] for place in wanted]
        if any(goal.join for goal in self.goals):
            seen = {
                t.user_attrs[_ARCH]: _numbers(t.user_attrs[_SCORES]) for t in before if _done(t)
            }
            rows = [*rows, *seen.values()]
        values = [[math.nan] * len(self.goals) for _ in scores]
        if not rows:
            return values
        table = {c.text: np.array([row[c.text] for row in rows]) for c in self.columns}
        for number, goal in enumerate(self.goals):
            for place, value in zip(wanted, goal.values(table), strict=False):
                values[place][number] = float(value)
        return values

    def _tell(
        self,
        trial: Trial,
        scores: Mapping[str, float],
        values: list[float],
        broken: str,
        failure: str,
    ) -> None:
        if broken:
            trial.set_user_attr(_INVALID, broken)
        elif not all(map(math.isfinite, values)):
            trial.set_user_attr(_FAILURE, failure or "a score is not finite")
        for constraint in self.constraints:
            if math.isfinite(value := scores.get(constraint.column.text, math.nan)):
                trial.set_constraint(constraint.text, constraint.violation(value))
        if broken:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif not all(map(math.isfinite, values)):
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, values)


def _age(trial: FrozenTrial) -> float:
    """Return the seconds since a trial was asked for."""
    started = trial.datetime_start
    return math.inf if started is None else (datetime.now() - started).total_seconds()


def suggest_of(benchmark: Benchmark) -> Callable[[Any], str]:
    """Return how an architecture of ``benchmark`` is chosen.

    Raises:
        DataError: it does not say.
    """
    suggest = benchmark.suggest or benchmark.space.suggest
    if suggest is None:
        raise DataError(
            f"{benchmark.name} does not say how its architectures are chosen: write "
            "suggest(trial) beside build(arch), which returns an architecture"
        )
    return suggest


def _known_scores(
    frame: pd.DataFrame | None, columns: Sequence[Column], benchmark: Benchmark
) -> dict[str, dict[str, float]]:
    """Return the scores of a file by architecture, of those columns that it has.

    Raises:
        ConfigError: it has none of them.
        DataError: it is of another benchmark.
    """
    if frame is None:
        return {}
    check_rows(frame, benchmark)
    names = [c.text for c in columns if c.kind == "proxy" and c.text in frame.columns]
    if not names:
        wanted = ", ".join(c.text for c in columns if c.kind == "proxy") or "no proxy"
        raise ConfigError(f"--scores has no column of the search, which reads {wanted}")
    archs = [benchmark.archs[index] for index in frame["index"]]
    return dict(zip(archs, frame[names].to_dict("records"), strict=True))


def _memory(
    trials: Sequence[FrozenTrial], columns: Sequence[Column]
) -> dict[str, dict[str, float]]:
    """Return what is known of architectures from trials, those of stopped batches too."""
    slow = [column.text for column in columns if not column.at_once]
    found: dict[str, dict[str, float]] = {}
    for trial in trials:
        if _SCORES in trial.user_attrs and slow:
            scores = _numbers(trial.user_attrs[_SCORES])
            found.setdefault(
                trial.user_attrs[_ARCH], {name: scores[name] for name in slow if name in scores}
            )
    return found


def _plain(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def _numbers(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in scores.items()}


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those asked for: scored, or failed by itself."""
    return trial.state == TrialState.COMPLETE or _FAILURE in trial.user_attrs


def _done(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE and _SCORES in trial.user_attrs


def _owner() -> str:
    """Return who works here: machine, process, and when that began."""
    return f"{platform.node()} {os.getpid()} {_began(os.getpid())}"


def _began(process: int) -> str:
    try:
        # The 22nd field, counted after the name, which may have spaces and brackets.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"


def _is_dead(owner: str) -> bool:
    """Whether the process of a trial is known to have ended: on this machine alone."""
    words = owner.rsplit(" ", 2)
    if len(words) != 3 or words[0] != platform.node():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return _began(int(words[1])) != words[2]
