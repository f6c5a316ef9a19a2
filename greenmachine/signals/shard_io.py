"""A shard on disk: its stacks in a safetensors file, and their layout in a JSON file beside it.

The layers of a stack are written one after the other from where the passes stored them. To stack
them first and call ``safetensors.torch.save_file`` would copy everything twice more, which takes as
long as the passes themselves (measured). Files are read with the safetensors library.

The layout contains its own checksum and the XXH3 of the tensors, which is computed while they are
written. It finds damage as well as SHA-256, which would take a quarter of a capture (measured).
:func:`damage` compares both with the files. Opening a shard checks only the layout, because it
happens once per generation and shard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from torch import Tensor

from greenmachine.errors import DamagedError, RunError, one_line
from greenmachine.files import read_sealed, replace_file, write_sealed
from greenmachine.interrupts import interrupts_held
from greenmachine.signals.shard import LayerGroups, Shard, Stack

__all__ = ["damage", "open_shard", "shard_failures", "write_shard", "write_tensors"]

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
_ALIGNMENT = 64  # bytes; vector instructions read aligned data fastest
_BLOCK = 2**20  # bytes that are read at once to compute a checksum


def write_shard(
    path: Path, groups: LayerGroups, precision: torch.dtype = torch.float32, recipe: str = ""
) -> None:
    """Write a shard: its layout to ``path``, and its tensors to a file beside it.

    Both files are written atomically, the layout last, so a shard whose layout exists is complete.
    The tensors are not flushed to the disk, which takes as long as writing them: after a power
    failure, their checksum shows whether they are complete.

    Args:
        path: the JSON file.
        groups: the layers, by stack.
        precision: number format in which float32 signals are stored.
        recipe: digest of what was captured; see ``shard_recipe.py``.

    Raises:
        OSError: the disk is full.
    """
    pieces = {
        f"{number}.{name}": [layer.signals[name] for layer in layers]
        for number, (_, layers) in enumerate(groups.groups)
        for name in layers[0].signals
    }
    checksum = ""

    def write(temporary: Path) -> None:
        nonlocal checksum
        checksum = write_tensors(temporary, pieces, precision)

    # Parents are not created: if the folder is missing, the run was removed.
    replace_file(path.with_suffix(".safetensors"), write, parents=False, flush=False)
    layout = {
        "recipe": recipe,
        "xxh3": checksum,
        "networks": groups.networks,
        "layer_counts": groups.layer_counts,
        "batch": groups.batch,
        "stacks": [rows for rows, _ in groups.groups],
        "failures": groups.failures,
    }
    write_sealed(path, layout, parents=False)


def write_tensors(
    path: Path, tensors: Mapping[str, Sequence[Tensor]], precision: torch.dtype = torch.float32
) -> str:
    """Write a safetensors file and return its XXH3 (64 bits, hexadecimal).

    Args:
        path: path of the file.
        tensors: for each name, the slices of a tensor along its first dimension, all of one shape.
        precision: number format in which float32 tensors are stored. Others are stored unchanged:
            half precision cannot represent the float64 values of the ones pass.

    Raises:
        OSError: the disk is full.
    """
    header: dict[str, object] = {}
    end = 0
    for name, slices in tensors.items():
        dtype = precision if slices[0].dtype == torch.float32 else slices[0].dtype
        shape = [len(slices), *slices[0].shape]
        start, end = end, end + torch.Size(shape).numel() * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    # The header is its length in eight bytes, then JSON, padded with blanks.
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    checksum = xxhash.xxh3_64()

    def put(file: int, data: memoryview) -> None:
        checksum.update(data)
        _write(file, data)

    with path.open("wb", buffering=0) as file:
        # Reserving the whole size is three times as fast, and a full disk fails before writing.
        _reserve(file.fileno(), 8 + len(text) + end)
        put(file.fileno(), memoryview(len(text).to_bytes(8, "little") + text))
        for slices in tensors.values():
            for tensor in slices:
                dtype = precision if tensor.dtype == torch.float32 else tensor.dtype
                stored = tensor.to("cpu", dtype).contiguous()
                if stored.numel():
                    put(file.fileno(), stored.flatten().view(torch.uint8).numpy().data)
    return checksum.hexdigest()


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
        os.posix_fallocate(file, 0, size)


def _write(file: int, data: memoryview) -> None:
    while data:  # one call may write only part of it
        data = data[os.write(file, data) :]


def open_shard(path: Path, recipe: str | None = None) -> Shard:
    """Open a shard of a store, with its tensors memory-mapped.

    Args:
        path: its layout file.
        recipe: digest that the shard must have; None accepts any.

    Raises:
        RunError: a file is missing or damaged, or has another digest.
    """
    layout = _layout(path)
    if recipe is not None and layout.get("recipe") != recipe:
        raise DamagedError(f"{path} contains other networks: {_REMEDY}")
    failures = _failures(path, layout)
    try:
        stacks = [Stack(torch.tensor(rows), {}) for rows in layout["stacks"]]
        # ``get_tensor`` goes through ``torch.asarray``, which renames an interrupt to ValueError.
        tensors = path.with_suffix(".safetensors")
        with interrupts_held(), safe_open(tensors, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict)
                number, _, name = key.partition(".")
                stacks[int(number)].tensors[name] = file.get_tensor(key)
        return Shard(layout["networks"], layout["layer_counts"], layout["batch"], stacks, failures)
    except (*_DAMAGE, SafetensorError) as error:
        raise _damaged(path, error) from None


def shard_failures(path: Path) -> dict[int, str]:
    """Return the error message of every network of a shard that failed, by position in the sample.

    It reads only the layout, because opening the tensors would be slower.

    Raises:
        RunError: the layout is missing or damaged.
    """
    return _failures(path, _layout(path))


def damage(path: Path) -> str | None:
    """Read every byte of a shard; return what is wrong with it, or None."""
    try:
        if _checksum(path.with_suffix(".safetensors")) == _layout(path).get("xxh3"):
            return None
    except (DamagedError, OSError) as error:
        return one_line(error)
    return f"{path.with_suffix('.safetensors')} differs from its checksum"


def _checksum(path: Path) -> str:
    checksum = xxhash.xxh3_64()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            checksum.update(block)
    return checksum.hexdigest()


def _layout(path: Path) -> dict[str, Any]:
    return read_sealed(path, _REMEDY)


def _failures(path: Path, layout: Mapping[str, Any]) -> dict[int, str]:
    try:
        return {int(place): str(why) for place, why in layout["failures"].items()}
    except _DAMAGE as error:
        raise _damaged(path, error) from None


_REMEDY = "continue with --resume, which captures it again"
_DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError)


def _damaged(path: Path, error: Exception) -> RunError:
    return DamagedError(f"{path} is damaged ({one_line(error, 200)}): {_REMEDY}")
