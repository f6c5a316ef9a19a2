"""Execute a notebook with the interpreter that runs the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


def execute(notebook: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the cells of a notebook in ``folder``; a cell that raises fails."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    # This interpreter, whatever kernels are installed.
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    monkeypatch.setattr(
        AsyncKernelManager, "kernel_spec", KernelSpec(argv=command, language="python")
    )
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
