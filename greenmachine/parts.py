"""The exchangeable parts of a search: selection schemes, objectives and callbacks.

A part is an object, such as ``Lexicase(epsilon=0.01)``. In YAML and on the command line it is
written as the name of its kind with its settings, ``{scheme: lexicase, epsilon: 0.01}``, or just as
``lexicase``.

A *family* is the base class of all kinds of one part. A plugin adds a kind by deriving from it::

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

__all__ = ["Part", "validation_message"]

_WORDS = {"extra_forbidden": "there is no such setting"}  # pydantic's message is about code


class Part(BaseModel):
    """One kind of a part; its fields are its settings.

    Attributes:
        scheme: name of the kind.
        family: name of the family, such as "selection scheme".
        members: all kinds of the family, by name; the first is the default.
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
            raise ConfigError(f"{cls.family} {scheme!r} already exists: choose another name")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Add the kind to its family.

        Raises:
            ConfigError: it does not define a method that its family requires.
        """
        if cls.scheme and inspect.isabstract(cls):
            missing = ", ".join(sorted(cls.__abstractmethods__))
            raise ConfigError(f"{cls.family} {cls.scheme!r} has no {missing}: define it")
        if cls.scheme:
            cls.members[cls.scheme] = cls

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a setting of the family's type accept any of its kinds, and serialise it."""
        if "members" not in cls.__dict__:  # a single kind
            return handler(source)
        written = core_schema.plain_serializer_function_ser_schema(lambda part: part.written())
        return core_schema.no_info_plain_validator_function(cls.make, serialization=written)

    @classmethod
    def make(cls, value: Any) -> Self:
        """Return the part for ``value``.

        Args:
            value: a part, a kind, the name of a kind, or a mapping with ``scheme`` and settings; a
                mapping without ``scheme`` means the default kind.

        Raises:
            ValueError: there is no such kind, or a setting is invalid.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, type) and issubclass(value, cls) and value.scheme:
            value = value.scheme
        settings: Any = {"scheme": value} if isinstance(value, str) else value
        if not isinstance(settings, Mapping):
            raise ValueError(
                f"{short(value)} is not a valid {cls.family}: write {{scheme: NAME, ...}}"
            )
        settings = dict(settings)
        scheme = settings.pop("scheme", next(iter(cls.members)))
        if not isinstance(scheme, str) or scheme not in cls.members:
            raise ValueError(
                f"there is no {cls.family} {short(scheme)}: choose from {', '.join(cls.members)}"
            )
        try:
            made = cls.members[scheme].model_validate(settings)
        except ValidationError as error:
            raise ValueError(
                f"{scheme}: {validation_message(error, cls.members[scheme])}"
            ) from None
        assert isinstance(made, cls)
        return made

    @staticmethod
    def forget(gone: Callable[[str], bool]) -> None:
        """Remove the kinds of all families from modules for which ``gone`` returns true."""
        for family in Part.__subclasses__():
            for scheme, kind in list(family.members.items()):
                if gone(kind.__module__):
                    del family.members[scheme]

    def written(self) -> dict[str, Any]:
        """Return the part in its serialised form."""
        return {"scheme": self.scheme, **self.model_dump(mode="json")}


def validation_message(error: ValidationError, settings: type[BaseModel] | None = None) -> str:
    """Return one line that describes invalid settings, each error after its location.

    Args:
        error: the error of pydantic.
        settings: the class of the settings; if given, the message suggests the setting whose name
            is closest to an unknown one.
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
    """Return the end of a message that suggests the setting closest to the last of ``names``."""
    for name in names[:-1]:
        field = settings.model_fields.get(name)
        group = None if field is None else field.annotation
        if not (isinstance(group, type) and issubclass(group, BaseModel)):
            return ""
        settings = group
    close = get_close_matches(names[-1], settings.model_fields, n=1)
    return "".join(f"; did you mean {'.'.join([*names[:-1], each])}?" for each in close)
