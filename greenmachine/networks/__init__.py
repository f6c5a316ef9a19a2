"""Networks of the two NATS-Bench spaces, and what they cost without running them."""

from __future__ import annotations

from greenmachine.networks.costs import module_costs, size_costs, topology_costs
from greenmachine.networks.program import cell_program
from greenmachine.networks.size import build_size, parse_size
from greenmachine.networks.topology import (
    OPERATIONS,
    build_topology,
    canonical_topology,
    live_topology,
    parse_topology,
)

__all__ = [
    "OPERATIONS",
    "build_size",
    "build_topology",
    "canonical_topology",
    "cell_program",
    "live_topology",
    "module_costs",
    "parse_size",
    "parse_topology",
    "size_costs",
    "topology_costs",
]
