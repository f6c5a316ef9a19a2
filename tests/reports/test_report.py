"""The report of a run: whole, self-contained, equal to the files, and honest about what lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from greenmachine.energy import Energy
from greenmachine.errors import RunError
from greenmachine.language import parse
from greenmachine.reports import write_report
from greenmachine.reports.vocabulary import doc_of
from tests.sealed import edit, replace_scores

from .conftest import NAME, Page

SECTIONS = ["summary", "formula", "evolution", "ranking", "words", "cost", "details"]


@pytest.fixture(scope="module")
def page(runs: dict[str, Path]) -> Page:
    return Page(write_report(runs["finished"]))


@pytest.fixture
def copy(runs: dict[str, Path], tmp_path: Path) -> Path:
    """The finished run, to be altered."""
    ignored = shutil.ignore_patterns("signals", "report.html")
    return Path(shutil.copytree(runs["finished"], tmp_path / "copy", ignore=ignored))


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def test_report_is_one_file_that_needs_nothing(page: Page, runs: dict[str, Path]) -> None:
    page.assert_alone()
    assert page.ids == SECTIONS
    assert (runs["finished"] / "report.html").read_text(encoding="utf-8") == page.source
    assert "Unfinished" not in page.text
    assert "kWh" not in page.text
    assert (
        "Energy: not measured. Runs measure it after pip install 'greenmachine[energy]'"
        in page.text
    )


def test_same_run_same_report(page: Page, runs: dict[str, Path], tmp_path: Path) -> None:
    out = write_report(runs["finished"], tmp_path / "new" / "mine.html")
    assert out == tmp_path / "new" / "mine.html"
    assert out.read_text(encoding="utf-8") == page.source


def test_numbers_are_those_of_the_result(page: Page, runs: dict[str, Path]) -> None:
    result = result_of(runs["finished"])
    best = result["best"]
    assert best["expression"] in page.text
    assert f"{best['size']} nodes" in page.text
    assert f"individuals{result['individuals']}" in page.text
    for dataset in ("cifar10", "cifar100"):
        for name in ("champion", "params", "flops", "convolutions"):
            rows = [result[sample][dataset][name] for sample in ("train", "validation", "test")]
            cells = [f"{row['tau']:.3f} ± {row['standard_error']:.3f}" for row in rows]
            assert name + "".join(cells) in page.text


def test_every_drawing_has_title_and_description(page: Page) -> None:
    assert len(page.svgs) == 1 + 3 + 2 * (3 + 4) + 1 + 3
    for svg in page.svgs:
        assert [part.tag for part in svg[:2]] == ["title", "desc"]
        assert svg[0].text and svg[1].text
        assert svg.get("role") == "img"


def test_networks_are_the_dots(page: Page, runs: dict[str, Path]) -> None:
    scores = pd.read_parquet(runs["finished"] / "scores.parquet")
    test = scores[scores["sample"] == "test"]
    # Champion on three samples; champion and three trivial scores by rank on test.
    assert page.tags["circle"] == scores["champion"].notna().sum() + 4 * len(test)


def test_tree_shows_every_node_with_its_meaning(page: Page, runs: dict[str, Path]) -> None:
    champion = parse(result_of(runs["finished"])["best"]["expression"])
    tree = page.svgs[0]
    boxes = [group for group in tree if group.tag == "g"]
    assert sorted(box[2].text or "" for box in boxes) == sorted(n.op for n in champion.walk())
    told = {box[0].text for box in boxes}
    assert told == {f"{n.op}: {doc_of(n)}\ngives: {n.kind}" for n in champion.walk()}
    assert len([edge for edge in tree if edge.tag == "path"]) == champion.size - 1


def test_text_is_escaped(page: Page) -> None:
    assert NAME in page.text
    assert "<b>" not in page.source
    assert page.tags["b"] == 0


def test_expression_that_this_version_does_not_know(copy: Path) -> None:
    text = "sum_layers(<script>alert(1)</script> && x)"
    edit(copy / "checkpoint.json", lambda saved: saved["search"]["hall"][0].update(expression=text))
    edit(copy / "result.json", lambda result: result["best"].update(expression=text))
    page = Page(write_report(copy))
    page.assert_alone()
    assert text in page.text
    assert "This version cannot draw it: " in page.text
    assert page.ids == SECTIONS


def test_unfinished_run_says_so(runs: dict[str, Path]) -> None:
    page = Page(write_report(runs["stopped"]))
    page.assert_alone()
    assert page.ids == ["summary", "formula", "evolution", "words", "cost", "details"]
    assert "Unfinished: generation 1 of 2." in page.text
    hall = json.loads((runs["stopped"] / "hall_of_fame.json").read_text())
    assert hall[0]["expression"] in page.text
    assert f"τ on validation{hall[0]['tau']['validation'][0]:.3f}" in page.text
    assert "τ on test" not in page.text


def test_scores_without_a_result_are_not_reported(copy: Path) -> None:
    """Killed between the two files."""
    (copy / "result.json").unlink()
    page = Page(write_report(copy))
    assert "ranking" not in page.ids
    assert "Unfinished" in page.text


def test_undefined_tau_and_failures_are_told(copy: Path) -> None:
    row = {"tau": None, "standard_error": None, "networks": 12, "failed": 12}
    edit(copy / "result.json", lambda result: result["test"]["cifar10"].update(champion=row))
    scores = pd.read_parquet(copy / "scores.parquet")
    scores["champion"] = scores["champion"].mask(scores["sample"] == "test")
    replace_scores(copy, scores)
    page = Page(write_report(copy))
    assert "undefined, 12 failed" in page.text
    assert "12 networks; 12 failed, not drawn." in page.text
    assert "champion: τ undefined" in page.text


def test_few_huge_scores_stand_on_the_edge(copy: Path) -> None:
    scores = pd.read_parquet(copy / "scores.parquet")
    first = scores[(scores["dataset"] == "cifar10") & (scores["sample"] == "train")].index[0]
    scores.loc[first, "champion"] = 1e300
    replace_scores(copy, scores)
    assert "12 networks; 1 beyond the axis, on its edge." in Page(write_report(copy)).text


@pytest.mark.parametrize("where", ["history", "result"])
def test_energy_is_told_where_it_was_measured(where: str, copy: Path) -> None:
    if where == "result":
        edit(copy / "result.json", lambda result: result.update(energy_kwh=0.0125))
    else:

        def measured(saved: Any) -> None:
            for row, energy in zip(saved["history"], [0.001, 0.003, 0.0125], strict=True):
                row["energy_kwh"] = energy

        edit(copy / "checkpoint.json", measured)
    text = Page(write_report(copy)).text
    assert "energy0.0125 kWh" in text
    assert ("Energy: 0.0125 kWh." in text) == (where == "result")


def test_parts_of_the_energy_and_cost_of_training_are_told(copy: Path) -> None:
    energy = Energy({"cpu": 0.01, "gpu": 0.02}, {"cpu": "read", "gpu": "guessed"}, 30.0)
    training = {
        "cifar10": {
            "used": {"networks": 20, "hours": 0.5},
            "others": {"networks": 1000, "hours": 25.0},
            "basis": "of a clock",
        }
    }
    facts = {**energy.facts(), "training": training, "seconds": 60.0}
    edit(copy / "result.json", lambda result: result.update(facts))
    text = Page(write_report(copy)).text
    assert "energy0.03 kWh" in text
    assert (
        "Energy: 0.03 kWh, whole machine: processor 0.01 (read), GPU 0.02 (guessed); "
        "30 s of 60 s were measured." in text
    )
    assert "the accuracies of 20 networks, 30 min 0 s of training; the other 1,000" in text
    assert "would take 25 h 0 min, 1,500 times the wall time of this run." in text
    for damaged in ({"energy": {"kwh": 3}}, {"training": {"cifar10": {"used": {}}}}):
        edit(copy / "result.json", lambda result, broken=damaged: result.update(broken))
        with pytest.raises(RunError, match=r"is damaged"):
            write_report(copy)
        edit(copy / "result.json", lambda result: result.update(facts))


@pytest.mark.parametrize("content", [None, "", "{", "[]", "7", '{"format": 2}', "\x00\x01"])
@pytest.mark.parametrize(
    "name", ["config.json", "manifest.json", "checkpoint.json", "result.json", "scores.parquet"]
)
def test_damaged_file_is_one_line_that_names_it(name: str, content: str | None, copy: Path) -> None:
    if content is None:
        if name in ("config.json", "checkpoint.json", "result.json"):
            pytest.skip("a run without it is another run, or unfinished")
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    with pytest.raises(RunError, match=name) as caught:
        write_report(copy)
    assert "\n" not in str(caught.value)
    assert not (copy / "report.html").exists()


@pytest.mark.parametrize("name", ["history.csv", "words.csv", "hall_of_fame.json"])
def test_files_for_people_are_not_read(name: str, copy: Path) -> None:
    page = write_report(copy).read_bytes()
    (copy / name).write_text("damaged")
    assert write_report(copy).read_bytes() == page


def test_scores_of_other_samples_are_refused(copy: Path) -> None:
    scores = pd.read_parquet(copy / "scores.parquet")
    replace_scores(copy, scores[scores["sample"] == "test"])
    with pytest.raises(RunError, match="not the samples of the run"):
        write_report(copy)


def test_files_of_two_runs_are_refused(copy: Path) -> None:
    edit(copy / "result.json", lambda result: result["best"].update(expression="sum_layers(depth)"))
    with pytest.raises(RunError, match="not the first of the hall of fame"):
        write_report(copy)


def test_folder_without_a_run(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        write_report(tmp_path / "nowhere")
    (copy / "checkpoint.json").unlink()
    with pytest.raises(RunError, match="no whole generation yet"):
        write_report(copy)
