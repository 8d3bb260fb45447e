"""Runs and differentiates N generators or N discriminators at once.

`players` defines the interface; `mlp` and `modules` implement it; `regularised` wraps discriminators.
"""
