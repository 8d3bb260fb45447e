"""Compares controllers on the same GANs in one batch (`compare`): contestants, their runs, and a row for each run.

`batch` trains, `outcomes` scores, `rows` names the fields. Public: `agents.compare`.
"""
