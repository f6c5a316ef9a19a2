"""The figures of the documents are those of the tables and manifests that they name."""

from __future__ import annotations

import json
import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks.digits import EMBEDDED, LOADERS
from greenmachine.proxies import EVOLVED, PROXIES

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "results" / "tables"
COLUMNS = [
    (space, dataset)
    for space in ("nats-tss", "nats-sss")
    for dataset in ("cifar10", "cifar100", "imagenet16-120")
]
NAMES = {
    "(parameters)": "(params)",
    "(number of convolutions)": "(convolutions)",
    "(Σ log channels)": "(sum_log_channels)",
    "(Σ depth² log channels)": "(depth2_log_channels)",
    "AZ-NAS": "az_nas",
}
INPUTS = {
    "the zoo": "green_factory",
    "the zoo and trivial scores": "green_factory_trivial",
    "all of these": "green_factory_all",
    "what evolved here, whole spaces": "green_factory_evolved",
    "the architecture's string, whole spaces": "(encoding_space)",
}
JUDGED = {
    "all": "all",
    "held out": "held_out",
    "held-out classes": "held_out_classes",
    "held out, unseen": "held_out_unseen",
}


def rounded(figure: float, places: int) -> str:
    """Return ``figure`` as tables have it: decimal, half up, without the zero before the point."""
    step = Decimal(1).scaleb(-places)
    return str(Decimal(str(figure)).quantize(step, ROUND_HALF_UP)).removeprefix("0")


def shown(document: str, start: str) -> list[list[str]]:
    """Return the cells of the first table of both spaces after ``start``, a list a row."""
    text = (ROOT / document).read_text(encoding="utf-8").partition(f"\n{start}")[2]
    table = re.search(r"\n(\|[^\n]* TSS C10 \|.*?)\n\n", text, re.S)
    assert table, start
    return [line[2:-2].split(" | ") for line in table[1].splitlines()[2:]]


def taus(table: str, *keys: str) -> pd.Series[float]:
    """Return the mean taus of a table by protocol, ``keys``, space and data set."""
    long = pd.read_csv(TABLES / f"{table}.csv")
    long = long[long["metric"] == "tau"].dropna(subset=["mean"])
    return long.set_index(["protocol", *keys, "space", "dataset"])["mean"].sort_index()


def row_of(found: pd.Series[float], *keys: object) -> list[str]:
    """Return the six cells of a row as the documents have them."""
    values = [found.get((*keys, *column), np.nan) for column in COLUMNS]
    assert not np.isnan(values).all(), f"no table has {keys}"
    return ["–" if np.isnan(tau) else signed(tau) for tau in values]


def signed(tau: float) -> str:
    """Return ``tau`` as the documents have it."""
    return "−" * int(tau < 0) + rounded(abs(tau), 3)


@pytest.mark.parametrize(
    ("document", "start", "table", "protocol", "least"),
    [
        ("README.md", "Kendall's τ on whole spaces", "generalisation", "scored", 13),
        ("README.md", "In draws of 100 networks strat", "greenmachine", "stratified_space", 10),
        ("docs/measured.md", "## The zoo", "greenmachine", "scored", 10),
    ],
)
def test_proxies(document: str, start: str, table: str, protocol: str, least: int) -> None:
    rows = {cells[0].strip("`"): cells[1:] for cells in shown(document, start)}
    rows.pop("published", None)
    assert len(rows) >= least
    found = taus(table, "proxy")
    for name, cells in rows.items():
        assert cells == row_of(found, protocol, NAMES.get(name, name)), name


def test_forests() -> None:
    rows = shown("docs/measured.md", "## Forests")
    published = rows.pop(0)
    assert published[0].startswith("published") and len(rows) >= 6
    for inputs, train, judged, *cells in rows:
        found = taus("greenfactory", "proxy", "train").loc[JUDGED[judged], INPUTS[inputs]]
        by_size = found.unstack("train")
        most = by_size.apply(lambda row: row.dropna().iloc[-1], axis=1)
        part = most if train == "80 %" else by_size[int(train.replace(",", ""))]
        assert cells == row_of(part), (inputs, train, judged)


def test_summary() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    numbers = r"\| (\S+), (\S+) \|"
    zoo = re.search(
        rf"\| the zoo's best .*, ([\d,]+) networks: TSS `(\w+)`, SSS `(\w+)` {numbers}", text
    )
    forest = re.search(rf"\| a forest over the zoo, .*: TSS, SSS {numbers}", text)
    assert zoo and forest
    long = pd.read_csv(TABLES / "greenmachine.csv")
    named = {proxy.name for proxy in PROXIES} - {proxy.name for proxy in EVOLVED}
    here = (long["protocol"] == "scored") & (long["metric"] == "tau") & long["proxy"].isin(named)
    scored = long[here & (long["dataset"] == "cifar10")]
    for number, space in enumerate(("nats-tss", "nats-sss")):
        best = scored[scored["space"] == space].nlargest(1, "mean").iloc[0]
        assert (zoo[2 + number], zoo[4 + number]) == (best["proxy"], rounded(best["mean"], 3))
        assert int(zoo[1].replace(",", "")) == best["networks"]
        size = round(0.8 * best["networks"])
        forests = taus("greenfactory", "proxy", "train")
        held = forests["held_out", "green_factory", size]
        assert forest[1 + number] == rounded(held[space, "cifar10"], 3)
        every = row_of(forests["all", "green_factory_all", size])[3 * number :][:3]
        assert f" {space[5:8].upper()} C10 C100 IN16" in text and f"| {' '.join(every)} |" in text


def test_words() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    cells = row_of(taus("generalisation", "proxy"), "scored", "digits_tss")[:3]
    assert f"ranks its cells ({' '.join(cells)})" in text
    means = taus("greenmachine", "proxy")["scored"].groupby("proxy").agg(["mean", "count"])
    evolved = {proxy.name for proxy in EVOLVED}
    zoo = [proxy.name for proxy in PROXIES if proxy.name not in evolved]
    best = means[means["count"] == len(COLUMNS)].reindex(zoo).nlargest(1, "mean")
    name, mean = best.index[0], rounded(best["mean"].iloc[0], 3)
    assert re.search(rf"scored all six, `{name}`,\s+has {re.escape(mean)} on", text)


@pytest.mark.parametrize("name", LOADERS)
def test_embedded_benchmarks(name: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    record = json.loads((EMBEDDED / f"{name}.json").read_text())
    section = text.partition("## The embedded benchmarks\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    place = [cell.strip("`") for cell in lines[0]].index(name) + 1
    found = {line[0]: line[place] for line in lines[1:]}
    taus = record["tau_of_trivial_rows"]
    rows = {
        "parameters": "params",
        "FLOPs": "flops",
        "the number of convolutions": "convolutions",
        "Σ log channels": "sum_log_channels",
        "Σ depth² log channels": "depth2_log_channels",
    }
    assert set(taus) <= set(rows.values())
    least, *quartiles, most = (
        rounded(record["accuracy"][key], 1) for key in ("min", "p25", "p50", "p75", "max")
    )
    kind = {"digits-tss": "cells, of isomorphic ones one", "digits-sss": "widths"}[name]
    assert found == {
        "architectures": f"{record['architectures']} random {kind}",
        "seeds an architecture": str(record["recipe"]["seeds"]),
        "accuracy in percent: least, quartiles, most": f"{least} · {' '.join(quartiles)} · {most}",
        "τ between two single seeds": rounded(record["tau_between_two_seeds"], 3),
        "τ between half of the seeds and the other half": rounded(
            record["tau_between_halves_of_the_seeds"], 3
        ),
        **{
            f"τ of {row}": rounded(taus[key], 3) if key in taus else "–"
            for row, key in rows.items()
        },
        "hours of one core for the training": rounded(record["worker_hours"], 1),
        "size of the table": f"{(EMBEDDED / f'{name}.parquet').stat().st_size / 1000:.0f} kB",
    }
