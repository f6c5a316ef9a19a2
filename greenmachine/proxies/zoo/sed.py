"""SED: suppression of local entropy decrease, computed from the topology alone.

arXiv 2411.06236 (2024). The formula of the paper is not known to this project; this is a
reconstruction.
"""

from __future__ import annotations

from greenmachine.proxies.types import ArchitectureProxy
from greenmachine.proxies.zoo.entropy import size_entropy, topology_entropy

__all__ = ["PROXIES"]

PROXIES = (
    ArchitectureProxy(
        name="sed",
        functions={"tss": topology_entropy, "sss": size_entropy},
        reference="arXiv 2411.06236, 2024, reconstructed (docs/results/sed.md)",
        description="Sum over the operations that lie on a path from input to output: a "
        "convolution with its batch normalisation adds 1/2 log(k*k*C), an average pool subtracts "
        "1/2 log(k*k), a skip adds 0.",
        notes="The paper's formula is not known to this project; this one is derived from its "
        "principle, without a constant fitted to a benchmark. A cell is scored as in the three "
        "stages of NATS-Bench with 16, 32 and 64 channels, whatever the benchmark builds. A cell "
        "without a path scores minus infinity, which counts as failed. On the size space, all "
        "convolutions with a batch normalisation count.",
    ),
)
