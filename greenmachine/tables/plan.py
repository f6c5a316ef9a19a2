"""The plan of the sweeps for the tables: which proxies, on which networks, in which order.

The 3,000 random networks of a space are those of ``greenmachine score --sample 3000 --seed 0``, the
same for every proxy and data set, at full depth. They are scored in rounds of 500 random networks.
All proxies score a round before the next round begins, the cheap ones first, so a sweep that ends
early leaves a smaller random sample for every proxy. Batches have 16 images, or 8 if a proxy needs
a backward pass per image (``ntk``, ``gradsign``); evolved proxies use the batch of their runs.
``epe_nas`` correlates images of one class, of which a batch of 16 has too few if there are more
than ten classes, so it is scored only on CIFAR-10. So is ``vkdnw``, which needs a backward pass per
class.

Proxies that were evolved on NATS-Bench are scored on whole spaces: first on the rounds of the zoo,
then on further rounds. Those that were found on banks are scored like the zoo, because scores of
both whole spaces take several hours, and a proxy of one space only on that space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from greenmachine.tables.sources import DATASETS, FOUND, SPACES

__all__ = ["EVOLVED_PLAN", "PLAN", "Group", "Plan"]

# Proxies that need at most one forward and one backward pass.
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
    "gm_any",
)


@dataclass(frozen=True)
class Group:
    """Proxies that are scored together.

    Attributes:
        name: part of the names of its files.
        proxies: names of the proxies.
        batch: number of images.
        datasets: data sets on which they are defined.
        spaces: spaces whose networks they score.
    """

    name: str
    proxies: tuple[str, ...]
    batch: int = 16
    datasets: tuple[str, ...] = DATASETS
    spaces: tuple[str, ...] = SPACES


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        groups: groups of proxies.
        networks: number of networks of a space; all if it has fewer.
        rounds: number of rounds in which these networks are scored.
        whole: whether further rounds of this size follow, until the whole space is scored.
        kind: suffix of its files before ``.parquet``.
    """

    groups: tuple[Group, ...]
    networks: int
    rounds: int
    whole: bool = False
    kind: str = ""

    def samples(self, size: int) -> list[list[int]]:
        """Return the networks of each round, ascending, for a space of ``size``."""
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
        Group("banks", ("gm_sss",), batch=8, spaces=("nats-sss",)),
        Group("cells", ("gm_tss_large",), batch=8, spaces=("nats-tss",)),
        Group("widths", ("gm_sss_large",), batch=8, spaces=("nats-sss",)),
        Group("families", ("gm_world",), batch=8),
        Group("per-sample", ("ntk", "gradsign"), batch=8),
        Group("patterns", ("trainable_layers", "fired_layers", "swap", "wrcor")),
        Group("fisher", ("vkdnw",), datasets=("cifar10",)),
    ),
    networks=3000,
    rounds=6,
)
"""The plan of the zoo, and of proxies that evolved elsewhere or on banks."""

EVOLVED_PLAN = Plan(
    # The batch of their runs and of their exported files.
    groups=(
        Group("evolved", _EVOLVED, batch=4),
        Group("stratified", ("nats_sss_stratified",), batch=4),
    ),
    networks=3000,
    rounds=6,
    whole=True,
    kind=FOUND,
)
"""The plan of proxies that evolved on these spaces without a bank."""
