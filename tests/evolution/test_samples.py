"""Sizes of samples that the settings leave open."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from greenmachine.bank import Family
from greenmachine.benchmarks import Benchmark
from greenmachine.config import SamplesConfig
from greenmachine.errors import ConfigError
from greenmachine.evolution.bank_tasks import bank_places
from greenmachine.evolution.samples import common_sizes, draw_samples, fitted_sizes

from .conftest import settings


class Table:
    """What drawing needs of a benchmark."""

    name = "table"

    def __init__(self, functions: list[int]) -> None:
        self.functions = np.array(functions)

    def __len__(self) -> int:
        return len(self.functions)

    def accuracy(self, dataset: str) -> np.ndarray:
        return np.linspace(10, 90, len(self))


def table(networks: int | list[int]) -> Benchmark:
    functions = list(range(networks)) if isinstance(networks, int) else networks
    return cast(Benchmark, Table(functions))


def sizes(networks: int | list[int], **given: Any) -> tuple[Any, Any, Any]:
    config = SamplesConfig.model_validate({name: {"size": size} for name, size in given.items()})
    found = fitted_sizes(config, table(networks))
    return found.train.size, found.validation.size, found.test.size


@pytest.mark.parametrize(
    ("networks", "given", "expected"),
    [
        (15_625, {}, (128, 200, 1000)),
        (1328, {}, (128, 200, 1000)),
        (60, {}, (24, 18, 18)),
        (65, {}, (26, 20, 19)),
        (300, {}, (120, 90, 90)),
        (9, {}, (3, 3, 3)),
        (60, {"train": 24}, (24, 18, 18)),
        (60, {"train": 50}, (50, 5, 5)),
        (60, {"validation": 10, "test": 20}, (30, 10, 20)),
        (60, {"test": 30}, (17, 13, 30)),
        (60, {"test": "rest"}, (24, 18, "rest")),
        (5000, {"train": 500, "test": "rest"}, (500, 200, "rest")),
        (9, {"train": 40, "validation": 200, "test": 1000}, (40, 200, 1000)),
        ([0] * 30 + list(range(1, 31)), {}, (12, 10, 9)),
    ],
)
def test_automatic_sizes(
    networks: int | list[int], given: dict[str, Any], expected: tuple[Any, Any, Any]
) -> None:
    assert sizes(networks, **given) == expected


@pytest.mark.parametrize(
    ("networks", "given", "says"),
    [
        (8, {}, "8 networks are left for the samples train, validation, test: each needs 3"),
        (60, {"train": 58}, "2 networks are left for the samples validation, test"),
        (60, {"train": 30, "validation": 40}, "0 networks are left for the sample test"),
        (60, {"validation": "rest"}, "samples.validation.size: only the test sample"),
    ],
)
def test_spaces_that_are_too_small(networks: int, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        sizes(networks, **given)


@pytest.mark.parametrize("test", ["auto", "rest", 12])
def test_common_sizes_fit_every_benchmark(test: Any) -> None:
    config = SamplesConfig.model_validate({"test": {"size": test, "kind": "quantile"}})
    spaces = [table(300), table(60), table(15_625)]
    common = common_sizes(config, spaces)
    for name, share in (("train", 24), ("validation", 18), ("test", 18)):
        found = getattr(common, name)
        least = [getattr(fitted_sizes(config, space), name).size for space in spaces]
        assert found.size == ("rest" if "rest" in least else min(least))
        assert found.size == share or test != "auto"
    assert common.test.kind == "quantile"


@pytest.mark.parametrize("seed", range(20))
def test_automatic_sizes_can_always_be_drawn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    benchmark = table(generator.integers(0, 12, 60).tolist())
    config = settings(seed=seed, samples={n: {} for n in ("train", "validation", "test")})
    config = config.model_copy(update={"samples": fitted_sizes(config.samples, benchmark)})
    split = draw_samples(benchmark, ["own"], config)
    touched = [set(benchmark.functions[s].tolist()) for s in vars(split).values()]
    assert len(set.union(*touched)) == sum(map(len, touched))


def test_explicit_sizes_that_do_not_fit_say_how_many_there_are() -> None:
    config = settings(samples={"train": {"size": 12}, "validation": {"size": 20}})
    with pytest.raises(
        ConfigError, match="validation sample: size 20, but 18 networks are available"
    ):
        draw_samples(table(30), ["own"], config)


def test_functions_of_a_bank_bring_all_networks_that_compute_them() -> None:
    benchmark = table([i // 5 for i in range(100)])  # five networks of each of 20 functions
    samples = {
        "train": {"size": 30, "functions": 8},
        "validation": {"size": 4},
        "test": {"size": "rest"},
    }
    config = settings(samples=samples)
    bank = np.arange(0, 100, 5)  # one network of each
    split = draw_samples(benchmark, ["own"], config, bank)
    assert len(np.unique(benchmark.functions[split.train])) == 8
    assert len(split.train) == 30
    assert set(split.validation) | set(split.test) <= set(bank)
    assert len(split.test) == 20 - 8 - 4


def test_a_network_that_a_family_lacks_gets_the_place_of_one_with_its_function() -> None:
    benchmark = table([i % 7 for i in range(40)])
    family = Family(
        benchmark="table", dataset="own", options={}, sha256="", indices=[9, 30, 4, 11, 18]
    )
    networks = [9, 2, 30, 37, 18, 25, 32, 4]
    places = bank_places(family, benchmark, networks)
    held = [family.indices[place] for place in places]
    assert benchmark.functions[held].tolist() == benchmark.functions[networks].tolist()
    assert [held[n] for n in (0, 2, 4, 7)] == [9, 30, 18, 4]  # a network of the family is itself
    with pytest.raises(KeyError):
        bank_places(family, benchmark, [0])


def test_functions_need_a_size() -> None:
    with pytest.raises(ValueError, match="functions needs a size"):
        SamplesConfig.model_validate({"train": {"functions": 8}})
    with pytest.raises(ConfigError, match="0 networks are left for the sample test"):
        sizes(20, train=3, validation=17)
    config = SamplesConfig.model_validate({"train": {"size": 300, "functions": 10}})
    found = fitted_sizes(config, table(20))
    assert (found.train.size, found.validation.size, found.test.size) == (300, 5, 5)
