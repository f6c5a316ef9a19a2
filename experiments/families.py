"""Leave one family out: searches above a bank, each tested once on the family that it never saw.

    greenmachine bank build BANK --on nats-tss --on nats-sss --on nas-bench-101 ...
    python -m experiments.families --bank BANK --runs runs/families --out results/families

Every fold searches on all families of the bank but one, seeded with hand-made proxies alone, with
``--restarts`` seeds. One expression of these searches is chosen, and then scores all networks of
the bank that belong to the family left out. One more fold, ``all``, has every family; it is tested
on networks of the test samples.

How an expression is chosen is one of ``RULES``: ``validation`` takes the champion of the search
with the best validation fitness. ``mean`` and ``worst`` take, of all expressions in the last
populations and halls of fame, the one with the highest mean (or smallest) tau over the families of
the search, on all training and validation networks together. This sample is about three times as
large as the validation sample alone.

Settings and rule of a fold are chosen without the family left out, too. With every variant of the
settings in ``VARIANTS``, a search is made for each pair of families, on all families but these two,
and the choice of each rule is tested on both. The fold without family A then takes the variant and
the rule with the best mean tau on the other families B, each measured by the search without A and
B. The fold ``all`` takes those that are best over all pairs.

Runs are kept under ``--runs``: the same command continues after a kill.

The random expressions of a bank are from the grammar. If the bank also holds parts of earlier
discoveries, folds of the families on which these were found are not clean; the table says which
families the earlier discoveries used.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greenmachine import Result, Search
from greenmachine.bank import Bank, BankEvaluator, Family
from greenmachine.benchmarks import load_benchmark, short_name
from greenmachine.evolution import RunFolder
from greenmachine.files import write_json, write_text
from greenmachine.fitness import tau_row
from greenmachine.language import Expression, canonical, parse
from greenmachine.manifest import manifest
from greenmachine.proxies import ExpressionProxy, resolve
from greenmachine.tables.writing import grid

say = partial(print, file=sys.stderr, flush=True)

ALL = "all"
DATASET = "cifar10"
BASELINES = ("l2_norm", "nwot_inputs", "synflow", "meco_inputs", "gm_any", "gm_tss")
SEEDS = ("l2_norm", "nwot_inputs", "synflow", "meco_inputs", "jacov_noise", "weight_count")
SETTINGS: dict[str, Any] = {
    "selection": {"scheme": "lexicase"},
    "evolution": {"population": 400, "generations": 30, "validate_best": 24, "brood": 24},
    "samples": {"train": {"size": 180}, "validation": {"size": 80}, "test": {"size": "rest"}},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "mean": {"objective": {"scheme": "kendall", "aggregate": "mean"}},
    "worst-short": {"objective": {"scheme": "kendall", "aggregate": "min", "parsimony": 0.004}},
}
"""The mean counts; or the worst family, less the tau that a longer expression has to pay for."""

RULES = ("validation", "mean", "worst")

USED_BEFORE = ("nats-tss", "nats-sss")
"""Families on which the earlier discoveries were found."""


def search_on(bank: Bank, families: list[Family], folder: Path, seed: int, variant: str) -> Result:
    """Return the result of a search on ``families``; read it if the run has finished."""
    search = Search(
        [f"{family.benchmark}/{family.dataset}" for family in families],
        bank=bank.path,
        seed=seed,
        name=folder.name,
        settings={**SETTINGS, **VARIANTS[variant], "evolution.seeds": list(SEEDS)},
    )
    say(f"{folder.name}: {', '.join(family.task for family in families)}")
    return search.run(folder)


def candidates(folders: list[Path]) -> dict[str, int]:
    """Return the expressions of the last populations and halls of fame, with their directions."""
    found: dict[str, int] = {}
    for folder in folders:
        state = RunFolder(folder).checkpoint()
        assert state is not None
        for famous in state.search.hall:
            found.setdefault(famous.expression, famous.direction)
        for one in state.search.population:
            found.setdefault(str(canonical(parse(one.tree))), one.direction)
    return found


def places_of(family: Family, folder: Path, *samples: str) -> list[int]:
    """Return the places in the bank of the networks in some samples of a search."""
    scored = pd.read_parquet(folder / "scores.parquet", columns=["benchmark", "sample", "index"])
    own = scored["benchmark"] == short_name(family.benchmark)
    place = {index: at for at, index in enumerate(family.indices)}
    indices = scored["index"][own & scored["sample"].isin(samples)].unique()
    return sorted(place[int(index)] for index in indices)


def choices(
    bank: Bank, families: list[Family], results: list[Result]
) -> dict[str, ExpressionProxy]:
    """Return the expression that each rule chooses from searches on ``families``."""
    known = candidates([result.folder for result in results])
    texts = list(known)
    forms = [parse(text) for text in texts]
    tau = np.empty((len(families), len(texts)))
    for row, family in zip(tau, families, strict=True):
        places = places_of(family, results[0].folder, "train", "validation")
        accuracy = accuracies(family, places)
        for at, values in enumerate(scores(bank, family, places, forms)):
            row[at] = tau_row(values, accuracy, known[texts[at]])["tau"]
    tau = np.nan_to_num(tau, nan=-1.0)
    best = {"mean": int(tau.mean(axis=0).argmax()), "worst": int(tau.min(axis=0).argmax())}
    fittest = max(results, key=lambda result: RunFolder(result.folder).hall()[0].validation)
    return {
        "validation": fittest.best,
        **{rule: chosen_proxy(texts[at], known[texts[at]]) for rule, at in best.items()},
    }


def chosen_proxy(expression: str, direction: int) -> ExpressionProxy:
    """Return a proxy for an expression of a search."""
    return ExpressionProxy(
        name="champion", expression=expression, direction=direction, reference="this program"
    )


def facts_of(bank: Bank) -> dict[str, Any]:
    """Return the content of a bank as JSON, without its path on this machine."""
    return {name: value for name, value in bank.summary().items() if name != "path"}


def accuracies(family: Family, places: list[int]) -> Any:
    """Return the accuracies of some networks of a family, in percent, (networks,)."""
    indices = np.array(family.indices)[places]
    return load_benchmark(family.benchmark).accuracy(family.dataset)[indices]


def pairs(bank: Bank, families: list[Family], runs: Path, seed: int) -> pd.DataFrame:
    """Return tau of what each variant and rule chooses on both families that were left out."""
    found = []
    for variant, (first, second) in product(VARIANTS, combinations(families, 2)):
        names = short_name(first.benchmark), short_name(second.benchmark)
        seen = [family for family in families if family not in (first, second)]
        folder = runs / f"{'+'.join(names)}-{variant}-{seed}"
        by_rule = choices(bank, seen, [search_on(bank, seen, folder, seed, variant)])
        for (rule, best), (name, other, family) in product(
            by_rule.items(), ((names[0], names[1], first), (names[1], names[0], second))
        ):
            places = list(range(len(family.indices)))
            (values,) = scores(bank, family, places, [canonical(parse(best.expression))])
            tau = tau_row(values, accuracies(family, places), best.direction)["tau"]
            found.append(
                {"variant": variant, "rule": rule, "family": name, "also_left_out": other}
                | {"tau": tau}
            )
    return pd.DataFrame(found)


def chosen(pairs: pd.DataFrame, left: str | None) -> tuple[str, str]:
    """Return variant and rule that are best where ``left`` was neither seen nor tested on."""
    own = pairs if left is None else pairs[pairs["also_left_out"] == left]
    means = own.groupby(["variant", "rule"], as_index=False)["tau"].mean()
    best = means.loc[means["tau"].idxmax()]
    return str(best["variant"]), str(best["rule"])


def scores(bank: Bank, family: Family, places: list[int], texts: list[Expression]) -> Any:
    """Return the scores of expressions on some networks of a family, (expressions, networks)."""
    return BankEvaluator(bank.vectors(family), places, cache_bytes=2**28).scores(texts)


def rows(
    bank: Bank, family: Family, places: list[int], champion: ExpressionProxy
) -> dict[str, dict[str, float]]:
    """Return tau-b and its standard error of the champion and the baselines on some networks."""
    benchmark = load_benchmark(family.benchmark)
    indices = np.array(family.indices)[places]
    accuracy = accuracies(family, places)
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
    for name, values in benchmark.baseline_scores(family.dataset, indices).items():
        found[f"({name})"] = tau_row(values, accuracy, 1)
    return found


def report(bank: Bank, runs: Path, out: Path, seed: int, restarts: int) -> None:
    """Run every fold, and write the results."""
    families = [family for family in bank.facts.families if family.dataset == DATASET]
    inner = pairs(bank, families, runs, seed)
    table: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for left in [*families, None]:
        name = ALL if left is None else short_name(left.benchmark)
        seen = [family for family in families if family is not left]
        variant, rule = chosen(inner, None if left is None else name)
        results = [
            search_on(bank, seen, runs / f"{name}-{variant}-{each}", each, variant)
            for each in range(seed, seed + restarts)
        ]
        best = choices(bank, seen, results)[rule]
        facts[name] = {
            "variant": variant,
            "rule": rule,
            "expression": best.expression,
            "direction": best.direction,
            "size": parse(best.expression).size,
            "seconds": [result.seconds for result in results],
        }
        if left is not None:
            tested = {name: (left, list(range(len(left.indices))))}
        else:
            tested = {
                short_name(family.benchmark): (family, places_of(family, results[0].folder, "test"))
                for family in families
            }
        for task, (family, places) in tested.items():
            for score, row in rows(bank, family, places, best).items():
                table.append({"search": name, "family": task, "score": score, **row})
    frame = pd.DataFrame(table)
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / f"families-{seed}.csv", index=False, float_format="%.6g")
    inner.to_csv(out / f"families-pairs-{seed}.csv", index=False, float_format="%.6g")
    known = {
        "bank": facts_of(bank),
        "settings": SETTINGS,
        "variants": VARIANTS,
        "rules": RULES,
        "restarts": restarts,
        "seeds": SEEDS,
        "searches": facts,
    }
    write_json(out / f"families-{seed}.json", manifest(seed=seed, **known))
    write_text(out / f"families-{seed}.md", page(frame, facts, seed, restarts))


def page(frame: pd.DataFrame, facts: dict[str, Any], seed: int, restarts: int) -> str:
    """Return the tables as Markdown."""
    lines = [
        f"# Families, seed {seed}",
        "",
        "Kendall's τ-b ± its jackknife standard error. Made by "
        f"`python -m experiments.families --bank BANK --seed {seed} --restarts {restarts}`.",
        "",
        "## On the family that the searches did not see",
        "",
        f"Parts of earlier discoveries, found on {' and '.join(USED_BEFORE)}, are in the bank, so "
        "these two rows are not clean.",
        "",
    ]
    lines += [grid(_cells(frame[frame["search"] != ALL])), ""]
    lines += ["## Searches on all families, on their test networks", ""]
    lines += [grid(_cells(frame[frame["search"] == ALL])), "", "## Champions", ""]
    for name, found in facts.items():
        better = "high" if found["direction"] > 0 else "low"
        lines.append(
            f"- {name} (variant {found['variant']}, rule {found['rule']}, {found['size']} nodes, "
            f"{better} is good): `{found['expression']}`"
        )
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
    parser.add_argument("--restarts", type=int, default=3, help="number of searches of a fold")
    args = parser.parse_args()
    report(Bank(args.bank), args.runs, args.out, args.seed, args.restarts)


if __name__ == "__main__":
    main()
