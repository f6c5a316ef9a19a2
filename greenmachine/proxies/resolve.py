"""Resolve the name of a proxy: a known name, an expression, an exported file, or a run folder."""

from __future__ import annotations

import ast
import os
import warnings
from pathlib import Path
from reprlib import repr as short
from typing import Any

from greenmachine.errors import ConfigError, ExpressionError, RunError, minus_error, one_line
from greenmachine.language import parse
from greenmachine.proxies.combinations import COMBINATIONS, read_rank_sum
from greenmachine.proxies.registry import PROXIES
from greenmachine.proxies.types import ExpressionProxy, Proxy

__all__ = ["EXPORTED", "read_export", "read_run", "resolve"]

_CONSTANTS = ("EXPRESSION", "DIRECTION")

EXPORTED = "exported by GreenMachine"
"""In the first line of every exported file."""


def resolve(text: str) -> Proxy:
    """Return the proxy that ``text`` names.

    Args:
        text: a known name; the path of an exported ``.py`` or of a run's folder; or an
            expression, for which a high score counts as good.

    Raises:
        ConfigError: there is no proxy of that name, the file is not an exported proxy, the text
            combines the scores of a set of networks, or it begins with a minus.
        RunError: the folder does not contain a finished run.
        ExpressionError: the expression is invalid; the message points at the place.
    """
    text = text.strip()
    if text in PROXIES:
        return PROXIES.find(text)
    if text.startswith("-"):
        raise minus_error(text)
    if read_rank_sum(text) is not None:
        raise ConfigError(
            f"{text[:200]} ranks a set of networks, so it is no proxy of one network: give it to "
            "`greenmachine score`, `evaluate --combine` or `search`"
        )
    if text in COMBINATIONS:
        names = " ".join(COMBINATIONS[text].components)
        raise ConfigError(
            f"{text} combines the scores of a set of networks: `greenmachine score {names} ...` "
            "writes a file to which `greenmachine evaluate` adds it"
        )
    if "(" not in text or text.endswith(".py"):
        path = Path(text)
        if text.endswith(".py"):
            return read_export(path)
        if text and path.is_dir():
            return read_run(path)
        if "/" in text or "\\" in text:
            raise ConfigError(f"no proxy at {text}: give an exported .py or a run's folder")
        return PROXIES.find(text)
    if os.path.isdir(text):  # pathlib raises where an expression is too long for a file name
        return read_run(Path(text))
    expression = parse(text).text
    return ExpressionProxy(
        name=expression,
        expression=expression,
        description=expression,
        notes="A high score counts as good.",
    )


def read_export(path: Path) -> ExpressionProxy:
    """Return the proxy of an exported file; the file is parsed, never executed.

    Raises:
        ConfigError: the file is missing, unreadable, or not an exported proxy.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in strings do not matter here
            module = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror}): give an exported .py") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = one_line(error, 200)
        raise ConfigError(f"{path} is not Python ({reason}): export the proxy again") from None
    found: dict[str, Any] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in _CONSTANTS:
                try:
                    found[name] = ast.literal_eval(statement.value)
                except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                    raise ConfigError(f"{path}: {name} is not a constant: export again") from None
    title, _, formula = (ast.get_docstring(module, clean=False) or "").partition("\n\n")
    if EXPORTED in title:  # the compact form has its expression only in the docstring
        found.setdefault("EXPRESSION", formula.strip())
    missing = [name for name in _CONSTANTS if name not in found]
    if missing:
        raise ConfigError(
            f"{path} is not an exported proxy ({missing[0]} is missing): make one with "
            "`greenmachine export`"
        )
    return _read(path.stem, found["EXPRESSION"], found["DIRECTION"], path, "export again")


def read_run(folder: Path) -> ExpressionProxy:
    """Return the best proxy of a finished run.

    Raises:
        RunError: the folder has no ``result.json``, or a damaged one.
    """
    # Imported here: workers resolve names, and should not import all of evolution for that.
    from greenmachine.evolution import RunFolder

    path = folder / "result.json"
    best = RunFolder(folder).result()["best"]
    expression, direction = best["expression"], best["direction"]
    try:
        return _read(folder.resolve().name, expression, direction, path, "run again")
    except ConfigError as error:
        raise RunError(str(error)) from None


def _read(name: str, expression: Any, direction: Any, path: Path, remedy: str) -> ExpressionProxy:
    if type(direction) is not int or direction not in (1, -1):
        raise ConfigError(f"{path}: direction {short(direction)} is not 1 or -1: {remedy}")
    if not isinstance(expression, str):
        raise ConfigError(f"{path}: the expression is {short(expression)}, not text: {remedy}")
    try:
        text = parse(expression).text
    except ExpressionError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path}: the expression does not parse: {reason}") from None
    return ExpressionProxy(
        name=name, expression=text, direction=int(direction), reference=str(path), description=text
    )
