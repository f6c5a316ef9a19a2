"""Values that the papers report, which have a column separate from the measured values.

If a paper does not describe how it measured, the protocol is ``unknown``. The values are for
CIFAR-10, CIFAR-100 and ImageNet16-120 in this order, as far as they are known. Values published
for all cells have the protocol ``scored``.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from greenmachine.tables.sources import DATASETS

__all__ = ["FACTORY", "MECO", "RANKING", "with_published"]

Figures = Mapping[tuple[str, str, str, str], tuple[float, ...]]
"""By space, protocol, metric and proxy."""

_TSS, _SSS = "nats-tss", "nats-sss"

RANKING: Figures = {
    # arXiv 2411.15290: the best proxy of the paper, whose formula is not known here.
    (_TSS, "stratified", "tau", "greenmachine"): (0.78, 0.71),
    (_SSS, "stratified", "tau", "greenmachine"): (0.89, 0.77),
    # EZNAS, an earlier method.
    (_TSS, "unknown", "tau", "eznas"): (0.620, 0.617),
    (_SSS, "unknown", "tau", "eznas"): (0.707,),
    # Not from the papers of these proxies, but from scores of one seed that others published.
    (_TSS, "scored", "tau", "az_nas"): (0.741,),
    (_TSS, "live", "tau", "nwot"): (0.623, 0.648, 0.614),
    (_TSS, "live", "tau", "(params)"): (0.621, 0.586, 0.547),
    (_TSS, "live", "tau", "jacov"): (0.614, 0.636, 0.602),
    (_TSS, "live", "tau", "synflow"): (0.578, 0.559, 0.539),
    (_TSS, "live", "tau", "epe_nas"): (0.577, 0.596, 0.217),
    (_TSS, "live", "tau", "(flops)"): (0.572, 0.538, 0.500),
    (_TSS, "live", "tau", "flops"): (0.572, 0.538, 0.500),
    (_TSS, "live", "tau", "l2_norm"): (0.550, 0.567, 0.545),
    (_TSS, "live", "tau", "snip"): (0.441, 0.439, 0.404),
    (_TSS, "live", "tau", "grad_norm"): (0.440, 0.438, 0.404),
    # As in their code, where a channel counts once for each of its weights.
    (_TSS, "live", "tau", "fisher_broadcast"): (0.399, 0.397, 0.358),
    (_TSS, "live", "tau", "grasp"): (0.377, 0.375, 0.374),
    (_TSS, "live", "tau", "zen"): (0.109, 0.084, 0.092),
    (_TSS, "live", "tau", "plain"): (-0.233, -0.243, -0.229),
    # Table 1 of Tybl and Neumann, CVPR 2025, mean of five runs. The cells are those without unused
    # operations: only on these do FLOPs have the published values (.623 .586 .545, nDCG .745 .576
    # .403).
    (_TSS, "live", "tau", "az_nas"): (0.712, 0.696, 0.673),
    (_TSS, "live", "tau", "zico"): (0.607, 0.614, 0.587),
    (_TSS, "live", "tau", "trainable_layers"): (0.626, 0.646, 0.623),
    (_TSS, "live", "tau", "vkdnw"): (0.618, 0.634, 0.622),
    (_TSS, "live", "tau", "vkdnw_agg"): (0.750, 0.753, 0.743),
    (_TSS, "live_space", "ndcg", "(flops)"): (0.745, 0.576, 0.403),
    (_TSS, "live_space", "ndcg", "az_nas"): (0.749, 0.549, 0.534),
    (_TSS, "live_space", "ndcg", "zico"): (0.751, 0.607, 0.523),
    (_TSS, "live_space", "ndcg", "vkdnw_agg"): (0.785, 0.636, 0.664),
}

# Jiang et al., NeurIPS 2023: the authors' protocol, every module's output.
MECO: Figures = {
    (space, protocol, "spearman", "meco_modules"): rhos
    for space, rhos in ((_TSS, (0.894, 0.883, 0.845)), (_SSS, (-0.79, -0.87, -0.86)))
    for protocol in ("scored", "cifar10_image")
}

# arXiv 2505.09344, Kendall's tau, protocol unknown.
FACTORY: Mapping[str, tuple[float, ...]] = {
    _TSS: (0.921, 0.929, 0.908),
    _SSS: (0.907, 0.945, 0.920),
}

_KEYS = ["proxy", "space", "dataset", "protocol", "metric"]


def with_published(table: pd.DataFrame, figures: Figures) -> pd.DataFrame:
    """Return the long rows with the column ``published``.

    A published value for a space and data set of ``table`` without a row there gets a row without a
    measured value, so that missing measurements are visible.
    """
    rows = [
        (proxy, space, dataset, protocol, metric, value)
        for (space, protocol, metric, proxy), values in figures.items()
        for dataset, value in zip(DATASETS, values, strict=False)
    ]
    known = pd.DataFrame(rows, columns=[*_KEYS, "published"])
    known = known.merge(table[["space", "dataset"]].drop_duplicates(), on=["space", "dataset"])
    found = table.drop(columns="published").merge(known, on=_KEYS, how="left")
    alone = known[~known.set_index(_KEYS).index.isin(found.set_index(_KEYS).index)]
    return pd.concat([found, alone], ignore_index=True)[list(table.columns)]
