"""Measure a forest under four protocols, which differ in the networks used for the measurement.

``all``               all networks, including those of the training sample. We believe that the
                      figures of the paper were made in this way. A forest almost memorises its
                      training networks, so the result improves with their share.
``held_out``          the networks that are not in the training sample. The sample may contain
                      isomorphic cells, which have almost the same scores and accuracies.
``held_out_classes``  the training sample consists of whole isomorphism classes, and a separate
                      forest is fitted on it. No held-out network is isomorphic to a training
                      network. This protocol is used only if some networks are isomorphic.
``held_out_unseen``   the networks of ``held_out`` whose accuracies were also not used to choose
                      the features. (The accuracies of a run's networks choose an evolved proxy.)
                      This protocol is used only if the caller names these networks.
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
    """A forest, and its measured quality.

    Attributes:
        forest: forest fitted on the random training sample, which ``all`` and ``held_out`` use.
        measures: one row per protocol: ``protocol``, ``trained`` (number of training networks),
            ``networks`` (number of networks in the measurement), ``tau``, ``standard_error``,
            ``r2`` and ``mae`` (percent). A protocol with fewer than two networks has no row.
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
        scores: (networks, features); a score that is not finite is a failure.
        accuracy: (networks,) true accuracies in percent.
        groups: (networks,) isomorphism class of each network.
        size: number of training networks. A sample of whole classes may differ by a few.
        seed: seed of the samples and the forest, at least 0.
        trees: number of trees of a forest.
        workers: number of threads; the results do not depend on it.
        unseen: (networks,) whether the accuracy of a network was not used to choose the features.
        facts: further facts to store in the forest.
        progress: callback that gets the number of grown trees, over all protocols.

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
