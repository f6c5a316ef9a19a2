"""Score twenty networks with exported files where GreenMachine cannot be imported.

Run as ``python -I run_exports.py FILE...``; prints, as JSON, scores by text and file.
"""

import importlib.util
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

sys.modules["greenmachine"] = None  # type: ignore[assignment]  # an import of it raises


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


warnings.simplefilter("ignore")  # about weights that a score does not cover
torch.set_num_threads(1)  # threads cost more than they give on networks this small
networks = load(Path(__file__).with_name("small_networks.py"))
exports = {path: load(Path(path)) for path in sys.argv[1:]}
images, labels = networks.batch()
scores: dict[str, dict[str, float]] = {}
for text in networks.TEXTS:
    model = networks.build(text)
    scores[text] = {
        path: export.score(model, images, labels, seed=networks.SEED)
        if "data_" in (export.__doc__ or "")
        else export.score(model, shape=networks.SHAPE, seed=networks.SEED)
        for path, export in exports.items()
    }
print(json.dumps(scores))
