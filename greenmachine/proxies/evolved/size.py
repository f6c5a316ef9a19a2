"""Found on the size space of NATS-Bench (Dong et al., TPAMI 2021)."""

from __future__ import annotations

from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["PROXIES"]

PROXIES = (
    EvolvedProxy(
        name="nats_sss_cifar10",
        expression="div(sum_layers(effective_rank(filter_gram(square(cube(weight))))), "
        "mean_layers(log1p_abs(times_depth(previous_layer(previous_layer(previous_layer("
        "std(weight))))))))",
        reference="this project, experiments/single/nats_sss_cifar10.yaml",
        words="In how many directions the sixth powers of the filters of a layer point, summed "
        "over the layers, over the spread of the weights three layers before, late layers "
        "counting most.",
        maths="Σ_l exp(H(λ(V_l V_lᵀ))) / mean_l log(1 + (l / L) std(W_{l−3})), where row i of V_l "
        "are the sixth powers of the weights of filter i of layer l, W_{l−3} are the weights "
        "three layers before (the first where there is none), and H is the entropy of the "
        "normalised eigenvalues λ",
        reason="Both read widths alone, as all networks of this space have one shape. Sixth powers "
        "are positive and have one large common direction, so the rank grows more slowly than the "
        "number of filters: wide layers saturate, as they do in accuracy. Weights are drawn the "
        "smaller the wider the layer, so the divisor falls with widths; that of three layers "
        "before at depth l leaves out the last layers, whose widths on CIFAR-10 matter least.",
        evolved_on="nats-sss cifar10",
    ),
    EvolvedProxy(
        name="nats_sss_cifar100",
        expression="div(div(depth2_weighted_sum(times_depth(effective_rank(filter_correlation("
        "weight)))), depth_weighted_mean(off_diagonal_mean_abs(square(tanh("
        "signed_log1p(filter_cosine(weight))))))), signed_log1p(late_half_sum("
        "normalise_layers(previous_layer(log_abs(numel(noise_weight_grad)))))))",
        reference="this project, experiments/single/nats_sss_cifar100.yaml",
        words="In how many directions the filters of a layer point, late layers counting "
        "most by far, over how much the filters overlap, late layers counting more, "
        "and over the share of the sizes of weights, as logarithms, that the late "
        "layers' predecessors have.",
        maths="Σ_l (l³ / L) exp(H(λ(corr W_l))) / (Σ_l l · mean_{i≠j} "
        "|tanh(s(cos(W_l)_ij))|² / Σ_l l) / s(Σ_{l > L/2} p_{l−1}), p_l = log|W_l| / "
        "Σ_k log|W_k|, where row i of W_l are the weights of filter i of layer l, "
        "|W_l| is their number, s(x) = sign(x) log(1 + |x|), and H is the entropy of "
        "the normalised eigenvalues λ",
        reason="All read widths alone, as all networks of this space have one shape. The "
        "rank is that of the head too: the width of its input or the number of "
        "classes, whichever is less. With a hundred classes the last widths decide, "
        "and depth to the third power says so; random filters overlap the less the "
        "longer they are, which is what the second term adds.",
        evolved_on="nats-sss cifar100",
    ),
    EvolvedProxy(
        name="nats_sss_imagenet16",
        expression="div(power(mean_layers(std(weight)), 2.0), mul(last_layer(spectral_entropy("
        "filter_correlation(weight))), sum_layers(previous_layer(effective_rank("
        "filter_cosine(noise_weight_grad))))))",
        reference="this project, experiments/single/nats_sss_imagenet16.yaml",
        direction=-1,
        words="The square of the mean spread of a layer's weights, over the entropy of the last "
        "layer's filters times the number of directions in which the gradients of the filters "
        "point, summed over all layers but the last: low is good.",
        maths="(mean_l std(W_l))² / (H(λ(corr W_L)) · Σ_l exp(H(λ(cos G_{l−1})))), where row i of "
        "W_l are the weights of filter i of layer l and of G_l the gradients of them (of the "
        "first layer where there is none before), and H is the entropy of the normalised "
        "eigenvalues λ",
        reason="All read widths alone, as all networks of this space have one shape. Weights are "
        "drawn the smaller the wider the layer, so the spread falls with widths, and most in the "
        "narrow layers, where a channel more is worth most; gradients have as many directions as "
        "a layer has filters, or few; the entropy of the head is that of the last width or of the "
        "120 classes, whichever are fewer.",
        evolved_on="nats-sss imagenet16-120",
    ),
    EvolvedProxy(
        name="nats_sss_stratified",
        expression="mul(mean_layers(square(entropy(weight))), std_layers(signed_sqrt("
        "cumulative_sum(entropy(weight)))))",
        reference="this project, experiments/single/nats_sss_stratified.yaml",
        words="The mean square of the entropies of the layers' weights, times the spread over the "
        "layers of the root of their running sum.",
        maths="mean_l E_l² · std_l √(Σ_{k ≤ l} E_k), E_l = −Σ_i p_i log p_i, "
        "p_i = w_i² / Σ_j w_j², where w_i are the weights of layer l",
        reason="The entropy of weights that are drawn alike is the logarithm of their number less "
        "a constant: it reads widths alone, as all networks of this space have one shape. The "
        "score rises with every width, and more with the third than with any other, which the "
        "spread of the running sum sees best: almost a weighted sum of their logarithms.",
        evolved_on="nats-sss cifar10",
    ),
    EvolvedProxy(
        name="gm_sss",
        expression="div(mean_layers(times_depth(previous_layer(previous_layer(previous_layer("
        "smallest(weight)))))), mul(last_layer(signed_sqrt(shift(effective_rank("
        "filter_correlation(weight)), 3.0))), sum_layers(effective_rank(filter_correlation("
        "noise_weight_grad)))))",
        reference="this project, experiments/third/gm_sss.yaml",
        words="In how many directions the gradients of the filters point when noise goes through, "
        "summed over the layers, times the root of in how many the last layer's filters do, over "
        "the size of the least weight three layers before, late layers counting most. The score "
        "is minus the inverse of that: high is good.",
        maths="−N / (√(r(W_L) + 3) · Σ_l r(G_l)), N = −mean_l (l / L) min(W_{l−3}), r(M) = "
        "exp(H(λ(corr M))), where row i of W_l are the weights of filter i of layer l and of G_l "
        "the gradients of them (the first layer stands for those before it), and H is the entropy "
        "of the normalised eigenvalues λ",
        reason="All read widths alone, as all networks of this space have one shape. A layer "
        "learns as many things as its gradients have directions, and the rank of the head is the "
        "last width, or the number of classes where that is less. Weights are drawn the smaller "
        "the wider the layer, so N falls with widths; that of three layers before leaves out the "
        "last ones, which the head already counts.",
        evolved_on="nats-sss cifar10, cifar100, imagenet16-120",
    ),
)
