"""A shard on disk: its stacks in a safetensors file, their layout in a JSON file beside it.

The layers of a stack are written one after the other from where the passes left them: to stack
them first and hand the stacks to ``safetensors.torch.save_file`` costs two more copies of
everything, which measured as much as the passes themselves. Reading is the library's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from greenmachine.errors import RunError
from greenmachine.files import read_json, replace_file, write_json
from greenmachine.interrupts import interrupts_held
from greenmachine.signals.stack import LayerGroups, Shard, Stack

__all__ = ["open_shard", "shard_failures", "write_shard", "write_tensors"]

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}
_ALIGNMENT = 64  # bytes: where vector instructions read fastest


def write_shard(path: Path, groups: LayerGroups, precision: torch.dtype = torch.float32) -> None:
    """Write a shard; ``path`` is its layout, the tensors lie beside it.

    The layout comes last and both atomically: a shard whose layout exists is whole.

    Args:
        path: the JSON file.
        groups: the layers, by stack.
        precision: in which float32 signals are stored.

    Raises:
        OSError: the disk is full.
    """
    pieces = {
        f"{number}.{name}": [layer.signals[name] for layer in layers]
        for number, (_, layers) in enumerate(groups.groups)
        for name in layers[0].signals
    }
    replace_file(
        path.with_suffix(".safetensors"),
        lambda temporary: write_tensors(temporary, pieces, precision),
    )
    layout = {
        "networks": groups.networks,
        "layer_counts": groups.layer_counts,
        "batch": groups.batch,
        "stacks": [rows for rows, _ in groups.groups],
        "failures": groups.failures,
    }
    write_json(path, layout)


def write_tensors(
    path: Path, tensors: Mapping[str, Sequence[Tensor]], precision: torch.dtype = torch.float32
) -> None:
    """Write a safetensors file.

    Args:
        path: of the file.
        tensors: by name the slices of a tensor, all of one shape, along its first dimension.
        precision: in which float32 tensors are stored; others keep theirs: the ones pass leaves
            float64 that half precision cannot hold.

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
    # The header is its length in eight bytes, then JSON, which blanks may follow.
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    with path.open("wb", buffering=0) as file:
        # Reserved whole: three times as fast, and a full disk says so before anything is written.
        _reserve(file.fileno(), 8 + len(text) + end)
        file.write(len(text).to_bytes(8, "little") + text)
        for slices in tensors.values():
            for tensor in slices:
                dtype = precision if tensor.dtype == torch.float32 else tensor.dtype
                stored = tensor.to("cpu", dtype).contiguous()
                if stored.numel():
                    _write(file.fileno(), stored.flatten().view(torch.uint8).numpy().data)


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
        os.posix_fallocate(file, 0, size)


def _write(file: int, data: memoryview) -> None:
    while data:  # one call may take a part only
        data = data[os.write(file, data) :]


def open_shard(path: Path) -> Shard:
    """Open a shard of a store, its tensors memory-mapped.

    Raises:
        RunError: a file is missing or damaged.
    """
    failures = shard_failures(path)
    try:
        layout = read_json(path)
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
    """Return the message of every network of a shard that failed, by place in the sample.

    From the layout alone: opening the tensors would read what nobody needs here.

    Raises:
        RunError: the layout is missing or damaged.
    """
    try:
        return {int(place): why for place, why in read_json(path)["failures"].items()}
    except _DAMAGE as error:
        raise _damaged(path, error) from None


_DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError)


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path.parent} is damaged ({error}): remove that folder, then --resume")
