"""Found on both spaces of NATS-Bench at once (Dong et al., TPAMI 2021)."""

from __future__ import annotations

from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["PROXIES"]

PROXIES = (
    EvolvedProxy(
        name="gm_any",
        expression="mul(late_half_mean(spectral_entropy(filter_correlation(weight))), "
        "sum_layers(effective_rank(filter_gram(noise_weight_grad))))",
        reference="this project, experiments/gm_any.yaml",
        words="In how many directions the gradients of the filters of a layer point when noise "
        "goes through, summed over all layers, times the mean entropy of the late layers' filters.",
        maths="mean_{l > L/2} H(λ(corr W_l)) · Σ_l exp(H(λ(G_l G_lᵀ))), where row i of W_l are "
        "the weights of filter i of layer l and of G_l the gradients of them, and H is the entropy "
        "of the normalised eigenvalues λ",
        reason="A layer learns as many things as its gradients have directions; one that no "
        "gradient reaches adds nothing, and one that repeats another's input adds little. The "
        "first factor reads no gradient: of random weights it is nearly the mean logarithm of the "
        "late layers' widths, the head's being that of classes or channels, whichever are fewer. "
        "So it favours late widths, more so where there are many classes; in the topology space, "
        "whose widths are fixed, it is nearly constant.",
        evolved_on="nats-tss cifar10, cifar100, imagenet16-120; "
        "nats-sss cifar10, cifar100, imagenet16-120",
    ),
)
