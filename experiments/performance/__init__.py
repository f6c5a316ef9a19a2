"""The benchmarks of speed and memory: ``python -m experiments.performance``."""
