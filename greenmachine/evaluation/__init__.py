"""Evaluation: scores of whole spaces, and how well they rank."""

from greenmachine.evaluation.ranking import tau_table
from greenmachine.evaluation.scoring import capture_spec, score_networks, score_to_file

__all__ = ["capture_spec", "score_networks", "score_to_file", "tau_table"]
