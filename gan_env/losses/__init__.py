"""GAN losses and their regularisers; `losses` registers every loss by name.

`penalties` (gradient penalties), `spectral_norm` and `diversity` define the terms that losses consist of.
"""
