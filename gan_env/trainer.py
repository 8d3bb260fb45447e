"""Measures and updates N GANs under given controls. Plain torch: no Gymnasium, no reinforcement learning.

A decision is made on the very batch that the next update uses: every update ends by drawing the next batch and
running both players forward on it, and the next update differentiates that same forward pass.

Rows go through in chunks, so that one chunk's activations fit the processor's cache.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_env.chunks import Chunk, Judged, Moves
from gan_env.dressed_players import ReweighedPlayers, dressed, penalised
from gan_env.feed import Feed, latent_block
from gan_env.losses import Loss
from gan_env.mlp_players import MLPPlayers
from gan_env.module_players import make_players
from gan_env.optimizers import OptimizerSpec, RowOptimizer
from gan_env.players import EVERY, Buffers, Pair, Players, Rows, flatten, unflatten
from gan_env.records import Control, GameFacts, Measurement, d_loss
from gan_env.regularisers import derives_weights, weight_matrices
from gan_env.side_by_side import difference
from gan_env.streams import Purpose, key, rng, seeded
from gan_env.task import Task


def _joined(parts: list[Tensor], axis: int = 0) -> Tensor:
    """What the chunks hold as one; of one alone, its own."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


@dataclass(frozen=True)
class Trace:
    """What a decision's k updates did."""

    losses: Float[Tensor, "3 looks N"]
    """G's loss and D's on real and on generated samples: before the first update and after each, so k + 1 looks, on the
    batch that the following update uses."""
    gradient: Float[Tensor, "k N"]
    """Sum of both players' gradient entries in each update: not finite where an entry is not."""

    @cached_property
    def on_host(self) -> np.ndarray:
        """The losses after each update, (3, k, N) float64."""
        return self.losses[:, 1:].cpu().double().numpy()

    def d_losses(self, scale: str) -> np.ndarray:
        """D's loss after each update, (k, N) float64: the "mean" of both sides or their "sum"."""
        return d_loss(self.on_host[1], self.on_host[2], scale)


class Trainer:
    """N GANs of one loss in training, of one task or of several that can share a batch.

    Args:
        task: What is trained: one task, or one for each row, which agree on all but their data and their judges.
        loss: What the players minimise.
        rows: N.
        d_lr, g_lr: Base learning rates, one for all rows or one for each.
        d_optimizer, g_optimizer: The optimisers.
        batch_size: B, samples of each side in one update.
        order: V3 "simultaneous" (both gradients at the old weights) or "alternating" (D steps, then G's loss is
            computed again on the same latents).
        episode_updates: Length of the run, for `progress`; 0 if unknown.
        dtype: Precision of weights and computation. Draws are the same in either.
        device: Where it runs.
        way: How N copies of a player are run, see `make_players`.
        chunk: Rows in one chunk of plain MLPs (others go in one); changes speed and in float32 nothing else. By
            default as many as suit the cache.
    """

    n: int
    task: Task
    """Of the first row: what all rows have in common can be read off it."""
    tasks: tuple[Task, ...]
    """Those that rows are of, each once."""
    which: np.ndarray
    """(N,) int64: which of `tasks` each row is of."""
    loss: Loss
    batch_size: int
    order: str
    episode_updates: int
    dtype: torch.dtype
    device: torch.device
    g: Players
    d: Players
    g_optimizer: RowOptimizer
    d_optimizer: RowOptimizer
    g_penalty: Float[Tensor, " N"]
    seed: np.ndarray
    episode: np.ndarray
    updates: np.ndarray
    real_index: np.ndarray
    d_updates: np.ndarray
    g_updates: np.ndarray
    d_constant: np.ndarray
    g_constant: np.ndarray

    def __init__(
        self,
        task: Task | Sequence[Task],
        loss: Loss,
        rows: int,
        *,
        d_lr: float | Sequence[float],
        g_lr: float | Sequence[float],
        d_optimizer: OptimizerSpec,
        g_optimizer: OptimizerSpec,
        batch_size: int,
        order: str = "simultaneous",
        episode_updates: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        way: str = "auto",
        chunk: int | None = None,
    ):
        of_rows = [task] * rows if isinstance(task, Task) else list(task)
        self.tasks = tuple({id(each): each for each in of_rows}.values())
        self.task = task = of_rows[0]
        self.loss, self.n, self.batch_size, self.order = loss, rows, batch_size, order
        for other in self.tasks[1:]:
            if why := difference(task, other, batch_size):
                raise ValueError(f"tasks {task.name!r} and {other.name!r} cannot share a batch: their {why} differ")
        self._game = task.game
        if loss.diversity is not None and task.game is not None:
            raise ValueError(f"loss={loss.name!r}: task {task.name!r} generates no samples that could be diverse")
        self.episode_updates, self.dtype, self.device = episode_updates, dtype, torch.device(device)
        self._chunk_rows = chunk
        self._templates = {
            "g": self._fresh(task.generator, 0).to(self.device, dtype),
            "d": self._fresh(task.discriminator, 0).to(self.device, dtype),
        }
        # Read off the modules once, for walking through them would take most of a fork's time.
        self._sizes = {name: flatten(module).numel() for name, module in self._templates.items()}
        self._matrices = weight_matrices(self._templates["d"])
        self._widest = max(p.shape[0] for module in self._templates.values() for p in module.parameters())
        seen = task.data.shape if task.game is None else task.game.out_shape
        self._allocate(
            rows,
            lambda flat: make_players(self._templates["g"], flat, seen, way),
            lambda flat: make_players(self._templates["d"], flat, (), way),
        )
        self.which[:] = [next(i for i, each in enumerate(self.tasks) if each is own) for own in of_rows]
        self.g_optimizer = RowOptimizer(g_optimizer, self.g.flat, self._per_row(g_lr))
        self.d_optimizer = RowOptimizer(d_optimizer, self.d.flat, self._per_row(d_lr))

    def empty_fork(self, rows: int) -> Trainer:
        """A trainer of so many rows set up like this one, for `snapshot.restore` to fill; shares task and modules."""
        branch = copy.copy(self)
        branch.n = rows
        branch._allocate(rows, self.g.over, self.d.over)
        for name, players in (("g_optimizer", branch.g), ("d_optimizer", branch.d)):
            setattr(branch, name, RowOptimizer(getattr(self, name).spec, players.flat, branch._per_row(0.0)))
        return branch

    def _per_row(self, lr: float | Sequence[float]) -> Tensor:
        return torch.as_tensor(lr, dtype=torch.float64, device=self.device).expand(self.n).clone()

    def _allocate(self, rows: int, make_g: Callable[[Tensor], Players], make_d: Callable[[Tensor], Players]) -> None:
        """All that has rows, but for the optimisers; `make_g` and `make_d` put players on weights (N, P)."""
        task, game, dtype, batch_size = self.task, self._game, self.dtype, self.batch_size
        self.g, self.d = (
            make(torch.zeros(rows, self._sizes[name], dtype=dtype, device=self.device))
            for name, make in (("g", make_g), ("d", make_d))
        )
        self._seen_shape = task.data.shape if game is None else game.seen_shape
        self.which = np.zeros(rows, np.int64)
        self.feed: Feed = Feed(self.tasks, self.which, self.loss, rows, batch_size, self._seen_shape, self.device)
        self._trained_d: Players = self.d
        matrices = self._matrices
        if (reweigh := self.loss.reweigh) is not None:
            if derives_weights(self._templates["d"]):
                raise ValueError(
                    f"loss={self.loss.name!r} divides D's own weights by their norm, but this discriminator computes "
                    "its weights from others (spectral_norm, weight_norm, ...); take one of the two away"
                )
            self._trained_d = ReweighedPlayers(self._trained_d, lambda flat: reweigh(flat, matrices))
        if (dress := self.loss.dress) is not None:
            coefficient = self.loss.coefficient
            self._trained_d = dressed(self._trained_d, lambda slope: dress(slope, coefficient))
        self.d_penalty: Float[Tensor, " N"] = torch.zeros(rows, dtype=dtype, device=self.device)
        """Weighted penalty in each row's last D update; 0 before the first, and where the loss has none."""
        self.g_penalty = torch.zeros_like(self.d_penalty)
        """The diversity term in each row's last G update; 0 where there was none."""
        # Counters live on the host: they address the draws.
        self.seed, self.episode = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.updates, self.real_index = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.d_updates, self.g_updates = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.d_constant, self.g_constant = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        """Updates for which a player has been seen to give one output for every sample, see `failures`."""
        chunk = self._chunk_rows or self._cache_rows()
        if not (isinstance(self.g, MLPPlayers) and isinstance(self.d, MLPPlayers)):
            chunk = rows  # autograd's tapes of one chunk would not survive another's step on the same tensor
        spans = [slice(at, min(at + chunk, rows)) for at in range(0, rows, chunk)]
        self._chunks = [Chunk(span, self.g.flat[span], self.d.flat[span]) for span in spans]
        self._scratch = {name: Buffers() for name in ("d", "late d", "early", "late", "penalty")}
        self._measurement: Measurement | None = None

    def _cache_rows(self) -> int:
        """Rows whose widest activation is about half a megabyte: measured best for narrow and wide MLPs alike."""
        if self.device.type == "cuda":
            return self.n
        return max(1, 131_072 // (self._widest * self.batch_size))

    @property
    def facts(self) -> GameFacts:
        """What controllers may know of this game."""
        block = self.task.data.block(self.batch_size)
        return GameFacts(
            loss=self.loss.name,
            ideal_d_loss=self.loss.ideal_d_loss,
            signed=self.loss.signed,
            probability=self.loss.probability,
            kind=self.task.kind,
            episode_updates=self.episode_updates,
            updates_per_epoch=block if hasattr(self.task.data, "__len__") else 0,
        )

    # -- starting -------------------------------------------------------------------------------------------------

    @staticmethod
    def _fresh(build, seed: int) -> nn.Module:
        """A module with weights drawn from `seed`; torch's global generators are left as they were."""
        with seeded(seed):
            return build()

    @torch.no_grad()
    def reset(self, seed: np.ndarray, episode: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Starts the rows afresh (all by default) from `seed` and `episode`, int64, one entry per chosen row."""
        chosen = np.arange(self.n) if rows is None else np.asarray(rows)
        self.seed[chosen], self.episode[chosen] = seed, episode
        for counter in (
            self.updates,
            self.real_index,
            self.d_updates,
            self.g_updates,
            self.d_constant,
            self.g_constant,
        ):
            counter[chosen] = 0
        for row in chosen:
            for players, build, purpose in (
                (self.g, self.task.generator, Purpose.GENERATOR_WEIGHTS),
                (self.d, self.task.discriminator, Purpose.DISCRIMINATOR_WEIGHTS),
            ):
                # torch's CPU generator takes 32 bits of a seed; 63 are given so that nothing else is assumed.
                start = key(int(self.seed[row]), int(self.episode[row]), purpose, 0) >> 65
                players.flat[int(row)] = flatten(self._fresh(build, start)).to(self.device, self.dtype)
        index = torch.from_numpy(chosen).to(self.device)
        self.g_optimizer.reset(index)
        self.d_optimizer.reset(index)
        self.feed.forget(chosen)
        self.d_penalty[index] = self.g_penalty[index] = 0
        self.look(chosen)

    # -- measuring ------------------------------------------------------------------------------------------------

    def look(self, rows: np.ndarray | None = None) -> None:
        """Says that weights or counters were changed: the coming batch is drawn and looked at when next needed."""
        for chunk in self._chunks:
            if rows is None or ((rows >= chunk.rows.start) & (rows < chunk.rows.stop)).any():
                chunk.stale = True
        self._measurement = None

    @torch.no_grad()
    def _catch_up(self) -> None:
        """Looks where that is due."""
        for chunk in self._chunks:
            if chunk.stale:
                self._look(chunk)

    def _look(self, chunk: Chunk) -> None:
        rows = chunk.rows
        chunk.forget()
        chunk.codes = self.feed.reals.at(rows, self.real_index[rows], self.seed[rows], self.episode[rows])
        if self._game is None:
            inputs = self.feed.latents.at(rows, self.updates[rows], self.seed[rows], self.episode[rows])
        else:
            inputs = self._game.inputs(chunk.codes)
        chunk.out, chunk.g_tape = self.g.forward(chunk.g_flat, inputs.to(self.dtype), chunk.g_buffers)
        if self._game is None:
            chunk.real, chunk.fake = self._real(chunk).to(self.dtype), chunk.out
        else:
            chunk.real, chunk.fake = self._game.sides(chunk.out)
        pair = self.d.pair(chunk.d_flat, chunk.real, chunk.fake, chunk.d_buffers)
        real, fake, loss = pair.real_logits, pair.fake_logits, self.loss
        game = self._game
        g_loss = loss.generator(fake).mean(-1) if game is None else game.own_loss(chunk.out, chunk.codes)
        chunk.seen = Judged(pair, torch.stack([g_loss, loss.real(real).mean(-1), loss.fake(fake).mean(-1)]))
        chunk.stale = False

    def _real(self, chunk: Chunk) -> Tensor:
        """The real batch of each row, out of its own task's data."""
        which = self.which[chunk.rows]
        if (which == which[0]).all():
            return self.tasks[which[0]].data.batch(chunk.codes)
        real: Tensor | None = None
        for kind in np.unique(which):
            rows = torch.from_numpy(np.flatnonzero(which == kind)).to(self.device)
            batch = self.tasks[kind].data.batch(chunk.codes[rows])
            real = batch.new_empty(len(which), *batch.shape[1:]) if real is None else real
            real[rows] = batch
        assert real is not None
        return real

    def _probe(self, chunk: Chunk) -> Tensor:
        """What the loss draws for this update, (n, ...)."""
        rows = chunk.rows
        drawn = self.feed.probes.at(rows, self.updates[rows], self.seed[rows], self.episode[rows])
        return drawn.to(self.dtype)

    @property
    def measurement(self) -> Measurement:
        """What is seen on the coming batch, all rows."""
        if self._measurement is None:
            self._catch_up()

            g_loss, d_loss_real, d_loss_fake = _joined([chunk.seen.losses for chunk in self._chunks], 1)
            update = torch.from_numpy(self.updates.copy()).to(self.device)
            self._measurement = Measurement(
                real_logits=_joined([chunk.seen.pair.real_logits for chunk in self._chunks]),
                fake_logits=_joined([chunk.seen.pair.fake_logits for chunk in self._chunks]),
                g_loss=g_loss,
                d_loss_real=d_loss_real,
                d_loss_fake=d_loss_fake,
                update=update,
                progress=update.double() / max(self.episode_updates, 1) if self.episode_updates else update * 0.0,
            )
        return self._measurement

    @property
    def coming_fake(self) -> Tensor:
        """Generated samples of the coming batch, (N, B, *shape), to be read at once."""
        self._catch_up()
        return _joined([chunk.fake for chunk in self._chunks])

    # -- updating -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def advance(self, control: Control, updates: int = 1, active: np.ndarray | None = None) -> Trace:
        """`updates` updates of every active row under one control, each followed by a look at the next batch.

        Args:
            control: For all N rows; that of inactive rows is ignored.
            updates: k ≥ 1.
            active: (N,) bool; rows that take part, all by default. The others stay untouched to the bit.
        """
        control.check(self.n)
        moves = np.ones(self.n, bool) if active is None else active
        fresh = moves & ~control.reuse_real.cpu().numpy()
        update_d = control.update_d.cpu().numpy() & moves
        update_g = control.update_g.cpu().numpy() & moves
        multipliers = control.d_multiplier.to(self.device), control.g_multiplier.to(self.device)
        self._catch_up()
        self._measurement = None
        losses = torch.empty(3, updates + 1, self.n, dtype=self.dtype, device=self.device)
        gradient = torch.zeros(updates, self.n, dtype=self.dtype, device=self.device)
        for chunk in self._chunks:
            rows = chunk.rows
            if not moves[rows].any():
                losses[:, :, rows] = chunk.seen.losses.unsqueeze(1)
                continue
            losses[:, 0, rows] = chunk.seen.losses
            chunk.stale = True  # as a decision leaves it that is cut short, by Ctrl-C or a user's own module
            who = Moves(update_d[rows], update_g[rows], self.order, self.device)
            for k in range(updates):
                self._update(chunk, who, *multipliers, gradient[k])
                self.d_updates[rows] += update_d[rows]
                self.g_updates[rows] += update_g[rows]
                self.updates[rows] += moves[rows]
                self.real_index[rows] += fresh[rows]
                self._look(chunk)
                losses[:, k + 1, rows] = chunk.seen.losses
        return Trace(losses, gradient)

    def _update(self, chunk: Chunk, moves: Moves, d_multiplier: Tensor, g_multiplier: Tensor, gradient: Tensor) -> None:
        """One update of a chunk. Gradients at the old weights are all taken before any weight moves.

        The sums of their entries are added to `gradient`, (N,).
        """
        real, fake, pair = self._trained(chunk)
        d_grad, g_grads = None, []
        if moves.d is not None:
            real_slope = self.loss.slope("real", pair.real_logits)
            fake_slope = self.loss.slope("fake", pair.fake_logits)
            then = () if moves.g_early is None else ("fake",) if self._game is None else ("real", "fake")
            d_grad = pair.weight_gradient(real_slope, fake_slope, self._scratch["d"], moves.d, then)
            if self.loss.penalty is not None:
                d_grad += self._penalty_gradient(chunk, moves.d)
        if moves.g_early is not None:
            at_out = self._at_output(chunk, pair, self._scratch["d"], moves.g_early, moves.g_early)
            last = moves.g_late is None
            g_grads.append((moves.g_early, self._g_gradient("early", chunk, at_out, moves.g_early, last)))
        if d_grad is not None and moves.d is not None:
            rows = chunk.whole(moves.d)
            gradient[rows] += self.d_optimizer.step(rows, d_grad, d_multiplier[rows])
            if self.loss.clipped:
                bound, weights = self.loss.coefficient, self.d.weights
                self.d.flat[rows, :weights] = self.d.flat[rows, :weights].clamp_(-bound, bound)
        if moves.g_late is not None:
            at_out = self._at_output_late(chunk, real, fake, moves.g_late)
            g_grads.append((moves.g_late, self._g_gradient("late", chunk, at_out, moves.g_late, True)))
        for places, grad in g_grads:
            rows = chunk.whole(places)
            gradient[rows] += self.g_optimizer.step(rows, grad, g_multiplier[rows])

    def _trained(self, chunk: Chunk) -> tuple[Tensor, Tensor, Pair]:
        """Both batches as D sees them where gradients are taken, and that pass: the measured one if they agree."""
        if self.loss.measured_as_trained:
            return chunk.real, chunk.fake, chunk.seen.pair
        real, fake = chunk.real, chunk.fake
        if self.loss.noisy:
            noise = self.loss.coefficient * self._probe(chunk)
            real, fake = real + noise[:, 0], fake + noise[:, 1]
        return real, fake, self._trained_d.pair(chunk.d_flat, real, fake, chunk.d_buffers)

    def _penalty_gradient(self, chunk: Chunk, places: slice | Tensor) -> Tensor:
        """Gradient of the weighted penalty in D's weights, (m, P); keeps the penalty itself in `d_penalty`."""
        assert self.loss.penalty is not None
        rows = chunk.whole(places)
        seen = chunk.real[places], chunk.fake[places].detach(), self._probe(chunk)[places]
        penalty, grad = penalised(self.d, self.loss.penalty, self.d.flat[rows], seen, self._scratch["penalty"])
        self.d_penalty[rows] = self.loss.coefficient * penalty
        return grad * self.loss.coefficient

    def _at_output(self, chunk: Chunk, pair: Pair, scratch: Buffers, within: Rows, places: Rows) -> Tensor:
        """Gradient of G's loss at what it made, (m, M, *out), through D's pass; D's weight gradients are left out.

        `within` are the m rows among those of the pass, `places` the same rows among those of the chunk.
        """
        if self._game is None:
            slope = self.loss.slope("generator", pair.fake_logits)[within]
            return self._diversified(chunk, pair.input_gradient("fake", slope, scratch, within), places)
        strength = -self._game.strength(self._progress(chunk.rows)).to(self.device, self.dtype)[places].unsqueeze(-1)
        at_real, at_fake = (
            pair.input_gradient(side, strength * self.loss.slope(side, logits)[within], scratch, within)
            for side, logits in (("real", pair.real_logits), ("fake", pair.fake_logits))
        )
        with torch.enable_grad():
            out = chunk.out[places].detach().requires_grad_()
            parts = [*self._game.sides(out), self._game.own_loss(out, chunk.codes[places])]
            (grad,) = torch.autograd.grad(parts, out, [at_real, at_fake, torch.ones_like(parts[2])])
        return grad

    def _at_output_late(self, chunk: Chunk, real: Tensor, fake: Tensor, places: Rows) -> Tensor:
        """The same with D's weights as they are now; both batches go through D only where G's loss needs both."""
        flat, scratch = self.d.flat[chunk.whole(places)], self._scratch["late d"]
        if self._game is not None:
            pair = self._trained_d.pair(flat, real[places], fake[places], chunk.late_buffers)
            return self._at_output(chunk, pair, scratch, EVERY, places)
        logits, tape = self._trained_d.forward(flat, fake[places], chunk.late_buffers)
        slope = self.loss.slope("generator", logits)
        _, at_fake = self._trained_d.backward(tape, slope, scratch, weights=False, inputs=True, last=True)
        assert at_fake is not None
        return self._diversified(chunk, at_fake, places)

    def _diversified(self, chunk: Chunk, at_fake: Tensor, places: Rows) -> Tensor:
        """With the gradient of the diversity term for the rows whose turn it is; keeps the term in `g_penalty`."""
        term, rows = self.loss.diversity, chunk.whole(places)
        if term is None:
            return at_fake
        turn = torch.from_numpy((self.g_updates + 1) % term.interval == 0).to(self.device)[rows]
        with torch.enable_grad():
            fake = chunk.fake[places].detach().requires_grad_()
            penalty = term(fake, chunk.real[places])
            (grad,) = torch.autograd.grad(penalty.sum(), fake)
        self.g_penalty[rows] = torch.where(turn, penalty.detach(), 0.0)
        # Not by a product: a NaN in a row whose turn it is not would stay one.
        return torch.where(turn.view(-1, *[1] * (grad.dim() - 1)), at_fake + grad, at_fake)

    def _progress(self, rows: slice) -> Tensor:
        """Share of the run that is done, float64 (n,); 1 where its length is unknown."""
        done = torch.from_numpy(self.updates[rows].astype(np.float64))
        return done / self.episode_updates if self.episode_updates else torch.ones_like(done)

    def _g_gradient(self, when: str, chunk: Chunk, at_out: Tensor, rows: Rows, last: bool) -> Tensor:
        """G's gradient in its weights from that at what it made."""
        asked: dict[str, Any] = {"weights": True, "inputs": False, "rows": rows, "last": last}
        grad, _ = self.g.backward(chunk.g_tape, at_out, self._scratch[when], **asked)
        assert grad is not None
        return grad

    # -- what came of it ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def samples(self, count: int, purpose: Purpose, index: int = 0, rows: Sequence[int] | None = None) -> Tensor:
        """`count` generated samples of each chosen row (all by default), (rows, count, *shape).

        The latents are a function of the row's seed and episode, `purpose` and `index`, so two controllers on one
        seed are judged on the same latents. A task with a `Game` gives what its G makes of held-out inputs.
        """
        made = []
        for row in range(self.n) if rows is None else rows:
            if self._game is None:
                generator = rng(int(self.seed[row]), int(self.episode[row]), purpose, index)
                # Copied to where torch's numbers start, for rounding depends on it.
                inputs = torch.tensor(latent_block(self.task, 1, count)(generator))
            else:
                inputs = self._game.held_out(purpose, count).unsqueeze(0)
            made.append(self.g.functional(self.g.flat[row : row + 1], inputs.to(self.device, self.dtype)))
        return torch.cat(made)

    def task_of(self, row: int) -> Task:
        """What the row is of."""
        return self.tasks[self.which[row]]

    def quality(self, rows: Sequence[int]) -> np.ndarray:
        """Distances of the chosen rows to validation data by their tasks' cheap estimators, (rows,) float64.

        Infinite where a sample is not finite.
        """
        found, which = np.empty(len(rows)), self.which[np.asarray(rows, np.int64)]
        for kind in np.unique(which):
            quality, same = self.tasks[kind].quality, np.flatnonzero(which == kind)
            fake = self.samples(quality.samples, Purpose.QUALITY, rows=[rows[i] for i in same.tolist()])
            made = fake.flatten(1).sum(1).isfinite()  # one row's NaN can stop the quality of all
            measured = quality(fake if made.all() else torch.nan_to_num(fake, 0.0, 0.0, 0.0))
            found[same] = torch.where(made, measured.to(made.device), math.inf).cpu().double().numpy()
        return found

    def score(self, row: int) -> tuple[float, Tensor]:
        """The row's exact distance to test data, and the generated samples that it was judged by, float32.

        The distance is infinite where a sample is not finite.
        """
        task = self.task_of(row)
        fake = self.samples(task.score.samples, Purpose.SCORE, rows=[row])[0].float()
        if not fake.isfinite().all():
            return math.inf, fake
        if task.distance is not None:
            return task.distance(self.generator(row), self.discriminator(row)), fake
        return task.score(fake), fake

    def generator(self, row: int = 0) -> nn.Module:
        """The row's generator as a plain module of its own: latents (B, latent_size) → samples (B, *shape)."""
        module = self._fresh(self.task.generator, 0).to(self.device, self.dtype)
        return unflatten(module, self.g.flat[row])

    def discriminator(self, row: int = 0) -> nn.Module:
        """The row's discriminator as a plain module of its own: samples (B, *shape) → logits."""
        module = self._fresh(self.task.discriminator, 0).to(self.device, self.dtype)
        return unflatten(module, self.d.flat[row])
