"""Build a bank: choose its networks, and collect its expressions from their sources."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from greenmachine.bank import (
    DESCRIPTION,
    Bank,
    BankFacts,
    Family,
    Sieve,
    build,
    capture_spec,
    leaves_of,
    readable,
)
from greenmachine.benchmarks import Benchmark, load_benchmark, refuse_unnamed_code
from greenmachine.config import LanguageConfig, split_task
from greenmachine.errors import ConfigError
from greenmachine.evolution import RunFolder
from greenmachine.evolution.operators import half_and_half, owned_random
from greenmachine.files import FolderKind, refuse_other_folder
from greenmachine.language import TYPED, Expression, parse
from greenmachine.language.grammar import Grammar
from greenmachine.neutral import neutral
from greenmachine.plugins import checksums, loaded_plugins
from greenmachine.proxies import PROXIES, ExpressionProxy, resolve
from greenmachine.signals.network_capture import capture_shard

__all__ = ["build_bank"]

PASSES = ("noise", "ones")
BATCH = 8
NETWORKS = 1000

_RANDOM, _ZOO = "random:", "zoo"
_LARGEST = 6  # nodes of a random expression: a tensor operation takes 5 to 20 ms per network
_DRAWN = 100  # random expressions in one draw
_IDLE = 20  # successive draws without a useful expression, after which drawing stops
_TRIED = 4  # networks on which random expressions are tried


def build_bank(
    path: str | Path,
    on: str | Sequence[str] = (),
    *,
    networks: int | None = None,
    expressions: Sequence[str] = (),
    passes: Sequence[str] | None = None,
    batch: int | None = None,
    options: Mapping[str, int] | None = None,
    seed: int | None = None,
    workers: int = -1,
    announce: Callable[[str], None] = lambda line: None,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Bank:
    """Build a bank, or add networks or expressions to one; see ``docs/how_to/bank.md``.

    If the call is interrupted, the same call continues. A call with only the path does so too.

    Args:
        path: folder of the bank.
        on: data sets of benchmarks, such as ``"nats-tss/cifar10"``. A benchmark without a data set
            means its first data set; ``/all`` after it means all of them. Every expression of the
            bank, old or new, is computed on all networks of the bank.
        networks: number of networks of each benchmark, drawn at random. As long as there are any,
            each computes another function, because a run draws its samples by functions. If the
            number is larger than that in the bank, the missing networks are added. None takes the
            networks in the bank, for a new data set those of another data set of the benchmark; for
            a new benchmark 1000, or all if it has fewer.
        expressions: sources of expressions. ``"zoo"`` means all named proxies. ``"random:300"``
            means 300 random expressions of at most six nodes, and ``"random:300:7"`` the same with
            seed 7. The folder of a run means its hall of fame and its last population. A named
            proxy, an exported file or an expression is also a source. A new bank takes the zoo and
            300 random expressions by default.
        passes: names of the passes whose signals the expressions read; by default noise and ones in
            a new bank. An expression of a source that reads another pass is left out.
        batch: images per pass; by default 8 in a new bank.
        options: build options of the benchmarks that have them, such as ``{"width": 50}``.
        seed: seed of weights, noise, images, random expressions and the choice of networks; by
            default 0 in a new bank.
        workers: number of processes; -1 uses every core.
        announce: callback that gets lines to print: which expressions are left out, and the size
            and the time of the bank before the computation begins.
        progress: callback that gets the task, the number of finished shards and the number of all
            shards.

    Returns:
        The complete bank.

    Raises:
        ConfigError: a source, a pass or an option is unknown.
        RunError: the folder contains other files, the bank has other settings, or there is too
            little disk space.
        DataError: a benchmark is missing, or has changed since the bank was built.
    """
    folder = Path(path)
    # First, because drawing random expressions takes a while.
    refuse_other_folder(folder, FolderKind.BANK)
    known = Bank(folder) if (folder / DESCRIPTION).exists() else None
    named = [on] if isinstance(on, str) else list(on)
    facts = BankFacts(
        passes=list(passes or (known.facts.passes if known else PASSES)),
        batch=batch or (known.facts.batch if known else BATCH),
        seed=(known.facts.seed if known else 0) if seed is None else seed,
        plugins=checksums([plugin.name for plugin in loaded_plugins()]),
    )
    if networks is not None and networks < 1:
        raise ConfigError(f"{networks} networks: give at least 1")
    Grammar(facts.passes)  # refuses unknown passes
    families = _families(named, networks, facts.seed, options, known)
    if known is not None:
        old = [family.benchmark for family in known.facts.families]
        refuse_unnamed_code(old, folder, [family.benchmark for family in families])
    everything = [*(known.facts.families if known else ()), *families]
    sources = list(expressions)
    if not sources and known is None:
        sources = [_ZOO, f"{_RANDOM}300"]
    leaves = _leaves(sources, facts, everything, announce)
    return build(
        folder,
        facts,
        families,
        leaves,
        workers=workers,
        announce=announce,
        progress=progress,
    )


def _families(
    tasks: Sequence[str],
    networks: int | None,
    seed: int,
    options: Mapping[str, int] | None,
    known: Bank | None,
) -> list[Family]:
    """Return the requested networks; settings that are not given are those of the bank."""
    loaded: dict[str, Benchmark] = {}
    wanted = []
    for task in tasks:
        name, dataset = split_task(task)
        benchmark = loaded.setdefault(name, load_benchmark(name))
        whole = dataset == "all" and "all" not in benchmark.datasets
        for each in benchmark.datasets if whole else [dataset or benchmark.datasets[0]]:
            benchmark.input_shape(each)  # refuses an unknown data set
            wanted.append((benchmark, each))
    # An option that no benchmark has is kept, so that the first benchmark refuses it.
    there = {option for benchmark in loaded.values() for option in benchmark.space.options}
    families = []
    for benchmark, dataset in dict.fromkeys(wanted):
        own = benchmark.space.options
        given = {k: v for k, v in (options or {}).items() if k in own or k not in there}
        benchmark.settings(given)
        held = known.family(benchmark.name, dataset) if known else None
        kept = _kept(benchmark.name, held, known)
        if networks is None and kept:
            indices = held.indices if held else kept
        else:
            indices = [*kept, *_others(benchmark, kept, seed)][: networks or NETWORKS]
        families.append(
            Family(
                benchmark=benchmark.name,
                dataset=dataset,
                options=held.options if held and options is None else given,
                sha256=benchmark.checksum,
                indices=indices,
            )
        )
    if options and not families:
        raise ConfigError("options belong to the networks that are added: name them with --on")
    return families


def _kept(benchmark: str, held: Family | None, known: Bank | None) -> list[int]:
    """Return the networks of the bank with which a data set of a benchmark begins.

    A run may read several data sets of a benchmark, and uses the networks that all of them have. So
    a data set continues the longest list in the bank that begins with its own networks.
    """
    own = [] if held is None else list(held.indices)
    families = known.facts.families if known else []
    lists = [list(family.indices) for family in families if family.benchmark == benchmark]
    return max((each for each in lists if each[: len(own)] == own), key=len, default=own)


def _others(benchmark: Benchmark, kept: Sequence[int], seed: int) -> list[int]:
    """Return the networks that are not in ``kept``, in random order, other functions first."""
    drawn = np.random.default_rng(seed).permutation(len(benchmark))
    order = np.array([*kept, *drawn[~np.isin(drawn, kept)]])
    again = np.ones(len(order), dtype=bool)
    again[np.unique(benchmark.functions[order], return_index=True)[1]] = False
    order, again = order[len(kept) :], again[len(kept) :]
    return [*order[~again].tolist(), *order[again].tolist()]


def _leaves(
    sources: Sequence[str],
    facts: BankFacts,
    families: Sequence[Family],
    announce: Callable[[str], None],
) -> list[Expression]:
    """Return the expressions of all sources, without duplicates."""
    found: dict[str, Expression] = {}
    for source in sources:
        if source.startswith(_RANDOM):
            leaves = _random(source, facts, families)
        else:
            given = leaves_of(_expressions(source))
            leaves = readable(given, facts.passes)
            if left := len(given) - len(leaves):
                announce(f"{source}: {left} of {len(given)} read passes that the bank lacks")
        found |= {leaf.text: leaf for leaf in leaves if leaf.text not in found}
    return list(found.values())


def _expressions(source: str) -> list[Expression]:
    if source == _ZOO:
        return [parse(proxy.expression) for proxy in PROXIES if isinstance(proxy, ExpressionProxy)]
    is_folder = _is_folder(source)
    if "(" in source and not source.endswith(".py") and not is_folder:
        return [parse(source, kind=None)]
    if is_folder:
        folder = RunFolder(Path(source))
        hall = [famous.expression for famous in folder.hall()]
        saved = folder.checkpoint()
        population = [each.tree for each in saved.search.population] if saved else []
        return [parse(text) for text in dict.fromkeys([*hall, *population])]
    proxy = resolve(source)
    if not isinstance(proxy, ExpressionProxy):
        raise ConfigError(f"{source} is not an expression: a bank stores the values of expressions")
    return [parse(proxy.expression)]


def _is_folder(source: str) -> bool:
    try:
        return Path(source).is_dir()
    except (OSError, ValueError):  # an expression may be longer than any path
        return False


def _random(source: str, facts: BankFacts, families: Sequence[Family]) -> list[Expression]:
    """Return random boundary expressions; they depend on the seed, not on the bank's content."""
    number, _, seed = source.removeprefix(_RANDOM).partition(":")
    if not number.isdecimal() or int(number) < 1 or (seed and not seed.isdecimal()):
        raise ConfigError(f"{source}: write random:300, or random:300:7 with a seed")
    if not families:
        raise ConfigError(f"{source}: a new bank needs networks: name them with --on")
    count = int(number)
    tried = capture_spec(facts, families[0]), list(enumerate(families[0].indices[:_TRIED]))
    grammar = Grammar(facts.passes, plugins=list(facts.plugins), language=TYPED)
    heights = LanguageConfig().start_height
    found: list[Expression] = []
    idle = 0
    with neutral():
        sieve = Sieve(capture_shard(*tried))
        seen: set[str] = set()
        state = random.Random(int(seed) if seed else facts.seed).getstate()
        while len(found) < count and idle < _IDLE:
            with owned_random(state):
                trees = [half_and_half(grammar, heights) for _ in range(_DRAWN)]
                state = random.getstate()
            leaves = leaves_of(grammar.expression(tree) for tree in trees)
            fresh = [leaf for leaf in leaves if leaf.size <= _LARGEST and leaf.text not in seen]
            seen |= {leaf.text for leaf in fresh}
            passed = sieve.passed(fresh)
            idle = 0 if passed else idle + 1
            found += passed
    return found[:count]
