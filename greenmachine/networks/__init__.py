"""Networks of the benchmarks, and their costs, computed without running them."""

from __future__ import annotations

from greenmachine.networks.channel_resnet import (
    build_channel_resnet,
    channel_widths,
    parse_channel_resnet,
)
from greenmachine.networks.costs import (
    channel_resnet_costs,
    costs_101,
    macro_costs,
    module_costs,
    size_costs,
    topology_costs,
)
from greenmachine.networks.macro import build_macro, canonical_macro, parse_macro
from greenmachine.networks.nas_bench_101 import build_101, hash_101, parse_101, program_101
from greenmachine.networks.program import cell_program
from greenmachine.networks.size import build_size, parse_size
from greenmachine.networks.topology import (
    OPERATIONS,
    build_topology,
    canonical_topology,
    function_topology,
    live_topology,
    parse_topology,
)

__all__ = [
    "OPERATIONS",
    "build_101",
    "build_channel_resnet",
    "build_macro",
    "build_size",
    "build_topology",
    "canonical_macro",
    "canonical_topology",
    "cell_program",
    "channel_resnet_costs",
    "channel_widths",
    "costs_101",
    "function_topology",
    "hash_101",
    "live_topology",
    "macro_costs",
    "module_costs",
    "parse_101",
    "parse_channel_resnet",
    "parse_macro",
    "parse_size",
    "parse_topology",
    "program_101",
    "size_costs",
    "topology_costs",
]
