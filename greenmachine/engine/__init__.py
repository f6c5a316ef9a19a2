"""The engine: a population evaluated as one graph over stacks of layers."""

from greenmachine.engine.evaluator import Evaluator
from greenmachine.engine.single import score_model

__all__ = ["Evaluator", "score_model"]
