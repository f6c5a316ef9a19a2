"""A Python file of a user that defines networks, imported without side effects on other imports.

The file runs under a private module name. Its folder is importable only while its code runs.
Modules beside it that it imports are removed from ``sys.modules`` afterwards, because two spaces
may each have a ``models.py``, and because a file that was edited must be read again.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from greenmachine.errors import DataError, one_line

__all__ = ["UserFile"]

_FUNCTIONS = ("build", "images", "suggest")


class UserFile:
    """A Python file that has been run.

    Args:
        path: absolute path.

    Attributes:
        module: the module that the file defines.

    Raises:
        DataError: the file is missing, or running it raises an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._neighbours: dict[str, ModuleType] = {}
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
        self.module = ModuleType(f"_greenmachine_{path.stem}_{digest}")
        self.module.__file__ = str(path)
        try:
            # Compiled here, not by the import system, whose cached .pyc may be outdated.
            source = path.read_bytes()
            sys.modules[self.module.__name__] = self.module  # dataclasses need this entry
            with self._at_home():
                exec(compile(source, str(path), "exec"), self.module.__dict__)
        except FileNotFoundError as error:
            if error.filename != str(path):
                raise self._fault(error) from error
            raise DataError(f"no file {path}: give the Python file with build(arch)") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it is anybody's code, and may call sys.exit
            raise self._fault(error) from error

    def __reduce__(self) -> tuple[type[UserFile], tuple[Path]]:
        return UserFile, (self.path,)  # modules do not pickle; another process runs the file again

    @property
    def files(self) -> tuple[Path, ...]:
        """The file and the modules beside it that it has imported so far."""
        found = {Path(m.__file__) for m in self._neighbours.values() if m.__file__}
        return self.path, *sorted(found)

    @property
    def place(self) -> str:
        """The file, for messages."""
        return str(self.path)

    def spelled(self, name: str) -> str:
        """Return the name in the file: constants in capitals, functions unchanged."""
        return name if name in _FUNCTIONS else name.upper()

    def get(self, name: str) -> Any:
        """Return the value of ``name`` in the file; None if it is not defined."""
        return getattr(self.module, self.spelled(name), None)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Return ``name(*args, **kwargs)``, called while the file's folder is importable."""
        return self.run(self.get(name), *args, **kwargs)

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return ``function(*args, **kwargs)``, called while the file's folder is importable."""
        with self._at_home():
            return function(*args, **kwargs)

    def try_call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Return the result of :meth:`call`.

        Raises:
            DataError: it raised an error; the message names exception, line and file.
        """
        try:
            return self.call(name, *args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it is anybody's code, and may call sys.exit
            raise self._fault(error) from error

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """Make modules beside the file importable inside the block, and only there."""
        folder = str(self.path.parent)
        importlib.invalidate_caches()
        before = set(sys.modules)
        sys.modules.update({n: m for n, m in self._neighbours.items() if n not in before})
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            for name in set(sys.modules) - before - {self.module.__name__}:
                # Submodules of a package that was imported before (torch) belong to that package.
                if name.partition(".")[0] not in before and self._is_neighbour(sys.modules[name]):
                    self._neighbours[name] = sys.modules.pop(name)

    def _is_neighbour(self, module: ModuleType) -> bool:
        top = Path(module.__name__.partition(".")[0])
        origin = getattr(module, "__file__", None)
        if origin is None:  # a folder without __init__.py
            return any(Path(p).is_relative_to(self.path.parent / top) for p in _places(module))
        folder = self.path.parent
        return Path(origin) == folder / f"{top}.py" or Path(origin).is_relative_to(folder / top)

    def _fault(self, error: BaseException) -> DataError:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno for f in frames if f.filename == str(self.path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        place = f", line {line}" if line else ""
        said = error.msg if isinstance(error, SyntaxError) else one_line(error, 300)
        return DataError(f"{self.path}{place}: {type(error).__name__}: {said}; correct the file")


def _places(module: ModuleType) -> list[str]:
    return list(getattr(module, "__path__", []))
