"""NAS-Bench-Macro and the ResNets of Channel-Bench-Macro: text, networks, costs."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.errors import ConfigError, DataError
from greenmachine.networks import (
    build_channel_resnet,
    build_macro,
    canonical_macro,
    channel_resnet_costs,
    channel_widths,
    macro_costs,
    module_costs,
)

DIGITS = st.lists(st.sampled_from("012"), min_size=8, max_size=8).map("".join)
QUARTERS = st.lists(st.sampled_from("1234"), min_size=7, max_size=7).map("".join)


@pytest.mark.parametrize("arch", ["", "0201210", "020121000", "02012103", "0201210a"])
def test_what_is_no_macro_network_is_said(arch: str) -> None:
    with pytest.raises(DataError, match="does not consist of 8 digits"):
        build_macro(arch)


@pytest.mark.parametrize("arch", ["", "123412", "12341234", "0123412"])
def test_what_is_no_channel_network_is_said(arch: str) -> None:
    with pytest.raises(DataError, match="does not consist of 7 digits"):
        build_channel_resnet(arch)


@pytest.mark.parametrize(
    ("arch", "canonical"),
    [
        ("02012100", "02012100"),
        ("00001002", "00010020"),  # a stage's first layer stays where it is
        ("10201012", "10210012"),
    ],
)
def test_identities_move_to_the_end_of_a_stage(arch: str, canonical: str) -> None:
    assert canonical_macro(arch) == canonical
    assert canonical_macro(canonical) == canonical


def test_there_are_3969_different_networks() -> None:
    archs = map("".join, itertools.product("012", repeat=8))
    assert len({canonical_macro(arch) for arch in archs}) == 3969


@pytest.mark.parametrize("arch", ["00001002", "01020102"])
def test_networks_that_share_their_canonical_form_are_the_same(arch: str) -> None:
    found = []
    for text in (arch, canonical_macro(arch)):
        torch.manual_seed(0)
        found.append(build_macro(text, width=4).eval()(torch.ones(1, 3, 16, 16)))
    assert torch.equal(*found)


@settings(max_examples=20, deadline=None)
@given(DIGITS, st.sampled_from([3, 8]), st.sampled_from([16, 32]))
def test_macro_networks_cost_what_their_modules_cost(arch: str, width: int, size: int) -> None:
    params, flops = macro_costs([arch], num_classes=7, image_size=size, width=width)
    network = build_macro(arch, num_classes=7, width=width)
    assert module_costs(network, (3, size, size)) == (params[0], flops[0])


@settings(max_examples=20, deadline=None)
@given(QUARTERS, st.sampled_from([5, 8, 16]), st.sampled_from([8, 32]))
def test_channel_networks_cost_what_their_modules_cost(arch: str, width: int, size: int) -> None:
    params, flops = channel_resnet_costs([arch], num_classes=7, image_size=size, width=width)
    network = build_channel_resnet(arch, num_classes=7, width=width)
    assert module_costs(network, (3, size, size)) == (params[0], flops[0])


@pytest.mark.parametrize(
    ("arch", "params", "macs"),
    [("02012100", 890_666, 47_327_744), ("11111221", 2_181_386, 65_012_224)],
)
def test_published_costs_of_macro(arch: str, params: int, macs: int) -> None:
    found, flops = macro_costs([arch], num_classes=10)
    assert found.tolist() == [params]
    assert round(flops[0] * 1e6) == macs + 10  # the table leaves out the head's biases


@pytest.mark.parametrize(
    ("arch", "params", "macs"),
    [("4432214", 6_208_394, 794_495_488), ("2421221", 3_106_698, 368_937_472)],
)
def test_published_costs_of_channel_networks(arch: str, params: int, macs: int) -> None:
    found, flops = channel_resnet_costs([arch], num_classes=10)
    assert found.tolist() == [params]
    assert round(flops[0] * 1e6) == macs + 10


def test_channel_widths_are_quarters() -> None:
    assert channel_widths("1234123") == (64, 128, 192, 512, 128, 256, 384)
    assert channel_widths("1234123", 5) == (1, 2, 3, 10, 2, 5, 7)


@given(QUARTERS, st.integers(0, 6), st.integers(4, 300))
def test_networks_that_differ_in_one_digit_differ_at_every_width(
    arch: str, place: int, width: int
) -> None:
    alike = {channel_widths(f"{arch[:place]}{d}{arch[place + 1 :]}", width) for d in "1234"}
    assert len(alike) == 4


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_width_that_makes_networks_alike_is_refused(width: int) -> None:
    for make in (channel_widths, build_channel_resnet):
        with pytest.raises(ConfigError, match=f"width {width}"):
            make("1111111", width=width)


def test_a_bottleneck_adds_its_input_and_ends_without_a_rectifier() -> None:
    torch.manual_seed(0)
    block = list(build_macro("11111111", width=4).eval().children())[2]
    x = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(block(x), block.body(x) + x)
    assert (block.body(x) < 0).any()
    assert not isinstance(block.body[-1][-1], torch.nn.ReLU)
