"""Read the pickles of official files without trusting them.

A pickle is a program: unpickling it may call any function that it names. The files of NATS-Bench
and CIFAR need only plain containers and numpy numbers. They are therefore read by an unpickler that
accepts nothing else, and rejects any other file before it calls a function. Checking and loading
are one step, so a file cannot change in between.
"""

from __future__ import annotations

import bz2
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from greenmachine.errors import DataError, one_line

__all__ = ["load_compressed", "load_pickle"]

# The module of numpy's array functions was renamed in numpy 2; pickles contain either name.
_ARRAYS: Any = np.array(0.0).__reduce__()[0]
_SCALAR: Any = np.float64(0.0).__reduce__()[0]


def _numeric_dtype(code: Any, *arguments: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(code, *arguments)
    if dtype.kind not in "biuf":
        raise pickle.UnpicklingError(f"numpy type {dtype} is not a plain number")
    return dtype


def _latin1(text: str, encoding: str) -> bytes:
    """Replace ``codecs.encode``, which old pickles use to write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding}")
    return text.encode(encoding)


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin1,
    ("numpy", "dtype"): _numeric_dtype,
    ("numpy", "ndarray"): np.ndarray,
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _ARRAYS for core in ("core", "_core")},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it would run {module}.{name}") from None


def load_pickle(content: bytes, source: str, *, encoding: str = "ASCII") -> Any:
    """Return the plain containers, numbers and arrays in ``content``.

    Args:
        content: the bytes of a pickle.
        source: name of the file in error messages.
        encoding: encoding of Python 2 strings, see ``pickle.load``.

    Raises:
        DataError: ``content`` is truncated, or would call a function outside the short list.
    """
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding=encoding).load()
    # A damaged pickle may fail in any of these ways.
    except (
        pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError,
        MemoryError, OverflowError, RecursionError, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise DataError(
            f"{source} is rejected, because it is not an official file: {one_line(error)}"
        ) from error


def load_compressed(path: Path) -> Any:
    """Return the content of a bzip2-compressed pickle, as in ``load_pickle``.

    Raises:
        DataError: the file is missing, truncated or rejected.
    """
    try:
        packed = path.read_bytes()
        most = max(_SMALL, _RATIO * len(packed))
        content = _decompressed(packed, most)
    except FileNotFoundError:
        raise DataError(f"no file {path}; download the benchmark again") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is truncated or not bzip2; download it again") from error
    if len(content) > most:
        raise DataError(
            f"{path} is rejected, because it is not an official file: {len(packed)} bytes expand "
            f"to more than {most}"
        )
    return load_pickle(content, str(path))


_SMALL, _RATIO = 2**26, 100
"""Bytes to which any file may expand, and the largest expansion ratio of a larger file."""


def _decompressed(packed: bytes, most: int) -> bytes:
    """Return the content, or a little more than ``most`` bytes of it if it is longer.

    Raises:
        ValueError: the file is truncated, or not bzip2.
    """
    content = bytearray()
    while packed and len(content) <= most:  # a file may be several streams
        stream = bz2.BZ2Decompressor()
        content += stream.decompress(packed, most + 1 - len(content))
        while not stream.eof and len(content) <= most:
            if stream.needs_input:
                raise ValueError("truncated")
            content += stream.decompress(b"", most + 1 - len(content))
        packed = stream.unused_data if stream.eof else b""
    return bytes(content)
