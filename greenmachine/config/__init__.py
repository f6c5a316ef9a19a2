"""The settings of a run: how they are read from YAML, validated, and written back in full."""

from __future__ import annotations

from greenmachine.config.groups import (
    CaptureConfig,
    LanguageConfig,
    SampleConfig,
    SamplesConfig,
)
from greenmachine.config.loading import NO_YAML, load_config, with_plugins
from greenmachine.config.run import RunConfig, split_task
from greenmachine.config.search import EvolutionConfig

__all__ = [
    "NO_YAML",
    "CaptureConfig",
    "EvolutionConfig",
    "LanguageConfig",
    "RunConfig",
    "SampleConfig",
    "SamplesConfig",
    "load_config",
    "split_task",
    "with_plugins",
]
