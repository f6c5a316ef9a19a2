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
        expression="tanh(minimum(add(early_half_sum(median_eigenvalue(signed_log1p(filter_cosine("
        "log1p_abs(log1p_abs(noise_weight_grad)))))), minimum(early_half_sum("
        "cumulative_sum(min_eigenvalue(filter_cosine(log1p_abs(noise_weight_grad))))), "
        "sum_layers(median_eigenvalue(signed_log1p(filter_correlation("
        "noise_weight_grad)))))), sqrt_abs(depth2_weighted_sum(cube(min_eigenvalue("
        "channel_correlation(noise_input)))))))",
        reference="this project, experiments/gm_tss_joined.yaml",
        words="The lesser of two: how different the filters of the layers are in the "
        "gradients that noise gives them, by the least and the median eigenvalue of "
        "their cosines and correlations, the early half counting most; and how "
        "independent the channels of every layer's input are (MeCo at the inputs), "
        "late layers counting most.",
        maths="tanh(min(Σ_{l ≤ L/2} λ_med(s(cos(g(g(G_l))))) + min(Σ_{l ≤ L/2} Σ_{k ≤ l} "
        "λ_min(cos(g(G_k))), Σ_l λ_med(s(corr(G_l)))), √|Σ_l l² λ_min(corr X_l)³|)), "
        "where row i of G_l is the gradient of filter i of layer l, X_l are the "
        "inputs of layer l by channel, g(x) = log(1 + |x|) and s(x) = sign(x) log(1 + "
        "|x|)",
        reason="Two things must hold: filters that learn different things, which "
        "nats_tss_cifar10 measures, and channels that carry different things; a cell "
        "is worth the lesser. It is short of either where paths are dead, or repeat "
        "what they were given. tanh changes no rank, but for what it saturates.",
        evolved_on="nats-tss cifar10, cifar100, imagenet16-120",
    ),
)
