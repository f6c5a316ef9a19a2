"""Build a bank: which networks, and which expressions from where."""

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
    refuse_other_folder,
)
from greenmachine.benchmarks import Benchmark, load_benchmark, refuse_unnamed_code
from greenmachine.config import LanguageConfig, split_task
from greenmachine.errors import ConfigError
from greenmachine.evolution import RunFolder
from greenmachine.evolution.operators import half_and_half, owned_random
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
_LARGEST = 6  # nodes of a random expression: a tensor operation takes 5 to 20 ms a network
_DRAWN = 100  # random expressions that are tried at a time
_IDLE = 20  # tries without any of use, after which there are no more
_TRIED = 4  # networks that random expressions are tried on


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
    """Make a bank, or add networks or expressions to one; see ``docs/how_to/bank.md``.

    Interrupted, the same call goes on, and a call with the path alone does so too.

    Args:
        path: of the bank.
        on: data sets of benchmarks, such as ``"nats-tss/cifar10"``; a benchmark alone stands for
            its first, with ``/all`` for all of them. An expression that the bank holds, or that is
            added, is computed on all of its networks.
        networks: of each benchmark, drawn at random; without a number 1000, or all of a smaller
            one, and those that the bank holds. More than it holds are captured besides.
        expressions: where they come from: ``"zoo"`` for all named proxies; ``"random:300"`` for
            random ones of the grammar of at most six nodes, ``"random:300:7"`` with seed 7; the
            folder of a run for its hall of fame and its last population; a named proxy, an exported
            file, an expression. A new bank takes the zoo and 300 random ones where none are given.
        passes: whose signals the expressions read; a new bank has noise and ones where none are
            given. Of a source, expressions that read others are left out.
        batch: images a pass; a new bank has 8.
        options: build options of the benchmarks that have them, such as ``{"width": 50}``.
        seed: of weights, noise, images, the networks that are drawn and random expressions; a new
            bank has 0.
        workers: processes; -1 takes every core.
        announce: is called with lines to print: what is left out, and size and time before
            anything is computed.
        progress: is called with the task, the shards done, and the shards in all.

    Returns:
        The bank, complete.

    Raises:
        ConfigError: a source, a pass or an option is unknown.
        RunError: somebody else's folder, a bank with other settings, or too little space.
        DataError: a benchmark is missing, or has changed since the bank was built.
    """
    folder = Path(path)
    refuse_other_folder(folder)  # before random expressions are drawn, which takes a while
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
    """Return the networks that are asked for; what is left open is as in the bank."""
    loaded: dict[str, Benchmark] = {}
    wanted = []
    for task in tasks:
        name, dataset = split_task(task)
        benchmark = loaded.setdefault(name, load_benchmark(name))
        whole = dataset == "all" and "all" not in benchmark.datasets
        for each in benchmark.datasets if whole else [dataset or benchmark.datasets[0]]:
            benchmark.input_shape(each)  # refuses an unknown one
            wanted.append((benchmark, each))
    # An option that no benchmark has stays, and the first one refuses it.
    there = {option for benchmark in loaded.values() for option in benchmark.space.options}
    families = []
    for benchmark, dataset in dict.fromkeys(wanted):
        own = benchmark.space.options
        given = {k: v for k, v in (options or {}).items() if k in own or k not in there}
        benchmark.settings(given)
        held = known.family(benchmark.name, dataset) if known else None
        if held and networks is None:
            indices = held.indices
        else:
            order = np.random.default_rng(seed).permutation(len(benchmark))
            indices = order[: networks or NETWORKS].tolist()
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


def _leaves(
    sources: Sequence[str],
    facts: BankFacts,
    families: Sequence[Family],
    announce: Callable[[str], None],
) -> list[Expression]:
    """Return what the sources give, each expression once."""
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
        raise ConfigError(f"{source} is no expression: a bank holds the values of expressions")
    return [parse(proxy.expression)]


def _is_folder(source: str) -> bool:
    try:
        return Path(source).is_dir()
    except (OSError, ValueError):  # an expression may be longer than any path
        return False


def _random(source: str, facts: BankFacts, families: Sequence[Family]) -> list[Expression]:
    """Return random leaves: the same for one seed, whatever else the bank holds."""
    number, _, seed = source.removeprefix(_RANDOM).partition(":")
    if not number.isdecimal() or (seed and not seed.isdecimal()):
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
