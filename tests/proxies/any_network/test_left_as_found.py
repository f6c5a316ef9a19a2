"""A network is left as it was found, and so are the generators; scores in several threads."""

from __future__ import annotations

import math
import random
import runpy
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import greenmachine
from greenmachine.export import write_export
from tests.disguises import SHAPE, Keeping, Net, plain
from tests.proxies.any_network import EACH, IMAGES, OF_NETWORKS, score, seeded
from tests.proxies.test_same_function import exported

# --- a network is left as it was found --------------------------------------------------------


def state(model: nn.Module) -> list[Any]:
    """Return every attribute of every module, tensors by identity and value."""

    def seen(value: Any) -> Any:
        if isinstance(value, Tensor):
            return (
                id(value),
                value.detach().clone().tolist(),
                value.requires_grad,
                value.is_contiguous(),
            )
        if isinstance(value, dict):
            return [(key, seen(held)) for key, held in value.items()]
        if isinstance(value, list | tuple | set):
            return [seen(held) for held in value]
        return id(value) if isinstance(value, nn.Module) else repr(value)

    return [(id(m), type(m), seen(vars(m))) for m in model.modules()]


@EACH
def test_attributes_are_left_as_found(proxy: Any) -> None:
    model = plain(Keeping)
    torch.nn.utils.parametrizations.weight_norm(model.first[0])
    torch.nn.utils.spectral_norm(model.head)
    model.second.requires_grad_(False)
    model.third.eval()
    model(IMAGES).sum().backward()
    before = state(model)
    score(model, proxy)
    assert state(model) == before


def test_a_network_that_raises_is_left_as_found() -> None:
    class Raising(Keeping):
        def forward(self, x: Tensor) -> Any:
            super().forward(x)
            raise RuntimeError("on purpose")

    model = plain(Raising)
    before = state(model)
    with pytest.raises(greenmachine.GreenMachineError, match="on purpose"):
        score(model)
    assert state(model) == before


class Nested(Net):
    """Changes containers inside containers, and a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.nested: dict[str, Any] = {"a": [], "b": deque([1])}
        self.memory = torch.zeros(2)

    def forward(self, x: Tensor) -> Any:
        self.nested["a"].append(1)
        self.nested["b"].append(2)
        self.memory += 1
        return super().forward(x) * (1 + self.memory[0])


@pytest.mark.parametrize("proxy", ["gm_any", "snip", "zico", "synflow", "nwot"])
def test_nested_containers_and_plain_tensors_are_left_as_found(proxy: str) -> None:
    model = plain(Nested)
    before = state(model)
    first = score(model, proxy)
    assert state(model) == before
    assert score(model, proxy) == first


@pytest.mark.parametrize("proxy", ["gm_any", "zico", "zen", "nwot"])
def test_layers_that_are_built_while_it_runs_warn(proxy: str) -> None:
    class Late(Net):
        def forward(self, x: Tensor) -> Any:
            if not hasattr(self, "late"):
                self.late = nn.Linear(4, 4)
            return self.late(super().forward(x))

    with pytest.warns(UserWarning, match="built layers while it ran"):
        score(plain(Late), proxy)


def test_layers_may_differ_in_precision() -> None:
    class Mixed(Net):
        def __init__(self) -> None:
            super().__init__()
            self.second.double()

        def blocks(self, x: Tensor) -> Tensor:
            result: Tensor = self.third(self.second(self.first(x).double()).float())
            return result

    for proxy in OF_NETWORKS:
        if "ones" in proxy.passes:  # everything is float64 there, but for what the network casts
            with pytest.raises(greenmachine.GreenMachineError, match="Double"):
                score(plain(Mixed), proxy)
        else:
            assert math.isfinite(score(plain(Mixed), proxy)), proxy.name


# --- threads ----------------------------------------------------------------------------------


def test_networks_built_in_threads_have_their_own_weights() -> None:
    benchmark = greenmachine.load_benchmark("digits-tss")

    def build(index: int) -> list[Tensor]:
        return list(benchmark.build(index, "digits").state_dict().values())

    alone = [build(index) for index in range(24)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(build, range(24)))
    for one, other in zip(alone, together, strict=True):
        assert all(map(torch.equal, one, other))


def test_scores_in_threads_are_those_of_one() -> None:
    class Dropping(Net):
        def blocks(self, x: Tensor) -> Tensor:
            return functional.dropout(super().blocks(x), 0.5, self.training)

    models = [plain(Dropping) for _ in range(12)]
    names = ["gm_any", "grad_norm", "zico"]
    alone = [score(models[0], name) for name in names]
    run = exported("gm_any")
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda m: [score(m, name) for name in names], models))
        foreign = list(pool.map(lambda m: run(m, IMAGES), models))
    assert found == [alone] * len(models)
    assert foreign == alone[:1] * len(models)


@pytest.mark.parametrize("proxy", ["gm_any", "synflow", "zico", "nwot", "meco", "params"])
def test_layers_in_a_thread_of_the_network_are_refused(proxy: str) -> None:
    class Threaded(Net):
        def forward(self, x: Tensor) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(super().forward, x).result()

    if proxy == "params":
        assert score(plain(Threaded), proxy) == score(plain(), proxy)
        return
    with pytest.raises(greenmachine.GreenMachineError, match="thread"):
        score(plain(Threaded), proxy)


@pytest.mark.parametrize("proxy", ["gm_any", "zico", "grasp", "gradsign", "ntk", "meco"])
def test_a_network_without_layers_that_fire_is_refused(proxy: str) -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(2, 2)
            self.hidden = [torch.nn.Parameter(torch.ones(4, 192))]

        def forward(self, x: Tensor) -> Any:
            return functional.linear(x.flatten(1), self.hidden[0])

    with pytest.raises(greenmachine.GreenMachineError, match=r"no .* layer|no gradient"):
        score(Hidden(), proxy)


class Drawing(Net):
    """Draws from generators that are not torch's own."""

    def __init__(self, draw: Any) -> None:
        super().__init__()
        self.own = torch.Generator().manual_seed(9)
        self.draw = draw

    def blocks(self, x: Tensor) -> Tensor:
        return super().blocks(x) * (0.5 + self.draw(self))


@pytest.mark.parametrize(
    "draw",
    [
        lambda net: random.random(),
        lambda net: float(np.random.rand()),
        lambda net: torch.rand((), generator=net.own),
    ],
    ids=["random", "numpy", "own"],
)
@pytest.mark.parametrize("proxy", ["snip", "zico", "gradsign"])
def test_every_generator_is_seeded_and_put_back(draw: Any, proxy: str) -> None:
    model = seeded(lambda: Drawing(draw))

    def states() -> list[Any]:
        numpy_state = [np.asarray(part).tolist() for part in np.random.get_state()]
        return [random.getstate(), numpy_state, model.own.get_state().tolist()]

    before = states()
    first = score(model, proxy)
    assert states() == before
    random.random()
    np.random.rand()
    torch.rand((), generator=model.own)
    assert score(model, proxy) == first


@pytest.mark.parametrize(
    "draw",
    [lambda net: random.random(), lambda net: float(np.random.rand())],
    ids=["random", "numpy"],
)
def test_exports_seed_every_generator_and_put_it_back(draw: Any, tmp_path: Path) -> None:
    text = "sum_layers(l2_norm(noise_weight_grad))"
    write_export(tmp_path / "p.py", text, direction=1, shape=SHAPE, name="p")
    exported = runpy.run_path(str(tmp_path / "p.py"))["score"]
    model = seeded(lambda: Drawing(draw))
    states = random.getstate(), np.random.get_state()[1].tolist()
    found = [exported(model, seed=3), exported(model, seed=3)]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    assert found == pytest.approx([greenmachine.score(model, text, shape=SHAPE, seed=3)] * 2)
