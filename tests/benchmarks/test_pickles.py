"""The unpickler reads plain data and runs nothing."""

from __future__ import annotations

import bz2
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from greenmachine.benchmarks.pickles import load_compressed, load_pickle
from greenmachine.errors import DataError


class Trap:
    """Pickles as a call of ``os.mkdir``."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read(protocol: int) -> None:
    content = {"a": [1, 2.5, None], "b": OrderedDict(x=(True, "text")), "c": {3}}
    if protocol < 4:
        del content["c"]  # sets are calls of ``builtins.set`` there
    assert load_pickle(pickle.dumps(content, protocol), "test") == content


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL))
def test_numpy_numbers_are_read(protocol: int) -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    content = {"scalar": np.float64(0.25), "array": array}
    read = load_pickle(pickle.dumps(content, protocol), "test")
    assert read["scalar"] == 0.25
    assert np.array_equal(read["array"], array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_calls_are_refused_before_they_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made-by-the-pickle"
    content = pickle.dumps([1, Trap(target)], protocol)
    with pytest.raises(DataError, match=r"rejected.* would run (posix|nt|os)\.mkdir"):
        load_pickle(content, "test")
    assert not target.exists()
    pickle.loads(content)  # the trap does work
    assert target.exists()


@pytest.mark.parametrize("value", [eval, np.frombuffer, np.array([None]), np.str_("text")])
def test_other_globals_and_types_are_refused(value: object) -> None:
    with pytest.raises(DataError, match="test is rejected"):
        load_pickle(pickle.dumps(value, 4), "test")


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps([1, 2, 3])[:-3], b"\x80\x04."])
def test_broken_pickles(content: bytes) -> None:
    with pytest.raises(DataError, match="test is rejected"):
        load_pickle(content, "test")


def test_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "file.pickle.pbz2"
    with pytest.raises(DataError, match="no file"):
        load_compressed(path)
    content = bz2.compress(pickle.dumps({"a": 1}))
    path.write_bytes(content)
    assert load_compressed(path) == {"a": 1}
    path.write_bytes(content[:-4])
    with pytest.raises(DataError, match="truncated or not bzip2"):
        load_compressed(path)
    path.write_bytes(b"junk")
    with pytest.raises(DataError, match="truncated or not bzip2"):
        load_compressed(path)
