"""Control how the C library handles memory that tensors free."""

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
    """Let this process keep up to half a gigabyte of freed memory for the next tensors.

    By default glibc may return every megabyte to the system, which then provides and clears it
    again page by page. The function does nothing with another C library.

    It is meant for processes of this project (workers, the command line), because it affects the
    whole process.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
