"""Hold an exported proxy against the engine, in an interpreter that cannot import GreenMachine.

    python -m experiments.check_export results/proxies/nats_tss_cifar10.py --networks 50

Networks are drawn at random from the run's benchmark, built here and handed over as traced
graphs (torch.fx), which need torch alone. Prints the largest relative difference; exit code 1
where it exceeds 1e-4.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import fx

from greenmachine.benchmarks import load_benchmark
from greenmachine.config import RunConfig
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.language import parse

TOLERANCE = 1e-4

ALONE = """
import importlib.util, json, sys
sys.modules["greenmachine"] = sys.modules["primitives"] = None  # importing either now raises
import torch
torch.set_num_threads(1)  # as the engine's workers: threads split sums and round differently
proxy, seed, *networks = sys.argv[1:]
spec = importlib.util.spec_from_file_location("proxy", proxy)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
load = lambda path: torch.load(path, weights_only=False)
print(json.dumps([module.score(load(path), seed=int(seed)) for path in networks]))
"""


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("proxy", type=Path, help="exported .py with its .json beside it")
    parser.add_argument("--networks", type=int, default=50)
    options = parser.parse_args()
    known = json.loads(options.proxy.with_suffix(".json").read_text())
    config = RunConfig.model_validate(known["config"])
    benchmark = load_benchmark(config.benchmark)
    dataset = config.datasets[0]
    generator = np.random.default_rng(0)
    drawn = generator.choice(len(benchmark), options.networks, replace=False)
    indices = sorted(int(i) for i in drawn)
    spec = capture_spec(
        config.benchmark,
        dataset,
        [parse(known["expression"])],
        batch=config.capture.batch,
        seed=config.seed,
        options=config.capture.options,
    )
    engine = score_networks({"engine": known["expression"]}, spec, indices, workers=1)["engine"]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index in indices:
            model = benchmark.build(index, dataset, seed=config.seed, **config.capture.options)
            paths.append(f"{folder}/{index}.pt")
            torch.save(fx.symbolic_trace(model), paths[-1])
        words = [sys.executable, "-I", "-c", ALONE, str(options.proxy), str(config.seed), *paths]
        printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    alone = np.array(json.loads(printed))
    difference = np.abs(alone - engine) / np.maximum(np.abs(engine), 1e-12)
    worst = float(np.max(difference))
    print(f"{options.proxy}: {len(indices)} networks, largest relative difference {worst:.2e}")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
