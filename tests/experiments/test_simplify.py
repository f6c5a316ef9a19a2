"""Shorter expressions: every way to let a subtree give way to a part of itself, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.simplify import Exported, judged, known_to, main, shorter
from greenmachine import evolve
from greenmachine.api.banks import build_bank
from greenmachine.config import RunConfig
from greenmachine.errors import RunError
from greenmachine.export.run_export import export_run
from greenmachine.files import read_json, write_json
from greenmachine.language import parse

PROXIES = Path(__file__).parents[2] / "results" / "proxies"
SMALL = RunConfig.model_validate(
    {
        "workers": 1,
        "passes": ["noise"],
        "capture": {"batch": 2},
        "samples": {name: {"size": 16} for name in ("train", "validation", "test")},
        "evolution": {
            "population": 8,
            "generations": 1,
            "elites": 1,
            "seeds": [
                "add(sum_layers(l2_norm(abs(weight))), mul(std_layers(depth), max_layers(depth)))"
            ],
        },
    }
)


def test_every_part_of_the_same_kind_takes_its_wholes_place() -> None:
    found = set(shorter(parse("add(sum_layers(l2_norm(abs(weight))), sum_layers(depth))")))
    assert found == {
        "sum_layers(l2_norm(abs(weight)))",
        "sum_layers(depth)",
        "add(sum_layers(l2_norm(weight)), sum_layers(depth))",
    }


def test_what_comes_of_it_parses_and_is_shorter() -> None:
    text = "mul(first_layer(trace(batch_gram(relu(noise_input)))), sum_layers(mul(depth, depth)))"
    for part in shorter(parse(text)):
        assert parse(part).size < parse(text).size


def test_a_leaf_has_no_part() -> None:
    assert list(shorter(parse("sum_layers(depth)").args[0])) == []


def test_what_is_shorter_is_judged_as_the_run_judges_and_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evolve(config=SMALL, out=tmp_path / "run")
    known = export_run(tmp_path / "run", tmp_path / "found.py")
    of = Exported.read(tmp_path / "found.json", workers=1)
    again = judged(parse(known["expression"]), of)
    for sample, tasks in known["tau"].items():
        for task, rows in tasks.items():
            found = again["tau"][sample][task]["champion"]
            assert found == pytest.approx(rows["champion"], abs=1e-6)  # a run rounds
    out = tmp_path / "shorter.py"
    words = [str(tmp_path / "found.json"), "--loss", "2", "--out", str(out), "--workers", "1"]
    assert main(words) == 0
    short = read_json(out.with_suffix(".json"))
    assert short["size"] < known["size"] and parse(short["expression"]).size == short["size"]
    assert short["shortened_from"] == known["expression"] and short["name"] == "shorter"
    assert f"{short['tau']['test']['digits']['champion']['tau']:.4f}" in capsys.readouterr().out


def test_a_run_on_a_bank_is_judged_on_the_bank(tmp_path: Path) -> None:
    given = ["mul(sum_layers(l2_norm(abs(weight))), sum_layers(sum(noise_output)))"]
    build_bank(tmp_path / "bank", "digits-tss", networks=40, expressions=given, workers=1)
    config = RunConfig.model_validate(
        {
            "workers": 1,
            "bank": str(tmp_path / "bank"),
            "samples": {"train": {"size": 30, "functions": 20}, "validation": {"size": 8}},
            "evolution": {"population": 8, "generations": 1, "elites": 1, "seeds": given},
        }
    )
    evolve(config=config, out=tmp_path / "run")
    known = export_run(tmp_path / "run", tmp_path / "found.py")
    of = Exported.read(tmp_path / "found.json", workers=1)
    again = judged(parse(known["expression"]), of)
    for sample, tasks in known["tau"].items():
        found = again["tau"][sample]["digits"]["champion"]
        assert found == pytest.approx(tasks["digits"]["champion"], abs=1e-6)
    assert known_to(of.bank, "sum_layers(l2_norm(abs(weight)))")
    assert not known_to(of.bank, "sum_layers(l2_norm(weight))")


def test_other_samples_are_refused(tmp_path: Path) -> None:
    evolve(config=SMALL, out=tmp_path / "run")
    known = export_run(tmp_path / "run", tmp_path / "found.py")
    known["manifest"]["samples"]["train"]["digits-tss"][0] += 1
    write_json(tmp_path / "found.json", known)
    with pytest.raises(RunError, match="other samples"):
        judged(parse(known["expression"]), Exported.read(tmp_path / "found.json", workers=1))


@pytest.mark.parametrize("name", sorted(p.name for p in PROXIES.glob("*.json")))
def test_exported_discoveries_can_be_read(name: str) -> None:
    """Those of a bank need its place, because the bank is not in the repository."""
    config = read_json(PROXIES / name)["config"]
    if config.get("bank"):
        with pytest.raises(RunError, match="bank"):
            Exported.read(PROXIES / name)
    else:
        assert Exported.read(PROXIES / name).config.name == config["name"]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("missing.json", []),
        (".", []),
        ("README.md", []),
        ("results/tables/nas.json", []),
        ("results/proxies/gm_tss.json", ["--to", "foo(bar)"]),
        ("results/proxies/gm_tss.json", ["--to", "l2_norm(weight)", "--out", "README.py"]),
        ("results/proxies/gm_tss.json", ["--to", "sum_layers(depth)", "--out", "README.md"]),
        ("results/proxies/gm_sss.json", ["--bank", "results"]),
    ],
)
def test_bad_inputs_give_one_line(
    path: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = PROXIES.parents[1]
    assert main([str(root / path), *more]) == 1
    told = capsys.readouterr()
    assert not told.out and told.err.startswith("simplify: ")
