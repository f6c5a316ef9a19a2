"""Hostile inputs: each must be read, or refused in one line by one of our own errors."""

from __future__ import annotations

import json
import os
import random
import string
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "fuzz"]

_SPICE = [
    "", " ", "\n", "\t", "\0", "\ufeff", "²", "٣", "é", "\ud800", "[/bold]", "[red]", "{", "}",
    "[", "]",
    "(", ")", ",", ":", "- ", "&a", "*a", "!!bool", "!!python/object:os.system", "!!binary",
    "!!set",
    "null", "true", "~", ".inf", ".nan", "-1", "0", "1e999", "2020-13-45", "99999999999999999999",
    "0x",
    "../", "/", "'", '"', "\\", "%", "#", "|", ">", "<<", "? ", "noise_input", "weight", "depth",
    "sum_layers", "l2_norm(", "generations", "evolution", "samples", "tasks", "name", "seed",
    "nats-tss", "x.py:y.csv", "--", "-", "--debug", "=",
]  # fmt: skip

_YAML = """name: a
seed: 1
tasks: digits-tss
passes: [noise]
samples: {train: {size: 16}, validation: {size: 8}, test: {size: rest}}
capture: {batch: 2, options: {cells: 1}, stand_in: {}}
language: {name: typed, exclude: [], max_height: 9}
evolution: {population: 12, generations: 3, mutations: {uniform: 3.0}, seeds: [synflow]}
objective: {aggregate: mean, parsimony: 0.0005}
"""

_TEXT = "add(sum_layers(l2_norm(noise_input)), mean_layers(min_eigenvalue(filter_gram(weight))))"


def _mutated(text: str, draw: random.Random) -> str:
    """Return ``text`` with some pieces replaced, inserted, repeated or removed."""
    for _ in range(draw.randint(1, 4)):
        at, to = sorted(draw.randrange(len(text) + 1) for _ in range(2))
        to = min(to, at + 12)
        match draw.randrange(5):
            case 0:
                text = text[:at] + draw.choice(_SPICE) + text[at:]
            case 1:
                text = text[:at] + draw.choice(_SPICE) + text[to:]
            case 2:
                text = text[:at] + text[to:]
            case 3:
                text = text[:to] + text[at:to] * draw.choice([1, 2, 10, 150]) + text[to:]
            case _:
                noise = "".join(draw.choices(string.printable, k=draw.randint(1, 8)))
                text = text[:at] + noise + text[at:]
    return text


def _bytes(text: str, draw: random.Random) -> bytes:
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    if content and draw.random() < 0.3:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def _yaml(draw: random.Random, folder: Path) -> None:
    from greenmachine.config import load_config

    path = folder / "x.yaml"
    path.write_bytes(_bytes(_mutated(_YAML, draw), draw))
    load_config(path)


def _expression(draw: random.Random, folder: Path) -> None:
    from greenmachine.language import parse

    parse(_mutated(_TEXT, draw))


def _export(draw: random.Random, folder: Path) -> None:
    from greenmachine.proxies import resolve

    path = folder / "x.py"
    text = f"EXPRESSION = ('sum_layers('\n    'depth)')\nDIRECTION = 1\nx = {_TEXT!r}\n"
    path.write_bytes(_bytes(_mutated(text, draw), draw))
    resolve(str(path))


def _value(draw: random.Random) -> Any:
    return draw.choice(
        [None, True, -1, 0, 2**70, 1.5, "", "x", "[/b]", [], [[]], {}, {"a": 1}, [1] * 3, "sum("]
    )


def _damaged(value: Any, draw: random.Random) -> Any:
    """Replace or remove a random part of a JSON value."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.15:
        return _value(draw)
    if isinstance(value, list):
        place = draw.randrange(len(value))
        return [*value[:place], _damaged(value[place], draw), *value[place + 1 :]]
    key = draw.choice(list(value))
    if draw.random() < 0.2:
        return {k: v for k, v in value.items() if k != key}
    return {**value, key: _damaged(value[key], draw)}


def _json(draw: random.Random, folder: Path) -> None:
    """Read a finished run with one damaged file, whose checksum may fit or not."""
    from greenmachine.files import SEAL, write_sealed
    from greenmachine.proxies import resolve
    from greenmachine.reports.reading import read_record

    run = folder.parent / "unbroken"
    for name in ("config.json", "manifest.json", "checkpoint.json", "result.json"):
        (folder / name).write_bytes((run / name).read_bytes())
    path = folder / draw.choice(["config.json", "manifest.json", "checkpoint.json", "result.json"])
    value = json.loads(path.read_text())
    value.pop(SEAL)
    value = _damaged(value, draw)
    if isinstance(value, dict) and draw.random() < 0.8:
        write_sealed(path, value)
    else:
        path.write_bytes(_bytes(json.dumps(value), draw))
    if not (folder / "scores.parquet").exists():
        (folder / "scores.parquet").write_bytes((run / "scores.parquet").read_bytes())
    resolve(str(folder))
    read_record(folder)


def _attributes(draw: random.Random, folder: Path) -> None:
    import pandas as pd

    from greenmachine.benchmarks import load_benchmark, refuse_unnamed_code
    from greenmachine.evaluation import check_rows, direction_of, read_scores, score_columns

    path = folder / "x.parquet"
    frame = pd.DataFrame({"index": [0, 1, 2, 3], "a": [1.0, 2.0, 3.0, None]})
    told = _damaged(
        {"benchmark": "digits-tss", "dataset": "digits", "proxies": {"a": "depth"},
         "directions": {"a": 1}},
        draw,
    )  # fmt: skip
    if not isinstance(told, dict):  # pandas writes only dictionaries
        return
    frame.attrs = told
    frame.to_parquet(path)
    content = bytearray(path.read_bytes())
    if draw.random() < 0.5:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    read = read_scores([path])
    for name in score_columns(read):
        direction_of(read, name)
    name = str(read.attrs.get("benchmark", "digits-tss"))
    refuse_unnamed_code([name], path, [])
    check_rows(read, load_benchmark(name))


_COMMANDS = [
    ["evolve", "--resume", "nowhere"],
    ["evolve", "nowhere.yaml", "--seed", "1", "--set", "evolution.population=9"],
    ["evolve", "--set", "evolution.population=3", "--set", "seed=1"],
    ["export", "nowhere", "--rank", "1", "--out", "x.py"],
    ["score", "sum_layers(dept)", "--on", "digits-tss", "--sample", "2", "--batch", "2"],
    ["score", "nowot", "--arch", "3", "--option", "cells=1"],
    ["evaluate", "nowhere.parquet", "--dataset", "digits"],
    ["forest", "fit", "nowhere.parquet", "--train", "0.5", "--trees", "3"],
    ["forest", "predict", "nowhere.json", "nowhere.parquet"],
    ["proxies", "show", "synflo"],
    ["report", "nowhere"],
    ["data", "add", "nowhere.csv", "--as", "nats-tss"],
    ["data", "import-nats", "nowhere"],
    ["reproduce", "nothing"],
]


def _command(draw: random.Random, folder: Path) -> None:
    """Run a command line with a fault; none of these commands can do any work."""
    from greenmachine.cli.app import run

    words = list(draw.choice(_COMMANDS))
    place = draw.randrange(1, len(words))
    words[place] = _mutated(words[place], draw)
    if draw.random() < 0.3:
        words.insert(draw.randrange(1, len(words) + 1), draw.choice(_SPICE))
    words = [word for word in words if word not in ("--recompute", "all", "--debug")]
    os.chdir(folder)
    out, errors = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        code = run(words)
    text = errors.getvalue()
    if code not in (0, 1, 2) or "unexpected: " in text or "Traceback" in text:
        raise RuntimeError(f"{words}: {code}: {text[:500]}")


KINDS: dict[str, tuple[Callable[[random.Random, Path], None], int]] = {
    "YAML": (_yaml, 5_000),
    "expressions": (_expression, 8_000),
    "exported files": (_export, 4_400),
    "JSON of a run": (_json, 1_600),
    "command lines": (_command, 700),
    "Parquet attributes": (_attributes, 300),
}
"""By name the function that reads an input, and the number of inputs to try."""


def fuzz(kind: str, seed: int, count: int, folder: Path) -> tuple[int, list[str]]:
    """Try ``count`` inputs; return the number of refused inputs, and all other errors."""
    from greenmachine.errors import GreenMachineError, one_line

    read, _ = KINDS[kind]
    refused, faults = 0, []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for number in range(count):
            try:
                read(random.Random(f"{seed} {kind} {number}"), Path(name))
            except GreenMachineError:
                refused += 1
            except Exception as error:
                faults.append(f"{kind} {number}: {type(error).__name__}: {one_line(error, 300)}")
    print(f"{kind}: {count} inputs, {refused} refused, {len(faults)} faults", file=sys.stderr)
    return refused, faults
