"""A group of settings: the generation loop."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from greenmachine.config.groups import Group

__all__ = ["EvolutionConfig"]


class EvolutionConfig(Group):
    """The generation loop."""

    population: int = Field(default=400, ge=4)
    generations: int = Field(default=40, ge=0)
    elites: int = Field(default=10, ge=0, description="that go on unchanged")
    immigrants: float = Field(default=0.05, ge=0, le=1, description="share of new random trees")
    crossover: float = Field(default=0.4, ge=0, le=1, description="share by subtree exchange")
    combine: float = Field(default=0.15, ge=0, le=1, description="share that joins two parents")
    tune: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="share that changes aggregators, numbers and functions of scalars alone; what "
        "is left of 1 mutates anywhere",
    )
    brood: int = Field(
        default=16,
        ge=1,
        description="tries of which a joined or tuned child is the best on the training sample; "
        "the values of parents are cached, so a try needs no tensor computation; 1 joins two "
        "parents, and tunes one, by chance",
    )
    leaf_bias: float = Field(default=0.1, ge=0, le=1, description="chance to move a leaf")
    mutations: dict[Literal["uniform", "node", "insert", "shrink", "hoist"], float] = Field(
        default={"uniform": 3.0, "node": 3.0, "insert": 2.0, "shrink": 1.0, "hoist": 1.0},
        description="relative rates",
    )
    racing: int = Field(
        default=0,
        ge=0,
        description="networks of every training sample on which a new individual must not be "
        "constant, failing or clearly below the last generation's median, or it stops there; 0 "
        "lets all of them run; changes results",
    )
    validate_best: int = Field(default=20, ge=1, description="of a generation")
    hall_of_fame: int = Field(default=20, ge=1)
    seeds: tuple[str, ...] = Field(default=(), description="in the first population")

    @field_validator("seeds", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> EvolutionConfig:
        if self.elites >= self.population:
            raise ValueError("elites must be fewer than the population")
        if self.crossover + self.combine + self.tune > 1:
            raise ValueError("crossover, combine and tune must not exceed 1 together")
        if (
            not self.mutations
            or min(self.mutations.values()) < 0
            or not sum(self.mutations.values())
        ):
            raise ValueError("mutations needs rates of at least 0, one of them above")
        return self
