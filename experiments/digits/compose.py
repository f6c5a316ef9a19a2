"""Images of the embedded benchmarks, composed from the digits that scikit-learn brings.

The scans are real: 1,797 of 8×8 pixels from 43 writers (E. Alpaydin and C. Kaynak, Optical
Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998; CC BY 4.0). Alone they
are too easy to rank networks by. An image here is a 12×12 RGB canvas of noise on which two scans
lie at random places, over each other where they meet: a bluish distractor, and a yellowish digit,
which is the class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CANVAS", "Scans", "compose", "load_scans", "split_scans"]

CANVAS = 12
SCAN = 8
TRAINING_SCANS = 1_197  # two thirds; test images are composed from scans that training never saw

NOISE = 0.25  # standard deviation of the canvas, where a stroke has about 1
DISTRACTOR = 0.8  # strength of the distractor beside the digit's 1
DIGIT_COLOUR = (0.8, 0.8, 0.2)
DISTRACTOR_COLOUR = (0.2, 0.7, 0.7)
COLOUR_SPREAD = 0.15
# Canvas 0 becomes grey 60, a full stroke about 150: few pixels are cut at 0 or 255.
BLACK, SCALE = 60.0, 110.0


@dataclass(frozen=True)
class Scans:
    """Scans of digits: ``images`` (n, 8, 8) from 0 to 1, ``labels`` (n,)."""

    images: NDArray[np.float64]
    labels: NDArray[np.int64]


def load_scans() -> Scans:
    """Return all scans.

    Raises:
        SystemExit: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit(
            "the digits come with scikit-learn: pip install 'greenmachine[experiments]'"
        ) from None
    digits = load_digits()
    return Scans(digits.images / 16, digits.target)


def split_scans(seed: int = 0) -> tuple[Scans, Scans]:
    """Return the scans for training and those for the test, disjoint."""
    scans = load_scans()
    order = np.random.default_rng(seed).permutation(len(scans.labels))
    parts = order[:TRAINING_SCANS], order[TRAINING_SCANS:]
    train, test = (Scans(scans.images[part], scans.labels[part]) for part in parts)
    return train, test


def compose(scans: Scans, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return ``count`` images (count, 12, 12, 3) and their labels (count,), drawn by ``seed``."""
    generator = np.random.default_rng(seed)
    canvas = generator.normal(0, NOISE, (count, CANVAS, CANVAS, 3))
    chosen = generator.integers(0, len(scans.labels), (2, count))
    _stamp(canvas, scans.images[chosen[0]], DISTRACTOR_COLOUR, DISTRACTOR, generator)
    _stamp(canvas, scans.images[chosen[1]], DIGIT_COLOUR, 1.0, generator)
    pixels = np.clip(np.rint(BLACK + SCALE * canvas), 0, 255).astype(np.uint8)
    return pixels, scans.labels[chosen[1]].astype(np.int64)


def _stamp(
    canvas: NDArray[np.float64],
    strokes: NDArray[np.float64],
    colour: tuple[float, float, float],
    strength: float,
    generator: np.random.Generator,
) -> None:
    """Add one scan to every canvas, at its own place and in its own shade of ``colour``."""
    count = len(canvas)
    shades = strength * (colour + generator.normal(0, COLOUR_SPREAD, (count, 3)))
    places = generator.integers(0, CANVAS - SCAN + 1, (count, 2))
    for image, stroke, shade, (top, left) in zip(canvas, strokes, shades, places, strict=True):
        image[top : top + SCAN, left : left + SCAN] += stroke[:, :, None] * shade
