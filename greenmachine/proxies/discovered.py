"""Proxies that the runs of this project found, with their origin and the networks of their search.

``results/proxies/<name>.json`` records the run of each proxy with its settings, seed and samples,
and the exported file lies beside it. ``discovered.json`` lists the networks that each search used.
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
        maths: its formula in mathematical notation.
        reason: why it may work; a hypothesis unless stated otherwise.
        evolved_on: spaces and data sets whose accuracies the search used, ``"nats-tss cifar10"``.
    """

    maths: str
    reason: str
    evolved_on: str

    def seen(self, space: str) -> tuple[int, ...]:
        """Return the networks of ``space`` whose accuracies the search used, ascending.

        They are the training and validation networks of its run, and of the runs whose champions
        were in its first population.
        """
        return tuple(_samples()[self.name].get(space, ()))


@cache
def _samples() -> Mapping[str, Mapping[str, list[int]]]:
    """Return the networks that each search used, by proxy and space."""
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
        description="A product that measures how different the gradients of a layer's filters are "
        "when the images are noise. The first factor sums, over the first half of the layers, the "
        "smallest eigenvalue of the cosine similarities of log(1 + |gradient|). The second sums, "
        "over all layers, the median eigenvalue of the filters' correlations, on a logarithmic "
        "scale.",
        maths="(Σ_{l ≤ L/2} λ_min(cos(log(1 + |G_l|)))) · (Σ_l λ_med(s(corr(G_l)))), where row i "
        "of G_l is the gradient of filter i of layer l, and s(x) = sign(x) log(1 + |x|)",
        reason="Filters whose gradients are independent learn different features, and a layer that "
        "receives no gradient contributes nothing. The eigenvalue of log(1 + |gradient|) is small "
        "if a few weights receive nearly all of the gradient, as they do behind an average pool "
        "or a path without connection.",
        evolved_on="nats-tss cifar10",
    ),
    EvolvedProxy(
        name="gm_tss",
        expression="add(max_layers(times_depth(sqrt_abs(min_eigenvalue(channel_correlation("
        "noise_input))))), square(tanh(signed_log1p(early_half_sum(median_eigenvalue("
        "filter_cosine(log1p_abs(noise_weight_grad))))))))",
        reference="this project, experiments/third/gm_tss.yaml",
        description="A sum of two terms, both measured on noise images. The first is how "
        "independent the channels of a layer's input are: the smallest eigenvalue of their "
        "correlations (MeCo at the layer inputs), weighted by depth, at the layer where this is "
        "largest. The second is how different the gradients of the filters are: the median "
        "eigenvalue of the cosine similarities of log(1 + |gradient|), summed over the first half "
        "of the layers, with saturation.",
        maths="max_l((l / L) √|λ_min(corr X_l)|) + tanh²(log(1 + Σ_{l ≤ L/2} "
        "λ_med(cos(log(1 + |G_l|))))), where X_l are the inputs of layer l by channel, and row i "
        "of G_l is the gradient of filter i of layer l",
        reason="A good cell needs two properties: channels that still carry different information "
        "deep in the network, and filters that learn different features early in it. Cells with "
        "unconnected or pooled paths fail the second, and chains of layers that repeat their "
        "inputs fail the first. The second term saturates, so the first decides between cells "
        "whose gradients are healthy.",
        evolved_on="nats-tss cifar10, cifar100, imagenet16-120",
    ),
    EvolvedProxy(
        name="gm_tss_large",
        expression="add(add(add(mul(add(add(max_layers(tanh(signed_sqrt(times_depth("
        "signed_sqrt(difference_layers(times_depth(min_eigenvalue("
        "channel_correlation_per_image(noise_output))))))))), square(tanh(signed_sqrt("
        "early_half_sum(minimum(median_eigenvalue(filter_cosine(log1p_abs("
        "noise_weight_grad))), relative_to_first(l2_norm(noise_weight_grad)))))))), "
        "max_layers(times_depth(signed_sqrt(signed_sqrt(signed_sqrt(min_eigenvalue("
        "channel_correlation(noise_input)))))))), tanh(signed_sqrt(log1p_abs(log1p_abs("
        "early_half_sum(minimum(l1_norm(noise_input_grad), min_eigenvalue(channel_correlation("
        "noise_input))))))))), scale(min_layers(normalise_layers(channel_mean_std("
        "noise_input))), -27.0)), signed_sqrt(scale(tanh(log1p_abs(std_layers(square("
        "nuclear_norm(batch_gram(noise_output)))))), 0.25))), scale(log1p_abs("
        "depth_weighted_sum(cumulative_mean(sqrt_abs(channel_mean_std(noise_input))))), "
        "-0.021))",
        reference="this project, experiments/banks/tss_sums_second.yaml",
        description="A product, plus three smaller terms, all measured on noise images. The "
        "product is a sum of three terms times a factor. The second and third of these terms "
        "measure the same as those of gm_tss: how different the gradients of the filters are in "
        "the first half of the layers, and how independent the channels of a layer's input are, "
        "weighted by depth, at the layer where this is largest. The first is by how much the "
        "independence of the channels of the outputs, weighted by depth, increases from one layer "
        "to the next, at the layer where this is largest. The factor is the independence of the "
        "input channels, summed over the first half of the layers. Layers whose inputs or weights "
        "receive little gradient count less. One smaller term lowers the score by the share that "
        "the layer with the smallest one has in the differences between the means of the channels; "
        "another one by the logarithm of the sum of the roots of these differences, in which early "
        "layers count more. A third raises it with the differences between the layers in the "
        "size of their outputs.",
        maths="(max_l tanh √((l / L) √(Δ_l((l / L) λ_l'))) + tanh²(√Σ_{l ≤ L/2} min("
        "λ_med(cos(log(1 + |G_l|))), ‖G_l‖₂ / ‖G_1‖₂)) + max_l((l / L) λ_l^{1/8})) · tanh(√log(1 + "
        "log(1 + Σ_{l ≤ L/2} min(λ_l, ‖∂X_l‖₁)))) − 27 min_l(s_l / Σ_k s_k) + ½ √tanh(log(1 + "
        "std_l(t_l²))) − 0.021 log(1 + Σ_l Σ_{k ≤ l} √s_k), where λ_l = λ_min(corr X_l), X_l are "
        "the inputs of layer l by channel, ∂X_l is their gradient, s_l is the standard deviation "
        "of the means of their channels, λ_l' = λ_min of the mean over the images of the channel "
        "correlations of each image's outputs, Δ_l is the difference to the previous layer (0 at "
        "the first), t_l is the mean square of the outputs times the number of images, and row i "
        "of G_l is the gradient of filter i of layer l; roots keep signs, and a quotient whose "
        "divisor is 0 is 0",
        reason="As for gm_tss. The first term prefers cells in which convolutions decorrelate "
        "channels again late in the network. The eighth root is nearly a switch: it says how late "
        "there still is a layer whose inputs are independent. The smaller terms were found by a "
        "greedy search for sums, and changed by evolution. Sums of several paths add up the means "
        "of their channels and their magnitudes, so these terms may count skip connections and "
        "paths. Two terms divide: by the norm of the first layer's gradient, which is 0 in cells "
        "that connect nothing, and by a sum over all layers. The norm of the inputs' gradient "
        "depends on the scale of the loss, but matters only in layers that receive almost none.",
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
        description="The same two quantities as gm_tss, independent input channels deep in the "
        "network and different filter gradients early in it, but multiplied, and multiplied by a "
        "factor that grows with the number of layers. The score is at most the independence of "
        "the channels at the layer where it is largest, without weighting by depth.",
        maths="min(max_l √λ_l, max_l √((l / L) √λ_l) · tanh(Σ_{l ≤ L/2} "
        "λ_med(s(cos(log(1 + |G_l|))))) · √(mean_l log l)), where λ_l = λ_min(corr X_l), X_l are "
        "the inputs of layer l by channel, row i of G_l is the gradient of filter i of layer l, "
        "and s(x) = sign(x) log(1 + |x|); roots keep signs",
        reason="As for gm_tss: unconnected and pooled paths fail the second property, and chains "
        "of layers that repeat their inputs fail the first. Accuracies on these 120 classes are "
        "far from saturated, so a cell loses accuracy if it fails either; this is why the two are "
        "multiplied. More convolutions help a cell that has both.",
        evolved_on="nats-tss imagenet16-120",
    ),
    # --- on the size space of NATS-Bench
    EvolvedProxy(
        name="nats_sss_cifar10",
        expression="div(sum_layers(effective_rank(filter_gram(square(cube(weight))))), "
        "mean_layers(log1p_abs(times_depth(previous_layer(previous_layer(previous_layer("
        "std(weight))))))))",
        reference="this project, experiments/single/nats_sss_cifar10.yaml",
        description="The effective rank of the Gram matrix of the filters' sixth powers, summed "
        "over the layers, divided by a mean, weighted by depth, of the standard deviation of the "
        "weights three layers earlier.",
        maths="Σ_l exp(H(λ(V_l V_lᵀ))) / mean_l log(1 + (l / L) std(W_{l−3})), where row i of V_l "
        "are the sixth powers of the weights of filter i of layer l, W_{l−3} are the weights "
        "three layers before (the first where there is none), and H is the entropy of the "
        "normalised eigenvalues λ",
        reason="Both terms depend only on the widths, because all networks of this space have the "
        "same topology. Sixth powers are positive and share one dominant direction, so the rank "
        "grows more slowly than the number of filters: it saturates with width, as accuracy does. "
        "Wider layers are initialised with smaller weights, so the divisor decreases with width. "
        "Because it reads three layers earlier, it leaves out the last layers, whose widths matter "
        "least on CIFAR-10.",
        evolved_on="nats-sss cifar10",
    ),
    EvolvedProxy(
        name="nats_sss_cifar100",
        expression="div(div(depth2_weighted_sum(times_depth(effective_rank(filter_correlation("
        "weight)))), depth_weighted_mean(off_diagonal_mean_abs(square(tanh("
        "signed_log1p(filter_cosine(weight))))))), signed_log1p(late_half_sum("
        "normalise_layers(previous_layer(log_abs(numel(noise_weight_grad)))))))",
        reference="this project, experiments/single/nats_sss_cifar100.yaml",
        description="The effective rank of the filters' correlations, summed with weights that "
        "grow with the third power of depth. It is divided by a mean, weighted by depth, of the "
        "overlap of the filters, and by the share that the layers before the last half have in "
        "the sum of log(number of weights).",
        maths="Σ_l (l³ / L) exp(H(λ(corr W_l))) / (Σ_l l · mean_{i≠j} "
        "|tanh(s(cos(W_l)_ij))|² / Σ_l l) / s(Σ_{l > L/2} p_{l−1}), p_l = log|W_l| / "
        "Σ_k log|W_k|, where row i of W_l are the weights of filter i of layer l, "
        "|W_l| is their number, s(x) = sign(x) log(1 + |x|), and H is the entropy of "
        "the normalised eigenvalues λ",
        reason="All terms depend only on the widths, because all networks of this space have the "
        "same topology. The sum includes the classifier, whose rank is the smaller of its input "
        "width and the number of classes. With a hundred classes the last widths matter most, "
        "which the third power of depth reflects. Random filters overlap less the longer they "
        "are; the second term adds this.",
        evolved_on="nats-sss cifar100",
    ),
    EvolvedProxy(
        name="nats_sss_imagenet16",
        expression="div(power(mean_layers(std(weight)), 2.0), mul(last_layer(spectral_entropy("
        "filter_correlation(weight))), sum_layers(previous_layer(effective_rank("
        "filter_cosine(noise_weight_grad))))))",
        reference="this project, experiments/single/nats_sss_imagenet16.yaml",
        direction=-1,
        description="The squared mean of the layers' weight standard deviations, divided by the "
        "product of two terms: the spectral entropy of the last layer's filter correlations, and "
        "the effective rank of the filter gradients summed over all layers except the last. A low "
        "score is good.",
        maths="(mean_l std(W_l))² / (H(λ(corr W_L)) · Σ_l exp(H(λ(cos G_{l−1})))), where row i of "
        "W_l are the weights of filter i of layer l and of G_l the gradients of them (of the "
        "first layer where there is none before), and H is the entropy of the normalised "
        "eigenvalues λ",
        reason="All terms depend only on the widths, because all networks of this space have the "
        "same topology. Wider layers are initialised with smaller weights, so the standard "
        "deviation decreases with width, and most in narrow layers, where an additional channel "
        "helps most. The rank of the gradients is at most the number of filters. The entropy of "
        "the classifier depends on the last width or on the 120 classes, whichever is smaller.",
        evolved_on="nats-sss imagenet16-120",
    ),
    EvolvedProxy(
        name="nats_sss_stratified",
        expression="mul(mean_layers(square(entropy(weight))), std_layers(signed_sqrt("
        "cumulative_sum(entropy(weight)))))",
        reference="this project, experiments/single/nats_sss_stratified.yaml",
        description="The mean of the squared entropies of the layers' weights, times the standard "
        "deviation over the layers of the square root of their cumulative sum.",
        maths="mean_l E_l² · std_l √(Σ_{k ≤ l} E_k), E_l = −Σ_i p_i log p_i, "
        "p_i = w_i² / Σ_j w_j², where w_i are the weights of layer l",
        reason="The entropy of weights drawn from one distribution is the logarithm of their "
        "number minus a constant. It depends only on the widths, because all networks of this "
        "space have the same topology. The score increases with every width, and most with the "
        "third, to which the deviation of the cumulative sum is most sensitive. It is close to a "
        "weighted sum of the logarithms of the widths.",
        evolved_on="nats-sss cifar10",
    ),
    EvolvedProxy(
        name="gm_sss",
        expression="mul(div(mean_layers(log1p_abs(times_depth(previous_layer(previous_layer("
        "previous_layer(smallest(weight))))))), mul(last_layer(signed_sqrt(shift(effective_rank("
        "filter_correlation(weight)), 5.0))), sum_layers(previous_layer(minimum(shift("
        "effective_rank(filter_cosine(noise_weight_grad)), 8.0), shift(position_count("
        "noise_input), -8.0)))))), square(mean_log_layers(times_depth(shift(effective_rank("
        "filter_correlation(noise_weight_grad)), 10.0)))))",
        direction=-1,
        reference="this project, experiments/banks/sss.yaml",
        description="A mean, weighted by depth, of the size of the smallest weight three layers "
        "earlier, divided by the product of two terms: the square root of the effective rank of "
        "the last layer's filters plus 5, and the effective rank of the filter gradients on noise "
        "images plus 8, summed over all layers except the last. In this sum the number of "
        "positions of a layer's input minus 8 is the upper limit. The result is multiplied by the "
        "square of a mean logarithm of the ranks, weighted by depth. A low score is good.",
        maths="N / (√(r(W_L) + 5) · Σ_l min(r'(G_{l−1}) + 8, P_{l−1} − 8)) · (mean_l log((l / L) "
        "(r(G_l) + 10)))², N = mean_l log(1 + (l / L) |min W_{l−3}|), r(M) = exp(H(λ(corr M))), r' "
        "the same with cosines, where row i of W_l are the weights of filter i of layer l and of "
        "G_l the gradients of them (the first layer stands for those before it), P_l is the number "
        "of positions of the inputs of layer l, and H is the entropy of the normalised eigenvalues "
        "λ",
        reason="All terms depend only on the widths, because all networks of this space have the "
        "same topology. The rank of a layer's gradients limits how many different features it "
        "learns. The rank of the classifier is the smaller of the last width and the number of "
        "classes. Wider layers are initialised with smaller weights, so N decreases with width. "
        "The last layers have few positions, so the limit makes their widths count less. The last "
        "factor grows with the ranks too, most where a rank is small: one channel more in a narrow "
        "layer counts less than in the sum alone.",
        evolved_on="nats-sss cifar10, cifar100, imagenet16-120",
    ),
    EvolvedProxy(
        name="gm_sss_large",
        expression="mul(mul(power(std_layers(sqrt_abs(largest(noise_output_grad))), -0.312), "
        "reciprocal(mul(div(mean_layers(log1p_abs(log1p_abs(times_depth(previous_layer("
        "previous_layer(previous_layer(smallest(weight)))))))), mul(last_layer(signed_sqrt(shift("
        "effective_rank(filter_correlation(weight)), 5.0))), sum_layers(previous_layer(minimum("
        "shift(effective_rank(filter_cosine(noise_weight_grad)), 8.0), shift(position_count("
        "centre_batch(noise_input)), -8.0)))))), square(mean_log_layers(times_depth(shift("
        "effective_rank(filter_cosine(noise_weight_grad)), 10.0))))))), power(min_layers("
        "normalise_layers(log_abs(entropy(weight)))), -0.25))",
        reference="this project, experiments/banks/sss_large.yaml",
        description="The reciprocal of gm_sss, with two changes inside (cosines instead of "
        "correlations of the filter gradients, and one more logarithm of the smallest weights), "
        "times two factors: the power -0.312 of the deviation over the layers of the square root "
        "of the largest gradient of an output, and the power -1/4 of the smallest layer's share in "
        "the sum of the logarithms of the entropies of the weights. A network needs two layers or "
        "more: the deviation over one layer is 0, and its negative power has no value.",
        maths="D^(−0.312) · M^(−1/4) · √(r(W_L) + 5) · Σ_l min(r'(G_{l−1}) + 8, P_{l−1} − 8) / "
        "(N · (mean_l log((l / L) (r'(G_l) + 10)))²), N = mean_l log(1 + log(1 + (l / L) "
        "|min W_{l−3}|)), D = std_l √|max ∂Y_l|, M = min_l (log E_l / Σ_k log E_k), where r, r', "
        "W, G and P are those of gm_sss, ∂Y_l are the gradients of the outputs of layer l, and "
        "E_l is the entropy of its squared weights, divided by their sum",
        reason="As in gm_sss, all terms depend only on the widths. The two factors were found by a "
        "greedy search for products. The entropy of a layer's weights is about the logarithm of "
        "their number, so M is lowest if one layer, usually the first, is much smaller than the "
        "others. D may decrease with the widths, because the gradients of the outputs of wide "
        "layers are small.",
        evolved_on="nats-sss cifar10, cifar100, imagenet16-120",
    ),
    # --- on both spaces of NATS-Bench at once
    EvolvedProxy(
        name="gm_any",
        expression="div(mul(sqrt_abs(last_layer(effective_rank(filter_correlation(weight)))), "
        "sum_layers(effective_rank(filter_correlation(noise_weight_grad)))), mean_layers("
        "times_depth(previous_layer(previous_layer(previous_layer(std(weight)))))))",
        reference="this project, experiments/third/gm_any.yaml",
        description="The effective rank of the filter gradients on noise images, summed over the "
        "layers, times the square root of the effective rank of the last layer's filters, divided "
        "by a mean, weighted by depth, of the standard deviation of the weights three layers "
        "earlier.",
        maths="√r(W_L) · Σ_l r(G_l) / mean_l((l / L) std(W_{l−3})), r(M) = exp(H(λ(corr M))), "
        "where row i of W_l are the weights of filter i of layer l and of G_l the gradients of "
        "them (the first layer stands for those before it), and H is the entropy of the "
        "normalised eigenvalues λ",
        reason="The rank of a layer's gradients limits how many different features it learns. It "
        "is low where paths are unconnected, pooled or copies of each other, which distinguishes "
        "cells. The rank of the classifier is the smaller of the last width and the number of "
        "classes, and wider layers are initialised with smaller weights: these two terms hardly "
        "differ between cells, and distinguish widths.",
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
        description="A product of three factors. The first is the mean effective rank of the "
        "filter gradients times the number of positions of all feature maps, to the third power. "
        "The second is the log determinant of the Gram matrix of the images, computed from the "
        "gradients of the layers' inputs; it is negative. The third is the smallest eigenvalue of "
        "the correlations of the filters' gradients, on a logarithmic scale, summed over the "
        "layers. A low score is good.",
        maths="(mean_l r(G_{l−2}) · Σ_l P_l)³ · logdet(mean_l K(∂X_l)) · Σ_l t(λ_min(corr(s(G_l)))"
        "), r(M) = exp(H(λ(corr M))), where row i of G_l is the gradient of filter i of layer l "
        "(the first layer stands for those before it), P_l the positions of its output map, K the "
        "mean products of images, ∂X_l the gradient of the inputs of layer l, s(x) = sign(x) "
        "log(1 + |x|), and t is log(1 + |x|) three times over",
        reason="The rank of the gradients distinguishes widths and cells, as in gm_any. The number "
        "of positions weights each layer by its resolution, so it favours depth at high "
        "resolution, which distinguishes networks of different depth. The smallest eigenvalue is "
        "zero if filters receive the same gradient. The log determinant depends on the scale of "
        "the gradients, and would change its sign if they were large.",
        evolved_on="channel-resnet cifar10; nats-sss cifar10; nats-tss cifar10; nas-bench-101 "
        "cifar10; nas-bench-macro cifar10",
    ),
    # --- on an embedded benchmark; no network of NATS-Bench was used
    EvolvedProxy(
        name="digits_tss",
        expression="mul(dot(neg(sum_matrices(minimum(batch_gram(data_norm_output), minimum("
        "batch_gram(noise_input), sign_agreement(noise_norm_output))))), signed_sqrt(sigmoid("
        "sum_matrices(batch_correlation(noise_norm_output))))), mean_layers(min_eigenvalue("
        "filter_correlation(signed_log1p(noise_weight_grad)))))",
        direction=-1,
        reference="this project, `greenmachine evolve`",
        description="The similarity of the images of a batch in the network's activations, times "
        "how different the gradients of a layer's filters are. A low score is good.",
        maths="−⟨Σ_l min(K(Y_l), K(X'_l), a(Y'_l)), √σ(Σ_l corr(Y'_l))⟩ · mean_l λ_min(corr("
        "s(G_l))), where X' are inputs and Y' normalised outputs on noise, Y those on images, K "
        "the mean products of images, a the number of features in whose signs two images agree, "
        "σ the logistic function, G_l the gradients of the filters of layer l on noise, and s(x) "
        "= sign(x) log(1 + |x|)",
        reason="Runs on NATS-Bench find the second factor too. The first grows with the number of "
        "layers and of their features, so it measures size.",
        evolved_on="digits-tss digits",
    ),
)
"""All discoveries, those on the topology space first."""
