"""Hand-made proxies of the literature, one family a file.

They are expressions wherever the language can say them, and functions where it cannot. A proxy
bears its published name only where it is the published formula on the passes of this project.
Where what is measured differs (another tensor, another set of inputs) the name says so, and
``notes`` says how.
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
