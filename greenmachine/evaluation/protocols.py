"""What a forest is worth under four protocols, which differ in what it has seen before.

``all``               every network, those of the training sample too. The paper's figures are
                      believed to be made so. A forest nearly knows what it was
                      trained on by heart: the larger its share, the better it looks.
``held_out``          the networks that were not trained on. An isomorphic cell, with nearly the
                      same scores and accuracy, may have been.
``held_out_classes``  the training sample is of whole isomorphism classes, and a forest of its own
                      is fitted on it: no held-out network has an isomorphic one there. Only where
                      some networks are isomorphic.
``held_out_unseen``   the networks of ``held_out`` whose accuracies chose none of the features
                      either, as those that a run learns from choose an evolved proxy. Only where
                      it is told which they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.errors import ConfigError
from greenmachine.fitness import class_sample, random_sample, tau_row
from greenmachine.forest import Forest
from greenmachine.workers import Progress, check_workers

__all__ = ["Trial", "try_forest"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """A forest, and what it is worth.

    Attributes:
        forest: fitted on the random training sample, the one of ``all`` and ``held_out``.
        measures: a row a protocol: ``protocol``, ``trained`` (networks in training), ``networks``
            (judged), ``tau``, ``standard_error``, ``r2`` and ``mae`` (percent). A held-out
            protocol with fewer than two networks left has no row.
    """

    forest: Forest
    measures: pd.DataFrame


def try_forest(
    scores: pd.DataFrame,
    accuracy: Floats,
    groups: Counts,
    size: int,
    *,
    seed: int,
    trees: int = 100,
    workers: int = 1,
    unseen: npt.NDArray[np.bool_] | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Trial:
    """Fit a forest on a random sample and measure it under every protocol.

    Args:
        scores: (networks, features), not finite = failed.
        accuracy: (networks,) true accuracies in percent.
        groups: (networks,) equal where two networks are isomorphic.
        size: networks in training. Whole classes may miss it by a few.
        seed: of samples and forest, at least 0.
        trees: of a forest.
        workers: threads; results do not depend on it.
        unseen: (networks,) whether a network's accuracy chose none of the features.
        facts: what the forest keeps beside its own.
        progress: told how many trees are grown, those of all protocols together.

    Raises:
        ConfigError: ``size`` is not 2 to the number of networks, or as in ``Forest.fit``.
    """
    check_workers(workers)
    if not 2 <= size <= len(scores):
        raise ConfigError(
            f"cannot train on {size} of {len(scores)} networks: use 2 or more of them"
        )
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2)]
    samples = [random_sample(np.arange(len(scores)), size, streams[0])]
    if len(np.unique(groups)) < len(groups):
        whole = class_sample(groups, size, streams[1])
        if len(whole) >= 2:
            samples.append(whole)
    forests: list[Forest] = []
    rows = []
    for number, sample in enumerate(samples):
        held_out = np.setdiff1d(np.arange(len(scores)), sample)
        grown = _after(progress, number * trees, len(samples) * trees)
        forest = Forest.fit(
            scores.iloc[sample],
            accuracy[sample],
            seed=seed,
            trees=trees,
            workers=workers,
            facts=facts,
            progress=grown,
        )
        forests.append(forest)
        predicted = forest.predict(scores)
        judged = {"held_out_classes": held_out}
        if number == 0:
            judged = {"all": np.arange(len(scores)), "held_out": held_out}
            if unseen is not None:
                judged["held_out_unseen"] = held_out[unseen[held_out]]
        for protocol, chosen in judged.items():
            if len(chosen) >= 2:
                measured = _measure(predicted[chosen], accuracy[chosen])
                rows.append({"protocol": protocol, "trained": len(sample), **measured})
    return Trial(forests[0], pd.DataFrame(rows))


def _measure(predicted: Floats, accuracy: Floats) -> dict[str, float]:
    row = tau_row(predicted, accuracy, 1)
    error = predicted - accuracy
    spread = float(((accuracy - accuracy.mean()) ** 2).sum())
    return {
        "networks": len(accuracy),
        "tau": row["tau"],
        "standard_error": row["standard_error"],
        "r2": 1 - float((error**2).sum()) / spread if spread else float("nan"),
        "mae": float(np.abs(error).mean()),
    }


def _after(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
