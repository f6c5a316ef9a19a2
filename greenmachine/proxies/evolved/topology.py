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
        reference="this project, experiments/single/nats_tss_cifar10.yaml",
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
        expression="add(max_layers(times_depth(sqrt_abs(min_eigenvalue(channel_correlation("
        "noise_input))))), square(tanh(signed_log1p(early_half_sum(median_eigenvalue("
        "filter_cosine(log1p_abs(noise_weight_grad))))))))",
        reference="this project, experiments/third/gm_tss.yaml",
        words="How independent the channels of a layer's input are when noise goes through, by "
        "the least eigenvalue of their correlations (MeCo at the inputs), at the layer where this "
        "times depth is largest; and how different the filters are in the gradients that noise "
        "gives them, by the median eigenvalue of the cosines of log |gradient|, summed over the "
        "first half of the layers and saturating.",
        maths="max_l((l / L) √|λ_min(corr X_l)|) + tanh²(log(1 + Σ_{l ≤ L/2} "
        "λ_med(cos(log(1 + |G_l|))))), where X_l are the inputs of layer l by channel, and row i "
        "of G_l is the gradient of filter i of layer l",
        reason="Two things are asked of a cell: channels that still carry different things deep "
        "in the network, and filters that learn different things early in it. Cells with dead or "
        "pooled paths are short of the second, chains that repeat what they were given of the "
        "first. The second saturates, so that among cells whose gradients are in order the first "
        "decides.",
        evolved_on="nats-tss cifar10, cifar100, imagenet16-120",
    ),
    EvolvedProxy(
        name="nats_tss_imagenet16",
        expression="minimum(max_layers(signed_sqrt(min_eigenvalue(channel_correlation("
        "noise_input)))), mul(mul(max_layers(signed_sqrt(times_depth(signed_sqrt(min_eigenvalue("
        "channel_correlation(noise_input)))))), tanh(early_half_sum(median_eigenvalue("
        "signed_log1p(filter_cosine(log1p_abs(noise_weight_grad))))))), signed_sqrt("
        "mean_log_layers(depth))))",
        reference="this project, experiments/single/nats_tss_imagenet16.yaml",
        words="What gm_tss asks, channels of the inputs that are independent deep in the network "
        "and filters whose gradients differ early in it, here multiplied, and times a factor that "
        "grows with the number of layers; but no more than the independence of channels at the "
        "layer where it is largest, wherever that is.",
        maths="min(max_l √λ_l, max_l √((l / L) √λ_l) · tanh(Σ_{l ≤ L/2} "
        "λ_med(s(cos(log(1 + |G_l|))))) · √(mean_l log l)), where λ_l = λ_min(corr X_l), X_l are "
        "the inputs of layer l by channel, row i of G_l is the gradient of filter i of layer l, "
        "and s(x) = sign(x) log(1 + |x|); roots keep signs",
        reason="As for gm_tss: dead and pooled paths are short of the second, chains that repeat "
        "what they were given of the first. Where accuracies are far from saturated, as with "
        "these 120 classes, a cell pays for being short of either, so they multiply, and more "
        "convolutions help a cell that has both.",
        evolved_on="nats-tss imagenet16-120",
    ),
)
