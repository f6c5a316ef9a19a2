"""``greenmachine score``: score one architecture, a sample of a benchmark, or your own networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenmachine.cli.models import (
    AsCSV,
    Images,
    Models,
    Output,
    Shape,
    check_device,
    check_proxies,
    refuse_without_model,
    score_named,
)
from greenmachine.cli.names import check_benchmark, completed
from greenmachine.cli.stopping import say_when_stopped
from greenmachine.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from greenmachine.benchmarks import Benchmark
    from greenmachine.proxies import Proxy
    from greenmachine.proxies.rank_sums import RankSum

__all__ = ["build_options", "score"]


def score(
    context: typer.Context,
    proxies: Annotated[
        list[str],
        typer.Argument(
            metavar="PROXY...",
            help="names of proxies, expressions, exported .py files, run folders, or "
            "rank_sum(a, b) and log_rank_sum(a, b) of these",
            autocompletion=completed("proxies", "rank_sums"),
        ),
    ],
    on: Annotated[
        str, typer.Option(help="benchmark", autocompletion=completed("benchmarks"))
    ] = "digits-tss",
    dataset: Annotated[str | None, typer.Option(help="data set [default: its first]")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="accuracy of the benchmark's table to compare with: valid, test@12, ... "
            "[default: test]"
        ),
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="score only this architecture (its string or index)")
    ] = None,
    sample: Annotated[
        str, typer.Option(help="number of random architectures to score, or `all`")
    ] = "100",
    out: Annotated[
        Path | None,
        typer.Option(help="Parquet file to write; if stopped, the same command continues"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="images per pass")] = 8,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="seed of the sample, the weights and the noise"),
    ] = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="number of seeds, beginning with --seed: each gives other weights, noise and "
            "mini-batches, and networks are ranked by their mean score",
        ),
    ] = 1,
    option: Annotated[
        list[str] | None, typer.Option(help="build option of the benchmark: --option cells=2")
    ] = None,
    distinct: Annotated[
        bool,
        typer.Option(help="score cells that compute the same function once, with equal weights"),
    ] = False,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out",
            help="leave out networks that were used in the search of a proxy, and networks that "
            "compute the same function as one of them",
        ),
    ] = False,
    workers: Annotated[int, typer.Option(help="number of processes; -1 uses every core")] = -1,
    on_backend: Annotated[
        str,
        typer.Option(
            "--backend",
            help="where the workers run: loky (processes on this machine), dask, "
            "dask:tcp://HOST:PORT, ray, ray:HOST:PORT",
        ),
    ] = "loky",
    device: Annotated[
        str, typer.Option(help="device of the networks: cpu, cuda (every GPU), cuda:1, or auto")
    ] = "cpu",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="estimate time and memory, and score nothing"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    model: Models = None,
    shape: Shape = None,
    images: Images = None,
    output: Output = None,
    as_csv: AsCSV = False,
) -> None:
    """Score networks with proxies.

    For networks of a benchmark, the command prints how well the scores rank them. With --model it
    prints the scores of your own networks or of networks of a library. If one of them cannot be
    built or scored, the command prints the reason on standard error, scores the others, and its
    exit code is 1. If the text of a --model cannot be read, nothing is scored, and it is 2.

    A rank sum combines proxies by the ranks of the networks, so their magnitudes do not matter.
    Each proxy counts in its own direction; `-` before a proxy turns its direction. Failed networks
    have the lowest rank. A rank sum depends on the set of networks that is ranked.

    With --seeds 5 the file contains the mean score of each proxy and the scores of all seeds. A
    second table shows how much tau is lost if only one seed is used.

    Examples:

      greenmachine score nwot nwot_inputs --on nats-tss --arch 42

      greenmachine score l2_norm proxy.py --on nats-tss --sample all --out scores.parquet

      greenmachine score proxy.py --on nats-tss --sample 1000 --held-out

      greenmachine score proxy.py --on nats-tss --sample all --dry-run

      greenmachine score sed --on nats-tss --sample all

      greenmachine score gm_tss --on nats-tss --sample 1000 --seeds 5 --out seeds.parquet

      greenmachine score "rank_sum(gm_tss, synflow)" --on nats-tss --sample 1000

      greenmachine score "sum_layers(min_eigenvalue(channel_correlation(noise_input)))"

      greenmachine score gm_any synflow --model pytorchcv:resnet20_cifar10 --model
      "my.models:resnet(depth=20, width=8)" --shape 3x32x32

      greenmachine score snip --model nets.py:small --images batch.npz --csv
    """
    if model:
        score_named(
            context,
            proxies,
            model,
            shape,
            images,
            output,
            as_json=as_json,
            as_csv=as_csv,
            batch=batch,
            seed=seed,
            seeds=seeds if seeds > 1 else None,
            device=device,
        )
        return
    refuse_without_model(context)
    check_benchmark(on)
    options = build_options(option or [])
    check_device(device)
    check_proxies(proxies)

    import numpy as np

    from greenmachine.benchmarks import load_benchmark
    from greenmachine.cli.console import plain_console
    from greenmachine.cli.display import bar, print_cost, print_frame, print_ranking
    from greenmachine.evaluation import (
        LEAST_RANKED,
        capture_spec,
        estimate_sweep,
        proxies_and_sums,
        score_networks,
        score_to_file,
        seed_spread,
        tau_table,
    )
    from greenmachine.language import parse
    from greenmachine.proxies import ExpressionProxy
    from greenmachine.workers import backend
    from greenmachine.workers.gpus import resolve_device

    resolved, sums = proxies_and_sums(proxies)
    found = _columns(resolved, sums)
    benchmark = load_benchmark(on)
    benchmark = benchmark if target is None else benchmark.with_target(target)
    dataset = dataset or benchmark.datasets[0]
    benchmark.accuracy(dataset)  # refuses an unknown data set or target before any work
    console = plain_console(stderr=True)
    say = partial(console.print, soft_wrap=True, highlight=False)
    selected = _selected(resolved, benchmark, say)
    left_out = selected if held_out else np.zeros_like(selected)
    indices = _indices(benchmark, arch, sample, seed, left_out)
    if (seen := int(selected[indices].sum())) and not held_out:
        say(
            f"{seen} of these {len(indices)} networks were used in the search of a proxy here, or "
            "compute the same function as one: --held-out leaves them out"
        )
    if sums and len(indices) < LEAST_RANKED:
        raise ConfigError(
            f"{sums[0].text} ranks a set of networks: score {LEAST_RANKED} or more, not "
            f"{len(indices)}"
        )
    spec = capture_spec(
        on,
        dataset,
        [parse(p.expression) for p in found.values() if isinstance(p, ExpressionProxy)],
        batch=batch,
        seed=seed,
        options=options,
        device=resolve_device(device, local=":" not in on_backend),
    )
    if dry_run:
        with say_when_stopped("stopped; nothing was written"):
            cost = estimate_sweep(
                found,
                spec,
                indices,
                distinct=distinct,
                seeds=seeds,
                workers=workers,
                backend=on_backend,
            )
        print_cost(cost.facts(), as_json)
        return
    work = score_networks if out is None else partial(score_to_file, out=out, replace=False)
    ending = "stopped" if out is None else "stopped; the same command goes on from here"
    with say_when_stopped(ending), backend(on_backend, workers), bar(console, "networks") as told:
        frame = work(
            found,
            spec,
            indices,
            distinct=distinct,
            seeds=seeds,
            combined=sums,
            workers=workers,
            progress=told,
            announce=say,
        )
    directions = {name: proxy.direction for name, proxy in found.items()}
    directions |= {joined.text: 1 for joined in sums}
    if len(indices) < LEAST_RANKED:
        spread = seed_spread(frame)
        print_frame(frame if as_json or spread.empty else spread, as_json)
        return
    table = tau_table(frame, benchmark, dataset, directions)
    if as_json:
        print_frame(table, as_json)
    else:
        print_ranking(table)
    if out is not None:
        times = f" x {seeds} seeds" if seeds > 1 else ""
        console.print(f"{len(frame)} networks x {len(found)} proxies{times} in {out}")


def _columns(resolved: Mapping[str, Proxy], sums: Sequence[RankSum]) -> dict[str, Proxy]:
    """Return the proxies by the names of their columns.

    If two have one name, such as an exported file of a named proxy, the second one is called as it
    was typed.
    """
    columns: dict[str, Proxy] = {}
    for text, proxy in resolved.items():
        name = proxy.name if columns.get(proxy.name, proxy) == proxy else text
        if columns.get(name, proxy) != proxy or (name == text != proxy.name and sums):
            raise ConfigError(f"two proxies are called {proxy.name!r}: rename one file or folder")
        columns[name] = proxy
    return columns


def _selected(
    proxies: Mapping[str, Proxy], benchmark: Benchmark, say: Callable[[str], None]
) -> NDArray[np.bool_]:
    """Return (n,) whether a network was used in the search of one of ``proxies``."""
    import numpy as np

    from greenmachine.benchmarks import short_name
    from greenmachine.proxies.held_out import selected_on

    selected = np.zeros(len(benchmark), dtype=np.bool_)
    for text, proxy in proxies.items():
        found = selected_on(text, proxy, benchmark)
        if found is None:
            say(
                f"{proxy.name} was searched for on another version of {short_name(benchmark.name)}"
                ": which of these networks it was selected on is not known"
            )
        else:
            selected |= found
    return selected


def _indices(
    benchmark: Benchmark, arch: str | None, sample: str, seed: int, left_out: NDArray[np.bool_]
) -> list[int]:
    import numpy as np

    if arch is not None:
        # The name of an architecture may be a number; then it is the name and not an index. With a
        # leading zero it is a name with a mistake.
        digits = arch.removeprefix("-")
        index = arch not in benchmark.archs and _is_number(digits) and str(int(digits)) == digits
        return [benchmark.index_of(int(arch) if index else arch)]
    pool = np.flatnonzero(~left_out)
    if sample == "all":
        return [int(index) for index in pool]
    if not _is_number(sample) or not 1 <= int(sample) <= len(pool):
        raise ConfigError(f"--sample {sample}: use 1 to {len(pool)}, or all")
    return [int(pool[place]) for place in sampled(len(pool), int(sample), seed)]


def _is_number(text: str) -> bool:
    # No number here has more than 20 digits, and Python refuses to read thousands of digits.
    return text.isascii() and text.isdecimal() and len(text) < 20


def sampled(networks: int, size: int, seed: int) -> list[int]:
    """Return ``size`` indices of ``networks``, drawn without replacement, in ascending order."""
    import numpy as np

    chosen = np.random.default_rng(seed).choice(networks, size, replace=False)
    return sorted(int(i) for i in chosen)


def build_options(pairs: list[str]) -> dict[str, int]:
    """Parse build options such as ``cells=2``, and return their values by name.

    Raises:
        ConfigError: a text is not an option.
    """
    options = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or not _is_number(value):
            raise ConfigError(
                f"--option {pair}: write NAME=NUMBER, such as cells=2, without a sign"
            )
        if name in options:
            raise ConfigError(f"--option {name} is given twice: give it once")
        options[name] = int(value)
    return options
