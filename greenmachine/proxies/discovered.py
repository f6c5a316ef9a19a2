"""Proxies that this project's runs found, and what is known of each: where from, on which networks.

The run of each, with settings, seed and samples, is in ``results/proxies/<name>.json``, and its
export beside it; the networks that chose it are in ``discovered.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from greenmachine.files import read_json
from greenmachine.proxies.types import ExpressionProxy

__all__ = ["EVOLVED", "SAMPLES", "EvolvedProxy"]

SAMPLES = Path(__file__).with_name("discovered.json")


@dataclass(frozen=True, kw_only=True)
class EvolvedProxy(ExpressionProxy):
    """An expression that a run of this project found.

    Attributes:
        maths: its formula as one writes it on paper.
        reason: why it may work; a guess, where nothing else is said.
        evolved_on: spaces and data sets whose accuracies chose it, ``"nats-tss cifar10"``.
    """

    maths: str
    reason: str
    evolved_on: str

    def seen(self, space: str) -> tuple[int, ...]:
        """Return the networks of ``space`` whose accuracies chose it, ascending.

        They are the training and validation networks of its run, and of the runs that its first
        population came from.
        """
        return tuple(_samples()[self.name].get(space, ()))


@cache
def _samples() -> Mapping[str, Mapping[str, list[int]]]:
    """Return by proxy and space the networks that chose it."""
    found: Mapping[str, Mapping[str, list[int]]] = read_json(SAMPLES)
    return found


EVOLVED: tuple[EvolvedProxy, ...] = (
    # --- on the topology space of NATS-Bench (Dong et al., TPAMI 2021)
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
    # --- on the size space of NATS-Bench
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
    # --- on both spaces of NATS-Bench at once
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
    # --- on five families of networks at once
    EvolvedProxy(
        name="gm_world",
        expression="mul(cube(mul(mean_layers(previous_layer(previous_layer(effective_rank("
        "filter_correlation(noise_weight_grad))))), sum_layers(position_count(noise_output)))), "
        "mul(logdet(mean_matrices(batch_gram(noise_input_grad))), sum_layers(log1p_abs(log1p_abs("
        "log1p_abs(min_eigenvalue(filter_correlation(signed_log1p(noise_weight_grad)))))))))",
        direction=-1,
        reference="this project, experiments/families.py",
        words="How many directions the gradients of the filters have, averaged over the layers, "
        "times the number of positions of all feature maps, to the third power; times the log "
        "determinant of the similarity of the images in the gradients of the layers' inputs, "
        "which is negative; times the least eigenvalue of the correlations of the filters' "
        "damped gradients, summed over the layers; low is good.",
        maths="(mean_l r(G_{l−2}) · Σ_l P_l)³ · logdet(mean_l K(∂X_l)) · Σ_l t(λ_min(corr(s(G_l)))"
        "), r(M) = exp(H(λ(corr M))), where row i of G_l is the gradient of filter i of layer l "
        "(the first layer stands for those before it), P_l the positions of its output map, K the "
        "mean products of images, ∂X_l the gradient of the inputs of layer l, s(x) = sign(x) "
        "log(1 + |x|), and t is log(1 + |x|) three times over",
        reason="The rank of the gradients tells widths and cells apart, as in gm_any. The number "
        "of positions counts layers by their resolution, so it favours depth at high resolution, "
        "which tells networks of different depth apart. The least eigenvalue is zero where "
        "filters get the same gradient. The log determinant depends on the scale of gradients, and "
        "would change its sign where they are large.",
        evolved_on="channel-resnet cifar10; nats-sss cifar10; nats-tss cifar10; nas-bench-101 "
        "cifar10; nas-bench-macro cifar10",
    ),
    # --- on an embedded benchmark, without a network of NATS-Bench
    EvolvedProxy(
        name="digits_tss",
        expression="mul(dot(neg(sum_matrices(minimum(batch_gram(data_norm_output), minimum("
        "batch_gram(noise_input), sign_agreement(noise_norm_output))))), signed_sqrt(sigmoid("
        "sum_matrices(batch_correlation(noise_norm_output))))), mean_layers(min_eigenvalue("
        "filter_correlation(signed_log1p(noise_weight_grad)))))",
        direction=-1,
        reference="this project, `greenmachine evolve`",
        words="How alike the images of a batch are to the network, times how different the "
        "filters of a layer are in their gradients; low is good.",
        maths="−⟨Σ_l min(K(Y_l), K(X'_l), a(Y'_l)), √σ(Σ_l corr(Y'_l))⟩ · mean_l λ_min(corr("
        "s(G_l))), where X' are inputs and Y' normalised outputs on noise, Y those on images, K "
        "the mean products of images, a the number of features in whose signs two images agree, "
        "σ the logistic function, G_l the gradients of the filters of layer l on noise, and s(x) "
        "= sign(x) log(1 + |x|)",
        reason="The second factor is what runs on NATS-Bench find too. The first grows with the "
        "number of layers and their features, which is size.",
        evolved_on="digits-tss digits",
    ),
)
"""All of them, the topology space first."""
