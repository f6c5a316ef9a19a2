"""Searches for networks at equal queries: by a proxy, by true accuracies, and at random.

    python -m experiments.search_networks

It writes ``results/search``: ``tss.csv`` (one row for each seed and method on the topology space,
500 queries each), ``README.md`` (the means), and ``sss_front.svg`` and ``sss.json``: the Pareto
front of ``gm_sss`` against the number of parameters, among the networks of the size space with at
most 100,000 parameters. Scores of ``gm_tss`` are read from ``results/scores``; those of ``gm_sss``
are computed, because only 3,000 networks of its space have stored ones. The results of a method are
written as soon as it has finished.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pandas as pd

from greenmachine.files import replace_file, write_text
from greenmachine.search import search_networks

SCORES = Path("results/scores/zoo")
OUT = Path("results/search")
SEEDS, TRIALS = 10, 500
WAYS = {
    "gm_tss, evolution": ("gm_tss", "evolution"),
    "gm_tss, random": ("gm_tss", "random"),
    "true accuracy, evolution": ("accuracy", "evolution"),
    "true accuracy, random": ("accuracy", "random"),
}


def tss() -> pd.DataFrame:
    rows = []
    for seed in range(SEEDS):
        for way, (objective, sampler) in WAYS.items():
            scores = SCORES / "nats-tss-cifar10.evolved.parquet"
            started = time.perf_counter()
            result = search_networks(
                objective,
                on="nats-tss",
                trials=TRIALS,
                sampler=sampler,
                seed=seed,
                scores=None if objective == "accuracy" else scores,
            )
            seconds = time.perf_counter() - started
            first = result.best.iloc[0]
            found = {name: float(first[name]) for name in ("accuracy", "rank", "regret")}
            rows.append({"way": way, "seed": seed, **found, "seconds": seconds})
        frame = pd.DataFrame(rows)
        replace_file(OUT / "tss.csv", lambda to, frame=frame: frame.to_csv(to, index=False))
    return frame


def sss() -> None:
    with tempfile.TemporaryDirectory() as folder:
        search_networks(
            ["gm_sss", "params"],
            on="nats-sss",
            constraints="params<=1e5",
            trials=TRIALS,
            out=folder,
        )
        for name, kept in (("front.svg", "sss_front.svg"), ("result.json", "sss.json")):
            write_text(OUT / kept, (Path(folder) / name).read_text(encoding="utf-8"))


def summary(frame: pd.DataFrame) -> str:
    lines = [
        "# Searches for networks",
        "",
        "`python -m experiments.search_networks` writes this folder. The table shows searches of "
        f"NATS-Bench's topology space for CIFAR-10 test accuracy with {TRIALS} queries each, mean "
        f"± standard deviation over {frame['seed'].nunique()} seeds. A query of a proxy needs no "
        "training. Its scores are read from `results/scores`, so the seconds contain only the "
        "search.",
        "",
        "| objective, sampler | accuracy found, % | regret, % | seconds |",
        "|---|---|---|---|",
    ]
    for way, group in frame.groupby("way", sort=False):
        cells = [
            f"{group[n].mean():.2f} ± {group[n].std():.2f}"
            for n in ("accuracy", "regret", "seconds")
        ]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    lines += [
        "",
        "Read this table with care. `gm_tss` was evolved on accuracies of this space, so training "
        "was needed before the search. The cell with the best `gm_tss` score of all 15,625 is also "
        "the most accurate one, and nearly every evolutionary search finds this cell. This says "
        "little about other spaces. The best `gm_tss` score among 500 random cells often belongs "
        "to a less accurate cell, as the second row shows. Both random rows use the same cells.",
        "",
        "`sss_front.svg` shows `gm_sss` against the number of parameters, for networks of the size "
        "space with at most 100,000 parameters. `sss.json` contains the Pareto front.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    write_text(OUT / "README.md", summary(tss()))
    sss()


if __name__ == "__main__":
    main()
