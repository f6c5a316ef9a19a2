"""The sweep that makes the stored scores, on a small plan."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from greenmachine.cli.score import sampled
from greenmachine.errors import DataError
from greenmachine.evaluation import read_scores
from greenmachine.files import read_json, write_json
from greenmachine.proxies import PROXIES
from greenmachine.tables import Stored
from greenmachine.tables.plan import EVOLVED_PLAN, PLAN, Group, Plan
from greenmachine.tables.sources import DATASETS, FOUND, SPACES
from greenmachine.tables.sweep import join, sweep

from .conftest import no_bar

# SED builds nothing: what is tested is the sweep, not the networks.
SMALL = Plan((Group("text", ("sed",)),), networks=20, rounds=2)


@pytest.fixture
def empty(synthetic_data: Path, tmp_path: Path) -> tuple[Stored, list[str]]:
    told: list[str] = []
    return Stored(tmp_path / "scores", told.append), told


def test_all_pieces_are_scored_once_and_joined(empty: tuple[Stored, list[str]]) -> None:
    stored, told = empty
    sweep(stored, no_bar, 1, SMALL)
    assert len(list((stored.folder / "parts").glob("*.parquet"))) == 12
    for space in SPACES:
        for dataset in DATASETS:
            path = stored.folder / f"{space}-{dataset}.parquet"
            frame = read_scores([path])
            size = len(stored.benchmarks[space])
            sample = [index for found in SMALL.samples(size) for index in found]
            assert frame["index"].tolist() == sorted(sample) and len(set(sample)) == 20
            assert frame.attrs["directions"] == {"sed": 1}
            assert len(read_json(path.with_suffix(".json"))["sources"]) == 2
    assert len(stored.scored) == 6
    said = sum(line.endswith(": sed") for line in told)
    sweep(stored, no_bar, 1, SMALL)
    assert sum(line.endswith(": sed") for line in told) == said


def test_joined_files_alone_go_on(empty: tuple[Stored, list[str]]) -> None:
    stored, told = empty
    sweep(stored, no_bar, 1, Plan(SMALL.groups, networks=20, rounds=2))
    joined = {path: read_scores([path]) for path in stored.folder.glob("*.parquet")}
    shutil.rmtree(stored.folder / "parts")
    (damaged := sorted(joined)[0]).unlink()
    told.clear()
    # Finer rounds of the same networks: what is held does not depend on how it was cut.
    sweep(stored, no_bar, 1, Plan(SMALL.groups, networks=20, rounds=4))
    assert [line for line in told if line.endswith(": sed")] == [
        f"{damaged.stem}-text-{number}: sed" for number in range(4)
    ]
    for path, frame in joined.items():
        pd.testing.assert_frame_equal(read_scores([path]), frame)


def test_groups_may_be_joined_later(empty: tuple[Stored, list[str]]) -> None:
    stored, told = empty
    apart = (Group("text", ("sed",)), Group("size", ("params",)))
    sweep(stored, no_bar, 1, Plan(apart, networks=2, rounds=1))
    joined = {path: read_scores([path]) for path in stored.folder.glob("*.parquet")}
    shutil.rmtree(stored.folder / "parts")
    told.clear()
    sweep(stored, no_bar, 1, Plan((Group("both", ("params", "sed")),), networks=2, rounds=1))
    assert not [line for line in told if "-both-" in line]
    for path, frame in joined.items():
        again = read_scores([path])
        assert again.attrs == frame.attrs
        pd.testing.assert_frame_equal(again[frame.columns.tolist()], frame)


@pytest.mark.parametrize(
    ("key", "value"),
    [("proxies", {"sed": "another formula"}), ("batch", 4), ("seed", 1), ("checksum", "other")],
)
def test_what_was_made_otherwise_is_scored_again(
    empty: tuple[Stored, list[str]], key: str, value: object
) -> None:
    stored, told = empty
    sweep(stored, no_bar, 1, SMALL)
    shutil.rmtree(stored.folder / "parts")
    path = stored.folder / "nats-tss-cifar10.json"
    manifest = read_json(path)
    for source in manifest["sources"].values():
        source[key] = value
    write_json(path, manifest)
    told.clear()
    sweep(stored, no_bar, 1, SMALL)
    assert [line for line in told if line.endswith(": sed")] == [
        "nats-tss-cifar10-text-0: sed",
        "nats-tss-cifar10-text-1: sed",
    ]


def test_scores_of_a_former_formula_are_neither_shown_nor_kept(
    empty: tuple[Stored, list[str]],
) -> None:
    stored, told = empty
    sweep(stored, no_bar, 1, Plan(SMALL.groups, networks=30, rounds=1))
    joined = stored.folder / "nats-tss-cifar10.parquet"
    for path in (joined, stored.folder / "parts" / "nats-tss-cifar10-text-0.parquet"):
        frame = pd.read_parquet(path)
        frame.attrs["proxies"] = {"sed": "what sed was before"}
        frame.to_parquet(path, index=False)
    manifest = read_json(joined.with_suffix(".json"))
    for source in manifest["sources"].values():
        source["proxies"] = {"sed": "what sed was before"}
    write_json(joined.with_suffix(".json"), manifest)
    assert ["sed" in scored.pool.scores for scored in stored.scored] == [False] + [True] * 5
    assert f"{joined}: the formula of sed has changed: left out" in told
    sweep(stored, no_bar, 1, SMALL)
    assert len(read_scores([joined])) == 20
    again = Stored(stored.folder, told.append)
    assert all("sed" in scored.pool.scores for scored in again.scored)
    assert len(read_scores([stored.folder / "nats-sss-cifar10.parquet"])) == 30


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sources": []}'])
def test_a_damaged_manifest_is_said(empty: tuple[Stored, list[str]], text: str) -> None:
    stored, _ = empty
    sweep(stored, no_bar, 1, SMALL)
    stored.folder.joinpath("nats-tss-cifar10.json").write_text(text)
    with pytest.raises(DataError, match="nats-tss-cifar10.json is damaged"):
        sweep(stored, no_bar, 1, SMALL)


def test_a_beginning_undoes_no_larger_sweep(empty: tuple[Stored, list[str]]) -> None:
    stored, told = empty
    larger = pd.DataFrame({"index": range(15), "sed": 1.0})
    stored.folder.mkdir()
    path = stored.folder / "nats-sss-cifar10.parquet"
    larger.to_parquet(path, index=False)
    sweep(stored, no_bar, 1, Plan(SMALL.groups, networks=12, rounds=2))
    assert len(read_scores([path])) == 15
    assert any(f"{path} stays: it has 15 networks" in line for line in told)
    sweep(stored, no_bar, 1, Plan(SMALL.groups, networks=12, rounds=1))
    assert len(read_scores([path])) == 15


def test_rounds_are_the_sample_of_the_command_line() -> None:
    size = 15_625
    rounds = PLAN.samples(size)
    assert [len(found) for found in rounds] == [500] * 6
    assert all(found == sorted(found) for found in rounds)
    assert sorted(place for found in rounds for place in found) == sampled(size, 3000, seed=0)


def test_rounds_over_a_whole_space_begin_with_those_of_the_zoo() -> None:
    size = 15_625
    rounds = EVOLVED_PLAN.samples(size)
    assert rounds[:6] == PLAN.samples(size)
    assert max(map(len, rounds)) == 500
    assert sorted(place for found in rounds for place in found) == list(range(size))


def test_a_plan_of_whole_spaces_has_its_own_files(empty: tuple[Stored, list[str]]) -> None:
    stored, _ = empty
    sizes = {space: len(stored.benchmarks[space]) for space in SPACES}
    plan = Plan(SMALL.groups, networks=max(sizes.values()) // 2, rounds=1, whole=True, kind=FOUND)
    sweep(stored, no_bar, 1, plan)
    sweep(stored, no_bar, 1, Plan((Group("count", ("weight_count",)),), networks=4, rounds=1))
    for scored in stored.scored:
        name = scored.benchmark.name
        found = read_scores([stored.folder / f"{name}-{scored.dataset}.evolved.parquet"])
        assert found["index"].tolist() == list(range(sizes[name]))
        assert list(scored.pool.scores)[:2] == ["weight_count", "sed"] and len(scored.pool) == 4
        assert "sed" in scored.space.scores and len(scored.space) == sizes[name]


def test_a_group_may_score_one_space_only(empty: tuple[Stored, list[str]]) -> None:
    stored, _ = empty
    both = (*SMALL.groups, Group("count", ("weight_count",), spaces=("nats-sss",)))
    sweep(stored, no_bar, 1, Plan(both, networks=4, rounds=2))
    for scored in stored.scored:
        assert ("weight_count" in scored.pool.scores) == (scored.benchmark.name == "nats-sss")
        assert len(scored.pool) == 4 and "sed" in scored.pool.scores


def test_every_proxy_of_the_zoo_is_swept() -> None:
    swept = [name for p in (PLAN, EVOLVED_PLAN) for group in p.groups for name in group.proxies]
    assert sorted(swept) == sorted(proxy.name for proxy in PROXIES)


def test_a_group_that_has_not_begun_is_no_column(empty: tuple[Stored, list[str]]) -> None:
    stored, _ = empty
    plan = Plan((*SMALL.groups, Group("more", ("weight_count",))), networks=20, rounds=2)
    sweep(stored, no_bar, 1, SMALL)
    stored.folder.joinpath("nats-tss-cifar10.parquet").unlink()
    join(stored, "nats-tss", "cifar10", plan)
    assert read_scores([stored.folder / "nats-tss-cifar10.parquet"]).columns.tolist() == [
        "index",
        "sed",
    ]
