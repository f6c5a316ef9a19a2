"""Write the exported proxies of results/proxies again, from their JSON files.

    python -m experiments.reexport

An exported file contains the code that reads a network. Where that code has changed, this program
writes the files again with the same expression, provenance and figures. It needs no runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from greenmachine.export.run_export import write_discovery

FOLDER = Path(__file__).parents[1] / "results" / "proxies"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    for path in sorted(parser.parse_args().folder.rglob("*.json")):
        write_discovery(path.with_suffix(".py"), json.loads(path.read_text(encoding="utf-8")))
        print(path.with_suffix(".py"))


if __name__ == "__main__":
    main()
