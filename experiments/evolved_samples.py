"""Which networks chose the evolved proxies: written for the package, from what exports tell.

    python -m experiments.evolved_samples

Reads ``results/proxies/<name>.json`` of every evolved proxy and writes
``greenmachine/proxies/evolved/samples.json``: by proxy and space the training and validation
networks of its run, and of the runs whose proxies were in its first population.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from greenmachine.files import read_json, write_text
from greenmachine.proxies import EVOLVED
from greenmachine.proxies.evolved.base import SAMPLES

FOLDER = Path("results/proxies")


def networks(name: str, folder: Path = FOLDER) -> dict[str, set[int]]:
    """Return by space the networks that chose ``name``, its ancestors' too."""
    known = read_json(folder / f"{name}.json")
    config = known["config"]
    found: dict[str, set[int]] = {}

    def add(sample: Any, space: str) -> None:
        found.setdefault(space, set()).update(sample)

    spaces = config["benchmark"] if isinstance(config["benchmark"], list) else [config["benchmark"]]
    for kind in ("train", "validation"):
        sample = known["manifest"]["samples"][kind]
        for space in spaces:
            add(sample[space] if isinstance(sample, dict) else sample, space)
    for seed in config["evolution"]["seeds"]:
        if seed.endswith(".py"):
            for space, sample in networks(Path(seed).stem, folder).items():
                add(sample, space)
    return found


def main() -> None:
    lines = []
    for proxy in EVOLVED:
        by_space = {space: sorted(chosen) for space, chosen in networks(proxy.name).items()}
        spaces = ",\n".join(f'    "{space}": {chosen}' for space, chosen in by_space.items())
        lines.append(f'  "{proxy.name}": {{\n{spaces}\n  }}')
    write_text(SAMPLES, "{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
