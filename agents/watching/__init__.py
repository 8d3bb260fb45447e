"""`gan-env watch`: a run that goes on, read from its folder (`watch`), and films of steered GANs (`film`)."""
