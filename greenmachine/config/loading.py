"""Read settings from YAML and the command line; errors are messages of one line."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from greenmachine.config.run import RunConfig
from greenmachine.errors import ConfigError, one_line
from greenmachine.parts import Part, validation_message
from greenmachine.plugins import belongs, is_loaded, load_plugin, loaded_plugins

__all__ = ["NO_YAML", "load_config", "with_plugins"]

NO_YAML = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What the YAML library raises on a text that is not YAML, or on a value that it cannot convert: a
date such as 2020-13-45, a malformed Boolean, lists nested too deeply."""

_PARTS = {
    name
    for name, field in RunConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Part)
}


def load_config(
    source: Path | RunConfig | None,
    overrides: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
) -> RunConfig:
    """Read the settings of a run, and load the plugins that they name.

    Args:
        source: a YAML file, or settings to start from; None means the defaults.
        overrides: values by dotted key, such as ``{"evolution.population": 50}``.
        plugins: files or names of further plugins to load.

    Returns:
        The validated settings. They name every plugin that they need.

    Raises:
        ConfigError: the file is missing or is not YAML, a key is unknown, a value is invalid, or
            a plugin cannot be loaded.
    """
    settings: Any = {}
    if isinstance(source, RunConfig):
        settings = source.model_dump(exclude_unset=True)
    elif source is not None:
        try:
            settings = yaml.safe_load(source.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise ConfigError(f"cannot read {source}: {error.strerror}") from None
        except NO_YAML as error:
            raise ConfigError(f"{source} is not YAML: {one_line(error, 300)}") from None
        if not isinstance(settings, dict):
            raise ConfigError(f"{source} must consist of `key: value` lines")
    for key, value in (overrides or {}).items():
        *parents, last = key.split(".")
        place = settings
        for parent in parents:
            if parent in _PARTS and isinstance(place.get(parent), str):  # only its name is given
                place[parent] = {"scheme": place[parent]}
            elif isinstance(place.get(parent), BaseModel):
                place[parent] = _written(place[parent])
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"setting {key}: {parent} is not a group of settings")
        place[last] = copy.deepcopy(value)  # a later key may change what is inside
    named = settings.get("plugins", [])
    if plugins or named:
        named = [named] if isinstance(named, str) else named
        if not isinstance(named, list | tuple) or not all(isinstance(n, str) for n in named):
            raise ConfigError("plugins: write a list of files or of installed plugins")
        # A run keeps the names of its plugins: their files may have been moved since.
        kept = {*filter(is_loaded, source.plugins)} if isinstance(source, RunConfig) else set()
        loaded = [n if n in kept else load_plugin(n).name for n in [*named, *plugins]]
        settings["plugins"] = list(dict.fromkeys(loaded))
    try:
        return with_plugins(RunConfig.model_validate(settings))
    except ValidationError as error:
        where = source if isinstance(source, Path) else "settings"
        raise ConfigError(f"{where}: {validation_message(error, RunConfig)}") from None


def _written(group: BaseModel) -> dict[str, Any]:
    """Return a group of settings, or a part, in its serialised form."""
    return group.written() if isinstance(group, Part) else group.model_dump(exclude_unset=True)


def with_plugins(config: RunConfig) -> RunConfig:
    """Return the settings with the plugins that define their parts; resuming needs these too."""
    parts = (config.selection, config.objective, *config.callbacks)
    # A plugin file that was moved has two names; one of them is enough.
    modules = {
        module
        for part in parts
        if part.scheme and not belongs(module := type(part).__module__, config.plugins)
    }
    owners = [
        plugin.name for plugin in loaded_plugins() if any(plugin.owns(each) for each in modules)
    ]
    plugins = tuple(dict.fromkeys((*config.plugins, *owners)))
    return config if plugins == config.plugins else config.model_copy(update={"plugins": plugins})
