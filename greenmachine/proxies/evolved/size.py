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
    EvolvedProxy(
        name="gm_sss",
        expression="add(depth_weighted_mean(l2_norm(filter_gram(weight))), "
        "div(depth_weighted_mean(signed_sqrt(largest(sqrt_abs(noise_input)))), "
        "mean_layers(l2_norm(weight))))",
        direction=-1,
        reference="this project, experiments/gm_sss.yaml",
        words="How much the filters of a layer overlap, late layers counting most, plus the reach "
        "of the activations over the mean length of a layer's weights; low is good.",
        maths="Σ_l l · ‖K(W_l)‖ / Σ_l l + (Σ_l l · max|X_l|^¼ / Σ_l l) / mean_l ‖W_l‖, where row i "
        "of W_l are the weights of filter i of layer l, K their mean products, X_l the inputs of "
        "the layer on noise, and ‖·‖ the square root of the sum of squares",
        reason="The size of a layer's weights at the start tells its widths, each about equally, "
        "and max|X|^¼ hardly moves. What the first term adds is the head: drawn by the width of "
        "its input, its products fall with the last width, and there are the more of them the "
        "more classes there are. So the last width counts double where there are a hundred "
        "classes, as it does for accuracy.",
        evolved_on="nats-sss cifar10, cifar100, imagenet16-120",
    ),
)
