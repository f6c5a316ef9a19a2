"""Found on the topology space of NATS-Bench (Dong et al., TPAMI 2021)."""

from __future__ import annotations

from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["PROXIES"]

PROXIES = (
    EvolvedProxy(
        name="nats_tss_cifar10",
        expression="mul("
        "early_half_sum(min_eigenvalue(filter_cosine(log1p_abs(noise_weight_grad)))), "
        "sum_layers(median_eigenvalue(signed_log1p(filter_correlation(noise_weight_grad)))))",
        reference="this project, experiments/nats_tss_cifar10.yaml",
        words="How different the filters of a layer are in the gradients that noise gives them: "
        "over the first half of the layers the least eigenvalue of the cosines of log |gradient|, "
        "times over all layers the median eigenvalue of their damped correlations.",
        maths="(Σ_{l ≤ L/2} λ_min(cos(log(1 + |G_l|)))) · (Σ_l λ_med(s(corr(G_l)))), where row i "
        "of G_l is the gradient of filter i of layer l, and s(x) = sign(x) log(1 + |x|)",
        reason="Filters whose gradients are independent learn different things, and a layer that "
        "no gradient reaches adds nothing. That of log |gradient| is small where a few weights "
        "take all of the gradient, as behind a pooled or a dead path.",
        evolved_on="nats-tss cifar10",
    ),
    EvolvedProxy(
        name="gm_tss",
        expression="mul(mul(early_half_sum(median_eigenvalue(signed_log1p(filter_cosine(log1p_abs("
        "noise_weight_grad))))), sum_layers(min_eigenvalue(channel_correlation(noise_input)))), "
        "std_layers(median_eigenvalue(signed_log1p(abs(filter_cosine(log1p_abs(sqrt_abs("
        "noise_weight_grad))))))))",
        reference="this project, experiments/gm_tss.yaml",
        words="How different the filters of an early layer are in how large their gradients are, "
        "times how independent the channels of every layer's input are (MeCo at the inputs), times "
        "how much the former moves from layer to layer.",
        maths="Σ_{l ≤ L/2} λ_med(s(cos(g(G_l)))) · Σ_l λ_min(corr X_l) · "
        "std_l λ_med(s(|cos(g(√|G_l|))|)), where row i of G_l is the gradient of filter i of "
        "layer l, X_l are the inputs of layer l by channel, g(x) = log(1 + |x|) and s(x) = "
        "sign(x) log(1 + |x|)",
        reason="The first two factors are sums over layers, so layers count, but only those "
        "whose channels and gradients are not copies of each other: a cell of skips and pools "
        "repeats what it was given. The last is the least obvious; it is small where all layers "
        "are in one state.",
        evolved_on="nats-tss cifar10, cifar100, imagenet16-120",
    ),
)
