"""The gradient proxies: their direct formulas on any network, and cases to count by hand."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite, log, nan

import pytest
import torch
from torch import Tensor, nn

from greenmachine.networks import build_size, build_topology
from greenmachine.proxies import PROXIES, FunctionProxy, function_score
from greenmachine.proxies.zoo.gradients import gradients, logits, weights
from greenmachine.proxies.zoo.ntk import IMAGES
from tests.proxies.direct import backward, gradients_of
from tests.proxies.direct_gradients import DIRECT
from tests.proxies.tiny_networks import batch, network

ALONE = log(1 + 1e-5)  # what an image's correlation with itself adds to epe_nas


def score(name: str, model: nn.Module, images: Tensor, labels: Tensor | None = None) -> float:
    proxy = PROXIES.find(name)
    assert isinstance(proxy, FunctionProxy)
    return function_score(proxy, model, images, labels)


class Squares(nn.Module):
    """Half the sum of squares of an image: its gradient is the image."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        half = x.flatten(1).square().sum(dim=1, keepdim=True) / 2
        return nn.functional.pad(half, (0, self.classes - 1))


def zero_linear(inputs: int = 1, classes: int = 2) -> nn.Linear:
    """Every class is as likely as any other."""
    layer = nn.Linear(inputs, classes, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


@pytest.mark.parametrize("kind", ["plain", "branches"])
@pytest.mark.parametrize("name", list(DIRECT))
def test_equals_its_direct_formula(name: str, kind: str) -> None:
    models = []
    for _ in range(2):
        model = network(kind).double()
        for module in model.modules():
            if isinstance(module, nn.Dropout):  # the direct formulas draw more often
                module.p = 0.0
        models.append(model)
    images, labels = batch()[0].double(), torch.tensor([0, 1, 0, 1])
    expected = DIRECT[name](models[0], images, images, labels)
    assert score(name, models[1].eval(), images, labels) == pytest.approx(expected, rel=1e-6)


# --- input gradients ------------------------------------------------------------------------


def test_jacov_of_images_that_pull_apart() -> None:
    images = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 2.0, -2.0]])
    assert score("jacov", Squares(), images) == pytest.approx(-2 * (ALONE + 1 / (1 + 1e-5)))


def test_jacov_of_images_that_pull_together() -> None:
    images = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    # A linear layer has one gradient for every image: eigenvalues 3, 0 and 0.
    expected = -(log(3 + 1e-5) + 1 / (3 + 1e-5)) - 2 * (log(1e-5) + 1e5)
    assert score("jacov", nn.Linear(4, 5), images) == pytest.approx(expected)


# Correlations 0.5 within class 0, -0.5 within class 1; class 2 has one image.
FIVE = torch.tensor([[1.0, -1, 0, 0], [0, -1, 1, 0], [1, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]])
CLASSES = torch.tensor([0, 0, 1, 1, 2])
PAIR = 2 * log(0.5 + 1e-5) + 2 * ALONE


def test_epe_nas_of_few_classes_adds() -> None:
    assert score("epe_nas", Squares(100), FIVE, CLASSES) == pytest.approx(2 * abs(PAIR))
    assert score("epe_nas", Squares(3), FIVE[:3], CLASSES[:3]) == pytest.approx(abs(PAIR))


def test_epe_nas_of_many_classes_compares() -> None:
    assert score("epe_nas", Squares(101), FIVE, CLASSES) == pytest.approx(0)
    # A third class of images 0, 1 and 2: correlations 0.5, 1 and 0.5.
    images = torch.cat((FIVE, FIVE[:3]))
    labels = torch.tensor([0, 0, 1, 1, 2, 3, 3, 3])
    larger = (4 * log(0.5 + 1e-5) + 5 * ALONE) / 3
    expected = 2 * abs(larger - PAIR / 2) / 3  # two of the three pairs differ
    assert score("epe_nas", Squares(101), images, labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (10, [0, 1, 2, 3, 4], "two images of one class"),
        (101, [0, 0, 1, 2, 3], "two images each"),
    ],
)
def test_epe_nas_names_a_batch_without_pairs(classes: int, labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score("epe_nas", Squares(classes), FIVE, torch.tensor(labels))


@pytest.mark.parametrize("name", ["jacov", "epe_nas"])
@pytest.mark.parametrize("kind", ["no-path", "zero", "constant"])
def test_images_without_correlation_are_named(name: str, kind: str) -> None:
    model: nn.Module = zero_linear(4, 5)
    images = FIVE
    if kind == "constant":
        nn.init.constant_(model.weight, 0.1)
    if kind == "no-path":
        model = build_topology("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", cells=1)
        images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="0 or constant|has no gradient"):
        score(name, model, images, CLASSES)


# --- gradients of weights -------------------------------------------------------------------


def test_ntk_of_a_linear_layer_is_that_of_its_images() -> None:
    # K = classes * X X^T: lengths 1 and 3.
    images = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    assert score("ntk", nn.Linear(2, 5), images) == pytest.approx(9)


def test_ntk_takes_the_first_images_alone() -> None:
    images = torch.randn(IMAGES + 3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = score("ntk", network("branches"), images)
    assert whole == score("ntk", network("branches"), images[:IMAGES])
    assert whole != score("ntk", network("branches"), images[: IMAGES - 1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("build", [lambda: build_size("8:8:8:8:8"), lambda: network("plain")])
def test_ntk_of_equal_images_is_infinite(
    build: Callable[[], nn.Module], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    model, images = build().to(dtype), torch.randn(6, 3, 8, 8)
    assert isfinite(score("ntk", model, images))
    images[4] = images[1]
    assert score("ntk", model, images) == inf


def test_gradsign_counts_images_that_agree() -> None:
    images = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    # The gradient of either class is +-x / 2: first weights agree, second ones do not.
    assert score("gradsign", zero_linear(2), images, torch.tensor([1, 1])) == 2 * (2 + 0)
    assert score("gradsign", zero_linear(2), images, torch.tensor([0, 1])) == 2 * (0 + 2)
    assert score("gradsign", zero_linear(2), images[:1] * 0, torch.tensor([0])) == 0


def test_gradsign_does_not_mix_images() -> None:
    images, labels = batch()
    model = build_size("8:8:8:8:8").train()
    alone = []
    for image in range(2):
        model.zero_grad()
        backward(model, images[image : image + 1], labels[image : image + 1])
        alone.append([g.sign() for g in gradients_of(model)])
    expected = sum(float((a + b).abs().sum()) for a, b in zip(*alone, strict=True))
    assert score("gradsign", model, images[:2], labels[:2]) == pytest.approx(expected, rel=1e-3)


def test_zico_of_a_linear_layer() -> None:
    images, labels = torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0])
    # Two weights, gradients 1/2 and 3/2 but for the sign: mean 1 by deviation 1/2.
    assert score("zico", zero_linear(), images, labels) == pytest.approx(log(2 + 2))
    # An odd batch: the first image against the mean, 5, of the other two.
    three = torch.tensor([[1.0], [3.0], [7.0]])
    expected = log(2 * (3 / 2) / (2 / 2))
    assert score("zico", zero_linear(), three, torch.zeros(3).long()) == pytest.approx(expected)


def test_zico_leaves_out_weights_that_do_not_vary() -> None:
    images = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    labels = torch.tensor([0, 0])
    assert score("zico", zero_linear(2), images, labels) == pytest.approx(log(2 + 2))
    assert score("zico", zero_linear(1), images[:, 1:], labels) == 0


def test_grasp_is_what_the_whole_hessian_says() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    images, labels = torch.randn(5, 3).double(), torch.tensor([0, 1, 2, 0, 1])
    flat = torch.cat([w.detach().flatten() for w in weights(model)])

    def loss(point: Tensor) -> Tensor:
        first, second = point[:12].view(4, 3), point[12:].view(3, 4)
        hidden = torch.tanh(images @ first.T + model[0].bias)
        return nn.functional.cross_entropy(hidden @ second.T + model[2].bias, labels)

    hessian = torch.autograd.functional.hessian(loss, flat)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    expected = -float(flat @ (hessian @ gradient))
    assert score("grasp", model, images, labels) == pytest.approx(expected, rel=1e-9)


def test_grasp_before_a_normalisation_is_the_squared_gradient() -> None:
    torch.manual_seed(0)
    head = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), *head).double()
    images, labels = batch()
    images = images.double()
    backward(model, images, labels)
    expected = sum(float(g.square().sum()) for g in gradients_of(model))
    # The epsilon under the root of the normalisation is all that sees the scale.
    assert score("grasp", model, images, labels) == pytest.approx(expected, rel=1e-3)


# --- what they share ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jacov", "ntk", "zico"])
def test_one_image_is_named(name: str) -> None:
    images, labels = batch()
    with pytest.raises(ValueError, match="give 2"):
        score(name, network("plain"), images[:1], labels[:1])


@pytest.mark.parametrize("name", ["epe_nas", "gradsign", "zico", "grasp"])
def test_missing_labels_are_named(name: str) -> None:
    proxy = PROXIES.find(name)
    assert isinstance(proxy, FunctionProxy) and proxy.needs_labels
    with pytest.raises(ValueError, match="labels are missing"):
        proxy.function(network("plain"), batch()[0], None, 0)


@pytest.mark.parametrize("name", ["ntk", "gradsign", "zico", "grasp"])
def test_a_network_without_weights_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="no convolution or linear layer has weights"):
        score(name, Squares(), FIVE, torch.zeros(5).long())


def test_a_weight_counts_once() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    assert weights(nn.Sequential(first, second, first)) == [first.weight]


@pytest.mark.parametrize(
    ("model", "said"),
    [(nn.Conv2d(3, 5, 1), r"\(4, 5, 8, 8\)"), (nn.Flatten(0), r"\(768,\)")],
)
def test_an_output_that_is_no_logits_is_named(model: nn.Module, said: str) -> None:
    with pytest.raises(ValueError, match=rf"returned {said}, not \(4, classes\)"):
        logits(model, batch()[0])


@pytest.mark.parametrize("name", list(DIRECT))
@pytest.mark.parametrize("value", [nan, inf])
def test_gradients_that_are_not_finite_are_named(name: str, value: float) -> None:
    class Broken(nn.Module):
        """Its output is finite, and a gradient is not."""

        def __init__(self) -> None:
            super().__init__()
            self.body = network("plain")

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.body(x)
            result.register_hook(lambda gradient: gradient * value)
            return result

    with pytest.raises(ValueError, match="not finite"):
        score(name, Broken(), batch()[0], torch.tensor([0, 0, 1, 1]))


def test_gradients_of_what_does_not_count_are_zero() -> None:
    counts, other = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    first, second = gradients(counts.sum() * 2, [counts, other])
    assert first.tolist() == [2.0] * 2 and second.tolist() == [0.0] * 3
    with pytest.raises(ValueError, match="has no gradient"):
        gradients(torch.ones(()), [counts, other])
    with pytest.raises(ValueError, match="has no gradient"):
        gradients(counts.sum(), [other])
