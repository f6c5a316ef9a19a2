"""What parts of the search are worth, on runs of a second."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from experiments import ablation
from greenmachine.api.banks import build_bank

SMALL = {
    "passes": ["noise"],
    "capture": {"batch": 2},
    "samples": {name: {"size": 12} for name in ablation.SAMPLES},
    "evolution": {"population": 8, "generations": 1, "elites": 1},
}


def test_variants_are_paired_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = {"free": {}, "ones, 1": {"passes": ["ones"]}}
    study = ablation.Study("digits-tss", SMALL, variants, seeds=2)
    monkeypatch.setattr(ablation, "STUDIES", {"parts": study})
    words = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    assert ablation.main(words) == 0
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert table[["variant", "seed"]].to_numpy().tolist() == [
        ["free", 0], ["free", 1], ["ones, 1", 0], ["ones, 1", 1],
    ]  # fmt: skip
    assert table["individuals"].nunique() == 1
    first, second = (part["test"].to_numpy() for _, part in table.groupby("variant"))
    over = second - first
    error = over.std(ddof=1) / math.sqrt(2)
    assert error > 0
    text = (tmp_path / "out" / "table.md").read_text()
    assert f"{over.mean():+.3f} ± {error:.3f}" in text
    before = capsys.readouterr().err.count("is finished")
    assert ablation.main(words) == 0
    assert capsys.readouterr().err.count("is finished") == before + 4


def test_families_of_a_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = tmp_path / "bank"
    build_bank(
        bank,
        ["digits-tss", "digits-sss"],
        networks=40,
        expressions=["l2_norm", "synflow"],
        batch=2,
        workers=1,
    )
    study = ablation.STUDIES["families"]
    small = {
        "workers": 1,
        "samples": {name: {"size": 9} for name in ablation.SAMPLES},
        "evolution": {"population": 8, "generations": 1, "elites": 1, "seeds": ["l2_norm"]},
    }
    monkeypatch.setitem(ablation.STUDIES, "families", replace(study, shared=small, seeds=2))
    words = [
        "--study",
        "families",
        "--runs",
        str(tmp_path / "runs"),
        "--out",
        str(tmp_path / "out"),
    ]
    with pytest.raises(SystemExit):
        ablation.main(words)
    assert ablation.main([*words, "--bank", str(bank)]) == 0
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert len(table) == 2 * len(study.variants)
    assert (table["least"] <= table["test"]).all() and (table["least"] < table["test"]).any()


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        ablation.main(["--seeds", "1", "--out", str(tmp_path), "--runs", str(tmp_path)])
