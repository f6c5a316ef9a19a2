"""Exported files score networks of two libraries as the engine does, without GreenMachine.

Needs ``pip install -e '.[zoo-tests]'``; nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import greenmachine
from greenmachine.export import write_export
from greenmachine.proxies import ExpressionProxy, resolve
from tests.libraries.small_networks import SEED, SHAPE, TEXTS, batch

RESULTS = Path(__file__).parents[2] / "results" / "proxies"
# What a formula may read: weights; gradients, inputs, outputs of noise; the data pass and norms.
COMMITTED = ("nats_sss_stratified", "gm_any", "gm_tss", "gm_world", "digits_tss")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the score covers")
def test_exports_alone_score_twenty_networks_as_the_engine_does(tmp_path: Path) -> None:
    pytest.importorskip("pytorchcv")
    pytest.importorskip("transformers")
    files = [RESULTS / f"{name}.py" for name in COMMITTED]
    for name, text, exact in (
        ("ones", expression("synflow"), False),
        ("perturbed", "sum_layers(std(perturbed_output))", False),
        ("bit_for_bit", expression("gm_any"), True),
    ):
        path = tmp_path / f"{name}.py"
        write_export(path, text, direction=1, shape=SHAPE, name=name, exact=exact)
        files.append(path)
    script = Path(__file__).with_name("run_exports.py")
    done = subprocess.run(
        [sys.executable, "-I", str(script), *map(str, files)],
        cwd=tmp_path, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone = json.loads(done.stdout)
    images, labels = batch()
    assert len(set(TEXTS)) == len(alone) == 20
    for text in TEXTS:
        expected = greenmachine.score(text, files, images=images, labels=labels, seed=SEED)
        assert len(expected) == len(files) and all(map(math.isfinite, expected.values()))
        found = {Path(path).stem: score for path, score in alone[text].items()}
        # Passes of the compact form round in another order: 1.4e-6 was seen for MobileNetV2.
        assert found == pytest.approx(expected, rel=1e-5, abs=0.0), text
        assert found["bit_for_bit"] == expected["bit_for_bit"]


def expression(name: str) -> str:
    proxy = resolve(name)
    assert isinstance(proxy, ExpressionProxy)
    return proxy.expression
