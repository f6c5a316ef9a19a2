"""Record which networks were used to select the evolved proxies, from the exports of their runs.

    python -m experiments.evolved_samples

Reads ``results/proxies/<name>.json`` of every evolved proxy and writes
``greenmachine/proxies/discovered.json``: for each proxy and space, the training and validation
networks of its run, and of the runs whose proxies were in its first population. A key
``also_used`` has further networks by benchmark that helped to choose, such as those of a bank on
which the champions of several runs were compared. Champions that a
later run has replaced are in ``results/proxies/earlier``. If several have one name, a run was
seeded with the last one that existed before it. An expression does not record where it comes from.
A run that begins with expressions of another run's hall of fame must therefore name the champion of
that run among its seeds too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenmachine.config import RunConfig
from greenmachine.files import read_json, write_text
from greenmachine.proxies import EVOLVED
from greenmachine.proxies.discovered import SAMPLES

FOLDER = Path("results/proxies")


def run_networks(known: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return by benchmark the training and validation networks of an exported run, and others used.

    Args:
        known: the JSON that ``greenmachine export`` wrote.
    """
    names = RunConfig.model_validate(known["config"]).benchmarks
    samples = [known["manifest"]["samples"][kind] for kind in ("train", "validation")]
    samples.append(known.get("also_used", {}))
    return {name: [i for sample in samples for i in sample.get(name, [])] for name in names}


def networks(name: str, folder: Path = FOLDER) -> dict[str, set[int]]:
    """Return by space the networks that were used to select ``name`` and its ancestors."""
    return _networks(read_json(folder / f"{name}.json"), folder)


def _networks(known: Mapping[str, Any], folder: Path) -> dict[str, set[int]]:
    found = {space: set(sample) for space, sample in run_networks(known).items()}
    seeds = known["config"]["evolution"]["seeds"]
    for seed in (s for s in seeds if "(" not in s):  # an expression tells nothing of itself
        ancestor = _ancestor(Path(seed).stem, known, folder)  # by name, or as an exported file
        if ancestor is not None:
            for space, sample in _networks(ancestor, folder).items():
                found.setdefault(space, set()).update(sample)
    return found


def _ancestor(name: str, known: Mapping[str, Any], folder: Path) -> Any | None:
    """Return the export of ``name`` that a run began with; None for a proxy of others."""
    paths = sorted([*folder.glob("*.json"), *folder.glob("earlier/*.json")])
    held = [(path.stem, read_json(path)) for path in paths]
    # What had the name then may be in a file of another one now: gm_any in gm_any_second.json.
    exports = [export for stem, export in held if name in (stem, export["name"])]
    before = [e for e in exports if _created(e) < _created(known)]
    if exports and not before:
        raise SystemExit(f"{name} seeded {known['name']}, but no export of it is older")
    return max(before, key=_created, default=None)


def _created(export: Mapping[str, Any]) -> str:
    return str(export["manifest"]["created"])  # ISO 8601, UTC


def main() -> None:
    lines = []
    for proxy in EVOLVED:
        by_space = {space: sorted(chosen) for space, chosen in networks(proxy.name).items()}
        spaces = ",\n".join(f'    "{space}": {chosen}' for space, chosen in by_space.items())
        lines.append(f'  "{proxy.name}": {{\n{spaces}\n  }}')
    write_text(SAMPLES, "{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
