"""What evolved is what its run exported, and says truly which networks chose it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from experiments.evolved_samples import FOLDER, networks, run_networks
from greenmachine.config import RunConfig
from greenmachine.files import read_json
from greenmachine.networks import build_size, build_topology
from greenmachine.proxies import EVOLVED, PROXIES, EvolvedProxy
from greenmachine.proxies.discovered import SAMPLES
from greenmachine.proxies.resolve import read_export
from tests.proxies.engine_scores import engine_score
from tests.proxies.loading import load

RESULTS = Path(__file__).parents[2] / FOLDER
CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
SHAPE = (4, 3, 16, 16)
EACH = pytest.mark.parametrize("proxy", EVOLVED, ids=lambda proxy: proxy.name)


def test_they_are_known_by_name() -> None:
    assert all(PROXIES.find(proxy.name) is proxy for proxy in EVOLVED)
    assert set(read_json(SAMPLES)) == {proxy.name for proxy in EVOLVED}


@EACH
def test_it_is_what_was_exported(proxy: EvolvedProxy) -> None:
    exported = read_export(RESULTS / f"{proxy.name}.py")
    assert (exported.expression, exported.direction) == (proxy.expression, proxy.direction)
    known = read_json(RESULTS / f"{proxy.name}.json")
    assert (known["expression"], known["direction"]) == (proxy.expression, proxy.direction)


@EACH
def test_the_networks_that_chose_it(proxy: EvolvedProxy) -> None:
    chose = networks(proxy.name, RESULTS)
    assert {space: sorted(sample) for space, sample in chose.items()} == {
        space: list(proxy.seen(space)) for space in chose
    }
    assert chose and all(len(sample) > 100 for sample in chose.values())
    config = RunConfig.model_validate(read_json(RESULTS / f"{proxy.name}.json")["config"])
    datasets = ", ".join(config.datasets)
    assert proxy.evolved_on == "; ".join(f"{space} {datasets}" for space in config.benchmarks)
    assert set(config.benchmarks) <= set(chose) and proxy.seen("a space of one's own") == ()


def test_networks_of_an_ancestor_whose_name_another_took() -> None:
    ancestor = run_networks(read_json(RESULTS / "earlier" / "gm_any_second.json"))
    assert (
        "results/proxies/gm_any.py"
        in read_json(RESULTS / "gm_tss.json")["config"]["evolution"]["seeds"]
    )
    assert all(
        set(sample) <= networks("gm_tss", RESULTS)[space] for space, sample in ancestor.items()
    )


@EACH
@pytest.mark.parametrize("kind", ["topology", "size"])
def test_its_export_gives_the_engines_score(proxy: EvolvedProxy, kind: str) -> None:
    torch.manual_seed(3)
    model = build_size("8:12:8:16:10") if kind == "size" else build_topology(CELL, channels=8)
    images = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4))
    labels = torch.arange(4) % 2
    given = (images, labels) if "data" in proxy.passes else ()
    module = load(RESULTS / f"{proxy.name}.py")
    score = engine_score(proxy.expression, model, SHAPE, *given, seed=1)
    assert math.isfinite(score)
    if given:
        assert math.isclose(module.score(model, *given, seed=1), score, rel_tol=1e-4)
    else:  # its noise has the shape of the images that the run's networks see
        whole = engine_score(proxy.expression, model, module.SHAPE, seed=1)
        assert math.isclose(module.score(model, seed=1), whole, rel_tol=1e-4)
