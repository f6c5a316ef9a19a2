"""Errors: they travel between processes, and any of them becomes one readable line."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from greenmachine import errors
from greenmachine.errors import ExpressionError, GreenMachineError, one_line
from greenmachine.interrupts import Ended
from greenmachine.language import parse


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for other in kind.__subclasses__():
        yield from subclasses(other)


def made(kind: type[BaseException]) -> BaseException:
    if issubclass(kind, ExpressionError):
        return kind("unknown name", "sum_layers(dept)", 11)
    return kind(15) if issubclass(kind, Ended) else kind("what is wrong: what to do")


@pytest.mark.parametrize(
    "kind", [*subclasses(GreenMachineError), *subclasses(Ended)], ids=lambda kind: kind.__name__
)
def test_every_error_comes_back_from_a_worker(kind: type[BaseException]) -> None:
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_every_error_class_is_offered() -> None:
    assert {kind.__name__ for kind in subclasses(GreenMachineError)} <= {*errors.__all__}


def test_error_of_the_parser_comes_back_from_a_worker() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("sum_layers(dept)")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.text, again.position) == (caught.value.text, caught.value.position)


class Mute(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error",
    [
        ValueError(""),
        ValueError("two\nlines\r\n\tand  blanks"),
        ValueError("x" * 10**7),
        ValueError("\x1b[31mred\x00\udc80"),
        Mute(),
        KeyError(),
        Ended(15),
    ],
    ids=["empty", "lines", "long", "unprintable", "mute", "key", "ended"],
)
def test_any_error_is_one_line(error: BaseException) -> None:
    line = one_line(error, 200)
    assert line
    assert len(line) <= 200
    assert line.isprintable()
    line.encode()
