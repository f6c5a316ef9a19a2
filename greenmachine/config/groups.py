"""Groups of settings: what is drawn, how it is captured, and what an expression may say."""

from __future__ import annotations

from reprlib import repr as short  # of a value that may hold itself, or grow without end
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["CaptureConfig", "Group", "LanguageConfig", "SampleConfig", "SamplesConfig"]


class Group(BaseModel):
    """Unknown keys are errors: a misspelt setting must not fall back to its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleConfig(Group):
    """One sample of networks: how many, and how they are drawn."""

    size: int | Literal["auto", "rest"] = Field(
        default="auto",
        description="networks; `auto` fits the space: 40, 30 and 30 % of it, but at most 128, 200 "
        "and 1000; `rest` takes all that is left (test only)",
    )
    kind: Literal["random", "equal_width", "quantile"] = "random"
    bins: int = Field(default=10, ge=1, description="accuracy bins of the stratified kinds")
    best: float = Field(
        default=1.0, gt=0, le=1, description="draw from this share of the space, the most accurate"
    )

    @field_validator("size", mode="before")
    @classmethod
    def _size(cls, size: Any) -> Any:
        # One message for the whole union, where pydantic has one for every member.
        if size in ("auto", "rest") or (type(size) is int and size >= 3):
            return size
        raise ValueError(f"{short(size)} is not a number of at least 3, auto, or (for test) rest")


class SamplesConfig(Group):
    """The three disjoint samples."""

    train: SampleConfig = SampleConfig()
    validation: SampleConfig = SampleConfig()
    test: SampleConfig = SampleConfig()


class CaptureConfig(Group):
    """How networks are built and sent through their passes."""

    batch: int = Field(default=8, ge=1, le=65_536, description="images a pass")
    options: dict[str, int] = Field(
        default={}, description="of the benchmarks that have them, {cells: 2}"
    )
    stand_in: dict[str, str] = Field(
        default={},
        description="{cifar100: cifar10}: networks for the second data set stand for those for the "
        "first, on train and validation (nats-tss/cifar100: on that benchmark alone); exact for "
        "activations of noise, approximate for gradients",
    )
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|auto|cuda(:\d{1,3})?)$",
        description="of passes and evaluation: cpu, cuda (every GPU), cuda:1, or auto (GPUs where "
        "there are some)",
    )
    keep: bool = Field(default=False, description="keep the signal store when the run is done")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="of the stored signals; half the disk, rounded scores"
    )


class LanguageConfig(Group):
    """What an expression may say, and how large it may be."""

    name: Literal["typed", "paper"] = Field(
        default="typed",
        description="`paper`: the untyped functions of the published method, over its own passes",
    )
    exclude: tuple[str, ...] = Field(default=(), description="primitives and signals to leave out")
    max_height: int = Field(default=9, ge=1, le=60)
    max_size: int = Field(default=25, ge=2, description="nodes")
    start_height: tuple[int, int] = Field(default=(3, 6), description="of the first random trees")
