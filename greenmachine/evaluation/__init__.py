"""Evaluation: score whole spaces, measure how well scores rank, and test forests."""

from greenmachine.evaluation.combining import proxies_and_sums, rank_sums_of, sums_among
from greenmachine.evaluation.cost_model import estimate_sweep
from greenmachine.evaluation.keeping import keep_scores
from greenmachine.evaluation.protocols import Trial, try_forest
from greenmachine.evaluation.ranking import LEAST_RANKED, tau_table
from greenmachine.evaluation.score_file import (
    check_rows,
    direction_of,
    joined_attrs,
    read_scores,
    score_columns,
)
from greenmachine.evaluation.scoring import capture_spec, score_networks, score_to_file
from greenmachine.evaluation.seeds import (
    OF_SEEDS,
    SeedScore,
    check_seeds,
    seed_spread,
    seed_table,
)

__all__ = [
    "LEAST_RANKED",
    "OF_SEEDS",
    "SeedScore",
    "Trial",
    "capture_spec",
    "check_rows",
    "check_seeds",
    "direction_of",
    "estimate_sweep",
    "joined_attrs",
    "keep_scores",
    "proxies_and_sums",
    "rank_sums_of",
    "read_scores",
    "score_columns",
    "score_networks",
    "score_to_file",
    "seed_spread",
    "seed_table",
    "sums_among",
    "tau_table",
    "try_forest",
]
