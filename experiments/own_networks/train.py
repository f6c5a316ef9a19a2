"""Train every network of both spaces and write ``mixed.csv``, ``vectors.csv``, ``digits.npz``.

    python -m experiments.own_networks.train

The task is scikit-learn's 8×8 digits, made hard enough to distinguish networks: there are only 400
training images, and each image is shifted by up to one pixel and has added noise. All networks are
trained in the same way (AdamW, 30 epochs, batches of 50). The accuracy is measured after the last
epoch on the other 1,397 images, and is the mean over ``SEEDS`` splits and initialisations. The
columns ``seed_0``, … contain the single values.

If the command is stopped, the same command continues after the last finished network. Delete a CSV
file to train its space again. ``--report`` trains nothing and prints the spread of the accuracies.
"""

from __future__ import annotations

import csv
import itertools
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from experiments.agreement import agreement
from experiments.digits.compose import load_scans
from experiments.own_networks import mixed, vectors
from greenmachine.benchmarks.datasets import save_images
from greenmachine.files import replace_file

HERE = Path(__file__).parent
SEEDS = 4
TRAIN_IMAGES, EPOCHS, BATCH = 400, 30, 50
NOISE = 0.4  # standard deviation of the noise; that of the pixels is 1

MIXED = re.findall(
    r"\S+",
    """
    mlp-4-relu mlp-8-relu mlp-16-relu mlp-32-relu mlp-64-relu mlp-128-relu mlp-4-4-relu
    mlp-16-16-relu mlp-64-64-relu mlp-64-16-gelu mlp-32-32-32-relu mlp-64-64-64-tanh
    mlp-8-8-8-8-relu mlp-16-16-16-16-tanh mlp-32-tanh mlp-32-sigmoid mlp-16-16-sigmoid
    mlp-32-32-32-sigmoid mlp-4-64-gelu mlp-128-128-gelu
    cnn-4 cnn-8 cnn-16 cnn-32 cnn-4-8 cnn-8-16 cnn-16-32 cnn-4-4-4 cnn-8-16-32 cnn-16-16-16
    cnn-4-8-bn cnn-8-16-bn cnn-16-32-bn cnn-8-8-8-8-bn cnn-4-8-gn cnn-8-16-gn cnn-16-32-gn
    cnn-8-16-res cnn-8-16-bn-res cnn-8-16-gn-res cnn-16-16-16-bn-res cnn-8-8-8-res
    cnn-4-4-4-4-bn-res cnn-8-dw cnn-8-16-dw cnn-16-32-bn-dw cnn-8-16-gn-dw cnn-8-8-8-bn-dw-res
    cnn-4-4-4-4-dw cnn-8-16-grouped cnn-16-32-bn-grouped cnn-16-16-16-gn-grouped-res
    cnn-4-8-dense cnn-8-16-dense cnn-8-8-8-bn-dense
    vit-8-1-1 vit-8-2-2 vit-8-4-2 vit-16-1-2 vit-16-2-2 vit-16-2-4 vit-16-3-4 vit-24-2-2
    vit-32-1-4 vit-32-2-4
""",
)

VECTORS = [
    f"{activation}-{width}x{depth}{norm}"
    for activation, width, depth, norm in itertools.product(
        ("relu", "gelu", "tanh", "sigmoid"), (4, 16, 64), (1, 3, 6), ("", "-ln")
    )
]

Split = tuple[Tensor, Tensor, Tensor, Tensor]


def hard_digits() -> tuple[Tensor, Tensor]:
    """Return shifted, noisy, normalised digits, (1797, 1, 8, 8), and labels, (1797,)."""
    scans = load_scans()
    maps, labels = scans.images, scans.labels
    generator = np.random.default_rng(0)
    moves = generator.integers(-1, 2, (len(maps), 2))
    shifted = np.stack([np.roll(m, move, (0, 1)) for m, move in zip(maps, moves, strict=True)])
    scaled = (shifted - shifted.mean()) / shifted.std()
    noisy = scaled + generator.normal(0, NOISE, scaled.shape)
    return torch.from_numpy(noisy).float().unsqueeze(1), torch.from_numpy(labels).long()


def split_of(seed: int) -> Split:
    """Return the training images, their labels, the test images and their labels of a split."""
    images, labels = hard_digits()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    train, test = order[:TRAIN_IMAGES], order[TRAIN_IMAGES:]
    return images[train], labels[train], images[test], labels[test]


def train(model: nn.Module, split: Split, shape: tuple[int, ...]) -> float:
    """Train ``model`` and return its accuracy on the test images, in percent."""
    images, labels, test_images, test_labels = split
    images, test_images = images.reshape(-1, *shape), test_images.reshape(-1, *shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    steps = EPOCHS * TRAIN_IMAGES // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(EPOCHS):
        for chosen in torch.randperm(TRAIN_IMAGES).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        hits = model(test_images).argmax(dim=1) == test_labels
    return 100.0 * float(hits.double().mean())


def read(path: Path) -> dict[str, list[float]]:
    """Return by architecture the accuracy of every seed."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {
            row["arch"]: [float(row[f"seed_{seed}"]) for seed in range(SEEDS)]
            for row in csv.DictReader(file)
        }


def write(path: Path, results: dict[str, list[float]]) -> None:
    """Write the table atomically."""

    def fill(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["arch", "accuracy", *(f"seed_{seed}" for seed in range(SEEDS))])
            for arch, found in results.items():
                table.writerow([arch, *(f"{value:.3f}" for value in (np.mean(found), *found))])

    replace_file(path, fill)


def train_space(
    archs: list[str], build: Callable[[str], nn.Module], shape: tuple[int, ...], path: Path
) -> None:
    """Train the architectures that are missing in ``path``."""
    results = read(path)
    splits = [split_of(seed) for seed in range(SEEDS)]
    for number, arch in enumerate(archs, 1):
        if arch in results:
            continue
        started = time.monotonic()
        found = []
        for seed, split in enumerate(splits):
            torch.manual_seed(seed)
            found.append(train(build(arch), split, shape))
        results[arch] = found
        write(path, results)
        seconds = time.monotonic() - started
        print(
            f"{path.name} {number}/{len(archs)}: {arch} {np.mean(found):.1f} % ({seconds:.1f} s)",
            flush=True,
        )


def report(path: Path) -> None:
    """Print the spread of the accuracies, and tau between two halves of the seeds."""
    found = np.array(list(read(path).values()))
    means = found.mean(axis=1)
    halves = agreement(found.T, SEEDS // 2)
    print(
        f"{path.name}: {len(means)} networks, {means.min():.1f} to {means.max():.1f} %, "
        f"quartiles {' '.join(f'{q:.1f}' for q in np.quantile(means, [0.25, 0.5, 0.75]))}, "
        f"standard deviation over seeds {found.std(axis=1, ddof=1).mean():.1f}; "
        f"tau between halves of the seeds {halves.mean():.3f} "
        f"({halves.min():.3f} to {halves.max():.3f})"
    )


def keep_images(path: Path) -> None:
    """Save 100 training images of split 0, ten of every class, for the data pass."""
    images, labels, *_ = split_of(0)
    chosen = torch.cat([torch.nonzero(labels == label)[:10, 0] for label in range(10)])
    save_images(path, images[chosen].half().numpy(), labels[chosen].numpy())


def main() -> None:
    """Train the missing networks, and print the report."""
    torch.set_num_threads(1)
    if "--report" not in sys.argv[1:]:
        if not (HERE / "digits.npz").exists():
            keep_images(HERE / "digits.npz")
        train_space(MIXED, mixed.build, mixed.INPUT_SHAPE, HERE / "mixed.csv")
        train_space(VECTORS, vectors.build, vectors.INPUT_SHAPE, HERE / "vectors.csv")
    for name in ("mixed.csv", "vectors.csv"):
        report(HERE / name)


if __name__ == "__main__":
    main()
