"""The files of a run. Only this module reads and writes them.

| file | content | written |
|---|---|---|
| ``config.json`` | settings and seed expressions | once; again when the run is extended |
| ``manifest.json`` | code, packages, hardware, samples, checksums of the data | once |
| ``checkpoint.json`` | the whole state of the search | after every generation |
| ``history.csv``, ``primitives.csv``, ``hall_of_fame.json`` | the same, for people | after it |
| ``scores.parquet`` | the scores of every network | at the end |
| ``result.json`` | champion, its taus, costs | last: a run that has it is finished |
| ``signals/`` | the signal store | removed at the end, unless ``capture.keep_signals`` |

**One state.** The results so far are only in ``checkpoint.json``, which is replaced by one rename.
The three files that are derived from it are for people and spreadsheets. Nothing here reads them,
and :meth:`RunFolder.go_on` writes them again. A stop between two of them, or a changed byte in one,
therefore changes no result.

JSON files are sealed (``greenmachine.files``) and checked by the models of ``run_files.py``;
``result.json`` has the checksum of ``scores.parquet``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from greenmachine.config import RunConfig
from greenmachine.errors import DamagedError, RunError, one_line
from greenmachine.evolution.run_files import (
    FORMAT,
    Checkpoint,
    Description,
    Famous,
    Manifest,
    Result,
)
from greenmachine.files import (
    FolderKind,
    Held,
    alone_in,
    read_sealed,
    remove_leftovers,
    replace_file,
    sha256,
    write_sealed,
    write_text,
)
from greenmachine.plugins import checksums, require_plugins

__all__ = ["RunFolder"]

_SIGNALS = "signals"
_STORE_FILE = re.compile(r"store\.json|shard-\d{4,}\.(json|safetensors)")
_AGAIN = "start again in another --out"

_Model = TypeVar("_Model", bound=BaseModel)


class RunFolder:
    """The folder of a run.

    Args:
        path: of the folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: Held | None = None

    # --- reading -----------------------------------------------------------------------------

    @property
    def holds_run(self) -> bool:
        """Whether the folder contains a run."""
        return (self.path / "config.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether the run has a result."""
        return (self.path / "result.json").is_file()

    def _check_run(self) -> None:
        """Say what the folder is, if it is not the folder of a run.

        Raises:
            RunError: there is no such folder, it contains folders of runs, or no run.
        """
        if self.holds_run:
            return
        if not self.path.exists():
            raise RunError(f"{self.path} holds no run: there is no such folder")
        runs = sorted(str(path.parent) for path in self.path.glob("*/config.json"))
        if runs:
            raise RunError(f"{self.path} holds no run, but folders of runs: give {runs[0]}")
        raise RunError(f"{self.path} holds no run (there is no config.json)")

    def description(self) -> Description:
        """Return settings and seeds.

        Raises:
            RunError: there is no run, or a plugin of it has changed.
            ConfigError: it was made with a plugin that is not loaded.
            DamagedError: the file is damaged, or of another version.
        """
        self._check_run()
        self._require_plugins()  # before the settings are read: they may name parts of a plugin
        return self._read("config.json", Description)

    def manifest(self) -> Manifest:
        """Return what the run was made with.

        Raises:
            DamagedError: the file is missing, damaged, or of another version.
        """
        return self._read("manifest.json", Manifest)

    def checkpoint(self) -> Checkpoint | None:
        """Return the state after the last whole generation; None before the first.

        Raises:
            DamagedError: the file is damaged, or of another version.
        """
        if not (self.path / "checkpoint.json").exists():
            return None
        remedy = (
            "remove it, and --resume repeats the search from its first generation, with the same "
            "result"
        )
        return self._read("checkpoint.json", Checkpoint, remedy)

    def hall(self) -> list[Famous]:
        """Return the hall of fame after the last whole generation, the champion first.

        Raises:
            RunError: there is no run, or no whole generation.
            DamagedError: a file is damaged, or of another version.
        """
        self._check_run()
        self._require_plugins()
        saved = self.checkpoint()
        if saved is None:
            raise RunError(
                f"{self.path} has no complete generation yet: continue with --resume {self.path}"
            )
        return saved.search.hall

    def result(self) -> dict[str, Any]:
        """Return the content of ``result.json``, checked.

        Raises:
            RunError: the run is not finished.
            DamagedError: the file is damaged, or of another version.
        """
        self._check_run()
        path = self.path / "result.json"
        if not path.is_file():
            raise RunError(
                f"{self.path} holds no result.json: finish the run with --resume {self.path}"
            )
        self._require_plugins()
        remedy = "remove it, and --resume writes it again"
        value = read_sealed(path, remedy)
        _checked(path, Result, value, remedy)
        return {key: content for key, content in value.items() if key not in ("format", "files")}

    def scores(self) -> pd.DataFrame:
        """Return ``scores.parquet``: the scores of every network, see ``summary.py``.

        Raises:
            DamagedError: the file is missing, or not the one that the result was made with.
        """
        path = self.path / "scores.parquet"
        remedy = f"remove {self.path / 'result.json'}, and --resume writes both again"
        told = read_sealed(self.path / "result.json", remedy).get("files")
        try:
            if not isinstance(told, dict) or sha256(path) != told.get(path.name):
                raise DamagedError(f"{path} was changed since it was written: {remedy}")
            return pd.read_parquet(path)
        except OSError as error:
            raise DamagedError(f"{path} cannot be read ({one_line(error)}): {remedy}") from None

    def _require_plugins(self) -> None:
        """Refuse a run whose plugins are not loaded: its primitives would be unknown."""
        wanted = read_sealed(self.path / "config.json", _AGAIN).get("plugins", {})
        if isinstance(wanted, dict) and all(map(isinstance, wanted.values(), repeat(str))):
            require_plugins(wanted, self.path)

    def _read(self, name: str, model: type[_Model], remedy: str = _AGAIN) -> _Model:
        path = self.path / name
        return _checked(path, model, read_sealed(path, remedy), remedy)

    # --- writing -----------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and lock it in the block, in which the methods below may be used.

        Raises:
            RunError: another command is working there, the folder contains unknown files, or it was
                removed while this command worked there.
        """
        with alone_in(self.path, FolderKind.RUN) as held:
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def begin(self, config: RunConfig, seeds: Sequence[str], facts: Mapping[str, Any]) -> None:
        """Write the description and the manifest of the run."""
        manifest = Manifest.model_validate({"format": FORMAT, **facts})
        self._write("manifest.json", {"format": FORMAT, **manifest.facts()})
        self._describe(config, seeds)

    def extend(self, config: RunConfig, seeds: Sequence[str]) -> None:
        """Write changed settings for another end of the run, which is no longer finished."""
        self._describe(config, seeds)
        self.drop_result()

    def drop_result(self) -> None:
        """Remove the result of a run that continues."""
        self.check()
        (self.path / "result.json").unlink(missing_ok=True)

    def _describe(self, config: RunConfig, seeds: Sequence[str]) -> None:
        described = {
            "format": FORMAT,
            "plugins": checksums(config.plugins),
            "config": config.model_dump(mode="json"),
            "seeds": list(seeds),
        }
        self._write("config.json", described)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the state of the run by that after another generation."""
        self._write("checkpoint.json", checkpoint.model_dump(mode="json"), indent=None)
        self._derive(checkpoint)

    def finish(self, scores: pd.DataFrame, result: Mapping[str, Any]) -> None:
        """Write the result; the run is then finished."""
        self.check()
        path = self.path / "scores.parquet"
        replace_file(
            path, lambda temporary: scores.to_parquet(temporary, index=False), parents=False
        )
        content = {"format": FORMAT, **result, "files": {path.name: sha256(path)}}
        Result.model_validate(content)  # what is written can be read
        self._write("result.json", content)

    def go_on(self, *, keep_signals: bool) -> Checkpoint | None:
        """Repair the folder after a command that was killed, and return the state of the run.

        Temporary files are removed. Files that are derived from the checkpoint are written again if
        they differ. Signals of a finished run are removed, unless they are to be kept.

        Raises:
            DamagedError: the checkpoint is damaged.
        """
        self.check()
        remove_leftovers(self.path)
        saved = self.checkpoint()
        if saved is not None:
            self._derive(saved)
        if self.finished and not keep_signals:
            self.drop_signals()
        return saved

    @property
    def signals(self) -> Path:
        """Folder of the signal store."""
        return self.path / _SIGNALS

    def drop_signals(self) -> None:
        """Remove the signal store, but no files that do not belong to it."""
        folders = [path for path in self.signals.rglob("*") if path.is_dir()]
        for folder in [*sorted(folders, reverse=True), self.signals]:
            if not folder.is_dir() or folder.is_symlink():
                continue
            remove_leftovers(folder)
            for path in folder.iterdir():
                if _STORE_FILE.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()

    def _derive(self, saved: Checkpoint) -> None:
        """Write the files that are derived from the checkpoint, if they differ from it."""
        hall = [famous.model_dump(mode="json") for famous in saved.search.hall]
        for name, text in {
            "history.csv": _table(saved.history, missing=None),
            "primitives.csv": _table(saved.primitives, missing=0),
            "hall_of_fame.json": json.dumps(hall, indent=2, allow_nan=False) + "\n",
        }.items():
            path = self.path / name
            if not path.is_file() or path.read_bytes() != text.encode():
                self.check()
                write_text(path, text, parents=False)

    def _write(self, name: str, value: Mapping[str, Any], *, indent: int | None = 2) -> None:
        self.check()
        write_sealed(self.path / name, value, parents=False, indent=indent)

    def check(self) -> None:
        """Refuse to write if the folder is not locked, or was replaced since."""
        if self._held is None:
            raise RuntimeError("the folder of a run is written inside `held()` alone")
        self._held.check()


def _table(rows: Sequence[Mapping[str, float]], missing: float | None) -> str:
    """Return a CSV; ``missing`` is the value of a missing column."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(dict.fromkeys(k for row in rows for k in row)), missing)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _checked(path: Path, model: type[_Model], value: Mapping[str, Any], remedy: str) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        reason = one_line(ValueError(f"{place}: {fault['msg']}"), 200)
        raise DamagedError(
            f"{path} is damaged or of another version ({reason}): {remedy}"
        ) from None
