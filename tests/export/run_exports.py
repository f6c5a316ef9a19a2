"""Score networks with exported files where neither greenmachine nor primitives can be imported.

Run as ``python -I run_exports.py FOLDER``; reads ``jobs.json`` there, prints scores as JSON.
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch

for name in ("greenmachine",):
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it raises


def load(path: Path):  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


torch.set_num_threads(1)  # threads cost more than they give on networks this small
folder = Path(sys.argv[1])
networks = load(Path(__file__).parents[1] / "proxies" / "tiny_networks.py")
scores = {}
for number, job in json.loads((folder / "jobs.json").read_text()).items():
    score = load(folder / f"proxy_{number}.py").score
    assert not job["exact"] or repr(score) == job["text"]
    images = networks.batch() if "data_" in job["text"] else ()
    scores[number] = score(networks.network(job["network"]), *images, seed=job["seed"])
print(json.dumps(scores))
