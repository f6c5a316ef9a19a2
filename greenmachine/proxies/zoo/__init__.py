"""Proxies of the literature, one family per file.

A proxy is an expression if the language can express it, else a function. It has its published name
only if it computes the published formula on the passes of this project. If it reads another tensor
or other inputs, its name differs and ``notes`` explains how.
"""

from __future__ import annotations

from greenmachine.proxies.zoo import (
    az_nas,
    epe_nas,
    fisher,
    gradsign,
    grasp,
    jacov,
    layers,
    meco,
    norms,
    ntk,
    nwot,
    saliency,
    sed,
    size,
    swap,
    synflow,
    vkdnw,
    wrcor,
    zen,
    zico,
)

__all__ = ["FAMILIES"]

FAMILIES = (
    size,
    layers,
    norms,
    saliency,
    grasp,
    synflow,
    fisher,
    jacov,
    epe_nas,
    nwot,
    ntk,
    gradsign,
    zico,
    meco,
    zen,
    az_nas,
    vkdnw,
    swap,
    wrcor,
    sed,
)
