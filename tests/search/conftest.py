"""Searches for networks need the extra ``search``; without it this folder has no tests."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("optuna") else ["test_*.py"]
