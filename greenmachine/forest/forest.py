"""GreenFactory: a random forest over many proxies that predicts the test accuracy itself.

arXiv 2505.09344. That it is a random-forest regressor of test accuracy is the paper's; proxies,
size of the forest, size of the training sample and the treatment of failures are this project's
choice. The trees are scikit-learn's, grown to the end as by its defaults; a fitted forest is arrays
(``trees.py``) that predict and travel as JSON without it.

Trees depend on the order of the scores alone. So they are grown on ranks, not on the scores:
scikit-learn would round scores to float32, where large ones overflow, and takes those that differ
by less than 1e-7 as equal, which leaves small ones no split. A threshold in the forest is half way
between the two scores that it parts.

A failed score (not finite) ranks below all others, and one cut sets the failures apart.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from greenmachine.errors import ConfigError, DataError
from greenmachine.files import read_json, write_text
from greenmachine.forest.trees import Trees
from greenmachine.workers import Progress

__all__ = ["Forest"]

Floats = npt.NDArray[np.float64]

_FORMAT, _VERSION = "greenmachine forest", 1
_BATCH = 10  # trees between two calls of progress
_SEEDS = 2**32
# Above failures, which are minus infinity to a tree, and below scores; JSON knows no infinity.
_LOWEST = float(np.finfo(np.float64).min)


@dataclass(frozen=True, eq=False)
class Forest:
    """A fitted random forest.

    Attributes:
        features: columns of scores that it reads.
        importances: (features,) share of the variance that splits in each feature explain; sum 1.
        trees: its trees, over the features in their order.
        facts: what it was fitted on; JSON.
    """

    features: tuple[str, ...]
    importances: Floats
    trees: Trees
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        scores: pd.DataFrame,
        accuracy: npt.ArrayLike,
        *,
        seed: int,
        trees: int = 100,
        workers: int = 1,
        facts: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> Forest:
        """Fit a forest; the result is the same for any number of workers.

        Args:
            scores: (networks, features), one column per proxy; a score that is not finite means
                failed.
            accuracy: (networks,) true accuracies in percent.
            seed: seed of the bootstrap samples of the trees, 0 to 2**32 - 1.
            trees: number of trees.
            workers: number of threads; -1 means one for each core.
            facts: added to the facts that the forest records.
            progress: called with the number of trees that are grown.

        Raises:
            ConfigError: scikit-learn is not installed, there are fewer than two networks, no
                features, two with one name, or a seed or number of trees out of range.
            ValueError: ``accuracy`` has another length, or is not finite.
        """
        names = tuple(str(name) for name in scores.columns)
        truth = np.asarray(accuracy, dtype=np.float64)
        if truth.shape != (len(scores),) or not np.isfinite(truth).all():
            raise ValueError("accuracy must be finite, one number per network")
        if not names or len(set(names)) < len(names):
            raise ConfigError("a forest needs scores to fit on, each proxy once")
        if len(scores) < 2:
            raise ConfigError(
                f"a forest cannot be fitted on {len(scores)} networks: give 2 or more"
            )
        if not 0 <= seed < _SEEDS:
            raise ConfigError(f"a forest cannot have seed {seed}: use 0 to {_SEEDS - 1}")
        if trees < 1:
            raise ConfigError(f"a forest cannot have {trees} trees: use 1 or more")
        cuts, ranks = zip(*(_ranked(column) for column in _columns(scores).T), strict=True)
        model = _regressor()(n_jobs=workers, random_state=seed, warm_start=True)
        # A thread of scikit-learn replaces the warning filters of the process, and restores what
        # it found. Threads overlap, so some find no filters, and scikit-learn warns for every tree.
        # These filters and messages end with the block.
        with warnings.catch_warnings(record=True):
            for grown in [*range(_BATCH, trees, _BATCH), trees]:  # the forest is that of one fit
                model.set_params(n_estimators=grown).fit(np.column_stack(ranks), truth)
                if progress is not None:
                    progress(grown, trees)
            importances = np.asarray(model.feature_importances_, dtype=np.float64)
        known = {"networks": len(scores), "seed": seed, "scikit-learn": version("scikit-learn")}
        grown_trees = Trees.of([_arrays(tree.tree_, cuts) for tree in model.estimators_])
        return cls(names, importances, grown_trees, known | dict(facts or {}))

    def predict(self, scores: pd.DataFrame) -> Floats:
        """Return the predicted test accuracies in percent, (networks,).

        Args:
            scores: one row per network, with the columns of ``features`` and possibly others; a
                score that is not finite means failed.

        Raises:
            ConfigError: a feature is missing.
        """
        missing = [name for name in self.features if name not in scores.columns]
        if missing:
            raise ConfigError(f"the forest needs scores of {', '.join(missing)}: add them")
        return self.trees.predict(_columns(scores[list(self.features)]))

    def save(self, path: Path) -> None:
        """Write the forest to ``path`` as JSON, in one line."""
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "features": list(self.features),
            "importances": self.importances.tolist(),
            "facts": dict(self.facts),
            "trees": self.trees.to_json(),
        }
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        write_text(path, text + "\n")

    @classmethod
    def load(cls, path: Path) -> Forest:
        """Return the forest in ``path``; its predictions equal those of the saved one, bit for bit.

        Raises:
            DataError: the file is missing, or not a complete forest.
        """
        try:
            return cls._of(read_json(path))
        except OSError as error:
            raise DataError(
                f"cannot read {path} ({error.strerror}): make a forest with "
                "`greenmachine forest fit`"
            ) from None
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path} is not a complete forest ({error}): fit it again with `greenmachine "
                "forest fit`"
            ) from None

    @classmethod
    def _of(cls, content: Any) -> Forest:
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError("another format")
        if content.get("version") != _VERSION:
            raise ValueError(f"version {content.get('version')}, not {_VERSION}")
        keys = {"format", "version", "features", "importances", "facts", "trees"}
        if set(content) != keys:
            raise ValueError(f"wrong keys: {', '.join(sorted(map(str, set(content) ^ keys)))}")
        names, facts = content["features"], content["facts"]
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise ValueError("features is not a list of names")
        if len(set(names)) < len(names) or not isinstance(facts, dict):
            raise ValueError("a feature occurs twice, or facts is not an object")
        importances = np.array(content["importances"])
        numbers = importances.dtype.kind in "if" and np.isfinite(importances).all()
        if importances.shape != (len(names),) or not numbers:
            raise ValueError("importances is not one number per feature")
        trees = Trees.from_json(content["trees"], len(names))
        return cls(tuple(names), importances.astype(np.float64), trees, facts)


def _columns(scores: pd.DataFrame) -> Floats:
    """Return (networks, features) with failures as minus infinity."""
    values = scores.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, -np.inf)


def _ranked(column: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the midpoints between neighbouring scores of a column, and the ranks of its scores.

    A score of rank r is above cut r - 1 and at most cut r. The last cut, which is cut -1, is below
    all scores. Failures are further below rank 0 than any score is above it, so a threshold halfway
    between failures and a score is negative and never puts a lower score with the failures.
    """
    failed = np.isneginf(column)
    levels = np.unique(column[~failed])
    low, high = levels[:-1], levels[1:]
    middle = low / 2 + high / 2  # their sum may overflow
    cuts = np.where((middle > low) & (middle < high), middle, low)  # they may be neighbours
    ranks = np.where(failed, -len(levels), np.searchsorted(levels, column))
    return np.append(cuts, _LOWEST), ranks


def _arrays(tree: Any, cuts: tuple[Floats, ...]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of one of scikit-learn's trees, with thresholds in units of the scores."""
    split = tree.children_left >= 0
    threshold = np.zeros(tree.node_count)
    for number, cut in enumerate(cuts):
        here = split & (tree.feature == number)
        # Ranks of at most the threshold go left: those up to the whole number below it.
        below = np.floor(tree.threshold[here]).astype(np.int64)
        threshold[here] = cut[np.maximum(below, -1)]
    return {
        "feature": np.where(split, tree.feature, -1).astype(np.int64),
        "threshold": threshold,
        "left": np.where(split, tree.children_left, 0).astype(np.int64),
        "right": np.where(split, tree.children_right, 0).astype(np.int64),
        "value": np.where(split, 0.0, tree.value[:, 0, 0]),
    }


def _regressor() -> Any:
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError:
        raise ConfigError("forests need scikit-learn: pip install 'greenmachine[forest]'") from None
    return RandomForestRegressor
