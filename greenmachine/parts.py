"""Parts of a search of which there are several kinds: selection schemes, objectives, callbacks.

A part is an object that a user makes, ``Lexicase(epsilon=0.01)``. In YAML and on the command line
the same part is written as the name of its kind and its settings, ``{scheme: lexicase, epsilon:
0.01}``, or ``lexicase`` alone.

A *family* is the class that all kinds of one part derive from. A plugin adds a kind by deriving
from it::

    class Roulette(greenmachine.Selection, scheme="roulette"):
        temperature: float = 1.0
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from reprlib import repr as short
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from greenmachine.errors import ConfigError, one_line

__all__ = ["Part", "told_faults"]

_WORDS = {"extra_forbidden": "there is no such setting"}  # pydantic's word fits code, not a file


class Part(BaseModel):
    """One kind of a part; its fields are its settings.

    Attributes:
        scheme: name of the kind.
        family: what all kinds of the part are called, such as "selection scheme".
        members: all kinds of the part, by name; the first is the default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheme: ClassVar[str] = ""
    family: ClassVar[str] = ""
    members: ClassVar[dict[str, type[Part]]] = {}

    def __init_subclass__(cls, *, family: str = "", scheme: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.scheme = scheme
        if family:
            cls.family, cls.members = family, {}
        if scheme in cls.members:
            raise ConfigError(f"there are two kinds {scheme!r} of {cls.family}: rename one")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Add the kind to its family.

        Raises:
            ConfigError: it lacks a method that its family needs.
        """
        if cls.scheme and inspect.isabstract(cls):
            missing = ", ".join(sorted(cls.__abstractmethods__))
            raise ConfigError(f"{cls.family} {cls.scheme!r} lacks {missing}: define it")
        if cls.scheme:
            cls.members[cls.scheme] = cls

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a setting of the family's type take any of its kinds, and be written as one."""
        if "members" not in cls.__dict__:  # one kind, with a name or without
            return handler(source)
        written = core_schema.plain_serializer_function_ser_schema(lambda part: part.written())
        return core_schema.no_info_plain_validator_function(cls.make, serialization=written)

    @classmethod
    def make(cls, value: Any) -> Self:
        """Return the part that ``value`` says.

        Args:
            value: a part, a kind, the name of a kind, or a mapping with ``scheme`` and settings;
                without ``scheme`` the default kind.

        Raises:
            ValueError: there is no such kind, or a setting of it is wrong.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, type) and issubclass(value, cls) and value.scheme:
            value = value.scheme
        settings: Any = {"scheme": value} if isinstance(value, str) else value
        if not isinstance(settings, Mapping):
            raise ValueError(f"{short(value)} is no {cls.family}: write {{scheme: NAME, ...}}")
        settings = dict(settings)
        scheme = settings.pop("scheme", next(iter(cls.members)))
        if not isinstance(scheme, str) or scheme not in cls.members:
            raise ValueError(
                f"there is no {cls.family} {short(scheme)}; there are {', '.join(cls.members)}"
            )
        try:
            made = cls.members[scheme].model_validate(settings)
        except ValidationError as error:
            raise ValueError(f"{scheme}: {told_faults(error, cls.members[scheme])}") from None
        assert isinstance(made, cls)
        return made

    @staticmethod
    def forget(gone: Callable[[str], bool]) -> None:
        """Remove the kinds, of every family, of each module of which ``gone`` is true."""
        for family in Part.__subclasses__():
            for scheme, kind in list(family.members.items()):
                if gone(kind.__module__):
                    del family.members[scheme]

    def written(self) -> dict[str, Any]:
        """Return the part as it stands in a configuration file."""
        return {"scheme": self.scheme, **self.model_dump(mode="json")}


def told_faults(error: ValidationError, settings: type[BaseModel] | None = None) -> str:
    """Return in one line what is wrong with settings, each fault after the place where it is.

    Args:
        error: of pydantic.
        settings: the class whose values were wrong; with it, a name that is nearly one of its
            settings is told that one.
    """
    lines = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"])
        what = _WORDS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        if fault["type"] == "extra_forbidden" and settings is not None:
            what += _nearest(settings, [str(part) for part in fault["loc"]])
        lines.append(f"{where}: {what}" if where else what)
    return one_line(ValueError("; ".join(lines)))


def _nearest(settings: type[BaseModel], names: list[str]) -> str:
    """Return the end of a message: the setting beside the last of ``names`` that it resembles."""
    for name in names[:-1]:
        field = settings.model_fields.get(name)
        group = None if field is None else field.annotation
        if not (isinstance(group, type) and issubclass(group, BaseModel)):
            return ""
        settings = group
    close = get_close_matches(names[-1], settings.model_fields, n=1)
    return "".join(f"; did you mean {'.'.join([*names[:-1], each])}?" for each in close)
