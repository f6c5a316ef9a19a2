"""Code of a worker: build each network of a shard once, and score it with every proxy.

A task contains the texts of expressions and the names of functions. The worker parses the
expressions and looks up the functions in its own registry, so no code is sent to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor, nn

from greenmachine.benchmarks.packed import PackedBenchmark
from greenmachine.engine import ModelScores, evaluate_model
from greenmachine.language import parse
from greenmachine.proxies import PROXIES, FunctionProxy
from greenmachine.proxies.functions import NetworkScore, evaluate_function
from greenmachine.signals import CaptureSpec
from greenmachine.signals.network_capture import attempt, build_network, cached_benchmark
from greenmachine.signals.passes import noise_images
from greenmachine.signals.registry import wanted_of

__all__ = ["NETWORK", "Scored", "Scorer", "score_shard"]

NETWORK = ""
"""Key of a failure that belongs to the network and not to one proxy."""


@dataclass
class Scored:
    """The scores of one network.

    Attributes:
        scores: scores by the text of the proxy; a proxy that failed is missing.
        failures: messages by the text of the proxy, or by ``NETWORK`` if the network could not be
            built or the passes of the expressions failed.
        raised: keys of ``failures`` that an exception caused, and not a score that is not finite.
        coverage: share of the network's weights that belong to convolutions and linear layers.
    """

    scores: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    raised: set[str] = field(default_factory=set)
    coverage: float = 1.0


def score_shard(
    spec: CaptureSpec,
    expressions: Sequence[str],
    functions: Sequence[str],
    indices: Sequence[int],
    packed: PackedBenchmark,
) -> list[Scored]:
    """Score networks one after the other, so that no score depends on the other networks.

    Args:
        spec: specification of the networks and images; its terminals are not used.
        expressions: texts of expressions, which share the passes through a network.
        functions: names of function proxies, called with the same network. A score that is not
            finite is a failure.
        indices: indices of the networks in the benchmark.
        packed: the benchmark, as sent with the task.

    Raises:
        GreenMachineError: the cause is not the network but data, a build option or memory.
    """
    scorer = Scorer(spec, expressions, functions, packed)
    return [scorer.score(index) for index in indices]


class Scorer:
    """Score networks one by one; for the arguments see :func:`score_shard`."""

    def __init__(
        self,
        spec: CaptureSpec,
        expressions: Sequence[str],
        functions: Sequence[str],
        packed: PackedBenchmark,
    ) -> None:
        self.spec = spec
        self.benchmark = packed.open(cached_benchmark)
        self.trees = {text: parse(text) for text in expressions}
        found = {name: PROXIES.find(name) for name in functions}
        self.functions = {n: p for n, p in found.items() if isinstance(p, FunctionProxy)}
        self.shape = (spec.batch, *self.benchmark.input_shape(spec.dataset))
        self.noise = noise_images(self.shape, spec.seed)
        self.images: Tensor | None = None
        self.labels: Tensor | None = None
        terminals = set().union(*(tree.terminals for tree in self.trees.values()))
        looks = any("data" in proxy.passes for proxy in self.functions.values())
        if looks or wanted_of("data", terminals):
            drawn = self.benchmark.images(spec.dataset, spec.batch, seed=spec.seed)
            self.images, self.labels = drawn

    def score(self, index: int | str) -> Scored:
        """Score one network, given as an index or as an architecture of the space."""
        model = attempt(index, partial(build_network, self.benchmark, index, self.spec))
        if isinstance(model, str):
            return Scored(failures={NETWORK: f"build(arch): {model}"}, raised={NETWORK})
        scored = Scored()
        if self.trees:
            found = attempt(index, partial(self._by_expressions, model))
            if isinstance(found, str):
                scored.failures[NETWORK] = found
                scored.raised.add(NETWORK)
            else:
                scored.scores |= dict(zip(self.trees, found.values.tolist(), strict=True))
                for text, value in scored.scores.items():
                    if why := NetworkScore(value, found.coverage, found.finite).failure:
                        scored.failures[text] = why
                scored.coverage = found.coverage.share
        for name, proxy in self.functions.items():
            said = attempt(index, partial(self._by_function, model, proxy))
            if isinstance(said, str):
                scored.failures[name] = said
                scored.raised.add(name)
            elif said.failure:
                scored.failures[name] = said.failure
            else:
                scored.scores[name] = said.value
                if said.coverage is not None:
                    scored.coverage = said.coverage.share
        return scored

    def _by_expressions(self, model: nn.Module) -> ModelScores:
        return evaluate_model(
            model,
            list(self.trees.values()),
            self.shape,
            images=self.images,
            labels=self.labels,
            seed=self.spec.seed,
        )

    def _by_function(self, model: nn.Module, proxy: FunctionProxy) -> NetworkScore:
        if proxy.passes == ("data",):
            return evaluate_function(proxy, model, self.images, self.labels, self.spec.seed)
        images = self.noise if proxy.passes else None
        return evaluate_function(proxy, model, images, None, self.spec.seed)
