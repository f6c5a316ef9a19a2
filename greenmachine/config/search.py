"""The settings of the evolutionary loop."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from greenmachine.config.groups import Group

__all__ = ["EvolutionConfig"]


class EvolutionConfig(Group):
    """Population, variation operators and other settings of the evolutionary loop."""

    population: int = Field(
        default=400, ge=4, description="number of individuals in each generation"
    )
    generations: int = Field(
        default=40, ge=0, description="number of generations after the first population"
    )
    elites: int = Field(
        default=10,
        ge=0,
        description="number of best individuals that enter the next generation unchanged",
    )
    immigrants: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of a generation that consists of new random trees",
    )
    crossover: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="share of the children that exchange a subtree between two parents",
    )
    combine: float = Field(
        default=0.15,
        ge=0,
        le=1,
        description="share of the children that join two whole parents by an operator such as mul",
    )
    tune: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="share of the children in which only aggregations, numbers and scalar "
        "functions change; the rest, 1 - crossover - combine - tune, mutate anywhere",
    )
    brood: int = Field(
        default=16,
        ge=1,
        description="number of trials for each joined or tuned child; the best on the training "
        "sample becomes the child; values of the parents are cached, so a trial needs no tensor "
        "computation; 1 means one random trial",
    )
    leaf_bias: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="probability that crossover exchanges leaves; otherwise it exchanges any "
        "subtrees of one kind",
    )
    mutations: dict[Literal["uniform", "node", "insert", "shrink", "hoist"], float] = Field(
        default={"uniform": 3.0, "node": 3.0, "insert": 2.0, "shrink": 1.0, "hoist": 1.0},
        description="relative rates of the kinds of mutation",
    )
    racing: int = Field(
        default=0,
        ge=0,
        description="early stopping: number of networks of every training sample after which the "
        "evaluation of a new individual stops if its scores are constant, fail, or are clearly "
        "worse than the median of the last generation; 0 turns it off; it changes results",
    )
    validate_best: int = Field(
        default=20,
        ge=1,
        description="number of best individuals of each generation that are also evaluated on the "
        "validation sample",
    )
    hall_of_fame: int = Field(
        default=20, ge=1, description="number of individuals in the hall of fame"
    )
    seeds: tuple[str, ...] = Field(
        default=(), description="expressions that are put into the first population"
    )

    @field_validator("seeds", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> EvolutionConfig:
        if self.elites >= self.population:
            raise ValueError("elites must be less than population")
        if self.crossover + self.combine + self.tune > 1:
            raise ValueError("the sum of crossover, combine and tune must not exceed 1")
        if (
            not self.mutations
            or min(self.mutations.values()) < 0
            or not sum(self.mutations.values())
        ):
            raise ValueError("mutations needs rates of at least 0, and one rate above 0")
        return self
