"""Freed memory stays in the process: the next tensor of its size costs no page."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from greenmachine.workers import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
    keep_freed_memory()
torch.set_num_threads(1)

def faults():
    x = torch.ones(2**18)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        y = x + 1
        z = y * 2
        del y, z
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_pages_are_touched_once() -> None:
    found = [
        int(subprocess.check_output([sys.executable, "-c", SCRIPT, word], text=True))
        for word in ("keep", "default")
    ]
    assert found[0] * 10 < found[1]
