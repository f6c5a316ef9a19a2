"""The engine: a population evaluated as one graph over stacks of layers."""

from greenmachine.engine.evaluator import Evaluator

__all__ = ["Evaluator"]
