"""Found on the size space of NATS-Bench (Dong et al., TPAMI 2021)."""

from __future__ import annotations

from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["PROXIES"]

PROXIES = (
    EvolvedProxy(
        name="nats_sss_cifar10",
        expression="div("
        "sum_layers(std(channel_cosine(signed_sqrt(centre_channels(abs(noise_input_grad)))))), "
        "depth_weighted_mean(effective_rank(channel_covariance(noise_input))))",
        direction=-1,
        reference="this project, experiments/nats_sss_cifar10.yaml",
        words="How unevenly the channels of a layer's input resemble each other in where their "
        "gradient is large, over the number of directions that its activations fill, deep layers "
        "counting most; low is good.",
        maths="(Σ_l std(cos(r(|D_l| − mean_c |D_l|)))) / (Σ_l l · exp(H(λ(cov X_l))) / Σ_l l), "
        "where X_l are the inputs of layer l by channel, D_l the gradients of them, r(x) = "
        "sign(x) √|x|, and H the entropy of the normalised eigenvalues λ",
        reason="The divisor grows with the channels, late ones most, but by what they add beyond "
        "the others rather than by their number. The dividend falls as channels grow more: many "
        "random directions are nearly orthogonal.",
        evolved_on="nats-sss cifar10",
    ),
)
