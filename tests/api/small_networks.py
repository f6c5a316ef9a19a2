"""Networks, functions and expressions of the tests of ``score`` and ``rank``."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

EXPRESSIONS = [
    "sum_layers(min_eigenvalue(channel_correlation(noise_input)))",
    "sum_layers(l1_norm(mul(ones_weight_grad, weight)))",
    "logdet(sum_matrices(sign_agreement(noise_input)))",
    "sum_layers(std(perturbed_output))",
    "sum_layers(mul(depth, l2_norm(weight)))",
    "mean_layers(l2_norm(data_weight_grad))",
    "sum_layers(dot(noise_input, ones_input))",
]


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        raise ArithmeticError("no way\nthrough")


def norm_of(model: nn.Module, images: Tensor | None, labels: Tensor | None, seed: int) -> float:
    """A function proxy: what it is given, in one number."""
    norm = 0.0 if images is None else float(images.double().norm())
    return norm + (0 if labels is None else int(labels.sum())) + seed


def dict_of(data: tuple[Tensor, Tensor]) -> dict[str, Any]:
    return dict(zip(("images", "labels"), data, strict=True))


def wide(channels: int) -> nn.Module:
    return nn.Conv2d(3, channels, 3)


def build() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
