"""MeCo: the least eigenvalue of the correlation between channels.

Jiang et al., "MeCo: zero-shot NAS with one data and single forward pass via minimum eigenvalue
of correlation", NeurIPS 2023.
"""

from __future__ import annotations

from greenmachine.proxies.base import ExpressionProxy

__all__ = ["PROXIES"]

_REFERENCE = "Jiang et al., NeurIPS 2023"
_DEVIATION = (
    "The paper sums over the outputs of all modules, containers too, for ONE input. On a batch "
    "of one image this is its formula, over the convolutions and linear layers. "
)

PROXIES = (
    ExpressionProxy(
        name="meco_outputs",
        expression="sum_layers(min_eigenvalue(channel_correlation(noise_output)))",
        reference=f"{_REFERENCE}, over a batch",
        words="Sum over the layers of the least eigenvalue of the Pearson correlation of the "
        "output's channels over all positions of all images.",
        notes=_DEVIATION + "Larger batches lift eigenvalues that are 0 where there are more "
        "channels than positions. Batch normalisation does not change a correlation: its "
        "output gives the same. Entries that are not defined (a constant channel) are 0.",
    ),
    ExpressionProxy(
        name="meco_images",
        expression="sum_layers(min_eigenvalue(channel_correlation_per_image(noise_output)))",
        reference=f"{_REFERENCE}, mean over a batch",
        words="Sum over the layers of the least eigenvalue of the mean over the images of the "
        "Pearson correlation of the output's channels over the positions of one image.",
        notes=_DEVIATION + "On more images it is the eigenvalue of the mean correlation, not the "
        "mean of their eigenvalues.",
    ),
    ExpressionProxy(
        name="meco_inputs",
        expression="sum_layers(min_eigenvalue(channel_correlation(noise_input)))",
        reference=f"{_REFERENCE}, at the layer inputs over a batch",
        words="Sum over the layers of the least eigenvalue of the Pearson correlation of the "
        "input's channels over all positions of all images.",
        notes="This project's variant: inputs, so after the ReLUs, instead of outputs.",
    ),
)
