"""A plugin whose functions would score otherwise in an exported file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenmachine.errors import ConfigError
from greenmachine.export import export_source
from greenmachine.plugins import load_plugin

PLUGIN = """
import torch
import greenmachine
{before}

@greenmachine.primitive((("WeightTensor",), "LayerScalar"))
def {word}(x):
    "A mean of a layer, times something."
    return x.flatten(1).abs().mean(1) * {factor}
"""
FAULTS = {
    "added": ("SCALE = 1.0\nSCALE += 4", "SCALE"),
    "subscript": ("T = {}\nT['a'] = 5.0", "T.get('a', 1.0)"),
    "method": ("T = []\nT.append(5.0)", "(1 + len(T))"),
    "loop": ("T = 0.0\nfor i in range(3): T = T + i", "(1 + T)"),
    "branch": ("T = 1.0\nif torch.__version__: T = 4.0", "T"),
    "again": ("def h(): return 1.0\nif True:\n    def h(): return 3.0", "h()"),
    "decorator": (
        "def primitive(f): return lambda: 2 * f()\n@primitive\ndef h(): return 1.0",
        "h()",
    ),
    "direction": ("DIRECTION = -1.0", "DIRECTION"),
    "shape": ("SHAPE = (2, 3, 4, 4)", "len(SHAPE)"),
    "score": ("def score(): return 2.0", "score()"),
    "import": ("from torch import reciprocal", "reciprocal(torch.tensor(1e-9))"),
}


@pytest.mark.parametrize("exact", [False, True], ids=["compact", "exact"])
@pytest.mark.parametrize("case", FAULTS)
def test_what_would_score_otherwise_is_refused(case: str, exact: bool, tmp_path: Path) -> None:
    if case == "import" and not exact:
        pytest.skip("in the compact form no function of that name is in the way")
    before, factor = FAULTS[case]
    word = f"word_{case}_{exact}"
    path = tmp_path / f"{case}.py"
    path.write_text(PLUGIN.format(before=before, factor=factor, word=word))
    load_plugin(path)
    text = f"add(mean_layers(reciprocal(sum(weight))), mean_layers({word}(weight)))"
    with pytest.raises(ConfigError, match="cannot be exported") as raised:
        export_source(text, direction=1, shape=(2, 3, 8, 8), name="proxy", exact=exact)
    assert "\n" not in str(raised.value)


def test_what_scores_the_same_is_exported(tmp_path: Path) -> None:
    path = tmp_path / "right.py"
    path.write_text(PLUGIN.format(before="PORTION = 0.5", factor="PORTION", word="word_right"))
    load_plugin(path)
    for text in ("mean_layers(word_right(data_weight_grad))", "sum_layers(word_right(weight))"):
        for exact in (False, True):
            source = export_source(
                text, direction=-1, shape=(2, 3, 8, 8), name="proxy", exact=exact
            )
            assert "PORTION = 0.5" in source
