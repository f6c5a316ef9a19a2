"""Compare an exported proxy with the engine, in an interpreter that cannot import GreenMachine.

    python -m experiments.check_export results/proxies/nats_tss_cifar10.py --networks 50

Networks are drawn at random from the benchmark of the run and built here. The other interpreter
reads them with a copy of their module classes, which is the only code of this project that it has
besides the proxy. (Traced graphs would need no copy, but they sum gradients in another order, and
deep networks amplify this rounding far above the tolerance.) Prints the largest relative
difference, and exits with code 1 where it exceeds 1e-4.
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

from greenmachine import errors
from greenmachine.benchmarks import load_benchmark
from greenmachine.config import RunConfig
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.language import parse
from greenmachine.networks import blocks, size, topology

TOLERANCE = 1e-4

COPY = "standalone"  # package of the copied module classes

ALONE = """
import importlib.util, json, pickle, sys, types
folder, proxy, seed, *networks = sys.argv[1:]
sys.path.insert(0, folder)
sys.modules["greenmachine"] = None  # importing it now raises
import torch
torch.set_num_threads(1)  # as the engine's workers: threads split sums and round differently

class Renaming(pickle.Unpickler):
    def find_class(self, module, name):
        return super().find_class(module.replace("greenmachine.networks", "standalone"), name)

reader = types.ModuleType("reader")
reader.Unpickler, reader.load = Renaming, lambda file: Renaming(file).load()
spec = importlib.util.spec_from_file_location("proxy", proxy)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
load = lambda path: torch.load(path, weights_only=False, pickle_module=reader)
print(json.dumps([module.score(load(path), seed=int(seed)) for path in networks]))
"""


def copy_networks(folder: Path) -> None:
    """Copy the network classes to a package that does not need GreenMachine."""
    package = folder / COPY
    package.mkdir()
    (package / "__init__.py").touch()
    for module in (blocks, topology, size, errors):
        source = Path(str(module.__file__))
        text = source.read_text(encoding="utf-8")
        text = text.replace("greenmachine.networks", COPY).replace(
            "greenmachine.errors", f"{COPY}.errors"
        )
        (package / source.name).write_text(text, encoding="utf-8")


def main() -> int:
    """Compare the two, and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("proxy", type=Path, help="exported .py with its .json beside it")
    parser.add_argument("--networks", type=int, default=50)
    options = parser.parse_args()
    known = json.loads(options.proxy.with_suffix(".json").read_text())
    config = RunConfig.model_validate(known["config"])
    benchmark = load_benchmark(config.benchmarks[0])
    dataset = next(name for name in config.datasets if name in benchmark.datasets)
    own = {k: v for k, v in config.capture.options.items() if k in benchmark.space.options}
    generator = np.random.default_rng(0)
    drawn = generator.choice(len(benchmark), options.networks, replace=False)
    indices = sorted(int(i) for i in drawn)
    spec = capture_spec(
        benchmark.name,
        dataset,
        [parse(known["expression"])],
        batch=config.capture.batch,
        seed=config.seed,
        options=own,
    )
    engine = score_networks({"engine": known["expression"]}, spec, indices, workers=1)["engine"]
    with tempfile.TemporaryDirectory() as folder:
        copy_networks(Path(folder))
        paths = []
        for index in indices:
            model = benchmark.build(index, dataset, seed=config.seed, **own)
            paths.append(f"{folder}/{index}.pt")
            torch.save(model, paths[-1])
        words = [sys.executable, "-I", "-c", ALONE, folder]
        words += [str(options.proxy), str(config.seed), *paths]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
    alone = np.array(json.loads(done.stdout))
    difference = np.abs(alone - engine) / np.maximum(np.abs(engine), 1e-12)
    worst = float(np.max(difference))
    print(f"{options.proxy}: {len(indices)} networks, largest relative difference {worst:.2e}")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
