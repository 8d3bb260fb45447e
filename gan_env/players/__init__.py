"""N generators or discriminators at once: how a batch of networks is run and differentiated.

`players` is the interface; `mlp` and `modules` are the two ways to keep it, `regularised` wraps discriminators.
"""
