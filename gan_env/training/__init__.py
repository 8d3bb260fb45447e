"""Trains N GANs under given controls: plain torch, no Gymnasium, no reinforcement learning.

`trainer` is the way in; `update` computes one update, `optimizers` the steps, `batches` what is drawn.
"""
