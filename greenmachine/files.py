"""Files that are written completely or not at all, with checksums, and folders with a lock.

- **Atomic.** A file is written to a temporary file beside it, flushed to the disk, and renamed. A
  reader sees the old file or the new one, even after a power failure.
- **Sealed.** A sealed JSON file contains the SHA-256 of its own content under ``sha256``, so that a
  reader detects a changed bit. It is not a signature: an edit with a new checksum is accepted.
- **Locked.** A folder in which a command works contains ``.greenmachine.lock``. The text of this
  file says what kind of folder it is. Folders of another kind or with other files are rejected.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from greenmachine.errors import DamagedError, RunError, one_line

__all__ = [
    "LOCK",
    "FolderKind",
    "Held",
    "alone_in",
    "read_json",
    "read_sealed",
    "refuse_foreign",
    "refuse_other_folder",
    "remove_leftovers",
    "replace_file",
    "sha256",
    "write_json",
    "write_sealed",
    "write_text",
]

LOCK = ".greenmachine.lock"
"""File in a locked folder, which stays there and marks it as a folder of this project."""


class FolderKind(Enum):
    """What a folder contains: its name in messages, and the sealed file by which a copy is known.

    A run also has a ``result.json``, so a search for networks is recognised last.
    """

    RUN = "a run", "config.json"
    SEEDS = "runs with several seeds", "summary.json"
    BANK = "a bank", "bank.json"
    PARTS = "parts of a sweep", "identity.json"
    SEARCH = "a search for networks", "result.json"

    @property
    def text(self) -> str:
        """Its name in messages."""
        return self.value[0]

    @property
    def mark(self) -> str:
        """Name of the sealed file."""
        return self.value[1]

    @classmethod
    def of(cls, folder: Path) -> FolderKind | None:
        """Return the kind of a folder: by its lock file, or by a sealed file if a copy has none."""
        try:
            told = (folder / LOCK).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            told = ""
        named = (kind for kind in cls if kind.name.lower() == told)
        marked = (kind for kind in cls if _is_sealed(folder / kind.mark))
        return next(named, None) or next(marked, None)


SEAL = "sha256"
"""Key of the checksum in a sealed JSON file."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def replace_file(
    path: Path, write: Callable[[Path], None], *, parents: bool = True, flush: bool = True
) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it to ``path``.

    A reader sees the old file or the new one, never a part. If ``write`` raises an error (full
    disk, Ctrl-C), the old file stays and the temporary one is removed.

    Args:
        path: the file to write or to replace.
        write: called with the path of the temporary file.
        parents: whether to create a missing folder. If False, a folder that is removed while a
            command works in it is not created again.
        flush: whether to wait until the file is on the disk. If False, the file may be incomplete
            after a power failure, and its reader must compare a checksum.

    Raises:
        OSError: the disk is full, or the folder is missing.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:  # the file is created inside, so that Ctrl-C at any moment removes it
        write(temporary)
        if flush:
            _flush(temporary)
        os.replace(temporary, path)
        if flush:
            with suppress(OSError):  # not every file system can flush a folder
                _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, parents: bool = True) -> None:
    """Write UTF-8 ``text`` to ``path`` atomically."""
    content = text.encode("utf-8")
    replace_file(path, lambda temporary: _write(temporary, content), parents=parents)


def write_json(path: Path, value: Any, *, parents: bool = True, indent: int | None = 2) -> None:
    """Write ``value`` as JSON to ``path`` atomically; floats must be finite."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n", parents=parents)


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``.

    Raises:
        ValueError: the file is not JSON (``json.JSONDecodeError``), or is nested too deeply.
        OSError: the file cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_sealed(
    path: Path, value: Mapping[str, Any], *, parents: bool = True, indent: int | None = 2
) -> None:
    """Write a JSON object to ``path`` atomically, together with the checksum of its content.

    Args:
        path: the file.
        value: the object.
        parents: whether to create a missing folder.
        indent: number of spaces; None is ten times faster, because Python then writes JSON in C.

    Raises:
        ValueError: a number is not finite.
    """
    content = json.loads(json.dumps(value, allow_nan=False))  # as it will be read: keys are strings
    write_json(path, {**content, SEAL: _digest(content)}, parents=parents, indent=indent)


def read_sealed(path: Path, remedy: str) -> dict[str, Any]:
    """Return the JSON object that :func:`write_sealed` wrote to ``path``, without its checksum.

    Args:
        path: the file.
        remedy: what to do if it is damaged; ends the message.

    Raises:
        DamagedError: the file is missing or cannot be read, is not a JSON object, or differs from
            its checksum.
    """
    try:
        value = read_json(path)
        if not isinstance(value, dict):
            raise ValueError("it is not a JSON object")
        if SEAL not in value:
            raise ValueError("it has no checksum, or was written by another version")
        if value.pop(SEAL) != _digest(value):
            raise ValueError("it differs from its checksum")
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged ({one_line(error, 200)}): {remedy}") from None
    return value


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of the file at ``path``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove the temporary files that a killed command left in ``folder``.

    Args:
        folder: the folder, without its subfolders.
        name: name of the file that was to be written; by default any.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            for_it = name == "*" or path.name.startswith(f".{name}.")
            if for_it and _TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


class Held:
    """A folder that is locked by this process.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self.folder = folder
        self._file = file

    def check(self) -> None:
        """Check that the folder is still the one that was locked.

        Raises:
            RunError: it was removed, renamed, or replaced by another.
        """
        if not self.whole():
            raise RunError(
                f"{self.folder} was removed or replaced while this command wrote to it, so the "
                "command ends: start again, or restore the folder and continue"
            )

    def whole(self) -> bool:
        """Return whether the folder is still the one that was locked."""
        try:
            here = os.stat(self.folder / LOCK)
        except OSError:
            return False
        # The inode number cannot be reused as long as this file is open.
        return os.path.samestat(here, os.fstat(self._file.fileno()))


def refuse_other_folder(folder: Path, kind: FolderKind) -> None:
    """Refuse a folder that cannot be one of this kind.

    Args:
        folder: missing, empty, or of this kind.
        kind: what it should contain.

    Raises:
        RunError: it is a file, of another kind, or contains files that are not this project's.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file: give a folder")
    there = FolderKind.of(folder)
    if there not in (None, kind):
        raise RunError(
            f"{folder} contains {there.text}, not {kind.text}: choose a new or an empty folder"
        )
    if there is None and folder.exists() and not (folder / LOCK).exists() and any(folder.iterdir()):
        raise RunError(
            f"{folder} is not empty, and contains other files than {kind.text}: choose a new or an "
            "empty folder"
        )


@contextmanager
def alone_in(folder: Path, kind: FolderKind) -> Iterator[Held]:
    """Create ``folder`` and lock it inside the block, so that no other command works in it.

    The system releases the lock when the process ends, for whatever reason. A folder that was
    created here is removed if the block fails before anything is in it.

    Args:
        folder: missing, empty, or of this kind.
        kind: what it contains.

    Raises:
        RunError: another process has locked it, it is of another kind or contains other files; or
            it was removed while this process worked in it.
    """
    refuse_other_folder(folder, kind)
    new = not folder.exists()
    try:
        str(folder).encode()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, UnicodeEncodeError) as error:
        raise RunError(
            f"{folder} cannot be created ({one_line(error)}): choose another --out"
        ) from None
    with (folder / LOCK).open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another command is working in {folder}: wait for it, or choose another --out"
            ) from None
        refuse_other_folder(folder, kind)  # again: another command may have used it until now
        file.seek(0)
        text = kind.name.lower().encode()
        if file.read() != text:  # it is new, of an earlier version, or damaged
            file.truncate(0)
            file.write(text)
            file.flush()
        held = Held(folder, file)
        try:
            yield held
        except Exception:
            held.check()  # if the folder is gone, that is the cause
            if new and os.listdir(folder) == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()
            raise


def refuse_foreign(path: Path, mark: bytes, what: str) -> None:
    """Refuse to replace a file that this project did not write.

    Args:
        path: the file; it may be missing.
        mark: bytes that every file of this kind contains.
        what: name of such a file, for the message.

    Raises:
        RunError: there is another file.
    """
    if path.is_dir():
        raise RunError(f"{path} is a folder: give the name of a file with --out")
    if path.exists() and mark not in path.read_bytes():
        raise RunError(f"{path} exists and contains no {what}: remove it, or choose another --out")


def _is_sealed(path: Path) -> bool:
    try:
        return SEAL in read_json(path)
    except (OSError, ValueError, TypeError):
        return False


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _flush(path: Path) -> None:
    """Make the system write a file or a folder to the disk, before a rename."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
