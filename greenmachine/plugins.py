"""Plugins: what users bring to the language and to the search, from a file or a package.

A plugin is Python code that registers primitives (``@greenmachine.primitive``), passes
(``@greenmachine.register_pass``), proxies, benchmarks, and kinds of parts (``parts.py``) when it is
imported. It is named by the path of a file, ``my_words.py``, or by an entry point of the group
``greenmachine.plugins`` of an installed package.

**Code.** A plugin may do anything that Python can. A file is run where the command line, the
settings that somebody passes, or the caller name it, and never because a run folder or a table
does. A package was trusted when it was installed.

**Workers.** Tasks carry the plugins of the process that sent them, a file with its source: a worker
runs it once, and need not see the file.

**What belongs to whom.** Registries hold what all plugins of a process brought. A run offers to its
trees what is GreenMachine's own or of a plugin that the run names, so that its result does not
depend on what else the process has imported. What a plugin registered before its import failed is
removed again, so that it can be corrected and imported in the same process.
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
        sha256: of the file, or of all Python files of the package.
        module: name under which it was imported.
        source: of a file; None of a package.
    """

    name: str
    sha256: str
    module: str
    source: bytes | None = field(default=None, repr=False)

    @property
    def short(self) -> str:
        """The name for a person to read, without folders."""
        return self.name if self.source is None else Path(self.name).name

    def owns(self, module: str) -> bool:
        """Whether ``module`` is the plugin's."""
        if self.source is not None:
            return module == self.module
        return module.partition(".")[0] == self.module.partition(".")[0]


_loaded: dict[str, Plugin] = {}

Forget = Callable[[Callable[[str], bool]], None]
"""Removes from a registry what each module has registered of which the argument is true."""

_forgets: list[Forget] = []


def when_forgotten(forget: Forget) -> Forget:
    """Let a registry lose what a plugin has registered whose import failed; return ``forget``."""
    _forgets.append(forget)
    return forget


def loaded_plugins() -> tuple[Plugin, ...]:
    """Return the plugins that this process has imported, in order."""
    return tuple(dict.fromkeys(_loaded.values()))


def checksums(names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each loaded plugin by the name, of ``names``, that a run has for it."""
    return {name: _loaded[name].sha256 for name in names}


def is_loaded(name: str) -> bool:
    """Whether a plugin is known by ``name``, an absolute path or an entry point."""
    return name in _loaded


def load_plugin(name: str | Path | ModuleType) -> Plugin:
    """Import a plugin, once a process.

    Args:
        name: path of a Python file, name of an entry point of the group ``greenmachine.plugins``,
            or a module that the caller has imported.

    Raises:
        ConfigError: there is no such file or entry point, it raises, or the file has changed since
            this process has imported it.
    """
    if isinstance(name, ModuleType):
        if not getattr(name, "__file__", None):
            raise ConfigError(f"plugin {name.__name__}: write it into a file, and name that")
        name = Path(str(name.__file__))
    text = str(name)
    if text.endswith(".py"):
        return _load_file(Path(text).expanduser().resolve())
    return _load_package(text)


def receive_plugins(plugins: Iterable[Plugin]) -> None:
    """In a worker: import the plugins of the process that sent a task.

    Raises:
        RunError: this machine has another version of a package, or none; or this worker has run
            another version of a file. It does not replace one by the other: what it holds in
            memory may be of the old one.
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
            raise RunError(f"a worker lacks a plugin: {one_line(error, 300)}; {hint}") from None
        if known.sha256 != plugin.sha256:
            hint = "install the same on every machine, and " if plugin.source is None else ""
            raise RunError(
                f"a worker has another version of plugin {plugin.short}: {hint}"
                "start the workers again"
            )
        _loaded.setdefault(plugin.name, known)


def require_plugins(wanted: Mapping[str, str], source: Path) -> None:
    """Make sure that the plugins are loaded that a run was made with.

    Args:
        wanted: SHA-256 by the name that the run knows a plugin by.
        source: folder of the run; it may come from anybody, so that it runs no file.

    Raises:
        ConfigError: a file is not loaded: only whoever runs the command names it.
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
                        f"({name}): put the old version back, or start again in another --out"
                    )
            raise ConfigError(
                f"{source} needs the plugin {name}: if you trust it, name it with "
                f"--plugin {shlex.quote(name)}"
            )
        plugin = plugin or _load_package(name)
        if plugin.sha256 != digest:
            raise RunError(
                f"plugin {plugin.name} has changed since {source} was made: put the old version "
                "back, or start again in another --out"
            )
        _loaded.setdefault(name, plugin)  # the same file in another place


def unload_plugins() -> None:
    """Forget all plugins and what they have registered, as if this process had imported none.

    Objects that were made with them keep working; a search that names one loads it again.
    """
    loaded = loaded_plugins()
    _loaded.clear()
    _forget(lambda module: any(plugin.owns(module) for plugin in loaded))


def origin(module: str) -> str:
    """Return where what ``module`` defines comes from: ``greenmachine``, or a plugin's name."""
    for plugin in _loaded.values():
        if plugin.owns(module):
            return plugin.short
    return module.partition(".")[0]


def belongs(module: str, plugins: Iterable[str]) -> bool:
    """Whether what ``module`` defines is GreenMachine's own, or of one of ``plugins``, by name."""
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
            raise ConfigError(f"plugin {path} has changed since it was imported: start Python anew")
        return known
    for module in list(sys.modules.values()):  # imported by the caller: what it has is registered
        if getattr(module, "__file__", None) == str(path) and module.__name__ != "__main__":
            plugin = Plugin(str(path), digest, module.__name__, source)
            return _loaded.setdefault(plugin.name, plugin)
    stem = "".join(c if c.isalnum() else "_" for c in path.stem)
    plugin = Plugin(str(path), digest, f"greenmachine_plugin_{stem}_{digest[:12]}", source)
    known = _copy_of(plugin)
    return _run(plugin) if known is None else _loaded.setdefault(plugin.name, known)


def _copy_of(plugin: Plugin) -> Plugin | None:
    """Return the plugin that was imported from a file with the same content, in another place."""
    if plugin.source is None:
        return None
    return next((each for each in _loaded.values() if each.source == plugin.source), None)


def _run(plugin: Plugin) -> Plugin:
    """Run the source of a plugin as the module that it says."""
    assert plugin.source is not None
    module = ModuleType(plugin.module)
    module.__file__ = plugin.name
    sys.modules[plugin.module] = module  # pydantic and dataclasses look themselves up there
    try:
        exec(compile(plugin.source, plugin.name, "exec"), module.__dict__)
    except BaseException as error:  # it is anybody's code, and may call sys.exit
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
            f"no plugin {name!r}: give a Python file, my_words.py, or an installed one ({known})"
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
    """Remove the modules of which ``gone`` is true, and all that they have registered."""
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
        hint = " (a plugin file stands alone; make a package of several files, and install it)"
    return ConfigError(f"plugin {name}{place}: {type(error).__name__}: {said}{hint}")
