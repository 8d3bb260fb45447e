"""Players as plain `torch.nn.Module`s: MLPs (`mlp`) and DCGANs for pictures and voxels (`dcgan`).

Imports nothing of this package.
"""
