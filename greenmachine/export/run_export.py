"""From a run's folder to an exported proxy, and its facts as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenmachine.benchmarks import short_name
from greenmachine.config import RunConfig
from greenmachine.errors import ConfigError, RunError
from greenmachine.evolution import RunFolder
from greenmachine.export.source import write_export
from greenmachine.files import refuse_foreign, write_json
from greenmachine.language import parse
from greenmachine.proxies.resolve import EXPORTED

__all__ = ["export_run", "write_discovery"]


def export_run(folder: Path, out: Path, rank: int = 1, *, exact: bool = False) -> dict[str, Any]:
    """Write a member of a run's hall of fame to ``out`` (.py), and its facts to a .json.

    Args:
        folder: folder of the run. Only a finished run has test results; of another run the last
            complete generation is used.
        out: the Python file.
        rank: position in the hall of fame; 1 is the champion, the only one evaluated on test.
        exact: see :func:`greenmachine.export.source.export_source`.

    Returns:
        The content of the JSON: expression, direction, tau, settings and manifest of the run.

    Raises:
        RunError: the folder contains no run, or one without a generation; or ``out``, or the .json,
            is an existing file that is not an exported proxy.
        ConfigError: ``out`` does not end in .py, or the hall of fame is shorter than ``rank``.
    """
    check_place(out)
    run = RunFolder(folder)
    hall, config, made = run.hall(), run.description().config, run.manifest()
    result = run.result() if run.finished else None
    if not 1 <= rank <= len(hall):
        raise ConfigError(f"--rank {rank}: the hall of fame of {folder} has 1 to {len(hall)}")
    famous = hall[rank - 1]
    tasks = made.tasks
    if any(len(values) != len(tasks) for values in famous.tau.values()):
        raise RunError(f"{folder}: its hall of fame needs one tau per data set: run again")
    tau: dict[str, Any] = {
        sample: dict(zip(tasks, values, strict=True)) for sample, values in famous.tau.items()
    }
    if rank == 1 and result is not None:
        if (result["best"]["expression"], result["best"]["direction"]) != (
            famous.expression,
            famous.direction,
        ):
            raise RunError(
                f"{folder}: result.json does not match checkpoint.json: continue with --resume "
                f"{folder}"
            )
        tau |= {sample: result[sample] for sample in result["samples"]}
    known = {
        "name": out.stem,
        "expression": famous.expression,
        "direction": famous.direction,
        "size": famous.size,
        "generation": famous.generation,
        "tau": tau,
        "shape": [config.capture.batch, *made.input_shape],
        "config": config.model_dump(mode="json"),
        "manifest": made.facts(),
    }
    write_discovery(out, known, exact=exact)
    return known


def check_place(out: Path) -> None:
    """Check that a proxy can be exported to ``out``.

    Raises:
        RunError: ``out``, or the .json beside it, is an existing file that is not an exported
            proxy.
        ConfigError: ``out`` does not end in .py.
    """
    if out.suffix != ".py":
        raise ConfigError(f"{out}: the name must end in .py")
    refuse_foreign(out, EXPORTED.encode(), "exported proxy")
    refuse_foreign(out.with_suffix(".json"), b'"expression"', "file beside an exported proxy")


def write_discovery(out: Path, known: Mapping[str, Any], *, exact: bool = False) -> None:
    """Write a proxy of a run as Python to ``out``, and its facts to a .json beside it.

    Args:
        out: the Python file.
        known: the result of :func:`export_run`; an optional key ``shortened_from`` is the
            expression that the run found.
        exact: see :func:`greenmachine.export.source.export_source`.
    """
    config, run = RunConfig.model_validate(known["config"]), known["manifest"]
    names = ", ".join(short_name(name) for name in config.benchmarks)
    provenance = {
        "run": config.name,
        "seed": config.seed,
        "benchmark": f"{names}, {', '.join(config.datasets)}",
        "networks": ", ".join(
            f"{_networks(value)} {name}" for name, value in run["samples"].items()
        ),
        "generation": known.get("generation", "unknown"),
        "created": run["created"],
        "git": run["git"] or "unknown",
    }
    if "shortened_from" in known:
        provenance["shortened from"] = f"{parse(known['shortened_from']).size} nodes"
    write_export(
        out,
        known["expression"],
        direction=known["direction"],
        shape=known["shape"],
        name=out.stem,
        provenance=provenance,
        tau=known["tau"],
        exact=exact,
    )
    write_json(out.with_suffix(".json"), known)


def _networks(sample: Any) -> int:
    """Return the size of a sample over all benchmarks; a manifest has indices or their number."""
    return sum(len(own) if isinstance(own, list) else int(own) for own in sample.values())
