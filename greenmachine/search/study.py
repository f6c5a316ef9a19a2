"""A search for networks: Optuna's sampler suggests them, workers score them.

The sampler suggests networks in batches. The networks of a batch are scored in any order, and their
results are stored together, in the order of the suggestions. If the search is stopped before that,
the same batch is suggested again, so a resumed search has the same result as an uninterrupted one.
Several processes may work on one storage; each has its own batches.

The scores of an architecture are stored with its trial (``trials.py``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import optuna
import pandas as pd
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.benchmarks.suggestions import Suggest
from greenmachine.errors import ConfigError, DataError, RunError
from greenmachine.interrupts import interrupts_held
from greenmachine.proxies.functions import name_of
from greenmachine.search.enumeration import enumerate_space
from greenmachine.search.evaluator import Evaluated, NetworkEvaluator
from greenmachine.search.goals import Constraint, Objective, columns_of, read_goal
from greenmachine.search.samplers import ABANDONED, make_sampler
from greenmachine.search.scoring import check_columns, spec_of
from greenmachine.search.storage import at_once
from greenmachine.search.suggesting import Suggested, suggested
from greenmachine.search.trials import (
    ARCH,
    FAILURE,
    INVALID,
    OWNER,
    SCORES,
    counts,
    has_failed,
    is_dead,
    is_done,
    numbers,
    plain,
    remembered,
    this_process,
)
from greenmachine.workers import Progress

__all__ = ["NetworkSearch", "Settings"]

_IDENTITY = "greenmachine"  # user attribute of a study that identifies the search
_MOST_IN_VAIN = 2_000  # successive forbidden trials after which the search gives up
_MOST_FAILED = 64  # failed networks, without a success, after which the search gives up
_MOST_ALIKE = 20  # the same, if all of them raised the same error
_LARGEST = 1_000_000  # largest number of architectures to enumerate


@dataclass(frozen=True)
class Settings:
    """The settings that determine the result of a search.

    Attributes:
        benchmark: see ``load_benchmark``.
        objectives: see ``read_goal``.
        constraints: see ``Constraint.read``.
        dataset: data set; None takes the first of the benchmark.
        target: accuracy of the table to use as the true one; None takes the benchmark's default.
        sampler: one of ``SAMPLERS``; None takes ``evolution`` for one objective, ``nsga2`` for
            several.
        seed: seed of the sampler, the weights and the noise.
        batch: images per pass.
        ask: number of networks that the sampler suggests at once.
        options: build options of the benchmark.
        device: device of the passes.
    """

    benchmark: str
    objectives: tuple[Objective, ...]
    constraints: tuple[str, ...] = ()
    dataset: str | None = None
    target: str | None = None
    sampler: str | None = None
    seed: int = 0
    batch: int = 8
    ask: int = 10
    options: Mapping[str, int] = field(default_factory=dict)
    device: str = "cpu"


class NetworkSearch:
    """A search whose trials are kept in a storage.

    Args:
        settings: settings of the search.
        trials: number of networks to score, including those of earlier calls and other processes;
            None is 500, or the whole space for the exhaustive search.
        storage: Optuna storage of the trials; None is memory.
        study: name of the study in the storage.
        scores: a table of ``read_scores``; its scores are not computed again.
        suggest: function that takes a trial and returns an architecture; None takes that of the
            benchmark.

    Attributes:
        benchmark: benchmark to search.
        goals: objectives of the search.
        study: study of Optuna.

    Raises:
        ConfigError: a setting is wrong, or the study belongs to another search.
        DataError: the space has no ``suggest``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        trials: int | None = None,
        storage: BaseStorage | None = None,
        study: str = "greenmachine",
        scores: pd.DataFrame | None = None,
        suggest: Suggest | None = None,
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
        known = [column for goal in self.goals for column in goal.columns]
        self.constraints = [Constraint.read(text, known) for text in settings.constraints]
        self.columns = columns_of(self.goals, self.constraints)
        check_columns(self.columns, self.benchmark, self.dataset)
        self._suggest = suggest or suggest_of(self.benchmark)
        self._chosen_by = "" if suggest is None else f"{suggest.__module__}:{name_of(suggest)}"
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
        spec = spec_of(
            self.benchmark.name,
            self.dataset,
            self.columns,
            batch=settings.batch,
            seed=settings.seed,
            device=settings.device,
            options=self.benchmark.settings(settings.options) if settings.options else {},
        )
        self._evaluator = NetworkEvaluator(
            self.benchmark, spec, self.goals, self.constraints, scores
        )
        self.study = self._open(storage or InMemoryStorage(), study)

    def identity(self) -> dict[str, Any]:
        """Return JSON that is equal for two runs of the same search."""
        told = {each.name: getattr(self.settings, each.name) for each in fields(Settings)} | {
            "objectives": [goal.text for goal in self.goals],
            "benchmark": self.benchmark.name,
            "dataset": self.dataset,
            "target": self.benchmark.truth,
            "sampler": self.sampler,
            "checksum": self.benchmark.checksum,
            "columns": {column.text: column.source for column in self.columns},
            **({"suggest": self._chosen_by} if self._chosen_by else {}),
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
            workers: number of processes; the results do not depend on it.
            progress: callback that gets the number of scored networks and the number of all.
            announce: callback that gets lines to print: the first failure, and the number of
                networks that other processes still score.

        Raises:
            RunError: every network failed, too many in a row raised the same error, or workers died
                repeatedly.
            ConfigError: no network satisfies the constraints.
            GreenMachineError: as in ``score``.
        """
        told = progress or (lambda done, total: None)
        self._abandon(is_dead)
        vain, alike, said, started = 0, _Alike(), False, time.monotonic()
        before = float(self.study.user_attrs.get("seconds", 0.0))
        while True:
            trials = self._all()
            # An exhaustive search tries every architecture once, whether it is allowed or not.
            ended = self.sampler == "exhaustive"
            scored = [t for t in trials if counts(t) or (ended and t.state.is_finished())]
            told(min(len(scored), self.trials), self.trials)
            failed = [t for t in scored if has_failed(t)]
            if failed and not said:
                announce(f"a network failed: {failed[0].user_attrs[FAILURE]}")
                said = True
            if failed and len(failed) == len(scored) >= min(_MOST_FAILED, self.trials):
                raise RunError(
                    f"all {len(failed)} networks failed; the first: "
                    f"{failed[0].user_attrs[FAILURE]}{_remedy(failed[0])}"
                )
            running = sum(t.state == TrialState.RUNNING for t in trials)
            if len(scored) + running >= self.trials:
                break
            number = min(self.settings.ask, self.trials - len(scored) - running)
            with self._abandoned_unless_told():
                found = self._batch(number, trials, workers)
            vain = vain + number if all(one.broken for one in found) else 0
            if vain >= _MOST_IN_VAIN:
                raise ConfigError(
                    f"none of {vain} networks in a row is allowed ({found[-1].broken}): relax the "
                    "constraints, or correct suggest(trial)"
                )
            alike.count(found)
            anything = len(failed) < len(scored)
            if alike.number >= (_MOST_FAILED if anything else _MOST_ALIKE):
                last = next(t for t in self._all() if t.user_attrs.get(FAILURE) == alike.error)
                raise RunError(
                    f"{alike.number} networks in a row failed with the same error: {alike.error}"
                    f"{_remedy(last)}"
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
        """Abandon the trials of a batch that raises an error, so that it is requested again."""
        try:
            yield
        except BaseException:
            with interrupts_held():
                self._abandon(lambda owner: owner == this_process())
            raise

    def _abandon(self, whose: Callable[[str], bool]) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if whose(str(trial.user_attrs.get(OWNER, ""))):
                storage = self.study._storage
                storage.set_trial_user_attr(trial._trial_id, ABANDONED, True)
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _request(self) -> Trial:
        """Request a trial as ``study.ask`` does, but with the name of this process from the start.

        If the name were stored a moment later, and the process were stopped in between, the next
        process would take the trial for one that still runs, and skip its place in the search.
        """
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING, user_attrs={OWNER: this_process()}
        )
        return Trial(
            self.study, self.study._storage.create_new_trial(self.study._study_id, template)
        )

    def _batch(self, number: int, before: Sequence[FrozenTrial], workers: int) -> list[Evaluated]:
        """Request, score and finish trials; return their results."""
        asked: list[Trial] = []
        archs: list[Suggested] = []
        for _ in range(number):
            asked.append(self._request())
            # Choose the architecture now: the next request replaces the sampler of this trial.
            archs.append(suggested(self._suggest, asked[-1]))
            if archs[-1].arch is not None:
                asked[-1].set_user_attr(ARCH, archs[-1].arch)
        trials = self.study.get_trials(deepcopy=False)
        memory = remembered(trials, self.columns)
        failed = {t.user_attrs.get(ARCH): t.user_attrs[FAILURE] for t in trials if has_failed(t)}
        found = self._evaluator.evaluate([each.arch for each in archs], memory, workers)
        for trial, one, of in zip(asked, found, archs, strict=True):
            if one.whole:
                trial.set_user_attr(SCORES, plain(one.scores))
            if of.failed:
                one.failure, one.raised = of.reason, True
            elif of.arch is None:
                one.broken = of.reason
            elif not one.failure:
                one.failure = failed.get(of.arch, "")
        seen = {t.user_attrs[ARCH]: numbers(t.user_attrs[SCORES]) for t in before if is_done(t)}
        values = self._evaluator.values(found, seen.values())
        with interrupts_held(), at_once(self.study._storage):
            for trial, one, of_trial in zip(asked, found, values, strict=True):
                self._tell(trial, one, of_trial)
        return found

    def _tell(self, trial: Trial, found: Evaluated, values: list[float]) -> None:
        finite = all(map(math.isfinite, values))
        if found.broken:
            trial.set_user_attr(INVALID, found.broken)
        elif not finite:
            trial.set_user_attr(FAILURE, found.failure or "a score is not finite")
        for constraint in self.constraints:
            if math.isfinite(value := found.scores.get(constraint.column.text, math.nan)):
                trial.set_constraint(constraint.text, constraint.violation(value))
        if found.broken:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif not finite:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, values)


@dataclass
class _Alike:
    """Count the last networks that raised the same error, one after the other.

    Attributes:
        error: the error; empty if the last network was scored.
        number: number of networks.
    """

    error: str = ""
    number: int = 0

    def count(self, found: Sequence[Evaluated]) -> None:
        """Count the networks of a batch; those that are not allowed do not count."""
        for one in found:
            if one.broken:
                continue
            # The reason of a network that failed before is read from its earlier trial.
            if self.error and one.failure == self.error:
                self.number += 1
            else:
                self.error = one.failure if one.raised else ""
                self.number = int(one.raised)


def _remedy(trial: FrozenTrial) -> str:
    """Return what to do about a failed trial, as the end of a message."""
    if ARCH in trial.user_attrs:
        return ""
    return "; correct it, or return None if the choices are no architecture"


def suggest_of(benchmark: Benchmark) -> Suggest:
    """Return the function that chooses an architecture of ``benchmark``.

    Raises:
        DataError: the benchmark has none.
    """
    suggest = benchmark.suggest or benchmark.space.suggest
    if suggest is None:
        raise DataError(
            f"{benchmark.name} does not say how its architectures are chosen: write "
            "suggest(trial) beside build(arch), which returns an architecture"
        )
    return suggest
