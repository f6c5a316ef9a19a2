"""Found on an embedded benchmark, without a network of NATS-Bench."""

from __future__ import annotations

from greenmachine.proxies.evolved.base import EvolvedProxy

__all__ = ["PROXIES"]

PROXIES = (
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
