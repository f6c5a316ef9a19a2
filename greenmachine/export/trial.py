"""Run an exported file before somebody uses it, where a plugin's source is in it.

The source of a plugin may read names that change while it is imported, or that another definition
of the file has too. What that does to a score cannot be seen in the text: the file is run on a
small network, and has to say what the engine says.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn

from greenmachine.engine.score_model import evaluate_model
from greenmachine.errors import ConfigError, one_line
from greenmachine.language import Expression
from greenmachine.plugins import loaded_plugins
from greenmachine.primitives import vocabulary
from greenmachine.signals.registry import PASSES, wanted_of

__all__ = ["check_export"]

_NAME = "greenmachine_exported_trial"


def check_export(source: str, tree: Expression, direction: int, shape: Sequence[int]) -> None:
    """Refuse an exported file that holds a plugin's source and does not score as the engine does.

    Args:
        source: of the file.
        tree: its expression.
        direction: of the proxy.
        shape: (B, C, H, W) of its noise.

    Raises:
        ConfigError: the file raises, or its score or one of its constants is another.
    """
    plugins = [plugin.short for plugin in loaded_plugins() if _uses(tree, plugin.owns)]
    if not plugins:
        return
    where = f"a formula with words of {', '.join(plugins)} cannot be exported"
    module = ModuleType(_NAME)
    sys.modules[_NAME] = module  # dataclasses look themselves up there
    try:
        exec(compile(source, f"<{_NAME}>", "exec"), module.__dict__)
        text = getattr(module, "EXPRESSION", tree.text)  # the compact form has it in its docstring
        told = (text, module.DIRECTION, tuple(module.SHAPE))
        if told != (tree.text, direction, tuple(shape)):
            raise ConfigError(f"{where}: the plugin has EXPRESSION, DIRECTION or SHAPE: rename it")
        for seed in (0, 1):
            model, given = _network(shape, seed)
            found = float(module.score(model, **given, shape=tuple(shape), seed=seed))
            expected = float(
                evaluate_model(model, [tree], tuple(shape), **given, seed=seed).values[0]
            )
            same = found == expected or (math.isnan(found) and math.isnan(expected))
            if not same and not math.isclose(found, expected, rel_tol=1e-6):
                raise ConfigError(
                    f"{where}: the file gives {found:.9g} where it should give {expected:.9g}: let "
                    "its functions read constants that are assigned once, and names of their own"
                )
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{where}: the file raises {type(error).__name__}: {one_line(error, 200)}; give the "
            "plugin's functions names that nothing else has"
        ) from error
    finally:
        del sys.modules[_NAME]


def _uses(tree: Expression, owns: Any) -> bool:
    modules = {vocabulary[node.op].function.__module__ for node in tree.walk() if node.args}
    modules |= {
        each.function.__module__ for each in PASSES.values() if wanted_of(each.name, tree.terminals)
    }
    return any(owns(module) for module in modules)


def _network(shape: Sequence[int], seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """Return a small network for images of ``shape``, and a labelled mini-batch."""
    generator = torch.Generator("cpu").manual_seed(seed)
    batch, features = int(shape[0]), int(shape[1])
    images = torch.randn(tuple(shape), generator=generator, dtype=torch.float32, device="cpu")
    labels = torch.arange(batch, device="cpu") % 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        if len(shape) == 4:
            layers += [nn.Conv2d(features, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()]
            layers += [nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
            layers += [nn.Flatten(), nn.Linear(5, 3)]
        else:
            layers += [nn.Linear(int(shape[-1]), 4), nn.ReLU(), nn.Linear(4, 3)]
        model = nn.Sequential(*layers).to(torch.float32)
    return model, {"images": images, "labels": labels}
