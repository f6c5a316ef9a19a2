"""Runs, one YAML each, and checks of what they leave."""
