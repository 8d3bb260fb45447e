"""A controller with Hugging Face Accelerate: `python accelerate_gan.py`, or `accelerate launch accelerate_gan.py`.

Two things are worth copying: scores are gathered, so that every process decides alike, and the `Steer` is registered
for checkpointing like any other object with a state.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.functional import softplus

from agents import Steer


def main(folder: Path) -> list[int]:
    """Trains for an epoch, saves, goes on in fresh objects; the steer's iterations after each."""
    counts = []
    for epoch in range(2):
        accelerator = Accelerator(cpu=True)
        generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        opt_g, opt_d = (torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (generator, discriminator))
        angle = torch.rand(64) * 2 * torch.pi
        points = torch.utils.data.TensorDataset(torch.stack([angle.cos(), angle.sin()], 1))
        loader = torch.utils.data.DataLoader(points, batch_size=8)
        generator, discriminator, opt_g, opt_d, loader = accelerator.prepare(
            generator, discriminator, opt_g, opt_d, loader
        )
        steer = Steer("gap-aware", opt_g, opt_d)
        accelerator.register_for_checkpointing(steer)
        if epoch:
            accelerator.load_state(str(folder))
        for (real,) in loader:
            fake = generator(torch.randn(len(real), 4, device=accelerator.device))
            real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
            d = steer(accelerator.gather(real_logits), accelerator.gather(fake_logits))
            if d.update_d:
                opt_d.zero_grad()
                accelerator.backward(softplus(-real_logits).mean() + softplus(fake_logits).mean())
                opt_d.step()
            if d.update_g:
                opt_g.zero_grad()
                accelerator.backward(softplus(-discriminator(fake)).mean())
                opt_g.step()
            steer.done()
        accelerator.save_state(str(folder))
        counts.append(steer.update)
    return counts


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("iterations after the first epoch, and after going on from its checkpoint:", main(Path(folder)))
