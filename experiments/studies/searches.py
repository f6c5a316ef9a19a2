"""Searches: tau of their champions, what parts of a search gain, and exported files."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from experiments.markdown import rounded, signed, table, with_error
from experiments.studies.stored import (
    DATASETS,
    RESULTS,
    ROOT,
    SPACES,
    read_result,
    read_table,
)
from greenmachine.export.source import export_source
from greenmachine.files import read_json
from greenmachine.language import parse

SIX = [f"{space}/{dataset}" for space in SPACES for dataset in DATASETS]


def _tau(name: str, sample: str, score: str, task: str | None = None) -> str:
    tasks = read_result(f"proxies/{name}.json")["tau"][sample]
    row = tasks[task if task is not None else next(iter(tasks))]
    return with_error(row[score]["tau"], row[score]["standard_error"])


def run(name: str, sample: str, score: str = "champion") -> str:
    """Return tau of a run's champion, or of a baseline, on a sample of its first task."""
    return _tau(name, sample, score)


def nodes(name: str, of: str = "expression") -> str:
    """Return the size of an exported ``expression``, or of the one it was ``shortened_from``."""
    return str(parse(read_result(f"proxies/{name}.json")[of]).size)


def searches_single() -> str:
    """Return test tau of one search on each space of NATS-Bench with CIFAR-10, and of baselines."""
    scores = {
        "champion": "**champion**",
        "params": "parameters",
        "flops": "FLOPs",
        "convolutions": "number of convolutions",
        "sum_log_channels": "Σ log channels",
    }
    rows = []
    for score, name in scores.items():
        cells = []
        for each in ("nats_tss_cifar10", "nats_sss_cifar10"):
            known = read_result(f"proxies/{each}.json")["tau"]["test"]["cifar10"]
            cells.append(_tau(each, "test", score) if score in known else "–")
        rows.append([name, *cells])
    return table(["CIFAR-10", "topology space", "size space"], rows)


def searches_several() -> str:
    """Return test tau of the champions of the last stage, on every task of their runs."""
    found = []
    for name in (
        "gm_any",
        "gm_tss",
        "nats_tss_imagenet16",
        "gm_sss",
        "nats_sss_cifar10",
        "nats_sss_cifar100",
        "nats_sss_imagenet16",
        "nats_sss_stratified",
    ):
        known = read_result(f"proxies/{name}.json")
        (space, *others) = [each["name"] for each in known["manifest"]["benchmarks"]]
        test = known["tau"]["test"]
        cells = {
            task if others else f"{space}/{task}": _tau(name, "test", "champion", task)
            for task in test
        }
        networks = next(iter(test.values()))["champion"]["networks"]
        each = " of each space" if others else ""
        found.append(
            [f"`{name}`, {networks:,} networks{each}", *(cells.get(task, "–") for task in SIX)]
        )
    head = ["τ on test, ± standard error", "TSS C10", "C100", "IN16", "SSS C10", "C100", "IN16"]
    return table(head, found)


def used(name: str, space: str) -> str:
    """Return how many networks of a space the searches for a discovery used."""
    found = read_json(ROOT / "greenmachine" / "proxies" / "discovered.json")
    return f"{len(found[name][space]):,}"


def family_mean(proxy: str) -> str:
    """Return the mean tau of a proxy on the held-out networks of the families."""
    text = (RESULTS / "families" / "README.md").read_text(encoding="utf-8")
    head, _, *rows = [
        [cell.strip(" `*") for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\| networks \|.*?\n\n", text, re.M | re.S)[0].strip().splitlines()
    ]
    if proxy not in head:
        raise LookupError(f"results/families/README.md has no column {proxy}")
    column = head.index(proxy)
    taus = [float(row[column].split(" ")[0]) for row in rows if row[0] != "mean"]
    return rounded(float(np.mean(taus)))


def export_lines(form: str) -> str:
    """Return how long the exported files of the discoveries are, ``compact`` or ``exact``."""
    lengths = []
    for path in sorted((RESULTS / "proxies").glob("*.json")):
        known = read_json(path)
        source = export_source(
            known["expression"],
            direction=known["direction"],
            shape=known["shape"],
            name=known["name"],
            exact=form == "exact",
        )
        lengths.append(len(source.splitlines()))
    return f"{min(lengths):,} to {max(lengths):,}"


def _paired(path: str, column: str, variant: str, other: str, key: str = "variant") -> pd.Series:
    runs = read_table(path).pivot(index="seed", columns=key, values=column)
    return runs[variant] - runs[other]


def _gain(gain: pd.Series) -> str:
    return signed(gain.mean(), gain.std() / np.sqrt(len(gain)))


def ablation_mean(sample: str, variant: str) -> str:
    """Return mean tau of a variant of the search on a sample (``_`` stands for a space)."""
    runs = read_table("ablation/table.csv")
    return rounded(runs[runs["variant"] == variant.replace("_", " ")][sample].mean())


def ablation_gain(sample: str, variant: str, other: str) -> str:
    """Return the difference between two variants of the search, paired by seed."""
    names = (variant.replace("_", " "), other.replace("_", " "))
    return _gain(_paired("ablation/table.csv", sample, *names))


def individuals(study: str, variant: str) -> str:
    """Return how many individuals each run of a variant evaluated."""
    runs = read_table(f"{study.replace(':', '/')}/table.csv")
    runs = runs[runs["variant"] == variant.replace("_", " ")]
    (found,) = set(runs["individuals"])
    return f"{found:,}"


def beginnings() -> str:
    """Return test tau of searches from scratch and from proxies of the zoo, on both spaces."""
    paths = [f"ablation/{space}/table.csv" for space in ("tss", "sss")]
    rows = []
    names = {
        "from scratch": "from scratch",
        "zoo": "four proxies of the zoo in the first population",
    }
    for variant, name in names.items():
        tests = [runs[runs["variant"] == variant]["test"] for runs in map(read_table, paths)]
        rows.append([name, *(with_error(test.mean(), test.std()) for test in tests)])
    gains = (_gain(_paired(path, "test", "zoo", "from scratch")) for path in paths)
    rows.append(["… difference, paired by seed, and its standard error", *gains])
    return table(["test τ", "topology space", "size space"], rows)


def ablation_families() -> str:
    """Return what parts of the search achieve on five families of networks, paired by seed."""
    path, first = "ablation/families/table.csv", "lexicase over families"
    runs = read_table(path)
    shown_as = {
        first: "lexicase selection over the families, mean of the families as objective",
        "tournament": "tournament selection (`selection.scheme`)",
        "worst family": "the worst family as objective (`objective.aggregate: min`)",
        "price of nodes": "a penalty of .002 for each node (`objective.parsimony`)",
        "from scratch": "no proxies of the zoo in the first population",
        "no broods, no tuning": "children joined at random (`evolution.brood: 1`, `tune: 0`)",
        "no min, max, comparison": "without `minimum`, `maximum` and `greater`",
        "larger formulas": "up to 50 nodes instead of 25",
    }
    rows = []
    for variant, name in shown_as.items():
        own = runs[runs["variant"] == variant]
        rows.append(
            [
                name,
                with_error(own["test"].mean(), own["test"].std()),
                "" if variant == first else _gain(_paired(path, "test", variant, first)),
                rounded(own["least"].mean()),
                f"{own['size'].mean():.0f}",
            ]
        )
    return table(
        ["", "mean test τ", "difference from the first row", "worst family", "nodes"], rows
    )


def languages_difference() -> str:
    """Return the largest difference between two arms of the comparison of languages."""
    runs = read_table("languages/table.csv")
    found = []
    for space in SPACES:
        tests = runs[runs["space"] == space].pivot(index="seed", columns="arm", values="test")
        for one, other in (
            ("paper", "typed"),
            ("typed", "typed, own loop"),
            ("paper", "typed, own loop"),
        ):
            gain = tests[other] - tests[one]
            found.append((abs(gain.mean()), gain.std() / np.sqrt(len(gain))))
    return with_error(*max(found))
