"""Write the figures of the documents anew from the measured results, or check them.

    python -m experiments.figures
    python -m experiments.figures --check

A table of a document stands between ``<!-- table:NAME -->`` and ``<!-- /table:NAME -->``, a figure
within a sentence between ``<!-- figure:ADDRESS -->`` and ``<!-- /figure -->``. Tables are functions
of this module. The address of a figure is its place in ``results/tables``:

    TABLE/PROTOCOL/PROXY                the six values of tau, or those that there are
    TABLE/PROTOCOL/PROXY/tss            the three of one space (tss, sss)
    TABLE/PROTOCOL/PROXY/tss/cifar10    one value
    TABLE/PROTOCOL/PROXY/mean           the mean over the six

``PROTOCOL:METRIC`` takes another metric of the table than tau: ``scored:tau_best``;
``PROTOCOL:networks`` is how many networks tau is of, ``unseen:networks/(params)/tss``.

Figures of other results are functions of ``experiments.studies``: their addresses begin with the
name of the function, and go on with its arguments.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import studies
from experiments.markdown import rounded, shown, signed, table, with_error
from experiments.studies.stored import DATASETS, RESULTS, ROOT, SPACES, read_table
from greenmachine.benchmarks.digits import EMBEDDED
from greenmachine.cli import names

COLUMNS = [(space, dataset) for space in SPACES for dataset in DATASETS]
SIX = ["TSS C10", "C100", "IN16", "SSS C10", "C100", "IN16"]
BASELINES = {
    "(params)": "(parameters)",
    "(convolutions)": "(number of convolutions)",
    "(sum_log_channels)": "(Σ log channels)",
    "(depth2_log_channels)": "(Σ depth² log channels)",
}
EVOLVED = (
    "gm_any",
    "gm_tss",
    "gm_tss_large",
    "gm_sss",
    "gm_sss_large",
    "nats_tss_cifar10",
    "nats_tss_imagenet16",
    "nats_sss_cifar10",
    "nats_sss_cifar100",
    "nats_sss_imagenet16",
    "nats_sss_stratified",
    "digits_tss",
)
FIRST_SCREEN = [
    ("`gm_any`, evolved here", "generalisation", "scored", "gm_any"),
    ("`gm_tss`, evolved here on the topology space alone", "generalisation", "scored", "gm_tss"),
    ("`gm_tss_large`, likewise on a bank", "generalisation", "scored", "gm_tss_large"),
    (
        "`gm_sss_large`, likewise on the size space alone",
        "generalisation",
        "scored",
        "gm_sss_large",
    ),
    ("`meco_opt_modules` (MeCo)", "greenmachine", "scored", "meco_opt_modules"),
    ("`az_nas` (AZ-NAS)", "greenmachine", "scored", "az_nas"),
    ("`zico` (ZiCo)", "greenmachine", "scored", "zico"),
    ("`synflow`", "greenmachine", "scored", "synflow"),
    ("`nwot`", "greenmachine", "scored", "nwot"),
    ("number of parameters", "generalisation", "scored", "(params)"),
]
_TABLE = re.compile(r"<!-- table:(\S+) -->.*?<!-- /table:\1 -->", re.S)
_FIGURE = re.compile(r"<!-- figure:(\S+) -->.*?<!-- /figure -->", re.S)


@cache
def measured(name: str, metric: str = "tau") -> pd.DataFrame:
    """Return the rows of a metric in a table of results/tables that have a value."""
    long = read_table(f"tables/{name}.csv")
    return long[long["metric"] == metric].dropna(subset=["mean"])


def six(name: str, protocol: str, proxy: str, metric: str = "tau") -> list[float]:
    """Return the values of a proxy on the six data sets, NaN where a value is missing.

    Raises:
        LookupError: there is none at all.
    """
    long = measured(name, metric)
    long = long[(long["protocol"] == protocol) & (long["proxy"] == proxy)]
    if long.empty:
        raise LookupError(f"results/tables/{name}.csv has no {metric} of {proxy}, {protocol}")
    found = long.set_index(["space", "dataset"])["mean"]
    return [found.get(column, np.nan) for column in COLUMNS]


def named(proxy: str) -> str:
    """Return the name of a proxy or a baseline as the tables show it."""
    return BASELINES.get(proxy, proxy if proxy[0] == "(" else f"`{proxy}`")


def figure(address: str) -> str:
    """Return the figure at an address: a function of a study, or a place in results/tables."""
    name, *arguments = address.split("/")
    if name in FIGURES:
        return FIGURES[name](*arguments)
    protocol, proxy, *place = arguments
    protocol, _, metric = protocol.partition(":")
    if metric == "networks":
        long = measured(name)
        chosen = (long["protocol"] == protocol) & (long["proxy"] == proxy)
        return f"{long[chosen & (long['space'] == f'nats-{place[0]}')]['networks'].iloc[0]:,}"
    values = six(name, protocol, proxy, metric or "tau")
    if place == ["mean"]:
        return rounded(float(np.mean(values)))
    if place:
        start = 3 * ("tss", "sss").index(place[0])
        values = values[start : start + 3]
    if len(place) == 2:
        values = [values[DATASETS.index(place[1])]]
    return " ".join(shown(value) for value in values if not np.isnan(value))


def first_screen() -> str:
    """Return the table of the README: two discoveries and the usual baselines."""
    return table(
        ["Kendall's τ", *SIX], [[name, *map(shown, six(*place))] for name, *place in FIRST_SCREEN]
    )


def largest_error() -> str:
    """Return the largest standard error in the table of the README."""
    errors = []
    for _, name, protocol, proxy in FIRST_SCREEN:
        long = measured(name)
        errors.append(long[(long["protocol"] == protocol) & (long["proxy"] == proxy)]["std"].max())
    return rounded(max(errors))


def discoveries() -> str:
    """Return the proxies that runs of this project found, and the passes that each needs."""
    found = {facts["name"]: facts for facts in names.proxies() if "evolved on" in facts}
    rows = []
    for name, facts in found.items():
        form = facts["form"] + ", low is good" * (facts["direction"] == -1)
        rows.append([f"`{name}`", facts["evolved on"], form, " ".join(facts["passes"]) or "none"])
    return table(["name", "evolved on", "form", "passes"], rows)


def discoveries_scored() -> str:
    """Return tau of the discoveries on whole spaces."""
    rows = [(named(each), six("generalisation", "scored", each)) for each in (*EVOLVED, *BASELINES)]
    return table(["", *SIX], [[name, *map(shown, values)] for name, values in rows])


def discoveries_unseen() -> str:
    """Return tau of the discoveries on networks that no search used."""
    chosen = (*EVOLVED, *BASELINES)
    rows = [(named(each), six("generalisation", "unseen", each)) for each in chosen]
    return table(["", *SIX], [[name, *map(shown, values)] for name, values in rows])


def discoveries_stratified() -> str:
    """Return tau of the discoveries in stratified draws, and the published figures."""
    chosen = (*(each for each in EVOLVED if each in _stratified()), "sed", *BASELINES)
    rows = [["published (arXiv 2411.15290)", ".78", ".71", "–", ".89", ".77", "–"]]
    rows += [
        [named(each), *map(shown, six("greenmachine", "stratified_space", each))] for each in chosen
    ]
    return table(["", *SIX], rows)


def _stratified() -> set[str]:
    long = measured("greenmachine")
    return set(long[long["protocol"] == "stratified_space"]["proxy"])


def zoo() -> str:
    """Return tau of some proxies of the zoo on 3,000 networks of each space."""
    chosen = (
        "meco_inputs",
        "meco_modules",
        "az_nas",
        "meco_opt",
        "sed",
        "synflow",
        "zico",
        "nwot",
        "(params)",
        "(sum_log_channels)",
    )
    rows = [[named(each), *map(shown, six("greenmachine", "scored", each))] for each in chosen]
    return table(["", *SIX], rows)


def forests() -> str:
    """Return tau of forests over proxies, by inputs, training size and protocol."""
    inputs = {
        "the zoo": "green_factory",
        "the zoo and baselines": "green_factory_trivial",
        "all of these": "green_factory_all",
        "discoveries, whole spaces": "green_factory_evolved",
        "the architecture's text, whole spaces": "(encoding_space)",
    }
    judged = {
        "all": "all",
        "held out": "held_out",
        "held-out classes": "held_out_classes",
        "held out, not used in a search": "held_out_unseen",
    }
    chosen = [
        *((name, "80 %", "all") for name in list(inputs)[:4]),
        *((name, "80 %", "held out") for name in list(inputs)[:3]),
        ("all of these", "80 %", "held out, not used in a search"),
        ("discoveries, whole spaces", "80 %", "held out"),
        ("discoveries, whole spaces", "80 %", "held out, not used in a search"),
        ("the architecture's text, whole spaces", "80 %", "held out"),
        ("the zoo", "80 %", "held-out classes"),
        ("all of these", "80 %", "held-out classes"),
        *(
            (name, size, "held out")
            for size in ("1,000", "100")
            for name in ("the zoo", "all of these")
        ),
    ]
    rows = [
        [
            "published (arXiv 2505.09344)",
            "unknown",
            "unknown",
            ".921",
            ".929",
            ".908",
            ".907",
            ".945",
            ".920",
        ]
    ]
    for name, size, protocol in chosen:
        values = _forest(judged[protocol], inputs[name], size)
        rows.append([name, size, protocol, *map(shown, values)])
    return table(["inputs", "networks in training", "measured on", *SIX], rows)


def _forest(protocol: str, proxy: str, size: str) -> list[float]:
    """Return the six values of a forest; ``80 %`` is the largest training size of each column."""
    long = measured("greenfactory")
    long = long[(long["protocol"] == protocol) & (long["proxy"] == proxy)]
    if size == "80 %":
        long = long.sort_values("train").groupby(["space", "dataset"]).tail(1)
    else:
        long = long[long["train"] == int(size.replace(",", ""))]
    found = long.set_index(["space", "dataset"])["mean"]
    return [found.get(column, np.nan) for column in COLUMNS]


def languages() -> str:
    """Return the published method and this project's at the same budget."""
    runs = read_table("languages/table.csv")
    spaces = ("nats-tss", "nats-sss")
    shown_as = {
        "paper": "paper language, its loop",
        "typed": "this project's language, the paper's loop",
        "typed, own loop": "this project's language and loop",
    }

    def spread(frame: pd.DataFrame, column: str) -> list[str]:
        parts = (frame[frame["space"] == space][column] for space in spaces)
        return [with_error(part.mean(), part.std()) for part in parts]

    rows = []
    for arm, name in shown_as.items():
        mine = runs[runs["arm"] == arm]
        seconds = (mine[mine["space"] == space]["seconds"].mean() for space in spaces)
        rows.append([name, *spread(mine, "test"), ", ".join(f"{each:.0f}" for each in seconds)])
    paper = runs[runs["arm"] == "paper"]
    rows.append(["(parameters)", *spread(paper, "test_params"), "–"])
    return table(
        ["test τ", "topology space, CIFAR-10", "size space, CIFAR-10", "seconds a run"], rows
    )


def ablation() -> str:
    """Return what parts of the search achieve on digits-tss, paired by seed."""
    runs = read_table("ablation/table.csv").pivot(index="seed", columns="variant", values="test")
    shown_as = {
        "no broods": "children joined at random (`evolution.brood: 1`, `tune: 0`)",
        "no broods, longer": "… and a third more generations",
        "no broods, large": "… and up to 45 nodes instead of 25",
        "broods": "the best of 16 trials (`brood: 16`)",
        "broods, large": "… and up to 45 nodes",
        "broods, zoo": "… and four proxies of the zoo in the first population",
        "broods, tuned": "… and 15 % of the children tuned (`tune: 0.15`)",
        "broods, tuned more": "… and 30 %, the default",
    }
    rows = []
    for variant, name in shown_as.items():
        test, gain = runs[variant], runs[variant] - runs["no broods"]
        difference = signed(gain.mean(), gain.std() / np.sqrt(len(gain)))
        difference *= variant != "no broods"
        rows.append([name, with_error(test.mean(), test.std()), difference])
    return table(["", "test τ", "difference from the first row"], rows)


def embedded() -> str:
    """Return the facts in the manifests of the embedded benchmarks."""
    spaces = ("digits-tss", "digits-sss")
    records = {name: json.loads((EMBEDDED / f"{name}.json").read_text()) for name in spaces}
    kinds = {
        "digits-tss": "random cells, no two isomorphic",
        "digits-sss": "random settings of the widths",
    }

    def accuracy(record: dict[str, dict[str, float]]) -> str:
        least, *quartiles, most = (
            rounded(record["accuracy"][key], 1) for key in ("min", "p25", "p50", "p75", "max")
        )
        return f"{least} · {' '.join(quartiles)} · {most}"

    rows: dict[str, Callable[[str], str]] = {
        "architectures": lambda name: f"{records[name]['architectures']} {kinds[name]}",
        "training seeds of each": lambda name: str(records[name]["recipe"]["seeds"]),
        "accuracy in percent: least · quartiles · greatest": lambda name: accuracy(records[name]),
        "τ between two single seeds": lambda name: rounded(records[name]["tau_between_two_seeds"]),
        "τ between half of the seeds and the other half": lambda name: rounded(
            records[name]["tau_between_halves_of_the_seeds"]
        ),
    }
    baselines = {
        "params": "parameters",
        "flops": "FLOPs",
        "convolutions": "the number of convolutions",
        "sum_log_channels": "Σ log channels",
        "depth2_log_channels": "Σ depth² log channels",
    }
    lines = [[row, *(value(name) for name in spaces)] for row, value in rows.items()]
    for key, row in baselines.items():
        values = (records[name]["tau_of_trivial_rows"].get(key, np.nan) for name in spaces)
        lines.append([f"τ of {row}", *map(shown, values)])
    hours = (rounded(records[name]["worker_hours"], 1) for name in spaces)
    sizes = ((EMBEDDED / f"{name}.parquet").stat().st_size / 1000 for name in spaces)
    lines.append(["core hours of the training", *hours])
    lines.append(["size of the table", *(f"{size:.0f} kB" for size in sizes)])
    return table(["", *(f"`{name}`" for name in spaces)], lines)


TABLES: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        first_screen,
        discoveries,
        discoveries_scored,
        discoveries_unseen,
        discoveries_stratified,
        zoo,
        forests,
        languages,
        ablation,
        embedded,
    )
} | studies.TABLES
FIGURES = studies.FIGURES | {"largest_error": largest_error}


def renewed(text: str) -> str:
    """Return a document with tables and figures that agree with the present results.

    Raises:
        LookupError: there is no such table or figure.
    """

    def made(mark: re.Match[str]) -> str:
        name = mark[1]
        if name not in TABLES:
            raise LookupError(f"no table {name!r}; there are {', '.join(TABLES)}")
        return f"<!-- table:{name} -->\n\n{TABLES[name]()}\n\n<!-- /table:{name} -->"

    text = _TABLE.sub(made, text)
    return _FIGURE.sub(
        lambda mark: f"<!-- figure:{mark[1]} -->{figure(mark[1])}<!-- /figure -->", text
    )


def documents() -> list[Path]:
    """Return the documents that people read: README, docs/, and the README of results/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), RESULTS / "README.md"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if behind")
    check = parser.parse_args(arguments).check
    behind = 0
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if (new := renewed(text)) != text:
            behind += 1
            print(f"{path.relative_to(ROOT)}: {'is behind the results' if check else 'written'}")
            if not check:
                path.write_text(new, encoding="utf-8")
    if check and behind:
        print("write them anew: python -m experiments.figures")
    return int(check and behind > 0)


if __name__ == "__main__":
    sys.exit(main())
