"""Found on both spaces of NATS-Bench at once (Dong et al., TPAMI 2021)."""

from __future__ import annotations

from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["PROXIES"]

PROXIES = (
    EvolvedProxy(
        name="gm_any",
        expression="div(mean_layers(signed_sqrt(times_depth(previous_layer(previous_layer("
        "previous_layer(times_depth(std(weight)))))))), sub(sum_log_layers(skewness("
        "sqrt_abs(add(noise_weight_grad, weight)))), mul(last_layer(spectral_entropy("
        "filter_correlation(weight))), sum_layers(effective_rank(filter_correlation("
        "noise_weight_grad))))))",
        reference="this project, experiments/gm_any_joined.yaml",
        words="In how many directions the gradients of the filters point when noise goes "
        "through, summed over the layers, times the entropy of the last layer's "
        "filters, less a sum of log skewness; over the spread of the weights three "
        "layers before, late layers counting most. The score is minus the inverse of that: "
        "high is good.",
        maths="−N / (H(λ(corr W_L)) · Σ_l exp(H(λ(corr G_l))) − Σ_l log|skew(√|G_l + "
        "W_l|)|), N = mean_l √((l / L) ((l − 3) / L) std(W_{l−3})), where row i of "
        "W_l are the weights of filter i of layer l and of G_l the gradients of them, "
        "the first layer stands for those before it, and H is the entropy of the "
        "normalised eigenvalues λ",
        reason="A layer learns as many things as its gradients have directions, and the "
        "entropy of the head is that of the last "
        "width or of the classes, whichever are fewer. N falls as widths grow, those "
        "before the last layers; in the topology space it hardly moves. The skewness "
        "tells layers that no gradient reaches, whose weights stand alone.",
        evolved_on="nats-tss cifar10, cifar100, imagenet16-120; nats-sss cifar10, cifar100, "
        "imagenet16-120",
    ),
)
