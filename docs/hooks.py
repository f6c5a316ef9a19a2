"""Pages of the site that are generated from the code, and files from outside of docs/.

MkDocs calls the functions ``on_...`` (mkdocs.yml names this file). The reference pages are written
when the site is built, so they always agree with the code. A link to a file of the repository leads
to its page in the site if there is one, else to the repository, and is plain text if the address of
the repository is not known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click

from greenmachine.cli import names
from greenmachine.cli.app import app
from greenmachine.config import RunConfig
from greenmachine.config.groups import Group
from greenmachine.primitives import registry

ROOT = Path(__file__).parents[1]
BROUGHT = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/plugin/README.md": "tutorials/plugin_example.md",
    "results/README.md": "results/files.md",
}
"""Files of the repository outside of docs/, and their place in the site."""
_LINK = re.compile(
    r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?!https?:|mailto:|#)(?P<to>[^)#\s]*)(?P<anchor>#[^)]*)?\)"
)
_TICKS = re.compile(r"``(.+?)``")  # of docstrings
_ROW = re.compile(r"^\|.*\|$", re.M)
_SPACE_IN_NUMBER = re.compile(r"(?<=\d) (?=(±|s|min|h|d|ms|µs|[kMGT]B)(?!\w))|(?<=±) (?=\.?\d)")
"""Spaces of a table at which no line may end: before a unit, and around ±."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and files from elsewhere in the repository."""
    for path, place in _brought().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    pages = {
        "command_line": command_line,
        "settings": settings,
        "primitives": primitives,
        "proxies": proxies,
    }
    for name, page in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change every link to the place of its target in the site, and keep numbers on one line."""
    here = page.file.src_uri
    there = {place: path for path, place in _brought().items()}
    path = there.get(here, f"docs/{here}")

    def led(link: re.Match[str]) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(path), link["to"]))
        place = _brought().get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(place) is not None and (
            target in _brought() or target[:5] == "docs/"
        ):
            to = os.path.relpath(place, os.path.dirname(here) or ".")
        elif not (ROOT / target).exists():
            return link[0]  # MkDocs reports it
        elif config.repo_url:
            to = f"{config.repo_url.rstrip('/')}/blob/main/{target}"
        else:
            return link["text"]
        return f"{link['bang']}[{link['text']}]({to}{link['anchor'] or ''})"

    def unbroken(row: re.Match[str]) -> str:
        return _SPACE_IN_NUMBER.sub("\N{NO-BREAK SPACE}", row[0])

    return _ROW.sub(unbroken, _LINK.sub(led, markdown))


def _brought() -> dict[str, str]:
    found = dict(BROUGHT)
    for path in sorted((ROOT / "results").rglob("*")):
        if path.suffix in (".md", ".svg"):
            place = path.relative_to(ROOT).as_posix()
            found.setdefault(place, place)
    return found


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(value: object) -> str:
    return _TICKS.sub(r"`\1`", str(value)).replace("|", r"\|").replace("\n", " ")


def command_line() -> str:
    """Return a page of every command with its options."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="greenmachine")
    return text.replace("# `greenmachine`", "# Command line", 1)


def settings() -> str:
    """Return a page of every setting of a run with its default."""
    parts = {
        "Selection schemes": "selections",
        "Objectives": "objectives",
        "Callbacks": "callbacks",
    }
    text = (
        "# Settings\n\nA settings file is YAML. `--set key=value` changes a setting on the command "
        "line, and `greenmachine.Search` takes the same names in Python. A setting within a group "
        "has a dot: `--set evolution.population=200`.\n\n" + _group("A run", RunConfig, "")
    )
    for title, what in parts.items():
        rows = (
            (
                f"`{row['name']}`",
                ", ".join(f"`{each}`" for each in row["settings"]) or "none",
                row["description"],
            )
            for row in names.listed(what)
        )
        text += f"\n## {title}\n\n" + _table(
            ("scheme", "settings and defaults", "what it is"), rows
        )
    return text


def _group(title: str, group: type[Group], prefix: str) -> str:
    rows, below = [], ""
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Group):
            below += _group(f"`{prefix}{name}`: {_first(kind)}", kind, f"{prefix}{name}.")
            continue
        default: Any = field.get_default(call_default_factory=True)
        shown = "" if default is PydanticUndefined else f"`{_written(default)}`"
        rows.append((f"`{prefix}{name}`", shown, field.description or "", _limits(field.metadata)))
    table = _table(("setting", "default", "what it is", "range"), rows) if rows else ""
    return f"## {title}\n\n{table}\n{below}"


def _first(kind: type[Group]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _written(value: Any) -> str:
    if hasattr(value, "written"):
        value = value.written()["scheme"]
    return str(list(value) if isinstance(value, tuple) else value) or '""'


def _limits(metadata: Iterable[object]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = ((sign, getattr(rule, key, None)) for rule in metadata for key, sign in signs.items())
    return ", ".join(f"{sign} {value}" for sign, value in found if value is not None)


def primitives() -> str:
    """Return a page of every primitive, by family, and of the passes."""
    families: dict[str, list[Any]] = {}
    for each in registry:
        families.setdefault(each.family, []).append(each)
    text = (
        f"# Primitives\n\nThe language has {len(registry)} primitives in {len(families)} families. "
        "[Concepts](../concepts.md#kinds) explains the kinds of their arguments and results. "
        "`greenmachine list primitives` shows them too, with those of plugins.\n"
    )
    for family, members in families.items():
        rows = (
            (
                f"`{each.name}`",
                "<br>".join(f"`{signature}`" for signature in each.signatures),
                f"{each.doc}<br>Domain: {each.domain}.",
                each.reference,
            )
            for each in members
        )
        text += f"\n## {family.capitalize()}\n\n"
        text += _table(("name", "kinds", "what it computes", "reference"), rows)
    rows = (
        (f"`{row['name']}`", ", ".join(f"`{each}`" for each in row["signals"]), row["description"])
        for row in names.listed("passes")
    )
    return f"{text}\n## Passes\n\n" + _table(("pass", "signals", "what it does"), rows)


def proxies() -> str:
    """Return a page of every named proxy: those of other papers, and those that evolved here."""
    every = names.proxies()
    groups = {
        "Zoo": [facts for facts in every if "evolved on" not in facts],
        "Discoveries": [facts for facts in every if "evolved on" in facts],
    }
    text = (
        "# Proxies\n\nAn **expression** can be evolved and exported. A **function** reads the "
        "network in a way that the language cannot express. An **architecture** proxy reads the "
        "text of the architecture, and no network is built. `greenmachine proxies show NAME` shows "
        "the same facts.\n"
    )
    for title, members in groups.items():
        rows = (
            (
                f"[`{facts['name']}`](#{facts['name']})",
                facts["reference"],
                facts["form"] + ", low is good" * (facts["direction"] == -1),
                " ".join(facts["passes"]) or "none",
            )
            for facts in members
        )
        text += f"\n## {title}\n\n" + _table(("name", "reference", "form", "passes"), rows)
        text += "".join(map(_proxy, members))
    return text


def _proxy(facts: dict[str, Any]) -> str:
    what = facts["description"] if facts["description"] != facts["expression"] else ""
    lines = [f"\n### {facts['name']} {{#{facts['name']}}}\n", _TICKS.sub(r"`\1`", what)]
    if facts["expression"]:
        lines.append(f"\n```text\n{facts['expression']}\n```\n")
    elif facts["function"]:
        lines.append(f"\nFunction: `{facts['function']}`\n")
    shown = {
        "maths": "Formula",
        "why": "Why it may work",
        "evolved on": "Evolved on",
        "notes": "Notes",
    }
    lines += (f"\n{title}: {facts[key]}\n" for key, title in shown.items() if facts.get(key))
    return "\n".join(lines) + "\n"
