"""Parts of which there are several kinds: made by name, written as settings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from greenmachine.errors import ConfigError
from greenmachine.parts import Part


class Fruit(Part, family="fruit"):
    """The family."""


class Apple(Fruit, scheme="apple"):
    """The default kind."""

    weight: int = Field(default=100, gt=0)


class Pear(Fruit, scheme="pear"):
    """Another."""

    ripe: bool = False


class Basket(BaseModel):
    fruit: Fruit = Apple()


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("pear", Pear()),
        ({"scheme": "pear", "ripe": True}, Pear(ripe=True)),
        ({"weight": 3}, Apple(weight=3)),
        (Pear(ripe=True), Pear(ripe=True)),
    ],
)
def test_is_made_as_it_is_written(value: Any, part: Fruit) -> None:
    basket = Basket(fruit=value)
    assert basket.fruit == part
    assert Basket.model_validate(basket.model_dump(mode="json")) == basket
    assert basket.model_dump()["fruit"]["scheme"] == part.scheme


@pytest.mark.parametrize("value", ["plum", {"scheme": "plum"}, {"scheme": 3}, 5, None, ["apple"]])
def test_unknown_kinds_list_those_that_there_are(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"apple, pear|scheme"):
        Basket(fruit=value)


@pytest.mark.parametrize("value", [{"weight": 0}, {"scheme": "pear", "weight": 3}])
def test_wrong_settings_are_named(value: Any) -> None:
    with pytest.raises(ValidationError, match="weight: "):
        Basket(fruit=value)


def test_two_kinds_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="already exists"):
        type("Other", (Fruit,), {"__module__": __name__}, scheme="pear")
    assert Fruit.members["pear"] is Pear
