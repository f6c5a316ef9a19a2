"""Leave one family out: what is chosen depends on the families of the search alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import greenmachine as gm
from experiments import families
from greenmachine.api.banks import build_bank
from greenmachine.bank import Bank
from greenmachine.fitness import tau_row
from greenmachine.language import canonical, parse


@pytest.mark.parametrize("left", ["a", "b", "c", None])
def test_settings_of_a_fold_do_not_depend_on_the_family_left_out(left: str | None) -> None:
    """In searches without A and B, tau on B may decide for the fold without A; tau on A may not."""
    rows = [
        {"variant": variant, "rule": rule, "family": family, "also_left_out": other, "tau": tau}
        for variant, rule, tau in (("mean", "worst", 0.5), ("short", "mean", 0.4))
        for family in "abc"
        for other in "abc"
        if family != other
    ]
    pairs = pd.DataFrame(rows)
    assert families.chosen(pairs, left) == ("mean", "worst")
    own, poor = pairs["family"] == left, pairs["variant"] == "mean"
    pairs.loc[own & poor, "tau"] = -1.0
    assert families.chosen(pairs, left) == ("mean", "worst")
    pairs.loc[~own & poor, "tau"] = -1.0
    assert families.chosen(pairs, left) == ("short", "mean")


def test_rules_choose_the_best_of_all_expressions_on_networks_of_the_search(
    tmp_path: Path,
) -> None:
    build_bank(tmp_path / "bank", "digits-tss", networks=40, expressions=["random:12"], workers=1)
    build_bank(tmp_path / "bank", "digits-sss", networks=20, workers=1)
    bank = Bank(tmp_path / "bank")
    settings = {"workers": 1, "evolution": {"population": 12, "generations": 1, "elites": 1}}
    results = [
        gm.Search(bank=bank.path, settings=settings, seed=seed).run(tmp_path / str(seed))
        for seed in (1, 2)
    ]
    known = families.candidates([result.folder for result in results])
    tau = {}
    for text, direction in known.items():
        tau[text] = []
        for family in bank.facts.families:
            places = families.places_of(family, results[0].folder, "train", "validation")
            (values,) = families.scores(bank, family, places, [canonical(parse(text))])
            accuracy = families.accuracies(family, places)
            tau[text].append(tau_row(values, accuracy, direction)["tau"])
    found = families.choices(bank, list(bank.facts.families), results)
    assert set(found) == set(families.RULES)
    for rule, measure in (("mean", np.mean), ("worst", np.min)):
        best = max(measure(values) for values in tau.values() if np.isfinite(values).all())
        assert measure(tau[found[rule].expression]) == pytest.approx(best)
