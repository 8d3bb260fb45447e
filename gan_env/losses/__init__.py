"""GAN losses and their regularisers, one place each; `losses` registers every loss by name.

`penalties` (gradient penalties), `spectral_norm` and `diversity` are the terms that losses are made of.
"""
