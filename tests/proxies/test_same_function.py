"""Same function, built otherwise: every proxy gives the same score, named and exported."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import nn

import greenmachine
from greenmachine.export import export_source
from greenmachine.language import parse
from greenmachine.proxies import PROXIES, ArchitectureProxy, ExpressionProxy, Proxy
from tests.disguises import DISGUISES, SHAPE, Disguise, batch

OF_NETWORKS = [proxy for proxy in PROXIES if not isinstance(proxy, ArchitectureProxy)]
EXPRESSIONS = [proxy for proxy in OF_NETWORKS if isinstance(proxy, ExpressionProxy)]
FEW = {"gm_any", "gm_tss", "digits_tss", "synflow", "fisher"}  # every pass; all are slow
COUNT_MODULES = {"meco_modules", "meco_opt_modules"}  # by their definition
TOLERANCE = 1e-4

EACH = pytest.mark.parametrize("disguise", list(DISGUISES))


def said(score: Callable[..., float], model: nn.Module, disguise: Disguise) -> float:
    """Return the score of the disguised network."""
    images, labels = disguise.convert(*batch(disguise.dtype))
    with disguise.context():
        return score(model, images=images, labels=labels, **disguise.options)


def plain_score(proxy: Proxy, model: nn.Module, dtype: torch.dtype) -> float:
    """Return the score of a plain network, computed once for all that have its weights."""
    state = b"".join(value.detach().numpy().tobytes() for value in model.state_dict().values())
    key = (proxy.name, type(model), dtype, state)
    if key not in _scores:
        images, labels = batch(dtype)
        _scores[key] = greenmachine.score(model, proxy, images=images, labels=labels)
    return _scores[key]


_scores: dict[tuple[Any, ...], float] = {}


@EACH
def test_every_proxy_sees_through_the_disguise(disguise: str) -> None:
    known = DISGUISES[disguise]
    model, other = known.pair()
    for proxy in OF_NETWORKS:
        if (not known.modules and proxy.name in COUNT_MODULES) or proxy.name in known.drawn:
            continue
        score = partial(scored, proxy)
        if proxy.name in known.refused:
            with pytest.raises(greenmachine.GreenMachineError, match=proxy.name):
                said(score, other, known)
            continue
        expected = plain_score(proxy, model, known.dtype)
        found = said(score, other, known)
        assert found == pytest.approx(expected, rel=TOLERANCE), proxy.name


def scored(proxy: Proxy, model: nn.Module, **options: Any) -> float:
    return greenmachine.score(model, proxy, **options)


@cache
def exported(name: str, exact: bool = True) -> Any:
    source = export_source(
        parse(PROXIES.find(name).expression), direction=1, shape=SHAPE, name=name, exact=exact
    )
    module: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, f"{name}.py", "exec", dont_inherit=True), module)
    return module["score"]


@EACH
@pytest.mark.parametrize(
    "names", [FEW, pytest.param(None, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_every_export_sees_through_the_disguise(disguise: str, names: set[str] | None) -> None:
    known = DISGUISES[disguise]
    model, other = known.pair()
    for proxy in EXPRESSIONS:
        if names is not None and proxy.name not in names:
            continue
        expected = plain_score(proxy, model, known.dtype)
        found = said(exported(proxy.name), other, known)
        assert found == pytest.approx(expected, rel=TOLERANCE), proxy.name


REFUSED = {"reentrant checkpoint"}  # by compact exports; docs/how_to/exports.md says why
COMPUTED = {name for name in DISGUISES if "norm hook" in name or "prune" in name} | {
    "weight_norm",
    "spectral_norm",
    "orthogonal",
    "parametrisation",
    "checkpoint",
}
"""Refused by compact exports that read the ones pass, too."""


@EACH
@pytest.mark.parametrize(
    "names", [FEW, pytest.param(None, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_every_compact_export_agrees_or_refuses(disguise: str, names: set[str] | None) -> None:
    known = DISGUISES[disguise]
    _, other = known.pair()
    for proxy in EXPRESSIONS:
        if names is not None and proxy.name not in names:
            continue
        score = exported(proxy.name, exact=False)
        refuses = disguise in REFUSED and "_grad" in proxy.expression
        # A map as wide as the images are many is sent once more, and a hook computes a new weight.
        refuses |= ("hook" in disguise or "prune" in disguise) and "put" in proxy.expression
        if refuses or (disguise in COMPUTED and "ones" in proxy.passes):
            with pytest.raises((ValueError, RuntimeError)):
                said(score, other, known)
            continue
        # The engine's of the same network: one that is built otherwise rounds otherwise.
        expected = said(partial(scored, proxy), other, known)
        assert said(score, other, known) == pytest.approx(expected, rel=1e-6), proxy.name
