"""What the C library does with memory that tensors give back."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

__all__ = ["keep_freed_memory"]

# <malloc.h> of glibc.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 2**25
_KEPT = 2**29


@cache
def keep_freed_memory() -> None:
    """Let this process keep up to half a gigabyte that it has freed, for the next tensors.

    By default glibc may hand every megabyte back to the system, which hands it out again page by
    page, cleared. Does nothing where the C library is another one.

    For processes of this project (workers, the command line): it holds for the whole process.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
