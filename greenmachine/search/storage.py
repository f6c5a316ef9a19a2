"""Store the trials of a search in memory, in a file of its folder, or in a database."""

from __future__ import annotations

import time
from pathlib import Path

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from greenmachine.errors import ConfigError, one_line
from greenmachine.interrupts import interrupts_held

__all__ = ["open_storage"]


class _Journal(JournalStorage):  # type: ignore[misc]  # Optuna is optional
    """A journal whose trials in memory agree with its file even after Ctrl-C.

    Optuna counts a line as read before it applies it. Ctrl-C in between would lose the line for
    this process, so that a trial would stay unfinished that the search has given up.
    """

    def _sync_with_backend(self) -> None:
        with interrupts_held():
            super()._sync_with_backend()


def open_storage(text: str | None, folder: Path | None = None) -> BaseStorage:
    """Open the storage that ``text`` names: ``sqlite:///FILE`` or another database URL.

    Without a text, the storage is the file ``study.journal`` in ``folder``. Without a folder, it is
    the memory.

    Raises:
        ConfigError: the database cannot be opened.
    """
    if text is None:
        if folder is None:
            return InMemoryStorage()
        folder.mkdir(parents=True, exist_ok=True)
        return _Journal(JournalFileBackend(str(folder / "study.journal")))
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
