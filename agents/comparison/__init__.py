"""Runs controllers against each other on the same GANs in one batch (`compare`), and records a row for each run."""
