"""Settings of the published runs, one YAML file each, and programs that check their results."""
