"""Groups of settings: the samples, the capture of signals, and the language of expressions."""

from __future__ import annotations

from reprlib import repr as short  # a value may be recursive or very long
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["CaptureConfig", "Group", "LanguageConfig", "SampleConfig", "SamplesConfig"]


class Group(BaseModel):
    """Base class of settings. An unknown key is an error, so a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleConfig(Group):
    """One sample of networks: its size and how it is drawn."""

    size: int | Literal["auto", "rest"] = Field(
        default="auto",
        description="number of networks; `auto`: 40 % (train), 30 % (validation) and 30 % (test) "
        "of the space, but at most 128, 200 and 1000; `rest`: all remaining networks (test only)",
    )
    kind: Literal["random", "equal_width", "quantile"] = Field(
        default="random",
        description="`random`: uniformly at random; `equal_width` or `quantile`: stratified by "
        "accuracy, in bins of equal width or with equally many networks",
    )
    bins: int = Field(
        default=10, ge=1, description="number of accuracy bins, for equal_width and quantile"
    )
    best: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="draw only from the most accurate networks: this share of the space",
    )
    functions: int | None = Field(
        default=None,
        ge=1,
        description="first draw this many functions, then `size` of all networks that compute one "
        "of them, so that a function counts as often as the space contains it; on a bank, networks "
        "that are not in it get the scores of one that computes the same function",
    )

    @field_validator("size", mode="before")
    @classmethod
    def _size(cls, size: Any) -> Any:
        # One message for the whole union; pydantic would give one for every member.
        if size in ("auto", "rest") or (type(size) is int and size >= 3):
            return size
        raise ValueError(
            f"{short(size)} is not allowed: give an integer of at least 3, auto, or (for test) rest"
        )

    @model_validator(mode="after")
    def _functions(self) -> Self:
        if self.functions is not None and self.size == "auto":
            raise ValueError("functions needs a size: give the number of networks")
        return self


class SamplesConfig(Group):
    """The three disjoint samples of networks: train, validation and test."""

    train: SampleConfig = SampleConfig()
    validation: SampleConfig = SampleConfig()
    test: SampleConfig = SampleConfig()


class CaptureConfig(Group):
    """How networks are built and which device and precision their passes use."""

    batch: int = Field(default=8, ge=1, le=65_536, description="number of images in each pass")
    options: dict[str, int] = Field(
        default={},
        description="how networks are built, for example {cells: 2}; an option applies to every "
        "benchmark that has it",
    )
    stand_in: dict[str, str] = Field(
        default={},
        description="{cifar100: cifar10}: on train and validation, use networks built for cifar10 "
        "in place of those built for cifar100, which saves passes ({nats-tss/cifar100: cifar10}: "
        "on that benchmark only); exact for activations on noise, approximate for gradients",
    )
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|auto|cuda(:\d{1,3})?)$",
        description="device for passes and evaluation: cpu; cuda, every GPU; cuda:1, one GPU; "
        "auto, every GPU if there is one, else the CPU",
    )
    keep_signals: bool = Field(
        default=False, description="whether to keep the stored signals after the run has finished"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="number format of the stored signals; the 16-bit formats need half the disk "
        "space, and change scores slightly by rounding",
    )


class LanguageConfig(Group):
    """The language of the expressions, and the largest size of an expression."""

    name: Literal["typed", "paper"] = Field(
        default="typed",
        description="`typed`: the language of this project; `paper`: the untyped functions and "
        "the passes of the published method (arXiv 2411.15290)",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="names of primitives and signals that expressions must not use"
    )
    max_height: int = Field(
        default=9, ge=1, le=60, description="largest height of a tree; a leaf has height 0"
    )
    max_size: int = Field(default=25, ge=2, description="largest number of nodes of a tree")
    start_height: tuple[int, int] = Field(
        default=(3, 6), description="smallest and largest height of the first random trees"
    )
