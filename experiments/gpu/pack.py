"""Pack wheels and NATS-Bench tables, at most 60 MB, for a GPU machine without internet access.

The files are in ``experiments/gpu/pack``, which git ignores. On the GPU machine, :func:`use`
unpacks missing wheels into a temporary folder, which has the lowest priority for imports.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).with_name("pack")
LIMIT = 60 * 10**6  # bytes

# Distribution and module of the dependencies of GreenMachine, without torch and numpy, and then of
# their own dependencies. pyarrow and scipy do not fit together with pandas; --with adds them.
WHEELS = {
    "deap": "deap",
    "nats_bench": "nats_bench",
    "pydantic": "pydantic",
    "platformdirs": "platformdirs",
    "filelock": "filelock",
    "joblib": "joblib",
    "safetensors": "safetensors",
    "pyyaml": "yaml",
    "rich": "rich",
    "pandas": "pandas",
}
FURTHER = {
    "pydantic-core": "pydantic_core",
    "annotated-types": "annotated_types",
    "typing-inspection": "typing_inspection",
    "typing-extensions": "typing_extensions",
    "markdown-it-py": "markdown_it",
    "mdurl": "mdurl",
    "cloudpickle": "cloudpickle",
    "moocore": "moocore",
    "cffi": "cffi",
    "pycparser": "pycparser",
    "pygments": "pygments",
    "python-dateutil": "dateutil",
    "six": "six",
}
LARGE = {"pyarrow": "pyarrow", "scipy": "scipy"}
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux1_x86_64"]


def make(python: str, extra: list[str]) -> None:
    """Fill the folder, or raise SystemExit with one line if this is not possible.

    Args:
        python: version of Python on the GPU machine, such as ``3.12``.
        extra: further distributions, such as ``pyarrow``.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name in [*WHEELS, *FURTHER, *extra]:
        try:
            wanted = f"{name}=={version(name)}"
        except PackageNotFoundError:
            wanted = name
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        words += [str(FOLDER), "--only-binary=:all:", "--python-version", python]
        words += ["--implementation", "cp", *(f"--platform={each}" for each in PLATFORMS), wanted]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode and not _built(wanted):
            raise SystemExit(f"{wanted}: no wheel for Python {python} and x86-64 Linux")
    given = os.environ.get("GREENMACHINE_DATA")
    table = Path(given or ".") / "nats-bench" / "tss.parquet"
    if table.exists():
        home = FOLDER / "data" / "nats-bench"
        home.mkdir(parents=True)
        shutil.copyfile(table, home / table.name)  # without the read-only mode of the original
    else:
        print("no NATS-Bench table: set GREENMACHINE_DATA to take it along", file=sys.stderr)
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    if size > LIMIT:
        raise SystemExit(f"{size / 1e6:.0f} MB in {FOLDER}: leave something out, 60 MB may travel")
    print(f"{size / 1e6:.1f} MB in {FOLDER}")


def _built(wanted: str) -> bool:
    """Build a wheel for a package without wheels; keep it only if it is pure Python."""
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*words, str(FOLDER), wanted], capture_output=True, check=False)
    name = wanted.partition("==")[0].replace("-", "_").lower()
    found = [path for path in FOLDER.glob("*.whl") if path.name.lower().startswith(f"{name}-")]
    for path in found:
        if not path.name.endswith("none-any.whl"):
            path.unlink()
    return any(path.exists() for path in found)


def use() -> list[str]:
    """Make missing distributions importable, and return their names.

    Raises:
        SystemExit: a distribution is missing and was not packed.
    """
    lacking = [name for name, module in {**WHEELS, **LARGE}.items() if not _has(module)]
    if not lacking:
        return []
    wheels = {_plain(path.name.partition("-")[0]): path for path in FOLDER.glob("*.whl")}
    if absent := [name for name in lacking if _plain(name) not in wheels]:
        raise SystemExit(
            f"this machine lacks {', '.join(absent)}: where there is a network, run "
            f"python -m experiments.gpu --pack --with {' '.join(absent)}"
        )
    lacking += [name for name, module in FURTHER.items() if not _has(module)]
    home = tempfile.mkdtemp(prefix="greenmachine-wheels-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in lacking:
        if (wheel := wheels.get(_plain(name))) is not None:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(home)
    sys.path.append(home)
    # Workers are separate processes, so they need the path in their environment.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [before, os.getcwd(), home]))
    return lacking


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def data() -> None:
    """Set GREENMACHINE_DATA to the packed tables if it is not set."""
    if "GREENMACHINE_DATA" not in os.environ and (FOLDER / "data").is_dir():
        os.environ["GREENMACHINE_DATA"] = str(FOLDER / "data")
