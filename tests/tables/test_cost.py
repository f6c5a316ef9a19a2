"""What a score costs."""

from __future__ import annotations

import pytest

from greenmachine.errors import DataError
from greenmachine.files import read_json, write_json
from greenmachine.tables import TABLES, Stored
from greenmachine.tables.cost import measure_cost, seconds_of

from .conftest import no_bar


@pytest.mark.parametrize("space", ["nats-tss", "nats-sss"])
def test_costs_are_measured(stored: Stored, space: str) -> None:
    measure_cost(stored, no_bar, networks=2, batches={"params": 2, "synflow": 2, "sed": 2})
    held = read_json(stored.folder / "cost.json")
    assert held["networks"] == 2 and held["hardware"]["cores"]
    costs = seconds_of(stored.folder, space)
    assert set(costs) == {"(build)", "params", "synflow", "sed"}
    assert costs["synflow"].mean > costs["sed"].mean > 0  # one builds a network, one reads a text
    assert costs["synflow"].networks == 2 and costs["synflow"].std >= 0
    rows = TABLES["cost"].rows(stored)
    assert set(rows["space"]) == {"nats-tss", "nats-sss"} and (rows["mean"] > 0).all()


def test_az_nas_builds_a_network_once(stored: Stored) -> None:
    parts = {"az_expressivity": 3.0, "az_progressivity": 4.0, "az_trainability": 5.0, "flops": 2.0}
    seconds = {name: [value] for name, value in {**parts, "(build)": 1.0}.items()}
    write_json(stored.folder / "cost.json", {"seconds": {"nats-tss": seconds}})
    assert seconds_of(stored.folder, "nats-tss")["az_nas"].mean == 1 + 2 + 3 + 4 + 1
    assert seconds_of(stored.folder, "nats-sss") == {}


@pytest.mark.parametrize("held", ["[]", "{}", "no JSON", '{"seconds": {"nats-tss": {"a": ["b"]}}}'])
def test_a_damaged_file_is_one_line(stored: Stored, held: str) -> None:
    (stored.folder / "cost.json").write_text(held)
    with pytest.raises(DataError, match="is damaged") as raised:
        TABLES["cost"].rows(stored)
    assert "\n" not in str(raised.value)


def test_nothing_measured(stored: Stored) -> None:
    with pytest.raises(DataError, match="reproduce cost --recompute` makes it"):
        TABLES["cost"].rows(stored)
