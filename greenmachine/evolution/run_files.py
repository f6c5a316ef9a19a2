"""What the JSON files of a run contain; ``run_folder.py`` reads and writes them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from greenmachine.benchmarks import short_name
from greenmachine.config import RunConfig

__all__ = [
    "FORMAT",
    "BenchmarkFacts",
    "Checkpoint",
    "Description",
    "Famous",
    "Manifest",
    "Origin",
    "Result",
    "SavedIndividual",
    "SearchState",
]

FORMAT: Final = 5
"""Of the files; those of another are refused."""


def _sign(direction: int) -> int:
    if direction not in (1, -1):
        raise ValueError(f"{direction} is not 1 or -1")
    return direction


Direction = Annotated[int, AfterValidator(_sign)]
"""1 where a high score is good, -1 where a low one is."""


class _Strict(BaseModel):
    """A model without type conversion that refuses numbers that are not finite."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Famous(_Strict):
    """A member of the hall of fame.

    Attributes:
        expression: canonical text.
        direction: 1 where a high score is good, -1 where a low one is.
        size: nodes.
        train: fitness on the training sample.
        validation: fitness on the validation sample, which orders the hall.
        objective: its value on every task, by sample.
        tau: Kendall's tau-b on every task, by sample, whatever the objective.
        generation: in which it came in.
    """

    expression: str
    direction: Direction
    size: int
    train: float
    validation: float
    objective: dict[str, list[float]]
    tau: dict[str, list[float]]
    generation: int


class SavedIndividual(_Strict):
    """An individual of the population; see ``individual.Individual``."""

    tree: str
    fitness: list[float]
    direction: Direction
    values: list[float]
    tau: list[float]
    failures: int


class SearchState(_Strict):
    """The state that determines the next generation; see ``Search.state``."""

    generation: int = Field(ge=0)
    individuals: int = Field(ge=0)
    random: tuple[int, list[int], float | None] = Field(strict=False)
    population: list[SavedIndividual] = Field(min_length=1)
    hall: list[Famous] = Field(min_length=1)


class _EnergyFacts(_Strict):
    kwh: dict[str, float] = {}
    methods: dict[str, str] = {}
    seconds: float = 0.0


class Checkpoint(_Strict):
    """The state of a run after a complete generation.

    Attributes:
        search: state of the search.
        history: one row per generation.
        primitives: how many individuals contain each primitive and signal, one row per generation.
        seconds: wall time so far.
        energy: energy so far; see ``greenmachine.energy.Energy.facts``.
    """

    format: Literal[5] = FORMAT
    search: SearchState
    history: list[dict[str, int | float]] = Field(min_length=1)
    primitives: list[dict[str, int | float]] = Field(min_length=1)
    seconds: float
    energy: _EnergyFacts = _EnergyFacts()


class Description(_Strict):
    """The definition of a run: settings, seed expressions, SHA-256 of its plugins."""

    format: Literal[5] = FORMAT
    plugins: dict[str, str] = {}
    config: RunConfig = Field(strict=False)
    seeds: list[str]


class BenchmarkFacts(_Strict):
    """Name of a benchmark, and SHA-256 of its table."""

    name: str
    sha256: str


Indices = list[int] | int
"""Networks of a sample, or, of a test sample, how many they are."""


class Origin(_Strict):
    """The networks that a run used; part of the manifest and of the facts of an exported proxy.

    Attributes:
        benchmarks: the benchmarks that the run reads.
        samples: the networks by sample and short name of the benchmark.
    """

    benchmarks: list[BenchmarkFacts] = Field(min_length=1)
    samples: dict[Literal["train", "validation", "test"], dict[str, Indices]]

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of each benchmark's table by the benchmark's name."""
        return {benchmark.name: benchmark.sha256 for benchmark in self.benchmarks}

    def selected(self) -> dict[str, list[int]]:
        """Return the training and validation networks, used for selection, by benchmark."""
        found: dict[str, list[int]] = {}
        for name in self.checksums:
            found[name] = []
            for sample in ("train", "validation"):
                networks = self.samples.get(sample, {}).get(short_name(name), [])
                found[name] += networks if isinstance(networks, list) else []
        return found


class Manifest(Origin):
    """The environment and the samples of a run; more keys are allowed.

    Attributes:
        input_shape: shape of one image of the first data set.
        tasks: names of the tasks: ``cifar10``, or ``nats-tss/cifar10`` if the run has several
            benchmarks.
        targets: which accuracy of the table is the true one, by task.
    """

    model_config = ConfigDict(extra="allow")

    format: Literal[5] = FORMAT
    created: str
    git: str | None
    seed: int
    input_shape: list[int]
    tasks: list[str] = Field(min_length=1)
    targets: dict[str, str]

    def facts(self) -> dict[str, Any]:
        """Return the manifest as JSON, without the format of the file."""
        return self.model_dump(mode="json", exclude={"format"})


class _Row(_Strict):
    objective: float | None
    tau: float | None
    standard_error: float | None
    networks: int
    failed: int


class _Best(_Strict):
    expression: str
    direction: Direction
    size: int
    generation: int
    objective: dict[Literal["train", "validation", "test"], dict[str, float | None]]
    tau: dict[Literal["train", "validation", "test"], dict[str, float | None]]


_Rows = dict[str, dict[str, _Row]]


class Result(_Strict):
    """The content of ``result.json``; more keys are allowed.

    Attributes:
        objective: what was maximised, as it is written in the settings.
        targets: which accuracy of the table is the true one, by task.
        until: what ended the search: the number of ``generations``, or a ``callback``.
    """

    model_config = ConfigDict(extra="allow")

    format: Literal[5] = FORMAT
    name: str
    benchmarks: list[str] = Field(min_length=1)
    tasks: list[str] = Field(min_length=1)
    objective: dict[str, Any]
    targets: dict[str, str]
    best: _Best
    train: _Rows
    validation: _Rows
    test: _Rows
    samples: dict[Literal["train", "validation", "test"], dict[str, int]]
    individuals: int
    generations: int
    seconds: float
    energy_kwh: float = 0.0
    energy: _EnergyFacts = _EnergyFacts()
    until: dict[Literal["generations", "callback"], Any]
    files: dict[str, str]
