"""Runs that are on disk: read them, and write their reports."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from greenmachine.api.result import Result
from greenmachine.errors import ConfigError
from greenmachine.reports import write_comparison, write_report

__all__ = ["load_run", "report"]


def load_run(path: str | Path) -> Result:
    """Return the result of the run in a folder.

    Args:
        path: of the folder, which ``greenmachine evolve --out`` or :func:`evolve` made.

    Raises:
        RunError: the folder holds no finished run, or one that is damaged.

    Example:
        >>> run = greenmachine.load_run("runs/tss")
        >>> run.best.expression, run.tau["test"], run.plot_history()
    """
    return Result.open(path)


def report(
    runs: Result | str | Path | Iterable[Result | str | Path], out: str | Path | None = None
) -> Path:
    """Write the report of a run, or of several beside each other, as one HTML file.

    The file needs no network connection. An unfinished run is reported up to its last whole
    generation.

    Args:
        runs: a result or the folder of a run; or several.
        out: the file; None is ``report.html`` in the folder of the run, and ``comparison.html`` in
            the current folder for several.

    Returns:
        The file.

    Raises:
        RunError: a folder contains no run, one without a whole generation, or damaged files.
        ConfigError: there is no run, ``out`` is a folder, or holds something else.

    Examples:
        >>> greenmachine.report(result)
        >>> greenmachine.report(["runs/a", "runs/b"], out="both.html")
    """
    one = isinstance(runs, Result | str | Path)
    given = [runs] if isinstance(runs, Result | str | Path) else list(runs)
    folders = [each.folder if isinstance(each, Result) else Path(each) for each in given]
    if not folders:
        raise ConfigError("name a run to report")
    path = None if out is None else Path(out)
    if path is not None and path.is_dir():
        raise ConfigError(f"{path} is a folder: name an HTML file")
    if one or len(folders) == 1:
        return write_report(folders[0], path)
    return write_comparison(folders, path or Path("comparison.html"))
