"""The engine's score of a single module."""

from __future__ import annotations

from torch import Tensor, nn

from greenmachine.engine import score_model
from greenmachine.language import parse


def engine_score(
    text: str,
    model: nn.Module,
    shape: tuple[int, ...],
    images: Tensor | None = None,
    labels: Tensor | None = None,
    seed: int = 0,
) -> float:
    """Return what the engine makes of ``text`` on ``model``."""
    (score,) = score_model(model, [parse(text)], shape, images=images, labels=labels, seed=seed)
    return float(score)
