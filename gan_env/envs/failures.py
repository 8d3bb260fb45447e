"""Detects failed training: a closed list of causes, of which the earliest is reported."""

from __future__ import annotations

import math

import numpy as np
import torch

from gan_env.envs.config import EnvConfig
from gan_env.training.trace import Trace
from gan_env.training.trainer import Trainer

CAUSES = {
    "non-finite gradient": "a slope of the losses in the weights",
    "non-finite moments": "a moving average of the optimiser",
    "non-finite weights": "a weight or a buffer of either player",
    "non-finite loss": "a loss of either player",
    "non-finite logits": "an output of the discriminator",
    "non-finite score": "the distance to test data at the end",
    "loss past its bound": "a loss beyond `loss_bound`, of either sign",
    "weights past their bound": "a weight beyond `weight_bound`, of either sign",
    "dead discriminator": "one output for every sample for `dead_updates` updates, and no slope in them",
    "dead generator": "one sample for every latent for `dead_updates` updates, and no slope in them",
}
"""Every cause that `info["failure"]` can name, and the quantity that it was found in.

Losses and gradients are checked after every update of a decision, weights and moments only after the last update; the
earliest failure is reported. A player is dead only if its gradient is zero everywhere, too: a critic clipped to tiny
weights rounds to a constant and still trains G.
"""
FAILURES = tuple(CAUSES)
EXAMINE_EVERY = 10
"""Updates between two checks of what is costly and changes slowly: moments, and whether a player is dead."""
_GRADIENT, _MOMENTS, _WEIGHTS, _LOSS, _LOGITS, SCORE, _LOSS_BOUND, _WEIGHT_BOUND, _DEAD_D, _DEAD_G = range(10)


def failures(trainer: Trainer, trace: Trace, moves: np.ndarray, config: EnvConfig) -> np.ndarray | None:
    """Returns each row's index into FAILURES after a decision, (N,) int; -1 without failure or if it did not move.

    Returns None if no row has failed.
    """
    k = config.updates_per_step
    if (seen := trainer.seen) is not None and _kernel_says_well(trainer, seen.worst, moves, k, config):
        return None
    # By plain numbers, few of which differ: after an update the processor no longer has numpy's code at hand.
    if not any(update % EXAMINE_EVERY < k for update in set(trainer.updates.tolist())):
        if _all_is_well(trainer, trace, config):
            return None
    due = moves & (trainer.updates % EXAMINE_EVERY < k)  # an examination fell among these updates
    summary = trainer.measurement.summary
    logits = np.isfinite(summary.real_logit) & np.isfinite(summary.fake_logit)
    sizes = np.stack([np.abs(trace.on_host).max((0, 1)), _largest_weight(trainer), trace.gradient.sum(0).cpu().numpy()])
    finite, past = np.isfinite(sizes), sizes[:2] > [[config.loss_bound], [config.weight_bound]]
    if finite.all() and logits.all() and not (past.any() or due.any()):
        return None
    moments, dead = _finite_moments(trainer), _dead(trainer, due, config.dead_updates)
    wrong = ~finite.all(0) | ~logits | (due & ~moments)
    causes = np.where(wrong, _first_non_finite(trace, finite[1], logits, moments), -1)
    for cause, rows in ((_LOSS_BOUND, past[0]), (_WEIGHT_BOUND, past[1]), (_DEAD_D, dead[0]), (_DEAD_G, dead[1])):
        causes = np.where((causes < 0) & rows, cause, causes)
    causes = np.where(moves, causes, -1)
    return causes if (causes >= 0).any() else None


def _kernel_says_well(trainer: Trainer, worst: np.ndarray, moves: np.ndarray, k: int, config: EnvConfig) -> bool:
    """Returns whether no row has a failure or a constant player, by `Seen.worst`."""
    weight, loss, odd, constant = worst.tolist()
    if not (weight <= config.weight_bound and loss <= config.loss_bound and odd == 0 and constant == 0):
        return False
    if np.count_nonzero(trainer.constant):  # a fifth of the time of `any`
        trainer.constant[:, moves & (trainer.updates % EXAMINE_EVERY < k)] = 0
    return True


def _all_is_well(trainer: Trainer, trace: Trace, config: EnvConfig) -> bool:
    """Returns whether no row has a failure, the usual case, at a fraction of the cost of checking row by row.

    An entry's size is at most the root of a sum of squares that contains it, and NaN is within no bound. A sum may
    exceed a bound although no row does.
    """
    summary, parts = trainer.measurement.summary, (trainer.g.flat, trainer.d.flat, trace.losses)
    squares = [torch.dot(part.view(-1), part.view(-1)) for part in parts]
    *weights, losses, gradient = torch.stack([*squares, trace.gradient.sum()]).tolist()
    with np.errstate(over="ignore", invalid="ignore"):  # then it is not finite, which is what is asked
        logits = np.dot(summary.real_logit, summary.real_logit) + np.dot(summary.fake_logit, summary.fake_logit)
    return (
        math.sqrt(sum(weights)) <= config.weight_bound
        and math.sqrt(losses) <= config.loss_bound
        and math.isfinite(gradient)
        and math.isfinite(logits)
    )


def _first_non_finite(trace: Trace, weights: np.ndarray, logits: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Returns the cause, (N,), in rows with a non-finite value: the earliest one, as far as it can be inferred.

    `weights`, `logits` and `moments` are whether a row's are finite, (N,) bool.
    """
    until = trace.losses[:, :-1].isfinite().all(0).cpu().numpy()  # (k, N): the losses that each gradient is of
    before = until[0]
    gradient = trace.gradient.isfinite().cpu().numpy()
    cases = [
        (_GRADIENT, (~gradient & until).any(0)),
        (_LOSS, before & ~until.all(0)),
        (_MOMENTS, before & gradient.all(0) & ~moments),
        (_WEIGHTS, ~weights),
        (_MOMENTS, ~moments),
        (_LOSS, ~np.isfinite(trace.on_host).all((0, 1))),
        (_LOGITS, ~logits),
    ]
    return np.select([rows for _, rows in cases], [cause for cause, _ in cases], -1)


def _largest_weight(trainer: Trainer) -> np.ndarray:
    """Returns the largest absolute weight of each row, (N,); NaN if a buffer is not finite."""
    if trainer.seen is not None:
        return trainer.seen.vitals[0]
    found = []
    for players in (trainer.g, trainer.d):
        weights, buffers = players.flat[:, : players.weights], players.flat[:, players.weights :]
        largest = torch.maximum(weights.amax(1), -weights.amin(1))  # fresh absolute values would cost page faults
        found.append(largest + 0 * buffers.sum(1) if buffers.shape[1] else largest)
    return torch.maximum(*found).cpu().numpy()


def _finite_moments(trainer: Trainer) -> np.ndarray:
    """Returns whether every moment of the optimisers is finite, (N,) bool."""
    if trainer.seen is not None:
        return np.isfinite(trainer.seen.vitals[1])
    sums = torch.zeros(trainer.n, dtype=trainer.dtype, device=trainer.device)
    for optimizer in (trainer.g_optimizer, trainer.d_optimizer):
        for moment in optimizer.moments:
            sums = sums + moment.sum(1)
    return sums.isfinite().cpu().numpy()


def _dead(trainer: Trainer, due: np.ndarray, dead_updates: int) -> np.ndarray:
    """Returns whether D and G are dead, (2, N) bool; counts in the trainer for how long they have been constant."""
    dead = np.zeros((2, trainer.n), bool)
    if not due.any():
        return dead
    seen = trainer.measurement
    if not dead_updates or trainer.task.latents == "ones" or seen.fake_logits.shape[1] < 2:
        return dead  # a constant generator is what the Dirac-GAN is about, and one sample cannot differ from itself
    if trainer.seen is not None:
        constant = trainer.seen.vitals[2:] == 1
    else:
        # Labels that follow are not G's.
        fake = trainer.coming_fake.flatten(2)[:, :, : math.prod(trainer.task.data.shape)]
        logits = torch.cat([seen.real_logits, seen.fake_logits], 1)
        constant = torch.stack([logits.amax(1) == logits.amin(1), (fake.amax(1) == fake.amin(1)).all(1)]).cpu().numpy()
    for i, counter in enumerate(trainer.constant):
        counter[due] = np.where(constant[i], counter + EXAMINE_EVERY, 0)[due]
        for row in np.flatnonzero(due & (counter >= dead_updates)):
            dead[i, row] = _is_flat(trainer, int(row), generator=i == 1)
    return dead


def _is_flat(trainer: Trainer, row: int, generator: bool) -> bool:
    """Returns whether a player's input gradient is exactly zero at every checked sample."""
    players = trainer.g if generator else trainer.d
    if generator:
        latents = torch.linspace(-2, 2, trainer.batch_size * trainer.task.latent_size)
        inputs = latents.view(1, trainer.batch_size, -1).to(trainer.device, trainer.dtype)
        if trainer.task.condition is not None:
            inputs = trainer.task.condition.join(inputs, trainer.coming_labels(row)[None])
    else:
        inputs = trainer.coming_fake[row : row + 1]
    with torch.enable_grad():
        inputs = inputs.detach().clone().requires_grad_()
        out = players.functional(players.flat[row : row + 1].detach(), inputs).flatten(1)
        weights = torch.linspace(1, 2, out.shape[1], device=out.device, dtype=out.dtype)
        (slope,) = torch.autograd.grad((out * weights).sum(), inputs)
    return not bool(slope.any())
