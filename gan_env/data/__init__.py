"""Data sets: training, validation and test splits, their sources, and the slices that ship (`assets`).

`datasets` defines the kinds of data; `images`, `meshes` and `digit_domains` read theirs through `sources`.
"""
