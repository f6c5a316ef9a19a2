"""The registry is write-once and complete, and its functions can be inlined in a file."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from greenmachine import primitives
from greenmachine.primitives import KINDS, LAYER_SCALAR, Primitive, Registry, Signature, registry

FAMILIES = {"elementwise", "matrices", "reductions", "spectra", "aggregations", "scalars"}
ITEM = Primitive(
    "neg",
    "scalars",
    registry["neg"].function,
    (Signature((LAYER_SCALAR,), LAYER_SCALAR),),
    "d",
    "r",
)


EACH = pytest.mark.parametrize("item", list(registry), ids=lambda p: p.name)


def test_six_families_of_at_least_sixty_names() -> None:
    names = {p.name for p in registry if p.family in FAMILIES}
    assert len(names) >= 60
    assert {p.family for p in registry} >= FAMILIES


def test_the_names_the_zoo_needs_exist() -> None:
    names = """abs square log1p_abs neg relu sign positive add sub mul div channel_correlation
    batch_correlation sign_agreement mean sum std l1_norm l2_norm numel channel_count dot cosine
    min_eigenvalue max_eigenvalue logdet effective_rank sum_layers mean_layers sum_log_layers
    mean_log_layers depth_weighted_sum sum_matrices mean_matrices log_abs power scale"""
    assert [n for n in names.split() if n not in registry] == []


def test_collision_raises() -> None:
    with pytest.raises(ValueError, match="already registered, by .*elementwise"):
        registry.add(registry["abs"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signatures": (Signature(("Tensor",), LAYER_SCALAR),)}, "unknown kinds"),
        ({"signatures": (*ITEM.signatures, *ITEM.signatures)}, "same arguments"),
        ({"signatures": ()}, "needs signatures"),
        ({"domain": ""}, "needs signatures"),
        ({"reference": ""}, "needs signatures"),
    ],
)
def test_incomplete_primitive_raises(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Registry().add(replace(ITEM, **change))


def test_result_of_a_signature() -> None:
    assert ITEM.result((LAYER_SCALAR,)) == LAYER_SCALAR
    assert ITEM.result((LAYER_SCALAR, LAYER_SCALAR)) is None


def test_every_kind_but_the_signals_is_produced() -> None:
    produced = {s.result for p in registry for s in p.signatures}
    assert produced == set(KINDS) - {"Number"}


@EACH
def test_is_documented(item: Primitive) -> None:
    assert item.doc.endswith(".")
    assert len(item.doc) > 3
    assert item.function.__name__ == item.name
    assert item.domain.strip()
    assert item.reference.strip()


def free_names(function: Callable[..., Any]) -> set[str]:
    """Names that the body of ``function`` reads and does not bind."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    nodes = [n for statement in definition.body for n in ast.walk(statement)]
    bound = {a.arg for a in definition.args.args}
    bound |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return {n.id for n in nodes if isinstance(n, ast.Name)} - bound


def check_inlinable(function: Callable[..., Any], seen: set[str]) -> None:
    assert function.__closure__ is None
    for name in free_names(function) - seen:
        seen.add(name)
        assert name not in registry, f"{function.__name__} reads {name}, which an export shadows"
        if name in ("torch", "math", "Tensor"):
            continue
        if name not in function.__globals__:
            assert hasattr(builtins, name), name
            continue
        value = function.__globals__[name]
        if inspect.isfunction(value):
            assert value.__module__ in (function.__module__, "greenmachine.primitives._helpers")
            check_inlinable(value, seen)
        else:
            assert isinstance(value, float | int), name


@EACH
def test_can_be_inlined(item: Primitive) -> None:
    check_inlinable(item.function, set())


def test_helpers_have_one_meaning_each() -> None:
    """An export puts helpers of several modules into one file: their names must not collide."""
    owners: dict[str, str] = {}
    for family in [*FAMILIES, "_helpers"]:
        module = __import__(f"greenmachine.primitives.{family}", fromlist=["_"])
        for name, value in vars(module).items():
            is_constant = isinstance(value, float) and name.isupper()
            if (inspect.isfunction(value) and value.__module__ == module.__name__) or is_constant:
                imported = family != "_helpers" and hasattr(primitives._helpers, name)
                if not imported:
                    assert owners.setdefault(name, family) == family, name


def test_package_exports_what_it_lists() -> None:
    assert all(hasattr(primitives, name) for name in primitives.__all__)
    assert Tensor.__name__ == "Tensor"
