"""What scores and runs cost, and how fast the engine is."""

from __future__ import annotations

import re
from typing import Any

from experiments.cost import scaled
from experiments.markdown import rounded, table
from experiments.studies.stored import one_row, read_result, read_table


def _seconds(proxy: str) -> float:
    return float(one_row("tables/cost.csv", proxy=proxy, space="nats-tss")["mean"])


def seconds(proxy: str, factor: str = "1") -> str:
    """Return CPU seconds of a score on the topology space, times ``factor``."""
    value = _seconds(proxy) * float(factor)
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def times_as_long(proxy: str, other: str) -> str:
    """Return how many times as long a score takes as another, to two digits."""
    return f"{float(f'{_seconds(proxy) / _seconds(other):.2g}'):,.0f}"


def _forecast_runs() -> dict[str, dict[str, Any]]:
    return {run["run"]: run for run in read_result("cost/cost.json")["runs"]}


def cost_predicted() -> str:
    """Return the forecasts of some runs' cost, and what they cost."""
    runs = _forecast_runs()
    phases = {
        "capture": "capture",
        "tensors": "tensors",
        "above": "main process",
        "test": "test",
    }
    both = [run[each] for run in runs.values() for each in ("predicted", "measured")]
    rows = [
        [name, *(f"{each['seconds'][phase]:.1f} s" for each in both)]
        for phase, name in phases.items()
    ]
    rows.append(["whole", *(f"{each['total_seconds']:.1f} s" for each in both)])
    rows += [
        [name, *(f"{each[f'{name}_bytes'] / 1e9:.2f} GB" for each in both)]
        for name in ("disk", "memory")
    ]
    heads = [head for run in runs for head in (f"{run}: predicted", "measured")]
    return table(["", *heads], rows)


def cost_scaled() -> str:
    """Return the forecast of runs of other sizes, from the calibration on ``digits-tss``."""
    return scaled(_forecast_runs()["digits-tss"])


def _speed() -> dict[str, dict[str, Any]]:
    return {
        f"{row['part']} {row['what']}": row
        for row in read_result("performance/performance.json")["rows"]
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
            "candidates of broods a second and core, 128 networks of `digits-tss`, with breeding "
            "and τ",
            f"{found['i candidates above the tensors']:,.0f}",
        ],
        [
            "the same above a bank of 2,000 networks of the topology space",
            f"{found['j candidates above a bank']:,.0f}",
        ],
        ["`greenmachine evolve --seed 1`", f"{found['i a run, start to end']:.0f} s"],
        [
            "… share in which the main process works and no worker does",
            f"{found['i the main process works, no worker does']:.0f} %",
        ],
        ["`greenmachine --help`", f"{found['h --help']:.2f} s"],
        [
            "τ-b of a vector of 100, of 200 networks",
            f"{', '.join(f'{found[name]:.1f} µs' for name in taus)} "
            f"(SciPy: {', '.join(f'{float(each):.0f}' for each in scipy)})",
        ],
    ]
    return table(["", ""], rows)


def slowest(number: str) -> str:
    """Return the primitives of the measured search that took most of the time on tensors."""
    rows = read_table("performance/c_nodes.csv").head(int(number))
    names = [f"`{row.node}` ({100 * row.share:.0f} %)" for row in rows.itertuples()]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def main_process() -> str:
    """Return the share of the evaluation, in percent, after the workers have finished."""
    share = _speed()["a engine: time after the workers' part"]["value"]
    return f"{share:.1f}"
