"""Leave one family out: searches above a bank, each tested once on the family that it never saw.

    greenmachine bank build BANK --on nats-tss --on nats-sss --on nas-bench-101 ...
    python -m experiments.families --bank BANK --runs runs/families --out results/families

Every fold searches on all families of the bank but one, with equal settings, seeded with hand-made
proxies alone. Its champion, chosen on validation, then scores all networks of the bank that belong
to the family left out. One more search, ``all``, has every family; it is tested on networks of the
test samples. Runs are kept under ``--runs``: the same command continues after a kill.

The random expressions of a bank are from the grammar. If the bank also holds parts of earlier
discoveries, folds of the families on which these were found are not clean; the table says which
families the earlier discoveries used.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greenmachine import Result, Search
from greenmachine.bank import Bank, BankEvaluator, Family
from greenmachine.benchmarks import load_benchmark, short_name
from greenmachine.files import write_json, write_text
from greenmachine.fitness import tau_row
from greenmachine.language import Expression, canonical, parse
from greenmachine.manifest import manifest
from greenmachine.proxies import ExpressionProxy, resolve
from greenmachine.tables.writing import grid

say = partial(print, file=sys.stderr, flush=True)

ALL = "all"
BASELINES = ("l2_norm", "nwot_inputs", "synflow", "meco_inputs", "gm_any", "gm_tss")
SEEDS = ("l2_norm", "nwot_inputs", "synflow", "meco_inputs", "jacov_noise", "weight_count")
SETTINGS: dict[str, Any] = {
    "selection": {"scheme": "lexicase"},
    "evolution": {"population": 400, "generations": 50, "validate_best": 24, "brood": 24},
    "samples": {"train": {"size": 120}, "validation": {"size": 80}, "test": {"size": "rest"}},
    "objective": {"scheme": "kendall", "aggregate": "mean"},
}
USED_BEFORE = ("nats-tss", "nats-sss")
"""Families on which the earlier discoveries were found."""


def fold(bank: Bank, families: list[Family], folder: Path, seed: int) -> Result:
    """Return the result of a search on ``families``; read it if the run has finished."""
    search = Search(
        [f"{family.benchmark}/{family.dataset}" for family in families],
        bank=bank.path,
        seed=seed,
        name=folder.name,
        settings={**SETTINGS, "evolution.seeds": list(SEEDS)},
    )
    say(f"{folder.name}: {', '.join(family.task for family in families)}")
    return search.run(folder)


def scores(bank: Bank, family: Family, places: list[int], texts: list[Expression]) -> Any:
    """Return the scores of expressions on some networks of a family, (expressions, networks)."""
    return BankEvaluator(bank.vectors(family), places, cache_bytes=2**28).scores(texts)


def rows(
    bank: Bank, family: Family, places: list[int], champion: ExpressionProxy
) -> dict[str, dict[str, float]]:
    """Return tau-b and its standard error of the champion and the baselines on some networks."""
    benchmark = load_benchmark(family.benchmark)
    indices = np.array(family.indices)[places]
    accuracy = benchmark.accuracy(family.dataset)[indices]
    named = {"champion": champion}
    for name in BASELINES:
        proxy = resolve(name)
        if isinstance(proxy, ExpressionProxy):
            named[name] = proxy
    texts = [canonical(parse(proxy.expression)) for proxy in named.values()]
    found = {
        name: tau_row(values, accuracy, proxy.direction)
        for (name, proxy), values in zip(
            named.items(), scores(bank, family, places, texts), strict=True
        )
    }
    for name, values in benchmark.trivial_scores(family.dataset, indices).items():
        found[f"({name})"] = tau_row(values, accuracy, 1)
    return found


def report(bank: Bank, runs: Path, out: Path, seed: int) -> None:
    """Run every fold, and write the results."""
    families = bank.facts.families
    table: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for left in [*families, None]:
        name = ALL if left is None else short_name(left.benchmark)
        seen = [family for family in families if family is not left]
        result = fold(bank, seen, runs / f"{name}-{seed}", seed)
        best = result.best
        facts[name] = {
            "expression": best.expression,
            "direction": best.direction,
            "size": parse(best.expression).size,
            "tau": result.tau,
            "seconds": result.seconds,
        }
        if left is not None:
            tested = {name: (left, list(range(len(left.indices))))}
        else:
            scored = pd.read_parquet(runs / f"{name}-{seed}" / "scores.parquet")
            tested = {}
            for family in families:
                short = short_name(family.benchmark)
                own = scored[(scored["benchmark"] == short) & (scored["sample"] == "test")]
                place = {index: at for at, index in enumerate(family.indices)}
                tested[short] = family, [place[int(index)] for index in own["index"]]
        for task, (family, places) in tested.items():
            for score, row in rows(bank, family, places, best).items():
                table.append({"search": name, "family": task, "score": score, **row})
    frame = pd.DataFrame(table)
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / f"families-{seed}.csv", index=False, float_format="%.6g")
    known = {"bank": bank.summary(), "settings": SETTINGS, "seeds": SEEDS, "searches": facts}
    known["bank"].pop("path")
    write_json(out / f"families-{seed}.json", manifest(seed=seed, **known))
    write_text(out / f"families-{seed}.md", page(frame, facts, seed))


def page(frame: pd.DataFrame, facts: dict[str, Any], seed: int) -> str:
    """Return the tables as Markdown."""
    lines = [
        f"# Families, seed {seed}",
        "",
        "Kendall's τ-b ± its jackknife standard error. Made by "
        f"`python -m experiments.families --bank BANK --seed {seed}`.",
        "",
        "## On the family that the search did not see",
        "",
        f"Parts of earlier discoveries, found on {' and '.join(USED_BEFORE)}, are in the bank, so "
        "these two rows are not clean.",
        "",
    ]
    lines += [grid(_cells(frame[frame["search"] != ALL])), ""]
    lines += ["## One search on all families, on its test networks", ""]
    lines += [grid(_cells(frame[frame["search"] == ALL])), "", "## Champions", ""]
    for name, found in facts.items():
        better = "high" if found["direction"] > 0 else "low"
        lines.append(f"- {name} ({found['size']} nodes, {better} is good): `{found['expression']}`")
    return "\n".join(lines) + "\n"


def _cells(frame: pd.DataFrame) -> list[dict[str, str]]:
    cells = []
    for family, part in frame.groupby("family", sort=False):
        row = {"family": str(family), "networks": str(int(part["networks"].iloc[0]))}
        for _, one in part.iterrows():
            row[str(one["score"])] = f"{one['tau']:.3f} ± {one['standard_error']:.3f}"
        cells.append(row)
    return [
        {key: row.get(key, "–") for key in dict.fromkeys(k for r in cells for k in r)}
        for row in cells
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/families"))
    parser.add_argument("--out", type=Path, default=Path("results/families"))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    report(Bank(args.bank), args.runs, args.out, args.seed)


if __name__ == "__main__":
    main()
