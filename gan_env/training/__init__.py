"""Trains N GANs under given controls: plain torch, no Gymnasium, no reinforcement learning.

Start at `trainer`; `update` computes one update, `optimizers` the steps, `batches` draws real samples and latents.
"""
