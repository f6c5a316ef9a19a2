"""What is installed: one package, whatever else lies beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCORE = """
import greenmachine, torch
from greenmachine import primitives
model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(2))
model(torch.zeros(1, 3, 8, 8))
assert greenmachine.score(model, "nwot_inputs", shape=(4, 3, 8, 8)) != 0
print(greenmachine.__file__, primitives.__file__)
"""


def installed(kind: str, folder: Path) -> dict[str, str]:
    """Install the project into ``folder`` and return the environment that imports it from there."""
    if kind == "editable":  # as these tests run
        return dict(os.environ)
    source = ROOT
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if kind == "sdist":
        from hatchling.builders.sdist import SdistBuilder

        source = Path(next(iter(SdistBuilder(str(ROOT)).build(directory=str(folder / "dist")))))
    command = [*pip, "install", "--no-deps", "--target", str(folder / "site"), str(source)]
    subprocess.run(command, check=True)
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_a_foreign_primitives_folder_does_no_harm(kind: str, tmp_path: Path) -> None:
    if kind == "sdist":
        pytest.importorskip("hatchling")
    environment = installed(kind, tmp_path)
    foreign = tmp_path / "work" / "primitives"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("raise RuntimeError('a foreign package')\n")
    done = subprocess.run(
        [sys.executable, "-c", SCORE],
        cwd=foreign.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for path in done.stdout.split():
        assert kind == "editable" or Path(path).is_relative_to(tmp_path / "site")
    if kind != "editable":
        tops = {path.name for path in (tmp_path / "site").iterdir() if path.is_dir()}
        assert "primitives" not in tops
