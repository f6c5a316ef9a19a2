"""The residual networks of Channel-Bench-Macro (Su et al., BCNet, CVPR 2021): seven widths.

An architecture consists of seven digits from 1 to 4: how many quarters of 256, 256, 256, 512, 512,
512 and 512 channels the layers have.
"""

from __future__ import annotations

from torch import Tensor, nn

from greenmachine.errors import ConfigError, DataError
from greenmachine.networks.blocks import conv_bn, conv_bn_relu

__all__ = ["build_channel_resnet", "channel_widths", "parse_channel_resnet"]

_DOUBLED = (1, 1, 1, 2, 2, 2, 2)  # the widths of the second half are those of the first, doubled
_QUARTERS = 4


def parse_channel_resnet(arch: str) -> tuple[int, ...]:
    """Return the seven digits.

    Raises:
        DataError: ``arch`` is not seven digits 1 to 4.
    """
    if len(arch) != len(_DOUBLED) or set(arch) - set("1234"):
        raise DataError(f"network {arch!r} does not consist of {len(_DOUBLED)} digits from 1 to 4")
    return tuple(map(int, arch))


def channel_widths(arch: str, width: int = 256) -> tuple[int, ...]:
    """Return the seven widths, in quarters of ``width`` and of twice ``width``, rounded down.

    Raises:
        DataError: ``arch`` is not seven digits 1 to 4.
        ConfigError: ``width`` is below 4, where two digits give the same number of channels.
    """
    if width < _QUARTERS:
        raise ConfigError(
            f"width {width}: a layer has 1 to {_QUARTERS} quarters of the width, so with fewer "
            f"than {_QUARTERS} channels different networks become the same one"
        )
    pairs = zip(parse_channel_resnet(arch), _DOUBLED, strict=True)
    return tuple(digit * width * doubled // _QUARTERS for digit, doubled in pairs)


class Residual(nn.Module):
    """Two 3×3 convolutions, plus the input where shapes are equal, and a ReLU after the sum."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, down: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(inputs, hidden, 3, 2 if down else 1), conv_bn(hidden, outputs, 3)
        )
        self.shortcut = not down
        self.relu = nn.ReLU(inplace=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W), or half of H and W."""
        change = self.body(x)
        result: Tensor = self.relu(change + x if self.shortcut else change)
        return result


def build_channel_resnet(arch: str, *, num_classes: int = 10, width: int = 256) -> nn.Module:
    """Return the network of seven digits: images (B, 3, S, S) to logits (B, num_classes).

    The first three digits count quarters of ``width`` (256 in the benchmark). ``S`` is a multiple
    of 4. Weights are drawn from torch's global generator.

    Raises:
        DataError: ``arch`` is not seven digits 1 to 4.
        ConfigError: ``width`` is below 4.
    """
    w = channel_widths(arch, width)
    return nn.Sequential(
        conv_bn_relu(3, w[0], 3, 2),
        Residual(w[0], w[1], w[0]),
        Residual(w[0], w[2], w[0]),
        # The one block that changes the width has no shortcut.
        Residual(w[0], w[3], w[4], down=True),
        Residual(w[4], w[5], w[4]),
        Residual(w[4], w[6], w[4]),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(w[4], num_classes),
    )
