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
)
