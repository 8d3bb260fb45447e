"""Distances between generated and real samples; all are deterministic.

`distances` defines the exact W1 and related distances, `scores` the judges of a task, `classifiers` the features of
pictures, `chamfer` the distances between shapes.
"""
