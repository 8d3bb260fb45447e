"""Each row's optimiser against that of torch."""

import pytest
import torch
from torch import nn

from gan_env.optimizer_spec import OptimizerSpec
from gan_env.players.players import EVERY
from gan_env.training.optimizers import RowOptimizer

OPTIMIZERS = {
    "adam": (OptimizerSpec(name="adam", betas=(0.9, 0.99)), lambda p, lr: torch.optim.Adam([p], lr, betas=(0.9, 0.99))),
    "adam, beta1 = 0": (OptimizerSpec(betas=(0.0, 0.9)), lambda p, lr: torch.optim.Adam([p], lr, betas=(0.0, 0.9))),
    "rmsprop": (
        OptimizerSpec(name="rmsprop", alpha=0.9, eps=1e-5),
        lambda p, lr: torch.optim.RMSprop([p], lr, alpha=0.9, eps=1e-5),
    ),
    "sgd": (OptimizerSpec(name="sgd"), lambda p, lr: torch.optim.SGD([p], lr)),
    "sgd with momentum": (
        OptimizerSpec(name="sgd", momentum=0.9),
        lambda p, lr: torch.optim.SGD([p], lr, momentum=0.9),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_row_steps_as_torchs_optimiser_does_at_its_own_rate(name):
    spec, build = OPTIMIZERS[name]
    rng = torch.Generator().manual_seed(1)
    flat = torch.randn(4, 7, generator=rng, dtype=torch.float64)
    lr = torch.tensor([1e-1, 1e-3, 3e-2, 1e-4], dtype=torch.float64)
    params = [nn.Parameter(row.clone()) for row in flat]
    theirs = [build(p, float(rate)) for p, rate in zip(params, lr, strict=True)]
    ours = RowOptimizer(spec, flat, lr)
    for step in range(50):
        grad = torch.randn(4, 7, generator=rng, dtype=torch.float64) * 10.0 ** torch.randint(
            -4, 3, (4, 1), generator=rng
        )
        multiplier = 0.1 + torch.rand(4, generator=rng, dtype=torch.float64)
        # Now and then a row sits out: its age and moments must stand still, as if nobody had called.
        stepping = torch.rand(4, generator=rng) < 0.7 if step % 3 else torch.ones(4, dtype=torch.bool)
        index = EVERY if stepping.all() else stepping.nonzero()[:, 0]
        ours.step(index, grad[index], multiplier[index])
        for row in stepping.nonzero()[:, 0].tolist():
            theirs[row].param_groups[0]["lr"] = float(lr[row] * multiplier[row])
            params[row].grad = grad[row]
            theirs[row].step()
        gap = (flat - torch.stack([p.detach() for p in params])).abs().max()
        assert float(gap) <= 1e-12, f"step {step}"


def test_resetting_a_rows_optimiser_forgets_that_row_alone():
    flat = torch.zeros(2, 3, dtype=torch.float64)
    ours = RowOptimizer(OptimizerSpec(), flat, torch.full((2,), 0.1, dtype=torch.float64))
    for _ in range(3):
        ours.step(EVERY, torch.ones(2, 3, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    ours.reset(torch.tensor([1]))
    assert ours.steps.tolist() == [3, 0]
    assert all(bool((m[0] > 0).all()) and bool((m[1] == 0).all()) for m in ours.moments)
