"""What the sweeps of the tables score, on which networks, in which order.

The 3,000 random networks of a space are those of ``greenmachine score --sample 3000 --seed 0``, the
same for every proxy and data set, at full depth. They are scored in rounds of 500, drawn evenly:
all of a round comes before any of the next, and in a round what costs little before what costs
much, so that a sweep that ends early leaves a smaller random sample of everything. Batches hold 16
images, 8 where a proxy costs a backward pass an image (``ntk``, ``gradsign``), and for evolved
proxies as many as in their runs. ``epe_nas`` correlates within classes, of which a batch of 16
images has too few where there are more than ten: CIFAR-10 only. So is ``vkdnw``, which takes a
backward pass a class.

What evolved on NATS-Bench is scored on whole spaces: the first rounds are those of the zoo, others
follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from greenmachine.tables.sources import DATASETS, FOUND

__all__ = ["EVOLVED_PLAN", "PLAN", "Group", "Plan"]

# What one forward and one backward pass give, or less.
_FORWARD = (
    "params",
    "weight_count",
    "flops",
    "l2_norm",
    "grad_norm",
    "plain",
    "snip",
    "synflow",
    "logsynflow",
    "fisher",
    "fisher_broadcast",
    "jacov_noise",
    "nwot",
    "nwot_inputs",
    "meco",
    "meco_opt",
    "meco_modules",
    "meco_opt_modules",
    "meco_outputs",
    "meco_images",
    "meco_inputs",
    "zen",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
    "sed",
)

_EVOLVED = (
    "nats_tss_cifar10",
    "nats_tss_imagenet16",
    "nats_sss_cifar10",
    "nats_sss_cifar100",
    "nats_sss_imagenet16",
    "gm_tss",
    "gm_sss",
    "gm_any",
)


@dataclass(frozen=True)
class Group:
    """Proxies that are scored together.

    Attributes:
        name: in those of its parts.
        proxies: names in the zoo.
        batch: images.
        datasets: where they are defined.
    """

    name: str
    proxies: tuple[str, ...]
    batch: int = 16
    datasets: tuple[str, ...] = DATASETS


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        groups: of proxies.
        networks: of a space, or all where it has fewer.
        rounds: that the networks are scored in.
        whole: whether rounds as large follow these, until no network of the space is left.
        kind: what the names of its files have before ``.parquet``.
    """

    groups: tuple[Group, ...]
    networks: int
    rounds: int
    whole: bool = False
    kind: str = ""

    def samples(self, size: int) -> list[list[int]]:
        """Return by round the networks, ascending, of a space of ``size``."""
        rng = np.random.default_rng(0)
        chosen = rng.choice(size, min(size, self.networks), replace=False)
        rounds = np.array_split(rng.permutation(chosen), self.rounds)
        if self.whole:
            rest = rng.permutation(np.setdiff1d(np.arange(size), chosen))
            each = -(-self.networks // self.rounds)
            rounds += [rest[i : i + each] for i in range(0, len(rest), each)]
        return [sorted(int(i) for i in networks) for networks in rounds]


PLAN = Plan(
    groups=(
        Group("forward", _FORWARD),
        Group("gradient", ("jacov", "zico", "grasp")),
        Group("classes", ("epe_nas",), datasets=("cifar10",)),
        Group("embedded", ("digits_tss",), batch=8),
        Group("per-sample", ("ntk", "gradsign"), batch=8),
        Group("patterns", ("trainable_layers", "fired_layers", "swap", "wrcor")),
        Group("fisher", ("vkdnw",), datasets=("cifar10",)),
    ),
    networks=3000,
    rounds=6,
)
"""Of what knows no accuracy of these spaces."""

EVOLVED_PLAN = Plan(
    # As they were evolved: their exports score batches of this size too.
    groups=(
        Group("evolved", _EVOLVED, batch=4),
        Group("stratified", ("nats_sss_stratified",), batch=4),
        Group("families", ("gm_world",), batch=8),
    ),
    networks=3000,
    rounds=6,
    whole=True,
    kind=FOUND,
)
"""Of what evolved on them."""
