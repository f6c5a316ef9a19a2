"""The zoo beside published figures: what deviates, VKDNW and MeCo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.markdown import rounded, table, with_error
from experiments.studies.stored import DATASETS, one_row, read_result, read_table

_SEEDS_ON = 300  # cells


def _published() -> pd.DataFrame:
    """Return the values of tau on live cells that we measured, and papers too."""
    rows = read_table("tables/greenmachine.csv")
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
    return one_row(
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


def published_ndcg(proxy: str) -> str:
    """Return the published nDCG of the 1,000 cells without unused operations that rank first."""
    rows = (
        one_row(
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
    rows = read_table("deviations/deviations.csv")
    found = rows[rows["proxy"].isin(["plain", "grasp", "epe_nas"])]["standard_error"]
    return f"{rounded(found.min(), 2)} to {rounded(found.max(), 2)}"


def _deviation(proxy: str, setting: str, *datasets: str) -> str:
    rows = read_table("deviations/deviations.csv")
    rows = rows[(rows["proxy"] == proxy) & (rows["setting"] == setting)]
    # GraSP's other seeds are on 300 cells, and one of these settings has the same name.
    found = rows[rows["networks"] != _SEEDS_ON].set_index("dataset")["tau"]
    return " ".join(rounded(found[dataset]) for dataset in datasets)


_GRASP_SEEDS = ["batch 16, seed 0", "batch 16", *(f"batch 16, seed {seed}" for seed in (2, 3, 4))]


def deviations() -> str:
    """Return tau on live cells before and after the change of one setting, and as published."""
    c10, c100, in16 = DATASETS
    az = {
        scores: one_row("scores/vkdnw/imagenet16-120-az-64.csv", proxy="az_nas", scores=scores)
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
    rows = read_table("deviations/deviations.csv")
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
        row = one_row(path, proxy=proxy, scores="together")
        tau = with_error(row["tau"], row["standard_error"])
        rows.append([name, tau, rounded(row["published"])])
    return table(["TSS C10, live cells", "τ, ± standard error", "published"], rows)


def meco() -> str:
    """Return Spearman's rho of the authors' MeCo, measured and published."""

    def measured(space: str, protocol: str, column: str = "mean", places: int = 3) -> list[str]:
        where = {"proxy": "meco_modules", "space": space, "protocol": protocol}
        rows = (one_row("tables/meco.csv", **where, dataset=dataset) for dataset in DATASETS)
        return [rounded(row[column], places) for row in rows]

    whole = [
        rounded(read_result(f"deviations/meco_modules.{dataset}.json")[0]["spearman"])
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
    rows = (one_row("deviations/deviations.csv", **where, dataset=d) for d in DATASETS)
    return " ".join(rounded(row["spearman"]) for row in rows)
