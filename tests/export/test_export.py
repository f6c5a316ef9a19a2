"""What stands in an exported file, and how its score treats the network.

Files are loaded here without an entry in ``sys.modules``, the harder way.
"""

from __future__ import annotations

import ast
import copy
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from greenmachine.errors import ConfigError, ExpressionError
from greenmachine.export import export_source, write_export
from greenmachine.language import parse
from greenmachine.language.grammar import Grammar
from greenmachine.primitives import LAYER_SCALAR, registry
from greenmachine.proxies import PROXIES, ExpressionProxy, resolve
from greenmachine.signals.registry import PASSES
from tests.export.test_export_scores import every_signature
from tests.proxies.engine_scores import engine_score
from tests.proxies.tiny_networks import SHAPE, batch, network

EXPRESSIONS = [proxy for proxy in PROXIES if isinstance(proxy, ExpressionProxy)]
MECO = "sum_layers(min_eigenvalue(channel_correlation(noise_input)))"
MIXED = (
    "add(sum_layers(dot(data_weight_grad, weight)), logdet(sum_matrices(add("
    "sign_agreement(noise_input), sign_agreement(ones_input)))))"
)


def source(text: str = MECO, **options: Any) -> str:
    defaults: dict[str, Any] = {"direction": 1, "shape": SHAPE, "name": "mine", "exact": True}
    return export_source(text, **(defaults | options))


def load(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(text, "exported.py", "exec", dont_inherit=True), names)
    return names


def total(texts: list[str]) -> str:
    """The sum of some expressions."""
    while len(texts) > 1:
        paired = [f"add({a}, {b})" for a, b in zip(texts[::2], texts[1::2], strict=False)]
        texts = paired + texts[len(paired) * 2 :]
    return texts[0]


def test_constants_and_repr() -> None:
    names = load(source(direction=-1))
    assert names["EXPRESSION"] == MECO
    assert names["DIRECTION"] == -1
    assert names["SHAPE"] == SHAPE
    assert repr(names["score"]) == MECO


def test_docstring_says_what_is_known() -> None:
    tau = {
        "train": {"cifar10": 0.8125},
        "validation": (0.8, 0.0123),
        "test": {
            "cifar10": {
                "champion": {"tau": 0.79, "standard_error": 0.004, "failures": 2},
                "params": {"tau": 0.5},
            }
        },
        "later": None,
    }
    text = source(name='a """ b\\', provenance={"run": "tss\nx", "seed": 3}, tau=tau)
    doc = ast.get_docstring(ast.parse(text))
    assert doc is not None
    assert doc.startswith("a ''' b\\: a zero-cost proxy")
    lines = [" ".join(line.split()) for line in doc.splitlines()]
    for line in (
        "Formula (a high score is good):",
        MECO,
        "run: tss x",
        "seed: 3",
        "train cifar10 0.812",
        "validation 0.800 ± 0.012",
        "test cifar10 champion 0.790 ± 0.004",
        "test cifar10 params 0.500",
        "later None",
    ):
        assert line in lines


def test_docstring_formula_parses_back() -> None:
    text = PROXIES.find("nwot_inputs").expression
    text = f"add({text}, add({text}, {MECO}))"
    doc = ast.get_docstring(ast.parse(source(text)))
    assert doc is not None
    formula = doc.split("is good):")[1].split("Use:")[0]
    assert parse(formula).text == text


def test_only_what_is_needed_is_inlined() -> None:
    text = source()
    assert "noise_pass" in text
    for absent in (
        "data_pass",
        "ones_pass",
        "perturbed_pass",
        "deepcopy",
        "l2_norm",
        "add_weights",
    ):
        assert absent not in text
    assert len(text.splitlines()) < 1400


@pytest.mark.parametrize("proxy", EXPRESSIONS, ids=lambda p: p.name)
def test_no_import_of_ours(proxy: Any) -> None:
    for node in ast.walk(ast.parse(source(proxy.expression))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        assert not any(m.partition(".")[0] == "greenmachine" for m in modules)


def test_the_whole_vocabulary_fits_in_one_file() -> None:
    text = source(total(every_signature()))
    tree = ast.parse(text)
    defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert len(defined) == len(set(defined))
    assert {p.name for p in registry} <= set(defined)
    bound = {
        a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names
    }
    assert not bound & set(defined)
    # A formula's own names must not hide a function that it calls.
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in ("layer_values", "formula"):
            stored = {
                n.id
                for n in ast.walk(function)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
            assert not stored & set(defined)
    # Primitives such as sum and abs hide builtins: the capture must not read those.
    own = {p.name for p in registry}
    capture = text.split("# --- greenmachine/primitives/")[0]
    for node in ast.parse(capture).body:
        arguments = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        read = {n.id for n in names if isinstance(n.ctx, ast.Load)}
        assert not (read - stored - arguments) & own


def test_random_trees_round_trip_through_resolve(tmp_path: Path) -> None:
    grammar = Grammar(list(PASSES))
    random.seed(3)
    for number in range(20):
        tree = grammar.generate("NetworkScalar", 8, full=number % 2 == 0)
        text = grammar.expression(tree).text
        path = tmp_path / f"p{number}.py"
        write_export(path, text, direction=1, shape=SHAPE, name="p", exact=number % 3 == 0)
        assert resolve(str(path)).expression == text


@pytest.mark.skipif(shutil.which("ruff") is None, reason="ruff is a development tool")
def test_files_are_linted_and_formatted(tmp_path: Path) -> None:
    texts = [
        MECO,
        MIXED,
        total(every_signature()[::25]),
        *(proxy.expression for proxy in EXPRESSIONS),
    ]
    for exact in (False, True):
        for number, text in enumerate(texts):
            path = tmp_path / f"p{number}_{exact}.py"
            path.write_text(source(text, exact=exact), encoding="utf-8")
    common = ["--line-length", "100", "--isolated", str(tmp_path)]
    for command in (["check", "--select", "E,F,I,W", *common], ["format", "--diff", *common]):
        run = subprocess.run(["ruff", *command], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("exact", [False, True], ids=["compact", "exact"])
@pytest.mark.parametrize("text", [MECO, MIXED, PROXIES.find("synflow").expression])
def test_score_leaves_the_network_as_it_was(text: str, exact: bool) -> None:
    model = network("branches").eval()
    model.get_submodule("head").train()
    model.get_submodule("dead").requires_grad_(False)
    model(torch.randn(SHAPE)).sum().backward()
    state = copy.deepcopy(model.state_dict())
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    flags = [p.requires_grad for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    images, labels = batch()
    kept = images.clone()
    random_state = torch.get_rng_state()
    score = load(source(text, exact=exact))["score"]
    first = score(model, images, labels)
    assert first == score(model, images, labels)
    assert torch.equal(images, kept)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == flags
    for before, parameter in zip(grads, model.parameters(), strict=True):
        assert (before is None) == (parameter.grad is None)
        assert before is None or torch.equal(before, parameter.grad)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_score_where_gradients_are_switched_off(context: Any) -> None:
    score = load(source(MIXED))["score"]
    model, (images, labels) = network("plain"), batch()
    expected = score(model, images, labels)
    with context():
        images = images.clone()  # in inference mode a tensor that autograd refuses
        assert score(model, images, labels) == expected


def test_images_give_the_noise_its_shape() -> None:
    score = load(source())["score"]
    model = network("branches")
    assert score(model) == score(model, torch.zeros(SHAPE))
    other = (2, 3, 12, 12)
    assert score(model, torch.zeros(other)) == pytest.approx(engine_score(MECO, model, other))
    assert score(model, seed=1) != score(model)


def test_missing_images_are_named() -> None:
    images, labels = batch()
    score = load(source(PROXIES.find("snip").expression))["score"]
    for arguments in ((), (images,), (None, labels)):
        with pytest.raises(ValueError, match="labelled mini-batch"):
            score(network("plain"), *arguments)


def test_a_network_without_layers_is_named() -> None:
    with pytest.raises(ValueError, match="no convolution or linear layer"):
        load(source())["score"](torch.nn.ReLU())


def test_what_is_not_finite_comes_out_as_it_is() -> None:
    model = network("plain")
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    score = load(source("sum_layers(mean(noise_output))"))["score"](model)
    assert score != score


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("proxy", EXPRESSIONS, ids=lambda p: p.name)
def test_score_on_the_device_of_the_network(proxy: Any) -> None:
    score = load(source(proxy.expression))["score"]
    expected = score(network("plain"), *batch())
    assert score(network("plain").cuda(), *batch()) == pytest.approx(expected, rel=1e-2)


def test_shared_parts_are_computed_once() -> None:
    matrix = "channel_correlation(noise_input)"
    text = f"sum_layers(mul(min_eigenvalue({matrix}), logdet({matrix})))"
    body = source(text).split("def layer_values")[1].split("class Proxy")[0]
    assert body.count("eigenvalues(") == 1
    assert parse(text).args[0].kind == LAYER_SCALAR


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"direction": 0}, ConfigError),
        ({"shape": (32,)}, ConfigError),
        ({"shape": (0, 3, 32, 32)}, ConfigError),
        ({"text": "sum_layers(weight)"}, ExpressionError),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        source(**options)
