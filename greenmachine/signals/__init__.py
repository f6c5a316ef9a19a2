"""Signals: the tensors of one forward and one backward pass through an untrained network."""

from greenmachine.signals.network_capture import CaptureSpec
from greenmachine.signals.registry import PASSES
from greenmachine.signals.store import Store

__all__ = ["PASSES", "CaptureSpec", "Store"]
