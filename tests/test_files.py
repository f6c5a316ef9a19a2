"""Files are whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from greenmachine.errors import DamagedError, RunError
from greenmachine.files import (
    LOCK,
    FolderKind,
    Held,
    alone_in,
    read_json,
    read_sealed,
    refuse_foreign,
    remove_leftovers,
    replace_file,
    sha256,
    write_json,
    write_sealed,
    write_text,
)


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


def held(folder: Path) -> AbstractContextManager[Held]:
    return alone_in(folder, FolderKind.RUN)


def test_one_command_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    refused = pytest.raises(RunError, match=r"another command is working in .*run: wait")
    with held(folder), held(tmp_path / "other"), refused, held(folder):
        pytest.fail("two at a time")
    with held(folder):
        pass


@pytest.mark.parametrize("name", ["history.csv", "signals/mine.txt", "config.json", ".hidden"])
def test_folder_of_the_user_is_refused_and_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match="not empty"), held(tmp_path):
        pytest.fail("it was taken")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()] == [
        Path(name)
    ]


def test_copy_of_our_folder_is_taken_without_its_lock(tmp_path: Path) -> None:
    write_sealed(tmp_path / "config.json", {"seeds": []})
    with held(tmp_path):
        pass


@pytest.mark.parametrize("locked", [True, False], ids=["with its lock", "a copy without"])
@pytest.mark.parametrize("own", FolderKind)
def test_folder_of_another_kind_is_refused(own: FolderKind, locked: bool, tmp_path: Path) -> None:
    with alone_in(tmp_path, own):
        write_sealed(tmp_path / own.mark, {})
        # A run has a result, as a search has.
        write_sealed(tmp_path / "result.json", {})
    if not locked:
        (tmp_path / LOCK).unlink()
    with alone_in(tmp_path, own):
        pass
    for other in FolderKind:
        if other is not own:
            with pytest.raises(RunError, match=own.text), alone_in(tmp_path, other):
                pytest.fail("it was taken")
    assert FolderKind.of(tmp_path) is own


@pytest.mark.parametrize("text", [b"", b"bbnk", b"\xff", b"bank and more"])
def test_lock_of_an_earlier_version_or_a_damaged_one_says_nothing(
    text: bytes, tmp_path: Path
) -> None:
    (tmp_path / LOCK).write_bytes(text)
    assert FolderKind.of(tmp_path) is None
    with alone_in(tmp_path, FolderKind.BANK):
        pass
    assert FolderKind.of(tmp_path) is FolderKind.BANK
    assert (tmp_path / LOCK).read_bytes() == b"bank"


@pytest.mark.parametrize("how", ["removed", "replaced", "renamed"])
def test_folder_that_is_gone_is_noticed(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def lose() -> None:
        with held(folder) as here:
            here.check()
            if how == "renamed":
                folder.rename(tmp_path / "other")
            else:
                shutil.rmtree(folder)
            if how == "replaced":
                with held(folder):
                    pass
            raise ValueError("what a missing folder led to")

    with pytest.raises(RunError, match="removed or replaced"):
        lose()


def test_sealed_file_reads_as_written(tmp_path: Path) -> None:
    value = {"numbers": [0.1, -0.0, 1e-300, 3], "by": {2: "two", 10: "ten"}, "text": "ü\n"}
    write_sealed(tmp_path / "x.json", value)
    assert read_sealed(tmp_path / "x.json", "") == {**value, "by": {"2": "two", "10": "ten"}}


def test_every_flipped_bit_of_a_sealed_file_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_sealed(path, {"seed": 1, "rate": 0.25, "name": "run", "none": None})
    value, whole = read_sealed(path, ""), path.read_bytes()
    noticed = 0
    for place in range(8 * len(whole)):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            assert read_sealed(path, "") == value
        except DamagedError:
            noticed += 1
    assert noticed > 8 * len(whole) * 0.8


def test_file_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    refuse_foreign(path, b"EXPRESSION", "exported proxy")
    path.write_text("EXPRESSION = 1")
    refuse_foreign(path, b"EXPRESSION", "exported proxy")
    path.write_text("import this")
    with pytest.raises(RunError, match="no exported proxy"):
        refuse_foreign(path, b"EXPRESSION", "exported proxy")
    with pytest.raises(RunError, match="is a folder"):
        refuse_foreign(tmp_path, b"EXPRESSION", "exported proxy")


def test_leftovers_of_a_killed_command_go_and_nothing_else(tmp_path: Path) -> None:
    ours = [".a.json.0123abcd.tmp", ".b [x].0123abcd.tmp"]
    others = ["a.json", ".a.tmp", ".a.json.0123ABCD.tmp", "a.0123abcd.tmp"]
    for name in [*ours, *others]:
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path, "a.json")
    assert {path.name for path in tmp_path.iterdir()} == {ours[1], *others}
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*others}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("written", [True, False])
def test_a_failed_command_leaves_no_empty_folder(
    there: bool, written: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "a" / "run"
    if there:
        folder.mkdir(parents=True)

    def fail() -> None:
        with alone_in(folder, FolderKind.RUN):
            if written:
                (folder / "facts.json").write_text("{}")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert folder.exists() == (there or written)
