"""A small space for all searches; they need the extra ``search``, and are left out without it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.search.small_space import COSTS, SPACE

collect_ignore_glob = [] if find_spec("optuna") else ["test_*.py"]


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "costs.py").write_text(COSTS)
    path = tmp_path / "my_space.py"
    path.write_text(SPACE)
    return path
