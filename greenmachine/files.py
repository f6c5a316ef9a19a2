"""Files that are never half-written, that notice a changed bit, and folders held by one command.

- **Whole.** A file is written to a temporary neighbour, flushed to the disk, and put in its place
  by one rename. A reader sees the old file or the new one, also after a power failure.
- **Sealed.** A sealed JSON file holds the SHA-256 of its own content under ``sha256``. Whoever
  reads it learns of a changed bit. It is no signature: an edit with a new checksum is accepted.
- **Held.** A folder in which a command works holds ``.greenmachine.lock``, which also tells that
  the folder is ours. A folder of somebody else's files is refused.
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
from pathlib import Path
from typing import Any, BinaryIO

from greenmachine.errors import DamagedError, RunError, one_line

__all__ = [
    "LOCK",
    "Held",
    "alone_in",
    "read_json",
    "read_sealed",
    "refuse_foreign",
    "remove_leftovers",
    "replace_file",
    "sha256",
    "write_json",
    "write_sealed",
    "write_text",
]

LOCK = ".greenmachine.lock"
"""File that a held folder holds, and keeps: such a folder is ours."""

SEAL = "sha256"
"""Key of a sealed JSON file that holds the checksum of all others."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def replace_file(
    path: Path, write: Callable[[Path], None], *, parents: bool = True, flush: bool = True
) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in ``path``'s place.

    A reader sees the old file or the new one, never a part; when ``write`` raises (full
    disk, Ctrl-C) the old file stays and the temporary one is removed.

    Args:
        path: the file to write or to replace.
        write: gets the path of the temporary file.
        parents: make the folder where it is missing. Without, a folder that somebody removed
            while a command works there does not come back.
        flush: wait until the disk has it. Without, a power failure may leave a damaged file, which
            whoever reads it has to notice.

    Raises:
        OSError: the disk is full, or the folder is missing.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:  # the file comes into being inside, so that Ctrl-C at any moment removes it
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


def write_json(path: Path, value: Any, *, parents: bool = True) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically (non-finite floats refused)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n", parents=parents)


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``.

    Raises:
        ValueError: the file is not JSON (``json.JSONDecodeError``), or nested too deep.
        OSError: the file cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def write_sealed(path: Path, value: Mapping[str, Any], *, parents: bool = True) -> None:
    """Write a JSON object to ``path`` atomically, with the checksum of its content in it.

    Raises:
        ValueError: a number is not finite.
    """
    content = json.loads(json.dumps(value, allow_nan=False))  # as it will be read: keys are texts
    write_json(path, {**content, SEAL: _digest(content)}, parents=parents)


def read_sealed(path: Path, remedy: str) -> dict[str, Any]:
    """Return the JSON object that :func:`write_sealed` wrote to ``path``, without its checksum.

    Args:
        path: the file.
        remedy: what to do where it is damaged; ends the message.

    Raises:
        DamagedError: the file is missing or cannot be read, is no JSON object, or its content is
            not the one that was written.
    """
    try:
        value = read_json(path)
        if not isinstance(value, dict):
            raise ValueError("it holds no JSON object")
        if SEAL not in value:
            raise ValueError("it has no checksum, or is of another version")
        if value.pop(SEAL) != _digest(value):
            raise ValueError("its checksum does not fit")
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
        folder: its subfolders are not looked at.
        name: of the file that was to be written; by default of any.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            for_it = name == "*" or path.name.startswith(f".{name}.")
            if for_it and _TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


class Held:
    """A folder that this process holds; nobody else writes there.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self.folder = folder
        self._file = file

    def check(self) -> None:
        """Notice that the folder is no longer the one that was taken.

        Raises:
            RunError: it was removed, renamed, or replaced by another.
        """
        if not self.whole():
            raise RunError(
                f"{self.folder} was removed or replaced while this command wrote there: nothing "
                "more is written; start again, or put the folder back and go on"
            )

    def whole(self) -> bool:
        """Whether the folder is still the one that was taken."""
        try:
            here = os.stat(self.folder / LOCK)
        except OSError:
            return False
        # The number cannot be given to another file as long as this one is open.
        return os.path.samestat(here, os.fstat(self._file.fileno()))


@contextmanager
def alone_in(folder: Path, mark: str, what: str) -> Iterator[Held]:
    """Make ``folder`` and hold it inside: two commands there would undo each other's work.

    The system lets go of it when the process ends, however it ends.

    Args:
        folder: missing, empty, or ours: with a lock file, or with ``mark``.
        mark: name of a sealed file that such a folder holds; a copy may lack the lock file.
        what: what a folder of this kind holds, such as ``run``.

    Raises:
        RunError: another process holds it, or it holds files of somebody else; or it was removed
            while this one worked there, whatever else that led to.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file: give a folder, or another --out")
    try:
        str(folder).encode()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, UnicodeEncodeError) as error:
        raise RunError(
            f"{folder} cannot be made ({one_line(error)}): choose another --out"
        ) from None
    lock = folder / LOCK
    if not lock.exists() and any(folder.iterdir()) and not _is_sealed(folder / mark):
        raise RunError(
            f"{folder} is not empty and holds no {what} of greenmachine: choose a new or an empty "
            "folder with --out"
        )
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another command is at work in {folder}: wait for it, or choose another --out"
            ) from None
        held = Held(folder, file)
        try:
            yield held
        except Exception:
            held.check()  # whatever went wrong, this is why
            raise


def refuse_foreign(path: Path, mark: bytes, what: str) -> None:
    """Refuse to replace a file that we did not write.

    Args:
        path: the file; it may be missing.
        mark: what every file of the kind that goes there has among its bytes.
        what: such a file, for the message.

    Raises:
        RunError: there is something else.
    """
    if path.is_dir():
        raise RunError(f"{path} is a folder: give the name of a file with --out")
    if path.exists() and mark not in path.read_bytes():
        raise RunError(f"{path} exists and is no {what}: remove it, or choose another --out")


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
    """Make the system write a file or a folder to the disk: a rename may otherwise overtake it."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
