"""Fisher information of channels.

Turner et al., "BlockSwap: Fisher-guided block substitution for network compression on a
budget", ICLR 2020; as a score of networks: Abdelfattah et al., ICLR 2021.
"""

from __future__ import annotations

from greenmachine.proxies.types import ExpressionProxy

__all__ = ["PROXIES"]

_REFERENCE = "Turner et al., ICLR 2020; Abdelfattah et al., ICLR 2021"
_OUTPUT = (
    "a is the output of a convolution or linear layer, before its normalisation; L is the "
    "cross-entropy, mean over a labelled mini-batch."
)
_CHANNELS = "channel_fisher(data_output, data_output_grad)"

PROXIES = (
    ExpressionProxy(
        name="fisher",
        expression=f"sum_layers({_CHANNELS})",
        reference=_REFERENCE,
        description="Sum over all channels of half the mean over images of "
        "(sum over positions of a * dL/da) squared.",
        notes=f"{_OUTPUT} Every channel counts once; it is not broadcast over its weights.",
    ),
    ExpressionProxy(
        name="fisher_broadcast",
        expression=f"sum_layers(mul({_CHANNELS}, div(numel(weight), channel_count(data_output))))",
        reference=_REFERENCE,
        description="Like fisher, but every channel counts once for each of its weights.",
        notes=_OUTPUT,
    ),
)
