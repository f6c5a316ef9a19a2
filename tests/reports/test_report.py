"""The report of a run: whole, self-contained, equal to the files, and honest about what lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from greenmachine.energy import INSTALL, Energy
from greenmachine.errors import RunError
from greenmachine.evolution import RunFolder
from greenmachine.evolution.equations import equations
from greenmachine.language import parse
from greenmachine.reports import write_comparison, write_report
from greenmachine.reports.vocabulary import doc_of
from tests.sealed import edit, replace_scores

from .conftest import NAME, Page, marks

PRIMITIVES = "Share of the population that contains a primitive"
SECTIONS = ["summary", "formula", "front", "evolution", "ranking", "primitives", "cost", "details"]


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
    assert ("p", "class", "unfinished") not in page.attributes
    assert "kWh" not in page.text
    assert INSTALL in page.text


def test_same_run_same_report(page: Page, runs: dict[str, Path], tmp_path: Path) -> None:
    out = write_report(runs["finished"], tmp_path / "new" / "mine.html")
    assert out == tmp_path / "new" / "mine.html"
    assert out.read_text(encoding="utf-8") == page.source


def test_numbers_are_those_of_the_result(page: Page, runs: dict[str, Path]) -> None:
    result = result_of(runs["finished"])
    best = result["best"]
    assert best["expression"] in page.text
    assert f"{best['size']} nodes" in page.text
    for dataset in ("cifar10", "cifar100"):
        for name in ("champion", "params", "flops", "convolutions"):
            rows = [result[sample][dataset][name] for sample in ("train", "validation", "test")]
            cells = [f"{row['tau']:.3f} ± {row['standard_error']:.3f}" for row in rows]
            assert [name, *cells] in page.rows


def test_data_of_the_charts_are_those_of_the_run(page: Page, runs: dict[str, Path]) -> None:
    history = pd.read_csv(runs["finished"] / "history.csv")
    shown = {
        "best on train": "best",
        "best on validation": "best_validation",
        "largest": "largest_size",
    }
    for name, column in {"generation": "generation", **shown}.items():
        assert page.data["history"][name] == pytest.approx(history[column].tolist(), rel=1e-6)
    scores = pd.read_parquet(runs["finished"] / "scores.parquet")
    for number, dataset in enumerate(("cifar10", "cifar100")):
        part = scores[scores["dataset"] == dataset].sort_values(["sample", "index"])
        table = pd.DataFrame(page.data[f"scores_{number}"]).sort_values(["sample", "index"])
        assert table["index"].tolist() == part["index"].tolist()
        for column in ("accuracy", "champion"):
            assert table[column].tolist() == pytest.approx(part[column].tolist(), rel=1e-6)
    counts = pd.read_csv(runs["finished"] / "primitives.csv")
    usage = pd.DataFrame(page.data["usage"])
    for primitive, share in usage[usage["generation"] == 2][["primitive", "share"]].to_numpy():
        found = counts[primitive].iloc[-1] / counts["population"].iloc[-1]
        assert share == pytest.approx(found, rel=1e-6)


def test_every_chart_draws_its_data(page: Page, runs: dict[str, Path]) -> None:
    """Vega-Lite itself draws what the page holds."""
    scores = pd.read_parquet(runs["finished"] / "scores.parquet")
    first = scores[scores["dataset"] == "cifar10"]
    titles = [title for title, _ in page.charts]
    assert titles.pop(0) == "Kendall's τ against size"
    assert len(titles) == 3 + 2 * (3 + 4) + 1 + 3
    found = {title: page.draw(title) for title in titles[: 3 + 3 + 4] + titles[-4:]}
    counts = [
        sum(len(marks(d, kind)) for d in found.values()) for kind in ("line", "symbol", "rect")
    ]
    test = first[first["sample"] == "test"]
    dots = first["champion"].notna().sum() + 4 * len(test)
    assert counts == [3 + 1 + 2 + 3, dots, len(page.data["usage"]["share"])]


def test_tree_shows_every_node_with_its_meaning(page: Page, runs: dict[str, Path]) -> None:
    champion = parse(result_of(runs["finished"])["best"]["expression"])
    tips = [value for _, name, value in page.attributes if name == "data-tip"]
    assert len(tips) == champion.size
    for tip, node in zip(tips, champion.walk(), strict=True):
        assert tip.startswith(f"{node.op}: {doc_of(node)}\n") and tip.endswith(node.kind)


def test_text_is_escaped(page: Page) -> None:
    assert NAME in page.text
    assert page.tags["b"] == 0


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "{{ 7 * 7 }}", "a'b\"c\\"])
def test_names_from_files_cannot_break_out(name: str, copy: Path) -> None:
    edit(copy / "config.json", lambda config: config["config"].update(name=name))
    edit(
        copy / "checkpoint.json",
        lambda saved: [row.update({name: 1}) for row in saved["primitives"]],
    )
    scores = pd.read_parquet(copy / "scores.parquet")
    replace_scores(copy, scores.rename(columns={"flops": name}))
    rename = lambda rows: rows.update({name: rows.pop("flops")})  # noqa: E731
    for sample in ("train", "validation", "test"):
        for dataset in ("cifar10", "cifar100"):
            edit(copy / "result.json", lambda result, s=sample, d=dataset: rename(result[s][d]))
    page = Page(write_report(copy))
    page.assert_alone()
    assert name in page.text
    assert name in page.data["usage"]["primitive"]
    assert [title for title, _ in page.charts if title.startswith(f"{name}: ")]
    assert len(marks(page.draw(PRIMITIVES), "rect")) == len(page.data["usage"]["share"])


def test_expression_that_this_version_does_not_know(copy: Path) -> None:
    text = "sum_layers(<script>alert(1)</script> && x)"
    edit(copy / "checkpoint.json", lambda saved: saved["search"]["hall"][0].update(expression=text))
    edit(copy / "result.json", lambda result: result["best"].update(expression=text))
    page = Page(write_report(copy))
    page.assert_alone()
    assert text in page.text
    assert page.trees == []
    assert page.ids == SECTIONS


def test_front_is_that_of_the_run(page: Page, runs: dict[str, Path]) -> None:
    saved = RunFolder(runs["finished"]).checkpoint()
    assert saved is not None
    front = equations(saved)
    rows = [row for row in page.rows if row and row[-1] in {e.formula for e in front}]
    assert {e.formula for e in front} == {row[-1] for row in rows}
    for equation in front:
        assert any(row[:2] == [str(equation.size), str(equation.cost)] for row in rows)
    assert set(page.data["front"]["formula"]) == {e.formula for e in front}
    drawn = page.draw("Kendall's τ against size")
    assert len(marks(drawn, "symbol")) == len(page.data["front"]["formula"])


def test_unfinished_run_says_so(runs: dict[str, Path]) -> None:
    page = Page(write_report(runs["stopped"]))
    page.assert_alone()
    assert page.ids == [name for name in SECTIONS if name != "ranking"]
    assert ("p", "class", "unfinished") in page.attributes
    hall = json.loads((runs["stopped"] / "hall_of_fame.json").read_text())
    assert hall[0]["expression"] in page.text
    assert f"τ on validation{hall[0]['tau']['validation'][0]:.3f}" in page.text
    assert "τ on test" not in page.text


def test_scores_without_a_result_are_not_reported(copy: Path) -> None:
    """Killed between the two files."""
    (copy / "result.json").unlink()
    page = Page(write_report(copy))
    assert "ranking" not in page.ids
    assert ("p", "class", "unfinished") in page.attributes


def test_undefined_tau_and_failures_are_shown(copy: Path) -> None:
    row = {"objective": None, "tau": None, "standard_error": None, "networks": 12, "failed": 12}
    edit(copy / "result.json", lambda result: result["test"]["cifar10"].update(champion=row))
    scores = pd.read_parquet(copy / "scores.parquet")
    scores["champion"] = scores["champion"].mask(scores["sample"] == "test")
    replace_scores(copy, scores)
    page = Page(write_report(copy))
    assert "undefined, 12 failed" in next(row for row in page.rows if row[0] == "champion")
    table = pd.DataFrame(page.data["scores_0"])
    assert table.loc[table["sample"] == "test", "champion"].isna().all()
    assert {"test: τ undefined", "champion: τ undefined"} < {title for title, _ in page.charts}


def test_large_samples_stay_in_a_small_file(copy: Path) -> None:
    scores = pd.read_parquet(copy / "scores.parquet")
    groups = [part.sample(4000, replace=True) for _, part in scores.groupby(["dataset", "sample"])]
    replace_scores(copy, pd.concat(groups))
    page = Page(write_report(copy))
    page.assert_alone()
    shown = pd.DataFrame(page.data["scores_0"])["sample"].value_counts()
    assert all(500 < count <= 1500 for count in shown)


@pytest.mark.parametrize("where", ["history", "result"])
def test_energy_is_shown_where_it_was_measured(where: str, copy: Path) -> None:
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


def test_parts_of_the_energy_and_cost_of_training_are_shown(copy: Path) -> None:
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
    for part in ("0.01 (read)", "0.02 (guessed)", "30 s of 60 s"):
        assert part in text
    for part in (
        "20 networks",
        "30 min 0 s",
        "1,000 networks",
        "25 h 0 min",
        "1,500",
        "of a clock",
    ):
        assert part in text
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


@pytest.mark.parametrize("name", ["history.csv", "primitives.csv", "hall_of_fame.json"])
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
    with pytest.raises(RunError, match="no complete generation yet"):
        write_report(copy)


def test_a_file_of_somebody_else_is_not_replaced(runs: dict[str, Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    with pytest.raises(RunError, match="mine.html"):
        write_report(runs["finished"], mine)
    with pytest.raises(RunError, match="mine.html"):
        write_comparison(list(runs.values()), mine)
    assert mine.read_text() == "mine"
    out = write_report(runs["finished"], tmp_path / "report.html")
    assert write_report(runs["finished"], out) == out
