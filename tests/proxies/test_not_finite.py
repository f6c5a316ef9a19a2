"""Networks whose weights are not finite: every proxy gives NaN, a reason, and no warning."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.evaluation import capture_spec, score_networks
from greenmachine.proxies import PROXIES, ArchitectureProxy

IMAGES, LABELS = (
    torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
    torch.arange(4),
)
COUNTS = ("params", "trainable_layers")  # they read no weight
NAMES = [
    proxy.name
    for proxy in PROXIES
    if not isinstance(proxy, ArchitectureProxy) and proxy.name not in COUNTS
]


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()]
        layers += [nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))


def one(place: str, value: float) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        dict(model.named_parameters())[place].view(-1)[0] = value

    return change


def every(value: float) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        for parameter in model.parameters():
            parameter.fill_(value)

    return change


CHANGES: dict[str, Callable[[nn.Module], None]] = {
    "a weight": one("0.weight", math.nan),
    "an infinite weight": one("3.weight", math.inf),
    "a bias": one("8.bias", -math.inf),
    "a scale": one("1.weight", math.nan),
    "all": every(math.nan),
    "all infinite": every(math.inf),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_are_nan_without_a_warning(dtype: torch.dtype, change: Any) -> None:
    model = network().to(dtype)
    with torch.no_grad():
        change(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = greenmachine.score(model, NAMES, images=IMAGES, labels=LABELS)
        row = greenmachine.rank([model, network()], NAMES, images=IMAGES, labels=LABELS).iloc[-1]
    assert all(map(math.isnan, scores.values())), scores
    assert row["name"] == 0 and row[NAMES].isna().all()
    assert row["failure"] == "a weight of the network is not finite, so it has no score"


SPACE = """
import torch
from torch import nn

INPUT_SHAPE, NUM_CLASSES = (3, 8, 8), 4


def suggest(trial):
    return str(trial.suggest_int("width", 2, 9))


def images():
    return torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4


def build(arch):
    width = int(arch)
    net = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 4))
    if width % 2:
        net[0].weight.data[0] = float("nan")
    return net
"""


def test_a_sweep_and_a_search_count_them_as_failed_and_say_why(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    (tmp_path / "space.py").write_text(SPACE)
    rows = "".join(f"{width},{10 * width}\n" for width in range(2, 10))
    (tmp_path / "space.csv").write_text("arch,accuracy\n" + rows)
    on = f"{tmp_path}/space.py:{tmp_path}/space.csv"
    said: list[str] = []
    names = ["synflow", "l2_norm", "snip", "grasp"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = capture_spec(on, "own", [], batch=4, seed=0, options={})
        frame = score_networks(
            {name: name for name in names}, spec, range(8), workers=1, announce=said.append
        )
        result = greenmachine.search_networks(
            ["l2_norm", "grasp"], on=on, sampler="exhaustive", batch=4
        )
    assert (frame[names].isna().sum() == 4).all()
    for name in names:
        (line,) = [line for line in said if line.startswith(f"{name} failed on 4 of 8")]
        assert "not finite" in line
    failed = result.trials[result.trials["state"] == "failed"]
    assert len(failed) == 4 and failed["why"].str.contains("not finite").all()


@pytest.mark.parametrize(("proxy", "value"), [("l2_norm", "inf"), ("nwot", "-inf"), ("ntk", "inf")])
def test_a_score_that_overflows_is_named_by_its_value(proxy: str, value: str) -> None:
    model = network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e30)
    failure = greenmachine.rank([model], proxy, images=IMAGES, labels=LABELS)["failure"][0]
    assert failure == f"the score is {value}"
