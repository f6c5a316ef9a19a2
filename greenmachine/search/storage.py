"""Where the trials of a search are kept: memory, a file of its folder, or a database."""

from __future__ import annotations

import time
from pathlib import Path

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from greenmachine.errors import ConfigError, one_line

__all__ = ["open_storage"]


def open_storage(text: str | None, folder: Path | None = None) -> BaseStorage:
    """Return the storage that ``text`` names: ``sqlite:///FILE`` or another database URL.

    Without a text it is the file ``study.journal`` of ``folder``, and without a folder memory.

    Raises:
        ConfigError: the database cannot be opened.
    """
    if text is None:
        if folder is None:
            return InMemoryStorage()
        folder.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    # A process waits while another one writes.
    waiting = {"connect_args": {"timeout": 100}} if text.startswith("sqlite:") else {}
    for last in (False, False, False, True):
        try:
            return RDBStorage(text, engine_kwargs=waiting)
        except Exception as error:  # SQLAlchemy's, or the driver's own
            if last:
                raise ConfigError(
                    f"storage {text} cannot be opened ({one_line(error, 200)}): write "
                    "sqlite:///FILE.db"
                ) from None
            time.sleep(0.5)  # two processes that make one database at the same time disturb it
    raise AssertionError
