"""Distances between generated and real samples; nothing in here is random.

`distances` holds the exact W1 and its kin, `scores` what judges a task, `classifiers` and `chamfer` the features for
pictures and shapes.
"""
