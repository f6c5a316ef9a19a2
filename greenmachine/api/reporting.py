"""Read runs from disk, and write their reports."""

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
        path: folder that ``greenmachine evolve --out`` or :func:`evolve` wrote.

    Raises:
        RunError: the folder contains no finished run, or a damaged one.

    Example:
        >>> run = greenmachine.load_run("runs/tss")
        >>> run.best.expression, run.tau["test"], run.plot_history()
    """
    return Result.open(path)


def report(
    runs: Result | str | Path | Iterable[Result | str | Path], out: str | Path | None = None
) -> Path:
    """Write the report of one run, or a comparison of several runs, as one HTML file.

    The file needs no network connection. The report of an unfinished run ends at its last complete
    generation.

    Args:
        runs: a result or the folder of a run, or several of them.
        out: path of the HTML file. None is ``report.html`` in the folder of the run, or
            ``comparison.html`` in the current folder for several runs.

    Returns:
        The path of the file.

    Raises:
        RunError: a folder contains no run, a run without a complete generation, or damaged files.
        ConfigError: no run is given, or ``out`` is a folder or another kind of file.

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
