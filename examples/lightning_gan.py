"""A controller in PyTorch Lightning, by a thin callback over manual optimisation: `python lightning_gan.py`.

The callback builds the `Steer` when training starts, ends each iteration, and keeps the controller in Lightning's own
checkpoints. The module asks `self.steer` once a batch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.nn.functional import softplus

from agents import Steer


class SteerCallback(lightning.Callback):
    """Gives the module a `steer`; its `optimizers()` must be the generator's and the discriminator's, in this order."""

    def __init__(self, controller: str, **options: Any):
        self.controller, self.options = controller, options
        self.steer: Steer | None = None
        self._loaded: dict[str, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        opt_g, opt_d = pl_module.optimizers()
        self.steer = pl_module.steer = Steer(self.controller, opt_g, opt_d, **self.options)
        if self._loaded:
            self.steer.load_state_dict(self._loaded)

    def on_train_batch_end(self, *args: Any) -> None:
        assert self.steer is not None
        self.steer.done()

    def state_dict(self) -> dict[str, Any]:
        return {} if self.steer is None else self.steer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict


class GAN(lightning.LightningModule):
    """Points of a circle."""

    steer: Steer

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def configure_optimizers(self):
        return [torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (self.generator, self.discriminator)]

    def training_step(self, batch, batch_idx):
        (real,) = batch
        opt_g, opt_d = self.optimizers()
        fake = self.generator(torch.randn(len(real), 4, device=self.device))
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake.detach())
        d = self.steer(real_logits, fake_logits)
        if d.update_d:
            opt_d.zero_grad()
            self.manual_backward(softplus(-real_logits).mean() + softplus(fake_logits).mean())
            opt_d.step()
        if d.update_g:
            opt_g.zero_grad()
            self.manual_backward(softplus(-self.discriminator(fake)).mean())
            opt_g.step()


def main(folder: Path) -> list[int]:
    """Trains for an epoch, then goes on from the checkpoint for another; the steer's iterations after each."""
    angle = torch.rand(64) * 2 * torch.pi
    points = torch.utils.data.TensorDataset(torch.stack([angle.cos(), angle.sin()], 1))
    loader = torch.utils.data.DataLoader(points, batch_size=8)
    counts, checkpoint = [], None
    for epochs in (1, 2):
        callback = SteerCallback("gap-aware")
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=[callback],
            default_root_dir=folder,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=False,
        )
        trainer.fit(GAN(), loader, ckpt_path=checkpoint)
        checkpoint = folder / "gan.ckpt"
        trainer.save_checkpoint(checkpoint)
        assert callback.steer is not None
        counts.append(callback.steer.update)
    return counts


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print("iterations after the first epoch, and after going on from its checkpoint:", main(Path(folder)))
