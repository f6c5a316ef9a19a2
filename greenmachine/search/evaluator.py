"""Find the scores of the architectures of a batch, from known scores or from workers.

Nothing is scored twice. An architecture is not scored if another trial of the search has its
scores, or if it is isomorphic to a scored network of the benchmark's table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from greenmachine.benchmarks import Benchmark
from greenmachine.benchmarks.packed import PackedBenchmark
from greenmachine.errors import ConfigError
from greenmachine.evaluation import check_rows
from greenmachine.search.goals import Column, Constraint, Goal, columns_of
from greenmachine.search.scoring import Columns, score_arch
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import packed_benchmark
from greenmachine.workers import stream_tasks

__all__ = ["Evaluated", "NetworkEvaluator"]


@dataclass
class Evaluated:
    """The result for one architecture.

    Attributes:
        scores: scores by the text of their column; NaN means that scoring failed.
        broken: reason why the architecture is not allowed, or empty.
        failure: reason of the first failure, or empty.
        raised: whether an exception is this reason, and not a score that is not finite.
        whole: whether all columns are known. If an early constraint is broken, they are not.
    """

    scores: dict[str, float] = field(default_factory=dict)
    broken: str = ""
    failure: str = ""
    raised: bool = False
    whole: bool = False


class NetworkEvaluator:
    """Score architectures of a benchmark.

    Args:
        benchmark: benchmark to search.
        spec: capture specification of the networks and their images.
        goals: objectives of the search.
        constraints: constraints of the search.
        scores: a table of ``read_scores``; its scores are not computed again.

    Attributes:
        columns: columns that the objectives and constraints read.

    Raises:
        ConfigError: the table has none of these columns.
        DataError: the table belongs to another benchmark.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        spec: CaptureSpec,
        goals: Sequence[Goal],
        constraints: Sequence[Constraint],
        scores: pd.DataFrame | None = None,
    ) -> None:
        self.benchmark = benchmark
        self.columns = columns_of(goals, constraints)
        self._spec = spec
        self._goals = goals
        self._constraints = constraints
        self._known = _known_scores(scores, self.columns, benchmark)

    def evaluate(
        self,
        archs: Sequence[str | None],
        memory: Mapping[str, Mapping[str, float]],
        workers: int,
    ) -> list[Evaluated]:
        """Evaluate architectures, and return their results in the same order.

        Columns that need no network are computed first, so a network that they forbid is not built.

        Args:
            archs: architectures; for None the result is empty.
            memory: known scores by architecture.
            workers: number of processes.

        Raises:
            GreenMachineError: as in ``score``.
        """
        found = [Evaluated() for _ in archs]
        first = [column for column in self.columns if column.at_once]
        for one, arch in zip(found, archs, strict=True):
            if arch is not None:
                said = self._at_once(first, arch)
                one.scores, one.failure, one.raised = said.values, said.failure, said.raised
                one.broken = self._unknown(arch) or self._broken(one.scores, first)
                one.whole = not one.broken
        pairs = zip(found, archs, strict=True)
        wanted = {arch for one, arch in pairs if one.whole and arch is not None}
        more = self._score(wanted, memory, workers)
        for one, arch in zip(found, archs, strict=True):
            if one.whole and arch is not None:
                one.scores |= more[arch].values
                if not one.failure:
                    one.failure, one.raised = more[arch].failure, more[arch].raised
                one.broken = self._broken(one.scores, self.columns)
        return found

    def values(
        self, found: Sequence[Evaluated], seen: Iterable[Mapping[str, float]]
    ) -> list[list[float]]:
        """Return the objectives of each architecture; NaN if they are unknown.

        Args:
            found: results of :meth:`evaluate`.
            seen: scores of all earlier architectures; a rank sum ranks them together with the new.
        """
        rows: list[Mapping[str, float]] = [one.scores for one in found if one.whole]
        if any(goal.join for goal in self._goals):
            rows = [*rows, *seen]
        values = [[math.nan] * len(self._goals) for _ in found]
        if not rows:
            return values
        table = {c.text: np.array([row[c.text] for row in rows]) for c in self.columns}
        places = [place for place, one in enumerate(found) if one.whole]
        for number, goal in enumerate(self._goals):
            for place, value in zip(places, goal.values(table), strict=False):
                values[place][number] = float(value)
        return values

    def _at_once(self, columns: Sequence[Column], arch: str) -> Columns:
        """Return the columns of ``arch`` that need no network."""
        computed = [column for column in columns if column.kind != "accuracy"]
        said = Columns({})
        if computed:
            said = score_arch(self._spec, computed, arch, self._packed)
        values = dict(said.values)
        if self._reads_accuracy and (index := self.benchmark.find(arch)) is not None:
            values["accuracy"] = float(self.benchmark.accuracy(self._spec.dataset)[index])
        return replace(said, values=values)

    @cached_property
    def _packed(self) -> PackedBenchmark:
        return packed_benchmark(self._spec.benchmark)

    @cached_property
    def _reads_accuracy(self) -> bool:
        return any(column.kind == "accuracy" for column in self.columns)

    def _unknown(self, arch: str) -> str:
        """Return why the accuracy of ``arch`` is unknown, or an empty text if it is not needed."""
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
            stream_tasks(score_arch, jobs, workers, device=self._spec.device),
            strict=True,
        ):
            found[arch] = replace(said, values={**found[arch].values, **said.values})
        return {arch: found[standing] for arch, standing in stands.items()}

    def _representative(self, arch: str) -> str:
        """Return the isomorphic architecture of the table that is scored in place of ``arch``.

        If the score file contains ``arch`` itself, this score is used, because isomorphic cells
        have different initial weights.
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
        """Describe the first broken constraint among those whose columns are known."""
        for constraint in self._constraints:
            if constraint.column in columns:
                value = scores[constraint.column.text]
                if math.isfinite(value) and constraint.violation(value) > 0:
                    return f"{constraint.text}: {constraint.column.text} is {value:.6g}"
        return ""


def _known_scores(
    frame: pd.DataFrame | None, columns: Sequence[Column], benchmark: Benchmark
) -> dict[str, dict[str, float]]:
    """Return the scores of a file by architecture, for the columns that the search reads.

    Raises:
        ConfigError: the file has none of these columns.
        DataError: the file belongs to another benchmark.
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
