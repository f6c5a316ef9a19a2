"""A bank on disk: its content, and how its vectors are read.

| file | content |
|---|---|
| ``bank.json`` | passes, batch, seed; the families of networks; the expressions, by part |
| ``FAMILY/part-000.npy`` | values of the expressions of a part on all networks of a family |
| ``FAMILY/part-000.json`` | its SHA-256, and for the networks: numbers of layers, failures |

A *family* is a set of networks of a benchmark, built for one data set with one choice of options. A
*part* is the set of expressions that one build added. A file of vectors is one float64 array with
one expression after the other: a ``LayerScalar`` has one number per layer of all networks, a
``NetworkScalar`` one per network. It is memory-mapped, so a search reads only what it needs.

JSON files have a checksum (``greenmachine.files``), so that a changed bit is detected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from greenmachine.benchmarks import Benchmark, short_name
from greenmachine.errors import DamagedError, DataError, ExpressionError, RunError, one_line
from greenmachine.files import FolderKind, read_sealed, sha256
from greenmachine.language import Expression, parse
from greenmachine.parts import validation_message
from greenmachine.plugins import require_plugins
from greenmachine.primitives.registry import LAYER_SCALAR

__all__ = ["DESCRIPTION", "FORMAT", "Bank", "BankFacts", "Family", "PartFacts", "Vectors"]

DESCRIPTION = FolderKind.BANK.mark
FORMAT: Final = 1
"""Version of the file format; files of another version are rejected."""

_Model = TypeVar("_Model", bound=BaseModel)
_Index = Annotated[int, Field(ge=0)]
_REMEDY = "`greenmachine bank build {}`, without options, computes what is missing"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="forbid")


class Family(_Strict):
    """Some networks of a benchmark.

    Attributes:
        benchmark: name, for ``load_benchmark``.
        dataset: data set whose images and number of classes the networks get.
        options: build options, such as ``{"width": 50}``.
        sha256: checksum of the benchmark.
        indices: the networks, as indices of the benchmark, in random order, so that the first of
            them are a random sample too.
    """

    benchmark: str
    dataset: str
    options: dict[str, int]
    sha256: str
    indices: list[_Index] = Field(min_length=1)

    @property
    def task(self) -> str:
        """Benchmark and data set, for display."""
        return f"{short_name(self.benchmark)}/{self.dataset}"

    @property
    def folder(self) -> str:
        """Name of its folder in the bank."""
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in self.task)
        return f"{name}-{hashlib.sha256(self.benchmark.encode()).hexdigest()[:8]}"

    def check(self, benchmark: Benchmark) -> None:
        """Check that a benchmark is the one with which the bank was built.

        Raises:
            DataError: it has another table, or other networks.
        """
        if benchmark.checksum != self.sha256:
            raise DataError(
                f"{short_name(self.benchmark)} has changed since the bank was built: restore the "
                "old files, or build another bank"
            )


class BankFacts(_Strict):
    """The content of ``bank.json``.

    Attributes:
        passes: passes whose signals the expressions may read.
        batch: number of images in each pass.
        seed: seed of weights, noise, images and the choice of networks.
        plugins: for the name of each plugin that added primitives or passes, its SHA-256.
        families: the networks.
        parts: texts of the expressions, by part.
    """

    format: Literal[1] = FORMAT
    passes: list[str]
    batch: int = Field(ge=1)
    seed: int = Field(ge=0)
    plugins: dict[str, str] = {}
    families: list[Family] = []
    parts: list[list[str]] = []


class PartFacts(_Strict):
    """The JSON file beside a file of vectors.

    Attributes:
        digest: SHA-256 of the file of vectors.
        layer_counts: number of layers of each network; 0 if it failed.
        failures: error message by position in the family.
    """

    digest: str
    layer_counts: list[_Index]
    failures: dict[str, str]


class Vectors:
    """The values of all expressions on the networks of one family.

    Args:
        family: the networks.
        parts: for each part, the file of vectors and its expressions.
        remedy: what a user should do if a file is damaged; ends the error message.

    Attributes:
        layer_counts: number of layers of each network; 0 if it failed.
        failures: error message of every network that failed, by position in the family.

    Raises:
        DamagedError: a file is missing, damaged, or differs from its checksum.
    """

    def __init__(
        self, family: Family, parts: Sequence[tuple[Path, Sequence[Expression]]], remedy: str
    ) -> None:
        self.family = family
        self.layer_counts: list[int] = []
        self.failures: dict[int, str] = {}
        self._places: dict[str, tuple[NDArray[np.float64], int, int]] = {}
        for path, expressions in parts:
            facts = part_facts(path, remedy)
            if sha256_of(path, remedy) != facts.digest:
                raise DamagedError(f"{path} differs from its checksum: remove it, and {remedy}")
            self.layer_counts = facts.layer_counts
            self.failures = {int(place): why for place, why in facts.failures.items()}
            array = np.load(path, mmap_mode="r")
            start = 0
            for expression in expressions:
                end = start + self.length(expression)
                self._places[expression.text] = array, start, end
                start = end
            if len(self.layer_counts) < len(family.indices):
                raise DamagedError(f"{path} is not complete: {remedy}")
            if array.shape != (start,):
                raise DamagedError(f"{path} does not fit {DESCRIPTION}: remove it, and {remedy}")

    def length(self, expression: Expression) -> int:
        """Return how many numbers an expression has on the family."""
        layers = expression.kind == LAYER_SCALAR
        return sum(self.layer_counts) if layers else len(self.layer_counts)

    def read(self, text: str) -> NDArray[np.float64]:
        """Return the values of an expression, (layers,) or (networks,), memory-mapped.

        Raises:
            RunError: the bank does not contain it.
        """
        if text not in self._places:
            raise RunError(f"the bank does not contain {text}: add it with `greenmachine bank add`")
        array, start, end = self._places[text]
        return array[start:end]


class Bank:
    """A bank that is open for reading.

    Args:
        path: path of its folder.

    Attributes:
        facts: its content.
        parts: the expressions, by part.

    Raises:
        RunError: there is no bank.
        DamagedError: ``bank.json`` is damaged, or has another version.
        ConfigError: it needs a plugin that is not loaded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / DESCRIPTION).is_file():
            raise RunError(
                f"{path} is not a bank (there is no {DESCRIPTION}): make one with `greenmachine "
                "bank build`"
            )
        self.facts = _checked(path / DESCRIPTION, BankFacts, "build another bank")
        require_plugins(self.facts.plugins, path)
        try:
            self.parts = [[parse(t, kind=None) for t in part] for part in self.facts.parts]
        except ExpressionError as error:
            raise DamagedError(
                f"{path / DESCRIPTION} has an invalid expression ({one_line(error)}): build "
                "another bank"
            ) from None

    @property
    def leaves(self) -> list[Expression]:
        """All expressions."""
        return [leaf for part in self.parts for leaf in part]

    @property
    def remedy(self) -> str:
        """What to do if a file is missing or damaged; ends an error message."""
        return _REMEDY.format(self.path)

    def checksum(self, families: Sequence[Family]) -> str:
        """Return the SHA-256 of the expressions and of the values on some families.

        Raises:
            DamagedError: a family is not complete, or a file is missing or damaged.
        """
        own = self.facts.model_copy(update={"families": list(families)})
        digest = hashlib.sha256(own.model_dump_json().encode())
        for family in families:
            for part in range(len(self.parts)):
                facts = part_facts(part_path(self.path, family, part), self.remedy)
                digest.update(facts.model_dump_json().encode())
        return digest.hexdigest()

    def family(self, benchmark: str, dataset: str) -> Family | None:
        """Return the networks of a benchmark that were built for a data set, or None."""
        for family in self.facts.families:
            if (family.benchmark, family.dataset) == (benchmark, dataset):
                return family
        return None

    def vectors(self, family: Family) -> Vectors:
        """Return the values on a family; the first call checks every byte.

        Raises:
            DamagedError: a file is missing, damaged, or differs from its checksum.
        """
        if family.task not in self._read:
            parts = [
                (part_path(self.path, family, number), expressions)
                for number, expressions in enumerate(self.parts)
            ]
            self._read[family.task] = Vectors(family, parts, self.remedy)
        return self._read[family.task]

    @cached_property
    def _read(self) -> dict[str, Vectors]:
        return {}

    def _complete(self, family: Family, path: Path) -> bool:
        if not path.is_file() or not path.with_suffix(".json").is_file():
            return False
        return len(part_facts(path, self.remedy).layer_counts) == len(family.indices)

    def summary(self) -> dict[str, Any]:
        """Return the content of the bank as JSON; ``bytes`` and ``complete`` describe the files."""
        files = [
            [part_path(self.path, family, number) for number in range(len(self.parts))]
            for family in self.facts.families
        ]
        families = [
            {
                "task": family.task,
                "options": family.options,
                "networks": len(family.indices),
                "complete": all(self._complete(family, path) for path in paths),
                "bytes": sum(p.stat().st_size for p in paths if p.is_file()),
            }
            for family, paths in zip(self.facts.families, files, strict=True)
        ]
        leaves = self.leaves
        layers = sum(leaf.kind == LAYER_SCALAR for leaf in leaves)
        return {
            "path": str(self.path),
            "format": self.facts.format,
            "passes": self.facts.passes,
            "batch": self.facts.batch,
            "seed": self.facts.seed,
            "expressions": len(leaves),
            "of layers": layers,
            "of networks": len(leaves) - layers,
            "parts": [len(part) for part in self.parts],
            "families": families,
            "bytes": sum(family["bytes"] for family in families),
            "complete": all(family["complete"] for family in families),
        }


def part_path(bank: Path, family: Family, part: int) -> Path:
    """Return the file of vectors of a part."""
    return bank.resolve() / family.folder / f"part-{part:03d}.npy"


def part_facts(path: Path, remedy: str) -> PartFacts:
    """Return what is known of a file of vectors, or of a shard of it.

    Raises:
        DamagedError: the file beside it is missing or damaged.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise DamagedError(f"{path} is not complete: {remedy}")
    return _checked(beside, PartFacts, f"remove it, and {remedy}")


def sha256_of(path: Path, remedy: str) -> str:
    """Return the SHA-256 of a file.

    Raises:
        DamagedError: it cannot be read.
    """
    try:
        return sha256(path)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror}): {remedy}") from None


def _checked(path: Path, model: type[_Model], remedy: str) -> _Model:
    value: Mapping[str, Any] = read_sealed(path, remedy)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise DamagedError(f"{path} is damaged ({validation_message(error)}): {remedy}") from None
