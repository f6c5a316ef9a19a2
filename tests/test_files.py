"""Files are whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from greenmachine.errors import RunError
from greenmachine.files import alone_in, read_json, replace_file, sha256, write_json, write_text


def test_write_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_json(path, {"x": 0.1})
    write_json(path, {"x": [1, None]})
    assert read_json(path) == {"x": [1, None]}
    assert [file.name for file in path.parent.iterdir()] == ["b.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_write_leaves_the_old_file_and_nothing_else(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text()) == 1


def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    write_text(tmp_path / "shared.txt", "x")
    (tmp_path / "plain.txt").write_text("x")
    modes = {stat.S_IMODE(os.stat(p).st_mode) for p in tmp_path.iterdir()}
    assert len(modes) == 1


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    assert sha256(tmp_path / "x") == hashlib.sha256(b"content").hexdigest()


def test_one_command_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    refused = pytest.raises(RunError, match=r"another command is at work in .*run: wait")
    with alone_in(folder), alone_in(tmp_path), refused, alone_in(folder):
        pytest.fail("two at a time")
    with alone_in(folder):
        pass
