"""Players as plain `torch.nn.Module`s: MLPs, DCGANs for pictures and voxels, small ones after StyleGAN2 and R3GAN.

Imports nothing of this package.
"""
