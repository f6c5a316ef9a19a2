"""How SED and the discoveries rank NATS-Bench, from the tables of the papers."""

from __future__ import annotations

from experiments.markdown import rounded, table
from experiments.studies.stored import DATASETS, one_row, read_table


def standard_errors(name: str, protocol: str) -> str:
    """Return the least and the greatest standard error of tau in a table of results/tables."""
    rows = read_table(f"tables/{name}.csv")
    found = rows[(rows["protocol"] == protocol) & (rows["metric"] == "tau")]["std"]
    return f"{rounded(found.min())} to {rounded(found.max())}"


def _sed(space: str, protocol: str, scores: dict[str, str]) -> str:
    rows = []
    for score, name in scores.items():
        where = {"proxy": score, "space": space, "protocol": protocol}
        tau, rho = (
            [
                one_row("tables/sed.csv", **where, metric=metric, dataset=dataset)["mean"]
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


def first_choices() -> str:
    """Return the accuracy of the cell that a proxy ranks first of all, and the best accuracy."""

    def of_all(proxy: str, *metrics: str) -> list[str]:
        where = {"proxy": proxy, "space": "nats-tss", "protocol": "of all"}
        found = (
            [one_row("tables/nas.csv", **where, metric=m, dataset=d)["mean"] for m in metrics]
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
    found = one_row("tables/generalisation.csv", **where, metric="top_accuracy")["mean"]
    return f"{found:.2f}"


def unseen(proxy: str, places: str) -> str:
    """Return tau on CIFAR-10 cells that no search used, to ``places`` decimals."""
    where = {"proxy": proxy, "space": "nats-tss", "dataset": "cifar10", "protocol": "unseen"}
    found = one_row("tables/generalisation.csv", **where, metric="tau")["mean"]
    return rounded(found, int(places))


def best_stratified(space: str) -> str:
    """Return the best tau of a discovery in stratified draws of unseen networks, by data set."""
    rows = read_table("tables/generalisation.csv")
    rows = rows[(rows["protocol"] == "stratified") & (rows["metric"] == "tau")]
    # digits_tss used no network of the space: its draws are of other networks.
    rows = rows[~rows["proxy"].str.startswith("(") & (rows["proxy"] != "digits_tss")]
    best = rows[rows["space"] == f"nats-{space}"].groupby("dataset")["mean"].max()
    return " ".join(rounded(best[dataset]) for dataset in DATASETS)
