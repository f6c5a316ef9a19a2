"""Found on both spaces of NATS-Bench at once (Dong et al., TPAMI 2021)."""

from __future__ import annotations

from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["PROXIES"]

PROXIES = (
    EvolvedProxy(
        name="gm_any",
        expression="div(mul(sqrt_abs(last_layer(effective_rank(filter_correlation(weight)))), "
        "sum_layers(effective_rank(filter_correlation(noise_weight_grad)))), mean_layers("
        "times_depth(previous_layer(previous_layer(previous_layer(std(weight)))))))",
        reference="this project, experiments/third/gm_any.yaml",
        words="In how many directions the gradients of the filters point when noise goes "
        "through, summed over the layers, times the root of in how many the last layer's filters "
        "do, over the spread of the weights three layers before, late layers counting most.",
        maths="√r(W_L) · Σ_l r(G_l) / mean_l((l / L) std(W_{l−3})), r(M) = exp(H(λ(corr M))), "
        "where row i of W_l are the weights of filter i of layer l and of G_l the gradients of "
        "them (the first layer stands for those before it), and H is the entropy of the "
        "normalised eigenvalues λ",
        reason="A layer learns as many things as its gradients have directions: few where paths "
        "are dead, pooled or copied, which is what tells cells apart. The rank of the head is the "
        "last width, or the number of classes where that is less, and weights are drawn the "
        "smaller the wider the layer: both hardly move among cells, and tell widths apart.",
        evolved_on="nats-tss cifar10, cifar100, imagenet16-120; nats-sss cifar10, cifar100, "
        "imagenet16-120",
    ),
)
