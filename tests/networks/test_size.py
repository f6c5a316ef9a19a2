"""Networks of the size space: strings and shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from greenmachine.errors import DataError
from greenmachine.networks import build_size, parse_size


def test_parsing() -> None:
    assert parse_size("8:16:24:32:64") == (8, 16, 24, 32, 64)


@pytest.mark.parametrize(
    ("arch", "fault"),
    [
        ("", "1 widths"),
        ("8:8:8:8", "4 widths"),
        ("8:8:8:8:8:8", "6 widths"),
        ("8:8:8:8:x", "'x' is not"),
        ("8:8:-8:8:8", "'-8' is not"),
        ("8:0:8:8:8", "'0' is not"),
        ("8:8.5:8:8:8", "'8.5' is not"),
        ("8:²:8:8:8", "'²' is not"),
    ],
)
def test_bad_strings_name_their_fault(arch: str, fault: str) -> None:
    for use in (parse_size, build_size):
        with pytest.raises(DataError, match=fault):
            use(arch)


@pytest.mark.parametrize("size", [8, 16, 32])
def test_network_maps_images_to_logits(size: int) -> None:
    assert build_size("8:16:8:16:24", num_classes=7)(torch.randn(2, 3, size, size)).shape == (2, 7)


def test_stages_have_the_widths_of_the_string() -> None:
    network = build_size("1:2:3:4:5")
    outputs: list[tuple[int, int]] = []
    for stage in list(network.children())[:-1]:
        stage.register_forward_hook(lambda _, __, out: outputs.append((out.shape[1], out.shape[2])))
    network(torch.randn(2, 3, 16, 16))
    assert outputs == [(1, 16), (1, 16), (2, 8), (3, 8), (4, 4), (5, 4)]


def test_skip_is_a_projection_only_where_the_width_changes() -> None:
    def projections(arch: str) -> int:
        layers = [m for m in build_size(arch).modules() if isinstance(m, nn.Conv2d)]
        return sum(layer.kernel_size == (1, 1) for layer in layers)

    # Two 1x1 convolutions belong to the residual blocks.
    assert projections("8:8:8:8:8") == 2
    assert projections("8:8:16:16:24") == 4
