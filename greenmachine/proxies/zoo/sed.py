"""SED: suppression of local entropy decrease, from the topology alone.

arXiv 2411.06236 (2024). Its formula is not known to this project: a reconstruction.
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
        words="Sum over the operations on a path from input to output of 1/2 log n: plus for a "
        "convolution and its batch normalisation, n = k*k*C values mixed; minus for an average "
        "pool, n = k*k values averaged; 0 for a skip.",
        notes="The paper's formula is not known to this project; this one is derived from its "
        "principle, without a constant fitted to a benchmark. Cells count as in the three stages "
        "of NATS-Bench, of 16, 32 and 64 channels, whatever the benchmark builds. A cell without "
        "a path scores minus infinity, which counts as failed. Of the size space all "
        "convolutions with a batch normalisation count.",
    ),
)
