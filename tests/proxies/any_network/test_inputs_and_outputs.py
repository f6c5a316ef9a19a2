"""Inputs, labels and outputs of networks, and the place of the images in them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import greenmachine
from tests.disguises import SHAPE, Net, plain
from tests.proxies.any_network import IMAGES, LABELS, score, seeded
from tests.proxies.test_same_function import exported

# --- inputs and labels ------------------------------------------------------------------------


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, ids: Tensor) -> Any:
        return self.head(self.body(self.embed(ids)).mean(dim=1))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_token_ids_stay_whole(dtype: torch.dtype) -> None:
    ids = torch.arange(40).reshape(8, 5).remainder(20).to(dtype)
    model = seeded(Words)
    with pytest.warns(UserWarning, match="embed.weight"):
        found = score(model, "grad_norm", images=ids)
    loss = functional.cross_entropy(model(ids.long()), LABELS)
    layers = [model.body[0].weight, model.head.weight]
    gradients = torch.autograd.grad(loss, layers)
    assert found == pytest.approx(sum(float(g.norm()) for g in gradients), rel=1e-5)
    for proxy in ("gm_any", "synflow", "zen", "meco"):
        with pytest.raises(greenmachine.GreenMachineError, match="token ids"):
            score(model, proxy, images=ids)
    with pytest.raises(ValueError, match="token ids"):
        exported("gm_any")(model, ids)


@pytest.mark.parametrize(
    "labels",
    [
        torch.full((8,), -100),
        torch.tensor([0, 1, 2, -100] * 2),
        torch.full((8,), 0.5),
        torch.full((8,), math.nan),
        torch.eye(8, 4),
        LABELS[:3],
        LABELS + 1,
        "labels",
        [[0], [1]],
    ],
)
@pytest.mark.parametrize("proxy", ["grad_norm", "zico"])
def test_labels_that_are_none_are_refused(labels: Any, proxy: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError) as refused:
        score(plain(), proxy, labels=labels)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="label"):
        exported("grad_norm")(plain(), IMAGES, labels)


@pytest.mark.parametrize("images", [IMAGES * math.nan, IMAGES.to(torch.complex64), IMAGES[0, 0, 0]])
@pytest.mark.parametrize("proxy", ["grad_norm", "nwot", "meco_modules"])
def test_images_that_are_none_are_refused(images: Tensor, proxy: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError):
        score(plain(), proxy, images=images, labels=LABELS[: len(images)])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: greenmachine.score(plain(), "gm_any", shape=(8, 1, 8, 8)), "channels"),
        (lambda: greenmachine.score(plain(), "gm_any", shape=(3, 8, 8)), "batch axis"),
        (lambda: greenmachine.score(plain(), "zico", images=IMAGES[0], labels=LABELS[:3]), ""),
        (lambda: greenmachine.score(plain(), "gm_any", shape="images"), "shape"),
        (lambda: greenmachine.score("gm_any", plain()), "proxy"),
        (lambda: greenmachine.score(plain(), "gm_any", images="images"), "str"),
        (lambda: greenmachine.score(plain(), "gm_any", shape=SHAPE, output=1), "output=1"),
    ],
)
def test_a_wrong_call_says_so_in_one_line(call: Any, says: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError, match=says) as refused:
        call()
    assert "\n" not in str(refused.value)


# --- outputs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "returned", [lambda y: (y, y), lambda y: {"a": y, "b": y}, lambda y: None, lambda y: [], float]
)
@pytest.mark.parametrize("proxy", ["gm_any", "zico", "jacov"])
def test_an_output_that_is_not_clear_is_refused(returned: Any, proxy: str) -> None:
    class Several(Net):
        def forward(self, x: Tensor) -> Any:
            logits = super().forward(x)
            return returned(logits.sum() if returned is float else logits)

    with pytest.raises(greenmachine.GreenMachineError, match="output=0"):
        score(plain(Several), proxy)
    with pytest.raises(ValueError, match="output=0"):
        exported("gm_any")(plain(Several), IMAGES)


# --- the first dimension ----------------------------------------------------------------------


class SequenceFirst(nn.Module):
    """Tokens come before images inside; `tokens` of them."""

    def __init__(self, tokens: int, first: bool) -> None:
        super().__init__()
        self.tokens, self.first = tokens, first
        self.embed = nn.Conv2d(3, 8, 1)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        tokens = self.embed(x).flatten(2)[:, :, : self.tokens].mT
        tokens = self.body(tokens.transpose(0, 1) if self.first else tokens)
        return self.head(tokens.mean(dim=0 if self.first else 1))


@pytest.mark.parametrize("tokens", [8, 5])
@pytest.mark.parametrize("proxy", ["meco_inputs", "fisher", "meco", "nwot", "flops"])
def test_tokens_before_images_are_refused(tokens: int, proxy: str) -> None:
    with pytest.raises(greenmachine.GreenMachineError):
        score(seeded(lambda: SequenceFirst(tokens, True)), proxy)
    assert math.isfinite(score(seeded(lambda: SequenceFirst(tokens, False)), proxy))
    if proxy in ("meco_inputs", "fisher"):
        with pytest.raises(ValueError, match="is not the batch"):
            exported(proxy)(seeded(lambda: SequenceFirst(tokens, True)), IMAGES, LABELS)


class LastBlock(nn.Module):
    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last
        self.norm, self.mix = nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        maps = x if self.last else x.permute(0, 2, 3, 1)
        maps = maps + self.mix(self.norm(maps))
        return maps if self.last else maps.permute(0, 3, 1, 2)


class Blocks(nn.Module):
    """Blocks that take and give (B, H, W, C), as Swin's, or (B, C, H, W)."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last
        self.stem = nn.Conv2d(3, 8, 2, 2)
        self.blocks = nn.Sequential(*[LastBlock(last) for _ in range(3)])
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        x = self.blocks(x.permute(0, 2, 3, 1) if self.last else x)
        return self.head(x.mean((1, 2) if self.last else (2, 3)))


@pytest.mark.parametrize("proxy", ["az_expressivity", "az_progressivity", "az_trainability"])
def test_channels_that_come_last_are_channels(proxy: str) -> None:
    first, last = (seeded(lambda last=last: Blocks(last)) for last in (False, True))
    assert score(last, proxy) == pytest.approx(score(first, proxy), rel=1e-4)
