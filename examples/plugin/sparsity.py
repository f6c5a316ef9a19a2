"""A plugin: a primitive, a pass, an objective and a callback; ``README.md`` here shows its use.

Functions that a formula may call are exported with it: they read torch, what this file defines, and
what it imports by name from greenmachine.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import greenmachine
from greenmachine.networks.untouched import float_like
from greenmachine.primitives import INPUT_TENSOR, LAYER_SCALAR, OUTPUT_TENSOR, WEIGHT_TENSOR
from greenmachine.signals.capture import Layer, run_pass
from greenmachine.signals.passes import Inputs

EPSILON = 1e-12


@greenmachine.primitive(
    ((WEIGHT_TENSOR,), LAYER_SCALAR),
    ((INPUT_TENSOR,), LAYER_SCALAR),
    ((OUTPUT_TENSOR,), LAYER_SCALAR),
    domain="total: finite for every finite argument",
    reference="Hoyer, Non-negative matrix factorization with sparseness constraints, 2004",
)
def hoyer_sparsity(x: Tensor) -> Tensor:
    """Hoyer sparsity: 0 where all values are equally large, 1 where one alone is not zero."""
    values = x.flatten(1)
    root = math.sqrt(values.shape[1])
    ratio = values.abs().sum(1) / (values.norm(dim=1) + EPSILON)
    return (root - ratio) / max(root - 1, 1.0)


@greenmachine.register_pass()
def uniform(model: nn.Module, inputs: Inputs, wanted: set[str], seed: int) -> list[Layer]:
    """Images drawn from U(0, 1), gradient of the sum of the outputs."""
    generator = torch.Generator("cpu").manual_seed(seed)
    images = torch.rand(inputs.shape, generator=generator, dtype=torch.float32, device="cpu")
    return run_pass(model, images.to(float_like(model)), torch.sum, wanted, seed=seed)


@greenmachine.objective
def first_quarter(scores: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Mean accuracy, as a share of 1, of the quarter of the networks that rank first."""
    first = np.argsort(-scores, kind="stable")[: max(1, len(scores) // 4)]
    return float(truth[first].mean()) / 100


class ChampionLog(greenmachine.Callback, scheme="champion_log"):
    """Write a line into a text file of the run folder for the champion of each generation."""

    file: str = "champions.txt"
    _path: Path

    def on_start(self, run: greenmachine.callbacks.RunInfo) -> None:
        """Remember the folder; a resumed run continues its file."""
        self._path = run.folder / self.file

    def on_generation(self, generation: greenmachine.callbacks.Generation) -> None:
        """Append the number of the generation, the fitness on validation, and the expression."""
        champion = generation.champion
        number = int(generation.row["generation"])
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{number} {champion.validation:.4f} {champion.expression}\n")
