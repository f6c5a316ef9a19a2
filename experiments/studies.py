"""Tables and figures of the documents that single studies measured (``experiments.figures``).

``TABLES`` are the Markdown tables by name. ``FIGURES`` are functions by name; their arguments are
the rest of an address: ``<!-- figure:run/gm_tss/test -->`` is ``run("gm_tss", "test")``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.agreement import agreement
from experiments.cost import scaled
from experiments.markdown import rounded, signed, table, with_error
from greenmachine.export.source import export_source
from greenmachine.files import read_json
from greenmachine.language import parse

__all__ = ["FIGURES", "TABLES"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
SPACES = ("nats-tss", "nats-sss")
DATASETS = ("cifar10", "cifar100", "imagenet16-120")
SIX = [f"{space}/{dataset}" for space in SPACES for dataset in DATASETS]


@cache
def _csv(path: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / path)


@cache
def _json(path: str) -> Any:
    return read_json(RESULTS / path)


def _row(path: str, **where: object) -> pd.Series:
    """Return the one row of a CSV file of results/ with these values."""
    rows = _csv(path)
    for column, value in where.items():
        rows = rows[rows[column] == value]
    if len(rows) != 1:
        raise LookupError(f"results/{path} has {len(rows)} rows of {where}")
    return rows.iloc[0]


# Runs, from the files of their exported champions.


def _tau(name: str, sample: str, score: str, task: str | None = None) -> str:
    tasks = _json(f"proxies/{name}.json")["tau"][sample]
    row = tasks[task if task is not None else next(iter(tasks))]
    return with_error(row[score]["tau"], row[score]["standard_error"])


def run(name: str, sample: str, score: str = "champion") -> str:
    """Return tau of a run's champion, or of a baseline, on a sample of its first task."""
    return _tau(name, sample, score)


def nodes(name: str, of: str = "expression") -> str:
    """Return the size of an exported ``expression``, or of the one it was ``shortened_from``."""
    return str(parse(_json(f"proxies/{name}.json")[of]).size)


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
            known = _json(f"proxies/{each}.json")["tau"]["test"]["cifar10"]
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
        known = _json(f"proxies/{name}.json")
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


# The zoo beside published figures.


def _published() -> pd.DataFrame:
    """Return the values of tau on live cells that we measured, and papers too."""
    rows = _csv("tables/greenmachine.csv")
    rows = rows[(rows["protocol"] == "live") & (rows["metric"] == "tau")]
    rows = rows.dropna(subset=["mean", "published"])
    # FLOPs are in the table as a proxy and as a baseline: one published value.
    return rows.assign(name=rows["proxy"].str.strip("()")).drop_duplicates(["name", "dataset"])


def published(which: str) -> str:
    """Return how many published values on live cells we have: all, ``near`` (.03) or ``far``."""
    rows = _published()
    near = (rows["mean"] - rows["published"]).abs() <= 0.03
    return str({"all": len(rows), "near": near.sum(), "far": (~near).sum()}[which])


def _live(proxy: str, dataset: str) -> pd.Series:
    return _row(
        "tables/greenmachine.csv",
        proxy=proxy,
        space="nats-tss",
        dataset=dataset,
        protocol="live",
        metric="tau",
    )


def live(proxy: str, dataset: str, what: str = "measured") -> str:
    """Return tau on live cells with its standard error, or the ``published`` value."""
    row = _live(proxy, dataset)
    if what == "published":
        return rounded(row["published"])
    return with_error(row["mean"], row["std"])


_SEEDS_ON = 300  # cells


def standard_errors(name: str, protocol: str) -> str:
    """Return the least and the greatest standard error of tau in a table of results/tables."""
    rows = _csv(f"tables/{name}.csv")
    found = rows[(rows["protocol"] == protocol) & (rows["metric"] == "tau")]["std"]
    return f"{rounded(found.min())} to {rounded(found.max())}"


def published_ndcg(proxy: str) -> str:
    """Return the published nDCG of the 1,000 cells without unused operations that rank first."""
    rows = (
        _row(
            "tables/greenmachine.csv",
            proxy=proxy,
            space="nats-tss",
            dataset=dataset,
            protocol="live_space",
            metric="ndcg",
        )
        for dataset in DATASETS
    )
    return " ".join(rounded(row["published"]) for row in rows)


def deviation_errors() -> str:
    """Return the standard errors of tau where one setting of a proxy is changed."""
    rows = _csv("deviations/deviations.csv")
    found = rows[rows["proxy"].isin(["plain", "grasp", "epe_nas"])]["standard_error"]
    return f"{rounded(found.min(), 2)} to {rounded(found.max(), 2)}"


def _deviation(proxy: str, setting: str, *datasets: str) -> str:
    rows = _csv("deviations/deviations.csv")
    rows = rows[(rows["proxy"] == proxy) & (rows["setting"] == setting)]
    # GraSP's other seeds are on 300 cells, and one of these settings has the same name.
    found = rows[rows["networks"] != _SEEDS_ON].set_index("dataset")["tau"]
    return " ".join(rounded(found[dataset]) for dataset in datasets)


_GRASP_SEEDS = ["batch 16, seed 0", "batch 16", *(f"batch 16, seed {seed}" for seed in (2, 3, 4))]


def deviations() -> str:
    """Return tau on live cells before and after the change of one setting, and as published."""
    c10, c100, in16 = DATASETS
    az = {
        scores: _row("scores/vkdnw/imagenet16-120-az-64.csv", proxy="az_nas", scores=scores)
        for scores in ("stored", "computed")
    }

    def row(
        title: str, proxy: str, datasets: Sequence[str], before: str, setting: str, after: str
    ) -> list[str]:
        known = " ".join(live(proxy, dataset, "published") for dataset in datasets)
        return [title, before, setting, after, known]

    pooled = "operations a pooled output: "
    rows = [
        row(
            "`flops`, all 9,445 live cells, C10 C100 IN16",
            "flops",
            DATASETS,
            _deviation("flops", f"{pooled}0", *DATASETS),
            "average pools counted",
            _deviation("flops", f"{pooled}9", *DATASETS),
        )
    ]
    for proxy in ("plain", "grasp"):
        before, after = (_deviation(proxy, f"batch {n}", *DATASETS) for n in (16, 64))
        rows.append(row(f"`{proxy}`, C10 C100 IN16", proxy, DATASETS, before, "64 images", after))
    before = _deviation("grasp", "batch 16", c100, in16)
    he = _deviation("grasp", "batch 16, He's initialisation", c100, in16)
    rows.append(row("`grasp`, C100 IN16", "grasp", (c100, in16), before, "He's initialisation", he))
    for dataset, short in ((c100, "C100"), (in16, "IN16")):
        first, *others = _grasp_seeds(dataset)
        rows.append(
            row(
                f"`grasp`, {short}, {_SEEDS_ON} cells",
                "grasp",
                (dataset,),
                f"{rounded(first)}, seed 0",
                "seeds 1 2 3 4",
                " ".join(map(rounded, others)),
            )
        )
    rows += [
        row(
            "`epe_nas`, C10",
            "epe_nas",
            (c10,),
            _deviation("epe_nas", "batch 16", c10),
            "64 images",
            _deviation("epe_nas", "batch 64", c10),
        ),
        row(
            "`epe_nas`, C100",
            "epe_nas",
            (c100,),
            "no class twice in 16 images",
            "200 images",
            _deviation("epe_nas", "batch 200", c100),
        ),
        [
            f"AZ-NAS, IN16, {az['computed']['networks']} cells (*)",
            f"{rounded(az['stored']['tau'])}, 16 images",
            "64 images",
            rounded(az["computed"]["tau"]),
            rounded(az["computed"]["published"]),
        ],
    ]
    return table(["τ on live cells", "as above", "setting", "with this setting", "published"], rows)


def _grasp_seeds(dataset: str) -> list[float]:
    rows = _csv("deviations/deviations.csv")
    rows = rows[(rows["proxy"] == "grasp") & (rows["dataset"] == dataset)].set_index("setting")
    rows = rows[rows["networks"] == _SEEDS_ON]
    return [float(rows["tau"][setting]) for setting in _GRASP_SEEDS]


def grasp_deviation(dataset: str) -> str:
    """Return the standard deviation of GraSP's tau over five seeds."""
    return rounded(float(np.std(_grasp_seeds(dataset), ddof=1)))


def grasp_difference(unit: str = "") -> str:
    """Return how far GraSP is below the published values on C100 and IN16.

    Args:
        unit: ``deviations``: of the difference of two measurements of one seed each; ``deviation``:
            this deviation itself; else tau.
    """
    datasets = DATASETS[1:]
    below = [row["published"] - row["mean"] for row in (_live("grasp", d) for d in datasets)]
    spread = float(
        np.sqrt(2 * np.mean([np.var(_grasp_seeds(dataset), ddof=1) for dataset in datasets]))
    )
    if unit == "deviation":
        return rounded(spread, 2)
    if unit == "deviations":
        return " and ".join(f"{each / spread:.1f}" for each in below)
    return " and ".join(rounded(each) for each in below)


def vkdnw() -> str:
    """Return tau of VKDNW and other scores on live cells, and the published values."""
    path = "scores/vkdnw/cifar10-vkdnw-32.csv"
    names = {
        "vkdnw_agg": "VKDNW agg",
        "vkdnw": "VKDNW single",
        "az_nas": "AZ-NAS",
        "flops": "FLOPs",
        "trainable_layers": "trainable layers",
    }
    rows = []
    for proxy, name in names.items():
        row = _row(path, proxy=proxy, scores="together")
        tau = with_error(row["tau"], row["standard_error"])
        rows.append([name, tau, rounded(row["published"])])
    return table(["TSS C10, live cells", "τ, ± standard error", "published"], rows)


def meco() -> str:
    """Return Spearman's rho of the authors' MeCo, measured and published."""

    def measured(space: str, protocol: str, column: str = "mean", places: int = 3) -> list[str]:
        where = {"proxy": "meco_modules", "space": space, "protocol": protocol}
        rows = (_row("tables/meco.csv", **where, dataset=dataset) for dataset in DATASETS)
        return [rounded(row[column], places) for row in rows]

    whole = [
        rounded(_json(f"deviations/meco_modules.{dataset}.json")[0]["spearman"])
        for dataset in DATASETS
    ]
    rows = [
        ["TSS, published", *measured("nats-tss", "scored", "published")],
        ["TSS, every cell, one image of CIFAR-10", *whole],
        ["TSS, 3,000 cells, an image of each data set", *measured("nats-tss", "scored")],
        ["SSS, published", *measured("nats-sss", "scored", "published", 2)],
        ["SSS, 3,000 networks, one image of CIFAR-10", *measured("nats-sss", "cifar10_image")],
        [
            "SSS, 3,000 networks, an image of each data set, 16×16 for IN16",
            *measured("nats-sss", "scored"),
        ],
    ]
    return table(["`meco_modules`, ρ", "C10", "C100", "IN16"], rows)


def meco_noise(space: str) -> str:
    """Return Spearman's rho of the authors' MeCo with noise of 64x64 pixels."""
    where = {"proxy": "meco_modules", "space": space, "setting": "noise, 64x64"}
    rows = (_row("deviations/deviations.csv", **where, dataset=d) for d in DATASETS)
    return " ".join(rounded(row["spearman"]) for row in rows)


# Searches compared, paired by seed.


def _paired(path: str, column: str, variant: str, other: str, key: str = "variant") -> pd.Series:
    runs = _csv(path).pivot(index="seed", columns=key, values=column)
    return runs[variant] - runs[other]


def _gain(gain: pd.Series) -> str:
    return signed(gain.mean(), gain.std() / np.sqrt(len(gain)))


def ablation_mean(sample: str, variant: str) -> str:
    """Return mean tau of a variant of the search on a sample (``_`` stands for a space)."""
    runs = _csv("ablation/table.csv")
    return rounded(runs[runs["variant"] == variant.replace("_", " ")][sample].mean())


def ablation_gain(sample: str, variant: str, other: str) -> str:
    """Return the difference between two variants of the search, paired by seed."""
    names = (variant.replace("_", " "), other.replace("_", " "))
    return _gain(_paired("ablation/table.csv", sample, *names))


def individuals(study: str, variant: str) -> str:
    """Return how many individuals each run of a variant evaluated."""
    runs = _csv(f"{study.replace(':', '/')}/table.csv")
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
        tests = [runs[runs["variant"] == variant]["test"] for runs in map(_csv, paths)]
        rows.append([name, *(with_error(test.mean(), test.std()) for test in tests)])
    gains = (_gain(_paired(path, "test", "zoo", "from scratch")) for path in paths)
    rows.append(["… difference, paired by seed, and its standard error", *gains])
    return table(["test τ", "topology space", "size space"], rows)


def languages_difference() -> str:
    """Return the largest difference between two arms of the comparison of languages."""
    runs = _csv("languages/table.csv")
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


# SED, and what scores cost.


def _sed(space: str, protocol: str, scores: dict[str, str]) -> str:
    rows = []
    for score, name in scores.items():
        where = {"proxy": score, "space": space, "protocol": protocol}
        tau, rho = (
            [
                _row("tables/sed.csv", **where, metric=metric, dataset=dataset)["mean"]
                for dataset in DATASETS
            ]
            for metric in ("tau", "spearman")
        )
        strong = "**" * (score == "sed")
        cells = (f"{strong}{rounded(value)}{strong}" for value in tau)
        rows.append([f"{strong}{name}{strong}", *cells, " ".join(map(rounded, rho))])
    return table(
        ["score", "CIFAR-10", "CIFAR-100", "ImageNet16-120", "Spearman's ρ of the three"], rows
    )


_ON_TOPOLOGIES = {
    "sed": "SED",
    "spatial": "spatial",
    "paths_sum": "paths, sum",
    "paths_mean": "paths, mean",
    "power": "power",
    "output": "output",
    "(additive_count)": "additive count",
}


def sed_topology() -> str:
    """Return how SED and its alternatives rank the topology space."""
    return _sed("nats-tss", "space", _ON_TOPOLOGIES)


def sed_live() -> str:
    """Return how SED and its alternatives rank the cells without unused operations."""
    return _sed("nats-tss", "live", _ON_TOPOLOGIES)


def sed_size() -> str:
    """Return how SED and sums over the widths rank the size space."""
    scores = {
        "sed": "SED",
        "(sum_log_channels)": "Σ log channels",
        "(depth2_log_channels)": "Σ depth² log channels",
    }
    return _sed("nats-sss", "space", scores)


def _seconds(proxy: str) -> float:
    return float(_row("tables/cost.csv", proxy=proxy, space="nats-tss")["mean"])


def seconds(proxy: str, factor: str = "1") -> str:
    """Return CPU seconds of a score on the topology space, times ``factor``."""
    value = _seconds(proxy) * float(factor)
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def times_as_long(proxy: str, other: str) -> str:
    """Return how many times as long a score takes as another, to two digits."""
    return f"{float(f'{_seconds(proxy) / _seconds(other):.2g}'):,.0f}"


def cost_predicted() -> str:
    """Return the forecast of a run's cost, and what it cost."""
    (found,) = (each for each in _json("cost/cost.json")["runs"] if each["run"] == "digits-tss")
    phases = {
        "capture": "capture",
        "tensors": "tensors",
        "above": "main process",
        "test": "test",
    }
    both = [found["predicted"], found["measured"]]
    rows = [
        [name, *(f"{each['seconds'][phase]:.1f} s" for each in both)]
        for phase, name in phases.items()
    ]
    rows.append(["whole", *(f"{each['total_seconds']:.1f} s" for each in both)])
    rows += [
        [name, *(f"{each[f'{name}_bytes'] / 1e9:.2f} GB" for each in both)]
        for name in ("disk", "memory")
    ]
    return table(["", "predicted", "measured"], rows)


def cost_scaled() -> str:
    """Return the forecast of runs of other sizes, from the calibration of the same run."""
    (found,) = (each for each in _json("cost/cost.json")["runs"] if each["run"] == "digits-tss")
    return scaled(found)


# Speed.


def _speed() -> dict[str, dict[str, Any]]:
    return {
        f"{row['part']} {row['what']}": row for row in _json("performance/performance.json")["rows"]
    }


def performance() -> str:
    """Return the main figures of the measurement of speed and memory."""
    found = {name: float(row["value"]) for name, row in _speed().items()}
    chains = (
        rounded(found[f"c cheap elementwise chains on {kind}"], 2)
        for kind in ("InputTensor", "WeightTensor")
    )
    taus = [f"g a vector of {n} networks, 200 rows" for n in (100, 200)]
    scipy = [re.findall(r"scipy ([\d.]+) us", _speed()[name]["note"])[0] for name in taus]
    rows = [
        [
            "engine, two workers",
            f"{found['a engine: individuals a second']:.1f} individuals a second",
        ],
        [
            "speed-up over plain evaluation: DEAP's `compile`, one network and one layer at a "
            "time, one process, signals in memory",
            f"**{found['a engine against plain']:.0f}×**, "
            f"{found['a the same, per worker']:.1f}× a core",
        ],
        [
            "… of which by sharing operations between trees and generations",
            f"{found['a operations on tensors: of the plain way, for one of the engine']:.1f}×",
        ],
        [
            "speed-up over repeating the passes for every individual, one process",
            f"**{found['b engine against recomputed']:.0f}×**",
        ],
        ["peak memory, all processes", f"{found['e evolution']:.1f} GB"],
        [
            "speed-up of two workers over one, 800 small networks",
            f"{found['d speedup of 2 workers']:.2f}×",
        ],
        [
            "exponent of the seconds as a power of the number of networks (50 to 800)",
            rounded(found["d exponent of networks"], 2),
        ],
        [
            "chains of cheap elementwise primitives, share of the bandwidth of a memory copy: "
            "feature maps, weights",
            ", ".join(chains),
        ],
        [
            "capture of a network, wall time with two workers",
            f"{found['f wall time a network, 2 workers']:.0f} ms",
        ],
        [
            "τ-b of a vector of 100, of 200 networks",
            f"{', '.join(f'{found[name]:.1f} µs' for name in taus)} "
            f"(SciPy: {', '.join(f'{float(each):.0f}' for each in scipy)})",
        ],
    ]
    return table(["", ""], rows)


def slowest(number: str) -> str:
    """Return the primitives of the measured search that took most of the time on tensors."""
    rows = _csv("performance/c_nodes.csv").head(int(number))
    names = [f"`{row.node}` ({100 * row.share:.0f} %)" for row in rows.itertuples()]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def main_process() -> str:
    """Return the share of the evaluation, in percent, after the workers have finished."""
    share = _speed()["a engine: time after the workers' part"]["value"]
    return f"{share:.1f}"


# Other pages.


def first_choices() -> str:
    """Return the accuracy of the cell that a proxy ranks first of all, and the best accuracy."""

    def of_all(proxy: str, *metrics: str) -> list[str]:
        where = {"proxy": proxy, "space": "nats-tss", "protocol": "of all"}
        found = (
            [_row("tables/nas.csv", **where, metric=m, dataset=d)["mean"] for m in metrics]
            for d in DATASETS
        )
        return [f"{sum(values):.2f}" for values in found]

    rows = [
        ["the best cell", *of_all("gm_tss", "accuracy", "regret")],
        ["the first choice of `gm_tss`", *of_all("gm_tss", "accuracy")],
        ["the cell with the most parameters", *of_all("(params)", "accuracy")],
    ]
    return table(["accuracy in %", "CIFAR-10", "CIFAR-100", "ImageNet16-120"], rows)


def top_accuracy(proxy: str) -> str:
    """Return the CIFAR-10 accuracy of the cell that a proxy ranks first."""
    where = {"proxy": proxy, "space": "nats-tss", "dataset": "cifar10", "protocol": "scored"}
    found = _row("tables/generalisation.csv", **where, metric="top_accuracy")["mean"]
    return f"{found:.2f}"


def unseen(proxy: str, places: str) -> str:
    """Return tau on CIFAR-10 cells that no search used, to ``places`` decimals."""
    where = {"proxy": proxy, "space": "nats-tss", "dataset": "cifar10", "protocol": "unseen"}
    found = _row("tables/generalisation.csv", **where, metric="tau")["mean"]
    return rounded(found, int(places))


def best_stratified(space: str) -> str:
    """Return the best tau of a discovery in stratified draws of unseen networks, by data set."""
    rows = _csv("tables/generalisation.csv")
    rows = rows[(rows["protocol"] == "stratified") & (rows["metric"] == "tau")]
    # digits_tss used no network of the space: its draws are of other networks.
    rows = rows[~rows["proxy"].str.startswith("(") & (rows["proxy"] != "digits_tss")]
    best = rows[rows["space"] == f"nats-{space}"].groupby("dataset")["mean"].max()
    return " ".join(rounded(best[dataset]) for dataset in DATASETS)


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


def coverage(network: str) -> str:
    """Return the share of a network's weights that proxies read, in percent."""
    rows = _csv("libraries/libraries.csv")
    (share,) = set(rows[rows["network"] == network.replace("_", " ")]["coverage"].dropna())
    return f"{100 * share:.1f}"


@cache
def _own(name: str) -> np.ndarray:
    with (ROOT / "experiments" / "own_networks" / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = [column for column in rows[0] if column.startswith("seed_")]
    return np.array([[float(row[seed]) for seed in seeds] for row in rows])


def own_networks(name: str, what: str) -> str:
    """Return a fact of a benchmark of own networks.

    Args:
        name: ``mixed`` or ``vectors``.
        what: ``size``; ``range`` of the accuracies; ``deviation`` of the seeds; ``tau`` between
            halves of the seeds.
    """
    found = _own(name)
    if what == "range":
        means = found.mean(axis=1)
        return f"{means.min():.1f} to {means.max():.1f} %"
    if what == "deviation":
        return f"{found.std(axis=1, ddof=1).mean():.1f}"
    if what == "tau":
        return rounded(float(agreement(found.T, found.shape[1] // 2).mean()))
    return str(len(found))


TABLES: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        searches_single,
        searches_several,
        deviations,
        vkdnw,
        meco,
        beginnings,
        sed_topology,
        sed_live,
        sed_size,
        cost_predicted,
        cost_scaled,
        performance,
        first_choices,
    )
}
FIGURES: dict[str, Callable[..., str]] = {
    made.__name__: made
    for made in (
        run,
        nodes,
        used,
        family_mean,
        published,
        published_ndcg,
        standard_errors,
        deviation_errors,
        live,
        grasp_deviation,
        grasp_difference,
        meco_noise,
        ablation_mean,
        ablation_gain,
        individuals,
        languages_difference,
        seconds,
        times_as_long,
        slowest,
        main_process,
        top_accuracy,
        unseen,
        best_stratified,
        export_lines,
        coverage,
        own_networks,
    )
}
