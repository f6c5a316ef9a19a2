"""Very small networks: faults are injected into the files of a command, not into networks."""

from torch import nn

INPUT_SHAPE = (6,)


def build(arch: str) -> nn.Module:
    """Return a network of two layers, ``arch`` wide."""
    return nn.Sequential(nn.Linear(6, int(arch)), nn.ReLU(), nn.Linear(int(arch), 2))
