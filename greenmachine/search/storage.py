"""Store the trials of a search in memory, in a file of its folder, or in a database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from greenmachine.errors import ConfigError, one_line
from greenmachine.interrupts import interrupts_held

__all__ = ["at_once", "open_storage"]


class _NoLock:
    """No lock, because the process holds the lock of the folder that contains the journal.

    Optuna's own lock is a file that a killed process leaves behind. The next process waits for it
    for 30 s, or for ever if the path of the journal is relative.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class _Lines(JournalFileBackend):  # type: ignore[misc]  # Optuna is optional
    """The lines of a journal, of which several can be written at once.

    The end of a line that was not written completely, because its process was killed, is removed:
    Optuna would write the next line behind it, and then could not read the journal any more.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_NoLock())
        with path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
        self._written = content.count(b"\n")
        self._waiting: list[dict[str, Any]] | None = None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._waiting is not None:
            self._waiting += logs
        else:
            with interrupts_held():  # the number is always that of the file
                super().append_logs(logs)
                self._written += len(logs)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        if log_number_from < self._written:
            yield from super().read_logs(log_number_from)
        yield from (self._waiting or [])[max(0, log_number_from - self._written) :]

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Write what is appended in the block at its end, in one piece."""
        self._waiting = []
        try:
            yield
        finally:
            waiting, self._waiting = self._waiting, None
            self.append_logs(waiting)


class _Journal(JournalStorage):  # type: ignore[misc]  # Optuna is optional
    """A journal whose trials in memory agree with its file even after Ctrl-C.

    Optuna counts a line as read before it applies it. Ctrl-C in between would lose the line for
    this process, so that a trial would stay unfinished that the search has given up.
    """

    def __init__(self, path: Path) -> None:
        self.lines = _Lines(path)
        super().__init__(self.lines)

    def _sync_with_backend(self) -> None:
        with interrupts_held():
            super()._sync_with_backend()


def at_once(storage: BaseStorage) -> AbstractContextManager[None]:
    """Store all changes of a block, or none if the process is killed; a database stores each."""
    return storage.lines.at_once() if isinstance(storage, _Journal) else nullcontext()


def open_storage(text: str | None, folder: Path | None = None) -> BaseStorage:
    """Open the storage that ``text`` names: ``sqlite:///FILE`` or another database URL.

    Without a text, the storage is the file ``study.journal`` in ``folder``. Without a folder, it is
    the memory.

    Args:
        text: database URL.
        folder: locked by this process.

    Raises:
        ConfigError: the database cannot be opened.
    """
    if text is None:
        if folder is None:
            return InMemoryStorage()
        return _Journal(folder / "study.journal")
    # A process waits while another one writes.
    waiting = {"connect_args": {"timeout": 100}} if text.startswith("sqlite:") else {}
    for last in (False, False, False, True):
        try:
            return RDBStorage(text, engine_kwargs=waiting)
        except Exception as error:  # from SQLAlchemy or the database driver
            if last:
                raise ConfigError(
                    f"storage {text} cannot be opened ({one_line(error, 200)}): write "
                    "sqlite:///FILE.db"
                ) from None
            time.sleep(0.5)  # fails if two processes create the same database at the same time
    raise AssertionError
