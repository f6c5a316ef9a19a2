"""Build a bank: capture some networks and store the numbers of all expressions, not the tensors.

A build first writes the list of what the bank should contain, then computes what is missing, one
shard of networks per task. If it is killed, the next build continues; the files are the same byte
for byte for any number of workers. When all shards of a part exist, they are joined to one file.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greenmachine.bank.bank import (
    DESCRIPTION,
    FORMAT,
    Bank,
    BankFacts,
    Family,
    PartFacts,
    part_facts,
    part_path,
    sha256_of,
)
from greenmachine.bank.leaves import evaluate_leaves
from greenmachine.benchmarks.packed import PackedBenchmark
from greenmachine.errors import DamagedError, RunError
from greenmachine.files import FolderKind, alone_in, remove_leftovers, replace_file, write_sealed
from greenmachine.language import Expression, parse, terminals_of
from greenmachine.neutral import neutral
from greenmachine.primitives.registry import LAYER_SCALAR
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import cached_benchmark, capture_shard, packed_benchmark
from greenmachine.workers import count_workers, run_tasks

__all__ = ["build", "capture_spec", "promised_bytes"]

_NETWORKS = 4  # per shard; their tensors are in a worker's memory together
_PROBED = 3  # networks that are measured before a build, to estimate size and time
_BLOCK = 2**26  # bytes that are joined at a time

_Announce = Callable[[str], None]
_Progress = Callable[[str, int, int], None]


def capture_spec(facts: BankFacts, family: Family) -> CaptureSpec:
    """Return the specification for capturing a family: always all signals of the passes.

    The set of signals determines how layers are divided into chunks, so it must not change when
    expressions are added.
    """
    return CaptureSpec(
        benchmark=family.benchmark,
        dataset=family.dataset,
        terminals=tuple(sorted({*terminals_of(facts.passes)} - {"depth"})),
        batch=facts.batch,
        seed=facts.seed,
        options=dict(family.options),
    )


def build(
    path: Path,
    facts: BankFacts | None,
    families: Sequence[Family],
    leaves: Sequence[Expression],
    *,
    workers: int = 1,
    announce: _Announce = lambda line: None,
    progress: _Progress = lambda what, done, of: None,
) -> Bank:
    """Make a bank, or add to one, and compute what is missing.

    Args:
        path: path of the bank: missing, an empty folder, or an existing bank.
        facts: passes, batch, seed and plugins of a new bank; its families and parts are ignored.
            None means those of the existing bank.
        families: families that the bank should contain in addition.
        leaves: see :func:`greenmachine.bank.leaves_of`; those that the bank contains are skipped.
        workers: number of processes; -1 means one for each core.
        announce: called with lines to print: size and time, before anything is computed.
        progress: called with the task, the number of finished shards, and that of all shards.

    Returns:
        The complete bank.

    Raises:
        RunError: the folder is not a bank, the bank has other settings, there is too little space,
            or a worker died repeatedly.
        DataError: a benchmark is missing, or has changed since the bank was built.
    """
    with alone_in(path, FolderKind.BANK) as held:
        facts = _declared(path, facts, families, leaves)
        held.check()
        remove_leftovers(path)
        write_sealed(path / DESCRIPTION, facts.model_dump(mode="json"))
        bank = Bank(path)
        for family in facts.families:
            family.check(cached_benchmark(family.benchmark))
        missing = [
            (family, found) for family in facts.families if (found := _missing(bank, family))
        ]
        _announce_cost(bank, missing, workers, announce)
        for family, numbers in missing:
            _fill(bank, family, numbers, workers, announce, progress)
        return bank


def promised_bytes(families: Sequence[tuple[int, float]], leaves: Sequence[Expression]) -> int:
    """Return the size of the vectors of ``leaves`` in bytes.

    Args:
        families: for each family, the number of networks and their mean number of layers.
        leaves: the expressions.
    """
    layers = sum(leaf.kind == LAYER_SCALAR for leaf in leaves)
    each = (n * (depth * layers + len(leaves) - layers) for n, depth in families)
    return round(8 * sum(each))


def _declared(
    path: Path, facts: BankFacts | None, families: Sequence[Family], leaves: Sequence[Expression]
) -> BankFacts:
    """Return the facts of the bank with the new families and expressions."""
    before = Bank(path).facts if (path / DESCRIPTION).exists() else None
    if before is None:
        if facts is None:
            raise RunError(f"{path} is not a bank: to build one, choose its networks with --on")
        if not families or not leaves:
            raise RunError(f"a new bank needs networks and expressions: none are given for {path}")
        before = facts.model_copy(update={"families": [], "parts": [], "format": FORMAT})
    elif facts is not None:
        for name in ("passes", "batch", "seed"):
            was, now = getattr(before, name), getattr(facts, name)
            if was != now:
                raise RunError(
                    f"{path} is a bank with {name} {_told(was)}, not {_told(now)}: leave the "
                    "option out, or build another bank"
                )
    held = {(family.benchmark, family.dataset): family for family in before.families}
    for family in families:
        known = held.setdefault((family.benchmark, family.dataset), family)
        if known.sha256 != family.sha256:
            family.check(cached_benchmark(family.benchmark))
            known.check(cached_benchmark(family.benchmark))
        more, fewer = len(family.indices), len(known.indices)
        if family.indices[:fewer] == known.indices[:more] and known.options == family.options:
            if more > fewer:  # the old networks are the first of the same draw
                held[family.benchmark, family.dataset] = family
            continue
        if known != family:
            raise RunError(
                f"{path} has {len(known.indices)} networks of {family.task} with options "
                f"{known.options}, not {len(family.indices)} with {family.options}: give the same, "
                "or build another bank"
            )
    there = {text for part in before.parts for text in part}
    new = list(dict.fromkeys(leaf.text for leaf in leaves if leaf.text not in there))
    plugins = {**before.plugins, **(facts.plugins if facts else {})}
    return before.model_copy(
        update={
            "plugins": plugins,
            "families": list(held.values()),
            "parts": [*before.parts, *([new] if new else [])],
        }
    )


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _missing(bank: Bank, family: Family) -> dict[int, int]:
    """Return for each incomplete part the number of networks that it has; remove damaged parts."""
    missing = {}
    for number in range(len(bank.parts)):
        path = part_path(bank.path, family, number)
        known = 0
        if path.with_suffix(".json").exists():
            try:
                facts = part_facts(path, bank.remedy)
            except DamagedError:
                path.with_suffix(".json").unlink()
                missing[number] = 0
                continue
            if path.exists() and sha256_of(path, bank.remedy) == facts.digest:
                known = len(facts.layer_counts)
            else:
                path.with_suffix(".json").unlink()
        if known < len(family.indices):
            missing[number] = known
    return missing


def _announce_cost(
    bank: Bank, missing: Sequence[tuple[Family, dict[int, int]]], workers: int, announce: _Announce
) -> None:
    """Print the size and time of what is missing, measured on some networks of each family."""
    size, seconds = 0, 0.0
    for family, numbers in missing:
        leaves = [leaf for number in numbers for leaf in bank.parts[number]]
        networks = len(family.indices) - min(numbers.values())
        chosen = family.indices[-_PROBED:]  # they are in random order
        spec = capture_spec(bank.facts, family)
        started = time.perf_counter()
        with neutral():
            shard = capture_shard(spec, list(enumerate(chosen)))
            evaluate_leaves(shard, leaves)
        each = (time.perf_counter() - started) / len(chosen)
        bytes_ = promised_bytes([(networks, shard.layers / len(chosen))], leaves)
        announce(
            f"{family.task}: {len(leaves)} expressions on {networks} networks, "
            f"about {_size(bytes_)}, {each:.2f} s a network"
        )
        size += bytes_
        seconds += each * networks / max(1, count_workers(workers))
    if not missing:
        announce(f"{bank.path} is complete")
        return
    free = shutil.disk_usage(bank.path).free
    announce(
        f"in all about {_size(size)} in {bank.path} ({_size(free)} free), "
        f"about {max(1, round(seconds / 60))} min"
    )
    if 2 * size > free:  # shards and the joined file exist together for a while
        raise RunError(
            f"{bank.path} has {_size(free)} of free space, and {_size(2 * size)} are needed: use "
            "fewer networks or expressions, or another folder"
        )


def _size(size: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= 0.1 * unit:
            return f"{size / unit:.2f} {name}"
    return f"{size / 1e3:.0f} kB"


def _fill(
    bank: Bank,
    family: Family,
    missing: Mapping[int, int],
    workers: int,
    announce: _Announce,
    progress: _Progress,
) -> None:
    """Compute some parts of a family, shard by shard, and join the shards.

    Args:
        bank: the bank.
        family: the networks.
        missing: for the number of each part, the number of networks that it has.
        workers: as for :func:`build`.
        announce: as for :func:`build`.
        progress: as for :func:`build`.
    """
    for known in sorted(set(missing.values())):
        numbers = [number for number, has in missing.items() if has == known]
        paths = {number: part_path(bank.path, family, number) for number in numbers}
        shards = _capture(bank, family, known, paths, workers, announce, progress)
        for number, path in paths.items():
            pieces = [path, *shards[number]] if known else shards[number]
            _join(pieces, bank.parts[number], path, bank.remedy)
            shutil.rmtree(_shard_folder(path))


def _capture(
    bank: Bank,
    family: Family,
    known: int,
    parts: Mapping[int, Path],
    workers: int,
    announce: _Announce,
    progress: _Progress,
) -> dict[int, list[Path]]:
    """Compute the shards after the first ``known`` networks; return the shards of each part."""
    places = list(enumerate(family.indices))
    starts = range(known, len(places), _NETWORKS)
    for path in parts.values():
        _shard_folder(path).mkdir(parents=True, exist_ok=True)
        remove_leftovers(_shard_folder(path))
    spec, packed = capture_spec(bank.facts, family), packed_benchmark(family.benchmark)
    found: dict[int, list[Path]] = {number: [] for number in parts}
    tasks = []
    for start in starts:
        members = places[start : start + _NETWORKS]
        jobs = []
        for number, path in parts.items():
            shard = _shard_folder(path) / f"{start:06d}.npy"
            found[number].append(shard)
            if not _whole(shard, len(members), bank.remedy, announce):
                jobs.append((bank.facts.parts[number], shard))
        if jobs:
            tasks.append((spec, members, packed, jobs))
    count, done = len(starts), len(starts) - len(tasks)
    told = partial(progress, f"bank {family.task}")
    told(done, count)
    run_tasks(_build_shard, tasks, workers, lambda ready, _: told(done + ready, count))
    return found


def _shard_folder(part: Path) -> Path:
    return part.with_suffix(".shards")


def _whole(path: Path, networks: int, remedy: str, announce: _Announce) -> bool:
    """Return whether a shard is complete; a damaged one is removed and computed again."""
    if not path.with_suffix(".json").exists():
        return False
    try:
        facts = part_facts(path, remedy)
        if sha256_of(path, remedy) == facts.digest:
            return len(facts.layer_counts) == networks
        announce(f"{path} differs from its checksum; its networks are captured again")
    except DamagedError as error:
        announce(f"{error}; its networks are captured again")
    path.with_suffix(".json").unlink()
    return False


def _build_shard(
    spec: CaptureSpec,
    places: list[tuple[int, int]],
    packed: PackedBenchmark,
    jobs: list[tuple[list[str], Path]],
) -> None:
    """In a worker: write the values of the expressions of some parts on some networks."""
    shard = capture_shard(spec, places, packed)
    leaves = {text: parse(text, kind=None) for texts, _ in jobs for text in texts}
    values = dict(zip(leaves, evaluate_leaves(shard, list(leaves.values())), strict=True))
    for texts, path in jobs:
        vectors = [values[text].double().numpy() for text in texts]
        length = sum(map(len, vectors))
        _write(path, shard.layer_counts, shard.failures, vectors, length)


def _join(shards: Sequence[Path], leaves: Sequence[Expression], path: Path, remedy: str) -> None:
    """Write the values of ``leaves`` on all networks, one expression after the other."""
    facts = [part_facts(shard, remedy) for shard in shards]
    counts = [each.layer_counts for each in facts]
    failures = {int(place): why for each in facts for place, why in each.failures.items()}
    networks, layers = sum(map(len, counts)), sum(map(sum, counts))
    together = max(1, _BLOCK // (8 * max(layers, networks, 1)))

    def blocks() -> Iterator[NDArray[np.float64]]:
        starts = [0] * len(shards)
        for first in range(0, len(leaves), together):
            block = leaves[first : first + together]
            pieces: list[list[NDArray[np.float64]]] = [[] for _ in block]
            for number, shard in enumerate(shards):
                array = np.load(shard, mmap_mode="r")
                for place, leaf in enumerate(block):
                    own = counts[number]
                    length = sum(own) if leaf.kind == LAYER_SCALAR else len(own)
                    pieces[place].append(np.array(array[starts[number] :][:length]))
                    starts[number] += length
            yield np.concatenate([piece for each in pieces for piece in each])

    per_layer = sum(leaf.kind == LAYER_SCALAR for leaf in leaves)
    size = per_layer * layers + (len(leaves) - per_layer) * networks
    _write(path, [n for each in counts for n in each], failures, blocks(), size)


def _write(
    path: Path,
    layer_counts: list[int],
    failures: dict[int, str],
    blocks: Iterable[NDArray[np.float64]],
    length: int,
) -> None:
    """Write an array of float64 in blocks, and then the JSON file beside it."""
    header = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(header, about)
    digest = hashlib.sha256()

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            digest.update(header.getvalue())
            file.write(header.getvalue())
            for block in blocks:
                data = np.ascontiguousarray(block, dtype="<f8").data
                digest.update(data)
                file.write(data)

    replace_file(path, write, parents=False)
    facts = PartFacts(
        digest=digest.hexdigest(),
        layer_counts=layer_counts,
        failures={str(place): why for place, why in failures.items()},
    )
    write_sealed(path.with_suffix(".json"), facts.model_dump(mode="json"), parents=False)
