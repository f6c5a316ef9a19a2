"""The engine: evaluates a whole population as one graph over stacks of layers."""

from greenmachine.engine.evaluator import Evaluator
from greenmachine.engine.score_model import ModelScores, evaluate_model, score_model

__all__ = ["Evaluator", "ModelScores", "evaluate_model", "score_model"]
