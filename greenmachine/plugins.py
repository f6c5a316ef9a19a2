"""Plugins: users' additions to the language and to the search, from a file or a package.

A plugin is Python code that registers primitives (``@greenmachine.primitive``), passes
(``@greenmachine.register_pass``), proxies, benchmarks, or kinds of parts (``parts.py``) when it is
imported. It is named by the path of a file, such as ``my_words.py``, or by an entry point of the
group ``greenmachine.plugins`` of an installed package.

**Code.** A plugin can do anything that Python can. A file is run only if the command line, the
user's settings or the caller names it, and never because a run folder or a table does. A package
was trusted when it was installed.

**Workers.** Tasks carry the plugins of the process that sent them, a file together with its source.
A worker runs it once, and need not see the file.

**Scope.** Registries contain what all plugins of a process added. A run only uses parts of
GreenMachine itself and of plugins that the run names, so its result does not depend on what else
the process has imported. If the import of a plugin fails, what it had registered is removed, so
that it can be corrected and imported again in the same process.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from greenmachine.errors import ConfigError, RunError, one_line

__all__ = [
    "Plugin",
    "belongs",
    "checksums",
    "is_loaded",
    "load_plugin",
    "loaded_plugins",
    "origin",
    "receive_plugins",
    "require_plugins",
    "unload_plugins",
    "when_forgotten",
]

GROUP = "greenmachine.plugins"
"""Group of the entry points."""


@dataclass(frozen=True)
class Plugin:
    """A plugin that this process has imported.

    Attributes:
        name: absolute path of a file, or name of an entry point.
        sha256: SHA-256 of the file, or of all Python files of the package.
        module: name of the module as which it was imported.
        source: content of a file; None for a package.
    """

    name: str
    sha256: str
    module: str
    source: bytes | None = field(default=None, repr=False)

    @property
    def short(self) -> str:
        """The name for display, without folders."""
        return self.name if self.source is None else Path(self.name).name

    def owns(self, module: str) -> bool:
        """Return whether ``module`` belongs to the plugin."""
        if self.source is not None:
            return module == self.module
        return module.partition(".")[0] == self.module.partition(".")[0]


_loaded: dict[str, Plugin] = {}

Forget = Callable[[Callable[[str], bool]], None]
"""Removes from a registry the entries of all modules for which the argument returns true."""

_forgets: list[Forget] = []


def when_forgotten(forget: Forget) -> Forget:
    """Register a function that removes the entries of failed plugins; return it."""
    _forgets.append(forget)
    return forget


def loaded_plugins() -> tuple[Plugin, ...]:
    """Return the plugins that this process has imported, in order."""
    return tuple(dict.fromkeys(_loaded.values()))


def checksums(names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each loaded plugin in ``names``, by the name that a run uses."""
    return {name: _loaded[name].sha256 for name in names}


def is_loaded(name: str) -> bool:
    """Return whether a plugin is loaded as ``name``, an absolute path or an entry point."""
    return name in _loaded


def load_plugin(name: str | Path | ModuleType) -> Plugin:
    """Import a plugin, once per process.

    Args:
        name: path of a Python file, name of an entry point of the group ``greenmachine.plugins``,
            or a module that the caller has imported.

    Returns:
        The plugin.

    Raises:
        ConfigError: there is no such file or entry point, importing it fails, or the file has
            changed since this process imported it.
    """
    if isinstance(name, ModuleType):
        if not getattr(name, "__file__", None):
            raise ConfigError(f"plugin {name.__name__}: write it to a file, and give its path")
        name = Path(str(name.__file__))
    text = str(name)
    if text.endswith(".py"):
        return _load_file(Path(text).expanduser().resolve())
    return _load_package(text)


def receive_plugins(plugins: Iterable[Plugin]) -> None:
    """In a worker: import the plugins of the process that sent a task.

    Raises:
        RunError: this machine has another version of a package, or none; or this worker has run
            another version of a file. The worker does not replace it, because objects in its memory
            may come from the old version.
    """
    for plugin in plugins:
        try:
            known = _loaded.get(plugin.name) or _copy_of(plugin)
            if known is None:
                known = _load_package(plugin.name) if plugin.source is None else _run(plugin)
        except ConfigError as error:
            hint = "if the worker has run an older version of it, start the workers again"
            if plugin.source is None:
                hint = "install it on every machine"
            raise RunError(
                f"a worker cannot load a plugin: {one_line(error, 300)}; {hint}"
            ) from None
        if known.sha256 != plugin.sha256:
            hint = "install the same on every machine, and " if plugin.source is None else ""
            raise RunError(
                f"a worker has another version of plugin {plugin.short}: {hint}"
                "start the workers again"
            )
        _loaded.setdefault(plugin.name, known)


def require_plugins(wanted: Mapping[str, str], source: Path) -> None:
    """Check that the plugins with which a run was made are loaded.

    Args:
        wanted: SHA-256 of each plugin, by the name that the run uses.
        source: folder of the run; it may come from anybody, so no file that it names is run.

    Raises:
        ConfigError: a file is not loaded; only the user of the command can name it.
        RunError: a plugin has changed since.
    """
    for name, digest in wanted.items():
        plugin = _loaded.get(name) or next(
            (each for each in _loaded.values() if each.sha256 == digest), None
        )
        if plugin is None and name.endswith(".py"):
            for each in _loaded.values():
                if Path(each.name).name == Path(name).name:
                    raise RunError(
                        f"{each.name} differs from the plugin that {source} was made with "
                        f"({name}): restore the old version, or start again in another --out"
                    )
            raise ConfigError(
                f"{source} needs the plugin {name}: if you trust it, load it with "
                f"--plugin {shlex.quote(name)}"
            )
        plugin = plugin or _load_package(name)
        if plugin.sha256 != digest:
            raise RunError(
                f"plugin {plugin.name} has changed since {source} was made: restore the old "
                "version, or start again in another --out"
            )
        _loaded.setdefault(name, plugin)  # the same file at another path


def unload_plugins() -> None:
    """Remove all plugins and their registrations, as if none had been imported.

    Objects that were made with them keep working; a search that names a plugin loads it again.
    """
    loaded = loaded_plugins()
    _loaded.clear()
    _forget(lambda module: any(plugin.owns(module) for plugin in loaded))


def origin(module: str) -> str:
    """Return where definitions of ``module`` come from: ``greenmachine``, or a plugin's name."""
    for plugin in _loaded.values():
        if plugin.owns(module):
            return plugin.short
    return module.partition(".")[0]


def belongs(module: str, plugins: Iterable[str]) -> bool:
    """Return whether ``module`` belongs to GreenMachine itself, or to one of ``plugins``."""
    if module.partition(".")[0] == "greenmachine":
        return True
    return any(name in _loaded and _loaded[name].owns(module) for name in plugins)


def _load_file(path: Path) -> Plugin:
    try:
        source = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ConfigError(f"plugin {path}: {reason}: give the path of a Python file") from None
    digest = hashlib.sha256(source).hexdigest()
    known = _loaded.get(str(path))
    if known is not None:
        if known.sha256 != digest:
            raise ConfigError(f"plugin {path} has changed since it was imported: restart Python")
        return known
    for module in list(sys.modules.values()):  # if the caller imported it, it is registered
        if getattr(module, "__file__", None) == str(path) and module.__name__ != "__main__":
            plugin = Plugin(str(path), digest, module.__name__, source)
            return _loaded.setdefault(plugin.name, plugin)
    stem = "".join(c if c.isalnum() else "_" for c in path.stem)
    plugin = Plugin(str(path), digest, f"greenmachine_plugin_{stem}_{digest[:12]}", source)
    known = _copy_of(plugin)
    return _run(plugin) if known is None else _loaded.setdefault(plugin.name, known)


def _copy_of(plugin: Plugin) -> Plugin | None:
    """Return the plugin that was imported from a file with the same content at another path."""
    if plugin.source is None:
        return None
    return next((each for each in _loaded.values() if each.source == plugin.source), None)


def _run(plugin: Plugin) -> Plugin:
    """Execute the source of a plugin as its module."""
    assert plugin.source is not None
    module = ModuleType(plugin.module)
    module.__file__ = plugin.name
    sys.modules[plugin.module] = module  # pydantic and dataclasses need this entry
    try:
        exec(compile(plugin.source, plugin.name, "exec"), module.__dict__)
    except BaseException as error:  # a user's code may raise anything or call sys.exit
        _forget(plugin.owns)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _fault(plugin.name, error) from error
    return _loaded.setdefault(plugin.name, plugin)


def _load_package(name: str) -> Plugin:
    if name in _loaded:
        return _loaded[name]
    points = importlib.metadata.entry_points(group=GROUP)
    found = {point.value: point for point in points if point.name == name}
    if not found:
        known = ", ".join(sorted(points.names)) or "none is installed"
        raise ConfigError(
            f"no plugin {name!r}: give a Python file, such as my_words.py, or an installed plugin "
            f"({known})"
        )
    if len(found) > 1:
        raise ConfigError(
            f"several packages have a plugin {name!r} ({', '.join(sorted(found))}): uninstall all "
            "but one"
        )
    ((value, point),) = found.items()
    owner = Plugin(name, "", value.partition(":")[0].strip())
    before = set(sys.modules)
    try:
        module = importlib.import_module(owner.module)
        point.load()
    except BaseException as error:
        _forget(lambda module: owner.owns(module) and module not in before)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _fault(name, error) from error
    return _loaded.setdefault(name, Plugin(name, _package_checksum(module), module.__name__))


def _forget(gone: Callable[[str], bool]) -> None:
    """Remove the modules for which ``gone`` returns true, and all that they have registered."""
    from greenmachine.parts import Part
    from greenmachine.primitives.registry import paper_registry, registry, vocabulary

    for words in (registry, paper_registry, vocabulary):
        words.forget(gone)
    Part.forget(gone)
    for forget in _forgets:
        forget(gone)
    for name in [name for name in sys.modules if gone(name)]:
        del sys.modules[name]


def _package_checksum(module: ModuleType) -> str:
    top = sys.modules[module.__name__.partition(".")[0]]
    places = [Path(place) for place in getattr(top, "__path__", [])]
    files = sorted(path for place in places for path in place.rglob("*.py"))
    if not files and top.__file__:
        files = [Path(top.__file__)]
    whole = hashlib.sha256()
    for path in files:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _fault(name: str, error: BaseException) -> ConfigError:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == name]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    said = error.msg if isinstance(error, SyntaxError) else one_line(error, 300)
    place = f", line {line}" if line else ""
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = " (a plugin file cannot import its neighbours: install several files as a package)"
    return ConfigError(f"plugin {name}{place}: {type(error).__name__}: {said}{hint}")
