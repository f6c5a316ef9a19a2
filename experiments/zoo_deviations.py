"""Why some scores of the zoo rank NATS-Bench otherwise than published: one setting at a time.

    python -m experiments.zoo_deviations --out results/deviations

Settings that papers leave open or others chose differently are changed on random networks of seed 1
(the sweep's are of seed 0), full depth, CIFAR-10 where nothing else is said:

- **operations**: FLOPs that count average pools beside convolutions and linear layers (one
  operation an output, or one a window's position); all live cells, no network is built;
- **batch**: 16 and 64 images, on live cells of the topology space; `plain` and GraSP on the other
  data sets too, and EPE-NAS on CIFAR-100 with the 200 images that give it two of each class;
- **seed**: GraSP on twice as many live cells with the weights and images of five seeds: each
  published figure is of one;
- **weights**: GraSP with convolutions and linear layers of He's initialisation (N(0, 2 / inputs));
- **image**: what the modules' MeCo sees, a CIFAR-10 image or N(0, 1) noise of 32x32 or 64x64.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.errors import GreenMachineError
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.files import replace_file, write_text
from greenmachine.fitness import tau_row
from greenmachine.language import parse
from greenmachine.proxies import ExpressionProxy, resolve
from greenmachine.proxies.zoo.grasp import gradient_flow
from greenmachine.proxies.zoo.meco import meco_of_modules
from greenmachine.signals.network_capture import build_network
from greenmachine.signals.passes import noise_images
from greenmachine.tables.sources import DATASETS
from greenmachine.tables.writing import grid

SEED = 1
_ON_CIFAR10 = (
    "plain",
    "grasp",
    "nwot",
    "jacov",
    "grad_norm",
    "snip",
    "fisher",
    "fisher_broadcast",
    "epe_nas",
    "zen",
)
_ELSEWHERE = ("plain", "grasp")
TRIALS = (
    ("cifar10", _ON_CIFAR10, (16, 64)),
    ("cifar100", _ELSEWHERE, (16, 64)),
    ("cifar100", ("epe_nas",), (200,)),
    ("imagenet16-120", _ELSEWHERE, (16, 64)),
)
"""Data set, proxies, and images of a batch."""
SEEDS = (0, 1, 2, 3, 4)

# Channels and side of the three stages of the topology space, five cells each.
_STAGES = ((16, 32), (32, 16), (64, 8))
_CELLS = 5

Row = dict[str, object]

say = partial(print, file=sys.stderr, flush=True)


def operations(benchmark: Benchmark) -> Iterator[Row]:
    """Yield how FLOPs rank the live cells, with and without average pools."""
    live = benchmark.live
    pools = np.array([arch.count("avg_pool_3x3") for arch in benchmark.archs])
    outputs = sum(_CELLS * channels * side**2 for channels, side in _STAGES)
    for dataset in DATASETS:
        flops = benchmark.baseline_scores(dataset, np.arange(len(benchmark)))["flops"]
        # The 16x16 images of ImageNet16-120 quarter the outputs.
        size = outputs * (benchmark.input_shape(dataset)[-1] / _STAGES[0][1]) ** 2
        for pool in (0, 1, 9):
            counted = flops + pool * pools * size / 1e6
            row = tau_row(counted[live], benchmark.accuracy(dataset)[live], 1)
            yield _row("flops", benchmark, dataset, f"operations a pooled output: {pool}", row)


def batches(
    benchmark: Benchmark,
    dataset: str,
    names: Sequence[str],
    sizes: Sequence[int],
    networks: Sequence[int],
    seed: int = SEED,
) -> Iterator[Row]:
    """Yield how the proxies ``names`` rank ``networks`` with batches of several sizes."""
    proxies = {name: resolve(name) for name in names}
    expressions = [p.expression for p in proxies.values() if isinstance(p, ExpressionProxy)]
    for batch in sizes:
        say(f"{benchmark.name}, {dataset}: {len(networks)} networks, {batch} images, seed {seed}")
        spec = capture_spec(
            benchmark.name,
            dataset,
            [parse(text) for text in expressions],
            batch=batch,
            seed=seed,
            options={},
        )
        texts = {name: proxy.text for name, proxy in proxies.items()}
        frame = score_networks(texts, spec, networks, announce=say)
        accuracy = benchmark.accuracy(dataset)[frame["index"]]
        for name, proxy in proxies.items():
            row = tau_row(frame[name].to_numpy(), accuracy, proxy.direction)
            setting = f"batch {batch}" if seed == SEED else f"batch {batch}, seed {seed}"
            yield _row(name, benchmark, dataset, setting, row)


def he_weights(benchmark: Benchmark, dataset: str, networks: Sequence[int]) -> Iterator[Row]:
    """Yield how GraSP ranks ``networks`` with weights of He's initialisation."""
    say(f"{benchmark.name}, {dataset}: {len(networks)} networks, He's initialisation")
    spec = capture_spec(benchmark.name, dataset, [], batch=16, seed=SEED, options={})
    inputs, labels = benchmark.images(dataset, spec.batch, seed=SEED)
    scores = []
    for network in networks:
        model = build_network(benchmark, network, spec)
        torch.manual_seed(SEED)
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
        scores.append(gradient_flow(model, inputs, labels, SEED))
    row = tau_row(np.array(scores), benchmark.accuracy(dataset)[list(networks)], 1)
    yield _row("grasp", benchmark, dataset, "batch 16, He's initialisation", row)


def images(benchmark: Benchmark, networks: Sequence[int]) -> Iterator[Row]:
    """Yield how MeCo of the modules ranks ``networks`` for several images."""
    say(f"{benchmark.name}: {len(networks)} networks, MeCo of three images")
    seen = {
        "CIFAR-10 image, 32x32": benchmark.images("cifar10", 1, seed=SEED)[0],
        "noise, 32x32": noise_images((1, 3, 32, 32), SEED),
        "noise, 64x64": noise_images((1, 3, 64, 64), SEED),
    }
    spec = capture_spec(benchmark.name, "cifar10", [], batch=1, seed=SEED, options={})
    scores: dict[str, list[float]] = {name: [] for name in seen}
    for network in networks:
        model = build_network(benchmark, network, spec)
        for name, image in seen.items():
            scores[name].append(meco_of_modules(model, image, None, SEED))
    for dataset in DATASETS:
        accuracy = benchmark.accuracy(dataset)[list(networks)]
        for name, values in scores.items():
            row = tau_row(np.array(values), accuracy, 1)
            row["spearman"] = float(stats.spearmanr(values, accuracy).statistic)
            yield _row("meco_modules", benchmark, dataset, name, row)


def _row(
    proxy: str, benchmark: Benchmark, dataset: str, setting: str, row: dict[str, float]
) -> Row:
    where = {"proxy": proxy, "space": benchmark.name, "dataset": dataset, "setting": setting}
    return {**where, **{name: round(value, 4) for name, value in row.items()}}


def _drawn(places: NDArray[np.int64], size: int) -> list[int]:
    chosen = np.random.default_rng(SEED).choice(places, size, replace=False)
    return sorted(int(place) for place in chosen)


def main(words: list[str] | None = None) -> int:
    """Measure and write ``deviations.csv`` and ``deviations.md``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.zoo_deviations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", type=int, default=150, help="of each space")
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    choice = parser.parse_args(words)
    try:
        tss, sss = load_benchmark("nats-tss"), load_benchmark("nats-sss")
        rows = [*operations(tss)]
        live = _drawn(np.flatnonzero(tss.live), choice.networks)
        for dataset, names, sizes in TRIALS:
            rows += batches(tss, dataset, names, sizes, live)
        more = _drawn(np.flatnonzero(tss.live), 2 * choice.networks)
        for dataset in ("cifar100", "imagenet16-120"):
            for seed in SEEDS:
                rows += batches(tss, dataset, ("grasp",), (16,), more, seed)
            rows += he_weights(tss, dataset, live)
        for space in (tss, sss):
            rows += images(space, _drawn(np.arange(len(space)), choice.networks))
    except (GreenMachineError, OSError) as error:
        print(f"zoo_deviations: {error}", file=sys.stderr)
        return 1
    table = pd.DataFrame(rows)
    replace_file(
        choice.out / "deviations.csv", lambda temporary: table.to_csv(temporary, index=False)
    )
    filled = table.astype(object).fillna("")
    shown = [{str(key): value for key, value in row.items()} for row in filled.to_dict("records")]
    write_text(choice.out / "deviations.md", f"{__doc__}\n{grid(shown)}")
    say(f"{len(table)} rows in {choice.out / 'deviations.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
