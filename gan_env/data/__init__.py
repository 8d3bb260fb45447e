"""Data sets: draws for training, validation and test, where they come from, and the slices that ship (`assets`).

`datasets` holds the kinds of data; `images`, `meshes` and `digit_domains` read theirs through `sources`.
"""
