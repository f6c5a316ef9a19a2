"""Make the embedded benchmarks: train every architecture of ``digits-tss`` and ``digits-sss``.

    python -m experiments.build_digits

On two cores ``digits-tss`` takes about an hour, and ``digits-sss`` one and a half. Trained
architectures are kept in ``--work``, one file for each architecture and group of seeds. Ctrl-C
therefore loses only those in training, and the same command continues. When all are trained, the
program writes the table, the images and the manifest into the package. It needs scikit-learn (``pip
install 'greenmachine[experiments]'``).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from experiments.agreement import agreement
from experiments.digits.compose import compose, split_scans
from experiments.digits.training import (
    RECIPES,
    SPACES,
    TEST_IMAGES,
    TRAINING_IMAGES,
    architectures,
    train_one,
)
from greenmachine.benchmarks.datasets import balanced_order, save_images
from greenmachine.benchmarks.digits import DIGITS, EMBEDDED
from greenmachine.benchmarks.table import checksum, save_table
from greenmachine.files import read_json, write_json
from greenmachine.fitness import directed_tau
from greenmachine.manifest import manifest

SHIPPED_IMAGES = 200  # of those for training, for the data pass


def merged(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of one architecture, with the seeds of all groups in one row."""
    return {
        "arch": groups[0]["arch"],
        "test": [value for group in groups for value in group["test"]],
        "loss": [value for group in groups for value in group["loss"]],
        "seconds": sum(group["seconds"] for group in groups),
    }


def table(name: str, trained: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of benchmark ``name``, one row for each architecture."""
    space, options, _ = SPACES[name]
    archs = [row["arch"] for row in trained]
    accuracy = np.array([row["test"] for row in trained])
    loss = np.array([row["loss"] for row in trained])
    params, flops = space.costs(
        archs, num_classes=DIGITS.num_classes, image_size=DIGITS.size, **options
    )
    frame = pd.DataFrame({"index": np.arange(len(archs)), "arch": archs})
    if space.canonical is not None:
        frame["isomorph"] = space.isomorph(archs)
    frame["digits.test"] = accuracy.mean(axis=1).round(4)
    frame["digits.loss"] = loss.mean(axis=1).round(5)
    frame["digits.seconds"] = [round(row["seconds"] / accuracy.shape[1], 3) for row in trained]
    frame["digits.params"], frame["digits.flops_m"] = params, flops
    for seed in range(accuracy.shape[1]):
        frame[f"digits.test.seed{seed}"] = accuracy[:, seed].astype(np.float32)
        frame[f"digits.loss.seed{seed}"] = loss[:, seed].round(5).astype(np.float32)
    return frame


def facts(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Return the spread of the accuracies, the agreement of the seeds, and tau of the baselines."""
    space, options, _ = SPACES[name]
    mean = frame["digits.test"].to_numpy()
    seeds = [f"digits.test.seed{seed}" for seed in range(RECIPES[name].seeds)]
    accuracy = frame[seeds].to_numpy(dtype=np.float64).T
    rivals = {"params": frame["digits.params"], "flops": frame["digits.flops_m"]}
    rivals |= space.shape_scores(frame["arch"].tolist())
    return {
        "architectures": len(frame),
        "options": options,
        "accuracy": {
            "min": float(mean.min()),
            **{f"p{q}": round(float(np.percentile(mean, q)), 2) for q in (10, 25, 50, 75, 90)},
            "max": float(mean.max()),
            "deviation": round(float(mean.std()), 2),
            "deviation_over_seeds": round(float(accuracy.std(axis=0, ddof=1).mean()), 2),
        },
        "tau_between_two_seeds": _mean_agreement(accuracy, 1),
        "tau_between_halves_of_the_seeds": _mean_agreement(accuracy, len(seeds) // 2),
        "tau_of_trivial_rows": {
            rival: _tau(np.asarray(values, dtype=np.float64), mean)
            for rival, values in rivals.items()
        },
        # By the clock, each worker on a core: more than the work, where the machine did other too.
        "worker_hours": round(float(frame["digits.seconds"].sum() * len(seeds) / 3600), 2),
    }


def _mean_agreement(accuracy: NDArray[np.float64], size: int) -> float | None:
    taus = agreement(accuracy, size)
    return round(float(taus.mean()), 4) if len(taus) else None


def _tau(scores: NDArray[np.float64], accuracy: NDArray[np.float64]) -> float | None:
    """Return tau-b, or None where one of the two is constant (JSON has no NaN)."""
    tau = float(directed_tau(scores[None], accuracy, 1)[0])
    return round(tau, 4) if np.isfinite(tau) else None


def ship(name: str, trained: list[dict[str, Any]], out: Path) -> dict[str, Any]:
    """Write images, table and manifest of benchmark ``name`` to ``out``; return the manifest."""
    images = out / "images" / f"{DIGITS.name}.npz"
    pixels, labels = compose(split_scans()[0], TRAINING_IMAGES, 1)
    chosen = balanced_order(labels, 0)[:SHIPPED_IMAGES]
    save_images(images, pixels[chosen], labels[chosen])
    frame = table(name, trained)
    path = out / f"{name}.parquet"
    save_table(frame, path)
    record = {
        **manifest(command=f"python -m experiments.build_digits {name}"),
        "recipe": asdict(RECIPES[name]) | {"images": TRAINING_IMAGES, "test_images": TEST_IMAGES},
        "sha256": {path.name: checksum(path), images.name: checksum(images)},
        **facts(name, frame),
    }
    write_json(out / f"{name}.json", record)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="BENCHMARK", help="default: both")
    parser.add_argument("--work", type=Path, default=Path("runs/digits"), help="what is trained")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="where the tables go")
    parser.add_argument("--workers", type=int, default=-1, help="processes; -1 takes every core")
    parser.add_argument("--limit", type=int, help="architectures a benchmark, for a trial")
    choice = parser.parse_args()
    unknown = set(choice.names) - set(SPACES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SPACES)}")
    for name in choice.names or SPACES:
        groups = RECIPES[name].groups
        count = min(SPACES[name][2], choice.limit or SPACES[name][2])
        files = {
            arch: {seeds: choice.work / name / f"{place:04d}-{seeds[0]}.json" for seeds in groups}
            for place, arch in enumerate(architectures(name, count))
        }
        missing = [
            (arch, seeds, path)
            for arch, paths in files.items()
            for seeds, path in paths.items()
            if not path.exists()
        ]
        started = time.monotonic()
        jobs = Parallel(choice.workers, return_as="generator_unordered")(
            delayed(train_one)(name, *task) for task in missing
        )
        for done, _ in enumerate(jobs, start=1):
            left = (time.monotonic() - started) / done * (len(missing) - done)
            print(f"{name}: {done}/{len(missing)}, {left / 60:.0f} min left", flush=True)
        trained = [merged([read_json(path) for path in paths.values()]) for paths in files.values()]
        record = ship(name, trained, choice.out)
        print(f"{choice.out / name}.parquet: {record['accuracy']}")


if __name__ == "__main__":
    main()
