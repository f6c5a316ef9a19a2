"""Sweeps into a file: parts, interruption, and cells that compute the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.errors import ConfigError, RunError
from greenmachine.evaluation import (
    capture_spec,
    checkpoint,
    read_scores,
    score_networks,
    score_to_file,
)
from greenmachine.files import FolderKind, alone_in
from greenmachine.language import parse
from greenmachine.proxies import ExpressionProxy
from greenmachine.proxies.zoo.entropy import topology_entropy

pytestmark = pytest.mark.usefixtures("synthetic_data")

NORM = "sum_layers(l2_norm(noise_weight_grad))"
BOTH = {"a": "nwot", "norm": NORM}
INDICES = [*range(8), *range(100, 114), *range(8, 16)]  # nwot fails on some first, some last
SPEC = capture_spec(
    "nats-tss", "cifar10", [parse(NORM)], batch=2, seed=3, options={"cells": 1, "channels": 4}
)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose first two shards, of four, were scored when the sweep was interrupted."""
    monkeypatch.setattr(checkpoint, "PART_NETWORKS", 8)
    out = tmp_path / "scores.parquet"

    def stop(done: int, total: int) -> None:
        if done == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_to_file(BOTH, SPEC, INDICES, out, workers=1, progress=stop)
    assert _starts(out) == [0, 8]
    return out


def _starts(out: Path) -> list[int]:
    folder = out.with_name(f"{out.name}.parts")
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("part-*"))


def test_resumed_is_undisturbed(out: Path) -> None:
    """Also what failed before the interruption is counted."""
    told: list[tuple[int, int]] = []
    lines: list[str] = []
    frame = score_to_file(
        BOTH,
        SPEC,
        INDICES,
        out,
        workers=1,
        progress=lambda *of: told.append(of),
        announce=lines.append,
    )
    assert told == [(16, 30), (24, 30), (30, 30)]
    assert lines[0] == "30 networks, 30 distinct: 16 scored before, 14 to go"
    whole: list[str] = []
    expected = score_networks(BOTH, SPEC, INDICES, workers=1, announce=whole.append)
    assert lines[1:] == whole
    assert 0 < frame["a"][:16].isna().sum() < frame["a"].isna().sum() < 30
    pd.testing.assert_frame_equal(frame, expected)
    pd.testing.assert_frame_equal(frame, pd.read_parquet(out))
    assert not out.with_name(f"{out.name}.parts").exists()
    told = read_scores([out]).attrs
    assert told == frame.attrs
    assert told["proxies"] == BOTH
    assert told["directions"] == {"a": 1, "norm": 1}
    keys = ("benchmark", "dataset", "batch", "seed", "options")
    assert {key: told[key] for key in keys} == {key: getattr(SPEC, key) for key in keys}


def test_a_proxy_keeps_its_direction(tmp_path: Path) -> None:
    """A text alone would count as good where it is high."""
    low = ExpressionProxy(name="low", expression=NORM, direction=-1)
    out = tmp_path / "scores.parquet"
    score_to_file({"low": low, "high": NORM}, SPEC, INDICES[:4], out, workers=1)
    told = read_scores([out])
    assert told.attrs["directions"] == {"low": -1, "high": 1}
    assert told["low"].equals(told["high"].rename("low"))


def test_a_part_is_written_where_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "PART_SECONDS", 0.0)
    out = tmp_path / "scores.parquet"
    seen: list[list[int]] = []
    score_to_file(
        {"norm": NORM},
        SPEC,
        INDICES[:20],
        out,
        workers=1,
        progress=lambda *_: seen.append(_starts(out)),
    )
    assert seen == [[], [0], [0, 8], [0, 8, 16]]


def test_interrupted_between_parts_loses_no_finished_shard(tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"

    def stop(done: int, total: int) -> None:
        if done == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_to_file({"norm": NORM}, SPEC, INDICES, out, workers=1, progress=stop)
    (part,) = out.with_name(f"{out.name}.parts").glob("part-*")
    assert len(pd.read_parquet(part)) == 16


def test_parts_belong_to_their_work(out: Path) -> None:
    for proxies, spec, indices in (
        ({"a": "nwot"}, SPEC, INDICES),
        ({"b": "nwot", "norm": NORM}, SPEC, INDICES),
        ({"a": "nwot", "norm": "nwot_inputs"}, SPEC, INDICES),
        (BOTH, replace(SPEC, seed=4), INDICES),
        (BOTH, SPEC, INDICES[1:]),
    ):
        with pytest.raises(RunError, match="parts of other work: remove it"):
            score_to_file(proxies, spec, indices, out, workers=1)
    (out.with_name(f"{out.name}.parts") / "identity.json").write_text("{")
    with pytest.raises(RunError, match="parts of other work"):
        score_to_file(BOTH, SPEC, INDICES, out, workers=1)


def test_damaged_parts_are_named_and_scored_again_once_removed(out: Path) -> None:
    first, second = sorted(out.with_name(f"{out.name}.parts").glob("part-*"))
    kept = second.read_bytes()
    for wrong in (kept[:-100], b"", first.read_bytes()):
        second.write_bytes(wrong)
        with pytest.raises(RunError, match=r"part-000008-\w+.parquet .*: remove it") as told:
            score_to_file(BOTH, SPEC, INDICES, out, workers=1)
        assert "\n" not in str(told.value)
    pd.read_parquet(first)[["norm"]].to_parquet(second)
    with pytest.raises(RunError, match=r"part-000008-\w+.parquet .*: remove it"):
        score_to_file(BOTH, SPEC, INDICES, out, workers=1)
    first.unlink()  # one in the middle is missing as well as the end
    second.write_bytes(kept)
    lines: list[str] = []
    frame = score_to_file(BOTH, SPEC, INDICES, out, workers=1, announce=lines.append)
    assert "8 scored before, 22 to go" in lines[0]
    pd.testing.assert_frame_equal(frame, score_networks(BOTH, SPEC, INDICES, workers=1))


def test_merged_cells_have_the_score_of_the_first(tmp_path: Path) -> None:
    twins = load_benchmark("nats-tss").twins
    copies = [int(i) for i in np.flatnonzero(twins != np.arange(len(twins)))][:6]
    firsts = [int(twins[i]) for i in copies]
    asked = [*copies, 1, *firsts[:3]]
    lines: list[str] = []
    out = tmp_path / "scores.parquet"
    merged = score_to_file(
        {"norm": NORM}, SPEC, asked, out, distinct=True, workers=1, announce=lines.append
    )
    assert merged["index"].tolist() == asked
    assert lines[0].startswith(f"{len(asked)} networks, {len({*firsts, 1})} distinct: 0 scored")
    alone = score_networks({"norm": NORM}, SPEC, [*firsts, 1, *firsts[:3]], workers=1)
    np.testing.assert_array_equal(merged["norm"], alone["norm"])
    with pytest.raises(ConfigError, match="expressions alone: nwot is a function"):
        score_networks(BOTH, SPEC, asked, distinct=True, workers=1)


def test_two_commands_on_one_file_are_refused(out: Path) -> None:
    other = alone_in(out.with_name(f"{out.name}.parts"), FolderKind.PARTS)
    with other, pytest.raises(RunError, match="another command"):
        score_to_file(BOTH, SPEC, INDICES, out, workers=1)
    assert _starts(out) == [0, 8]


def test_files_of_the_user_stay(tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    folder = tmp_path / "scores.parquet.parts"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        score_to_file({"norm": NORM}, SPEC, INDICES[:8], out, workers=1)
    (folder / "notes.txt").unlink()

    def late(done: int, total: int) -> None:
        (folder / "notes.txt").write_text("mine")

    score_to_file({"norm": NORM}, SPEC, INDICES[:8], out, workers=1, progress=late)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not list(folder.glob("part-*"))


def test_parts_do_not_come_back_where_they_were_removed(tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"

    def remove(done: int, total: int) -> None:
        shutil.rmtree(tmp_path / "scores.parquet.parts", ignore_errors=True)

    with pytest.raises(RunError, match="removed or replaced"):
        score_to_file({"norm": NORM}, SPEC, INDICES[:8], out, workers=1, progress=remove)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a network ends the test."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a network was built")

    monkeypatch.setattr(Benchmark, "build", refuse)


@pytest.mark.usefixtures("no_networks")
@pytest.mark.parametrize("distinct", [False, True])
def test_scores_of_architectures_need_no_network(tmp_path: Path, distinct: bool) -> None:
    lines: list[str] = []
    out = tmp_path / "scores.parquet"
    frame = score_to_file(
        {"sed": "sed", "again": "sed"}, SPEC, range(300), out, distinct=distinct,
        announce=lines.append,
    )  # fmt: skip
    scores = topology_entropy(load_benchmark("nats-tss").archs)
    failed = np.isneginf(scores)
    np.testing.assert_array_equal(frame["sed"], np.where(failed, np.nan, scores))
    assert 0 < failed.sum() < 20
    says = f"failed on {failed.sum()} of 300 networks: the score is -inf"
    assert lines == [f"sed {says}", f"again {says}"]
    pd.testing.assert_frame_equal(frame, pd.read_parquet(out))
    pd.testing.assert_frame_equal(
        frame, score_networks({"sed": "sed", "again": "sed"}, SPEC, range(300))
    )
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]
    with pytest.raises(ConfigError, match="no build option 'depth'"):
        score_networks({"sed": "sed"}, replace(SPEC, options={"depth": 1}), [1])


def test_an_interrupted_mixture_goes_on(tmp_path: Path) -> None:
    """Scores of architectures are in no part: they join the table at its end."""
    out, mixed = tmp_path / "scores.parquet", {"sed": "sed", "norm": NORM}

    def stop(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_to_file(mixed, SPEC, INDICES, out, workers=1, progress=stop)
    assert _starts(out) == [0]
    lines: list[str] = []
    frame = score_to_file(mixed, SPEC, INDICES, out, workers=1, announce=lines.append)
    assert lines[0] == "30 networks, 30 distinct: 8 scored before, 22 to go"
    for name, text in mixed.items():
        alone = score_networks({name: text}, SPEC, INDICES, workers=1)
        np.testing.assert_array_equal(frame[name], alone[name])
    assert list(frame.columns) == ["index", "arch", "sed", "norm"]
    merged = score_networks(mixed, SPEC, INDICES, distinct=True, workers=1)
    np.testing.assert_array_equal(merged["sed"], frame["sed"])


def test_architectures_of_another_space_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tss.py").write_text(
        "from torch import nn\nINPUT_SHAPE = (3,)\n"
        "def build(arch):\n    return nn.Linear(3, int(arch))\n"
    )
    (tmp_path / "own.csv").write_text(
        "arch,accuracy\n" + "".join(f"{i},{i}\n" for i in range(1, 9))
    )
    spec = replace(SPEC, benchmark=f"{tmp_path}/tss.py:{tmp_path}/own.csv", dataset="own")
    spec = replace(spec, options={})
    with pytest.raises(ConfigError, match="sed reads architectures of the space tss or sss, not"):
        score_networks({"sed": "sed", "norm": NORM}, spec, [1], workers=1)


@pytest.mark.parametrize(
    ("proxies", "indices", "batch"),
    [
        ({"a": "params"}, INDICES[:4], 2),
        ({"a": "params", "b": "l2_norm"}, INDICES[:3], 2),
        ({"a": "params", "b": "l2_norm"}, INDICES[:4], 3),
    ],
    ids=["fewer proxies", "fewer networks", "another batch"],
)
def test_scores_that_would_be_lost_are_kept(
    proxies: dict[str, str], indices: list[int], batch: int, tmp_path: Path
) -> None:
    out, both = tmp_path / "scores.parquet", {"a": "params", "b": "l2_norm"}
    score_to_file(both, SPEC, INDICES[:4], out, workers=1)
    before = out.read_bytes()
    other = replace(SPEC, batch=batch)
    with pytest.raises(ConfigError, match="remove it first"):
        score_to_file(proxies, other, indices, out, workers=1, replace=False)
    assert out.read_bytes() == before
    frame = score_to_file({**both, "c": NORM}, SPEC, INDICES[:6], out, workers=1, replace=False)
    assert len(frame) == 6 and "c" in read_scores([out])
    score_to_file(proxies, other, indices, out, workers=1)
    assert len(read_scores([out])) == len(indices)
