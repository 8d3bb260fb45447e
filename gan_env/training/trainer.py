"""Measures and updates N GANs under given controls. Plain torch, without Gymnasium or reinforcement learning.

A decision is made on the very batch that the next update uses: every update ends by drawing the next batch and
running both players forward on it, and the next update differentiates that same forward pass.

Rows are processed in chunks whose activations fit into the processor's cache.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_env.losses.losses import Loss
from gan_env.losses.spectral_norm import weight_matrices
from gan_env.networks.parameters import flatten, unflatten, weight_count
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.players.batched_mlp import MLPPlayers
from gan_env.players.batched_modules import make_players
from gan_env.players.players import Players
from gan_env.players.regularised import as_trained
from gan_env.random.streams import Purpose, key, rng, seeded
from gan_env.tasks.condition import own_module
from gan_env.tasks.judges import held_labels, spread
from gan_env.tasks.task import Task
from gan_env.training.annealing import Annealed, Annealing
from gan_env.training.batches import Feed, latent_block
from gan_env.training.chunks import Chunk, Moves
from gan_env.training.compatible import check_loss, difference
from gan_env.training.cuda_graphs import Record, RecordedEngine
from gan_env.training.native_coverage import chosen
from gan_env.training.native_engine import NativeEngine, State
from gan_env.training.native_results import LazyMeasurement, Seen
from gan_env.training.optimizers import RowOptimizer
from gan_env.training.trace import LazyTrace, Trace
from gan_env.training.update import Engine
from gan_env.types import Control, GameFacts, Measurement, PlayersSeen, host, on_host
from gan_env.weight_sample import sample_places


def _joined(parts: list[Tensor], axis: int = 0) -> Tensor:
    """Concatenates the chunks' tensors; returns the tensor itself if there is one chunk."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _common(rates: Float[Tensor, " N"]) -> float:
    """Returns the rate of all rows, or 0 where they differ."""
    low, high = torch.aminmax(rates)
    return float(low) if low == high else 0.0


class Trainer:
    """Trains N GANs with one loss, on one task or on several that can share a batch.

    Args:
        task: One task, or one for each row; these must agree on everything but their data and judges.
        loss: The GAN loss.
        rows: N.
        d_lr, g_lr: Base learning rates, one for all rows or one for each.
        d_optimizer, g_optimizer: The optimisers.
        batch_size: B, samples of each side in one update.
        order: V3 "simultaneous" (both gradients at the old weights) or "alternating" (D steps, then G's loss is
            computed again on the same latents).
        episode_updates: Length of the run, for `progress`; 0 if unknown.
        dtype: Precision of weights and computation. Draws are the same in either.
        device: Device of all tensors.
        way: How N copies of a player are run, see `make_players`.
        chunk: Rows in one chunk of plain MLPs (other players have one chunk); changes only speed, in float32. By
            default as many as fit into the cache.
        engine: "native", the compiled kernel; "torch"; or "auto", the kernel if it covers the game.
        num_threads: Threads among which the kernel divides rows; changes speed only. torch has its own setting.
        g_ema: Half-life, in updates, of a moving average of G's weights that is scored beside G; None: there is none.
            After a decision of k updates, average ← h average + (1 − h) weights with h = 0.5^(k / g_ema). Buffers are
            G's own. It changes nothing else.
        annealing: Moves the loss' coefficient and Adam's β₂ over the episode, see `Annealing`; None: they stay.
        record: Records updates of plain MLPs for replay, see `cuda_graphs`; by default they are not recorded. With
            it, all rows are one chunk.

    Raises:
        ValueError: If tasks cannot share a batch, their number differs from the number of rows, a loss or a recording
            does not fit the players, or an annealing does not fit loss, optimisers or the run.
    """

    n: int
    task: Task
    """Task of the first row, for what all rows have in common."""
    tasks: tuple[Task, ...]
    """Distinct tasks of the rows."""
    which: np.ndarray
    """(N,) int64: index into `tasks` for each row."""
    loss: Loss
    batch_size: int
    order: str
    episode_updates: int
    dtype: torch.dtype
    device: torch.device
    engine: str
    """Engine in use: "native" or "torch"."""
    num_threads: int
    g: Players
    d: Players
    g_optimizer: RowOptimizer
    d_optimizer: RowOptimizer
    d_penalty: Float[Tensor, " N"]
    annealed: Annealed | None
    """The annealed values of the rows, if anything is annealed."""
    g_penalty: Float[Tensor, " N"]
    g_average: Float[Tensor, "N P"] | None
    """The moving average of G's weights, if there is one."""
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
        record: Record | None = None,
        engine: str = "auto",
        num_threads: int = 1,
        g_ema: float | None = None,
        annealing: Annealing | None = None,
    ):
        of_rows = [task] * rows if isinstance(task, Task) else list(task)
        if len(of_rows) != rows or not rows:
            raise ValueError(f"task names {len(of_rows)} tasks for {rows} rows; name one for each row, at least one")
        self.tasks = tuple({id(each): each for each in of_rows}.values())
        self.task = task = of_rows[0]
        self.loss, self.n, self.batch_size, self.order = loss, rows, int(batch_size), order
        for other in self.tasks[1:]:
            if why := difference(task, other, batch_size):
                raise ValueError(f"tasks {task.name!r} and {other.name!r} cannot share a batch: their {why} differ")
        self._game = task.wiring
        check_loss(loss, task)
        self.episode_updates, self.dtype, self.device = episode_updates, dtype, torch.device(device)
        self._chunk_rows, self._record, self._g_ema, self._annealing = chunk, record, g_ema, annealing
        self.templates: dict[str, nn.Module] = {
            "g": self._fresh(task.generator, 0).to(self.device, dtype),
            "d": self._fresh(task.discriminator, 0).to(self.device, dtype),
        }
        # Read off the modules once, for walking through them would take most of a fork's time.
        self._sizes = {name: flatten(module).numel() for name, module in self.templates.items()}
        self._places = {
            name: torch.from_numpy(sample_places(weight_count(module))).to(self.device)
            for name, module in self.templates.items()
        }
        self._matrices = weight_matrices(self.templates["d"])
        self._widest = max(p.shape[0] for module in self.templates.values() for p in module.parameters())
        seen = self._sample_shape if task.wiring is None else task.wiring.out_shape
        self._allocate(
            rows,
            lambda flat: make_players(self.templates["g"], flat, seen, way),
            lambda flat: make_players(self.templates["d"], flat, (), way),
        )
        self.which[:] = [next(i for i, each in enumerate(self.tasks) if each is own) for own in of_rows]
        self.num_threads = num_threads
        if record is not None:  # torch's, whichever would be taken else
            engine = "torch"
        self.engine = chosen(engine, self.tasks, loss, (self.g, self.d), batch_size, dtype, self.device.type)
        self._drive(d_optimizer, g_optimizer)
        for mine, given in zip(self.base_rates, (d_lr, g_lr), strict=True):
            mine[:] = torch.as_tensor(given, dtype=torch.float64)

    def empty_fork(self, rows: int) -> Trainer:
        """Makes a trainer with these settings, for `snapshot.restore` to fill; shares task and modules."""
        branch = copy.copy(self)
        branch.n = rows
        branch._allocate(rows, self.g.over, self.d.over)
        branch._drive(self.d_optimizer.spec, self.g_optimizer.spec)
        return branch

    def _drive(self, d_spec: OptimizerSpec, g_spec: OptimizerSpec) -> None:
        """Makes the players' optimisers, whose rates are still to be set, and the engine."""
        run = self.loss, (g_spec, d_spec), self.episode_updates, self.g.flat
        self.annealed = None if self._annealing is None else Annealed(self._annealing, *run)
        now = {} if self.annealed is None else self.annealed.now
        self.base_rates: Float[Tensor, "2 N"] = torch.zeros(2, self.n, dtype=torch.float64, device=self.device)
        """Learning rates of D and G, which multipliers multiply."""
        d, g = self.base_rates
        self.d_optimizer = RowOptimizer(d_spec, self.d.flat, d, self.d.weights, now.get("d_beta2"))
        self.g_optimizer = RowOptimizer(g_spec, self.g.flat, g, self.g.weights, now.get("g_beta2"))
        self._engine = Engine(
            self.loss,
            self._game,
            (self.g, self.d),
            as_trained(self.d, self.loss, self._matrices),
            (self.g_optimizer, self.d_optimizer),
            (self.g_penalty, self.d_penalty),
            now.get("coefficient"),
        )
        if self._record is not None:
            self._engine = RecordedEngine(self._engine, self._record)
        self._native: NativeEngine | None = None
        self._seen: Seen | None = None

    @property
    def native(self) -> NativeEngine:
        """The kernel on these rows, made on first use; only if `engine` is "native"."""
        if self._native is None:
            state = State(**{field.name: getattr(self, field.name) for field in fields(State)})
            self._native = NativeEngine(
                self.tasks, self.loss, self.order, self.batch_size, self.feed, state, threads=self.num_threads
            )
        return self._native

    def _allocate(self, rows: int, make_g: Callable[[Tensor], Players], make_d: Callable[[Tensor], Players]) -> None:
        """Allocates all that has rows but the optimisers; `make_g` and `make_d` make players on weights (N, P)."""
        game, dtype, batch_size = self._game, self.dtype, self.batch_size
        self.g, self.d = (
            make(torch.zeros(rows, self._sizes[name], dtype=dtype, device=self.device))
            for name, make in (("g", make_g), ("d", make_d))
        )
        self.g_average = None if self._g_ema is None else torch.zeros_like(self.g.flat)
        self._seen_shape = self._sample_shape if game is None else game.seen_shape
        self.which = np.zeros(rows, np.int64)
        self.feed: Feed = Feed(self.tasks, self.which, self.loss, rows, batch_size, self._seen_shape, self.device)
        self.penalties: Float[Tensor, "2 N"] = torch.zeros(2, rows, dtype=dtype, device=self.device)
        self.d_penalty, self.g_penalty = self.penalties
        """The weighted penalty in each row's last D update, 0 before the first and where the loss has none; and the
        diversity term in its last G update, 0 where there was none."""
        # Counters live on the host: they address the draws.
        self.seed, self.episode = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.updates, self.real_index = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.d_updates, self.g_updates = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        self.constant: np.ndarray = np.zeros((2, rows), np.int64)
        self.d_constant, self.g_constant = self.constant
        """Updates for which a player has been seen to give one output for every sample, see `failures`."""
        chunk = self._chunk_rows or self._cache_rows()
        if self._record is not None or not (isinstance(self.g, MLPPlayers) and isinstance(self.d, MLPPlayers)):
            # Autograd's tapes of one chunk would not survive another's step on the same tensor, nor a recording another
            # chunk's use of the same scratch.
            chunk = rows
        spans = [slice(at, min(at + chunk, rows)) for at in range(0, rows, chunk)]
        self._chunks = [Chunk(span, self.g.flat[span], self.d.flat[span]) for span in spans]
        self._measurement: Measurement | None = None

    def _cache_rows(self) -> int:
        """Returns how many rows have a widest activation of half a megabyte: fastest for narrow and wide MLPs."""
        if self.device.type == "cuda":
            return self.n
        return max(1, 131_072 // (self._widest * self.batch_size))

    @property
    def facts(self) -> GameFacts:
        """Facts about the game for controllers."""
        block = self.task.data.block(self.batch_size)
        epoch = block if hasattr(self.task.data, "__len__") else 0
        return self.loss.game_facts(
            self.task.kind,
            episode_updates=self.episode_updates,
            updates_per_epoch=epoch,
            d_lr=_common(self.d_optimizer.lr),
            g_lr=_common(self.g_optimizer.lr),
            d_optimizer=self.d_optimizer.spec.name,
            g_optimizer=self.g_optimizer.spec.name,
        )

    # -- starting -------------------------------------------------------------------------------------------------

    @staticmethod
    def _fresh(build, seed: int) -> nn.Module:
        """Builds a module with weights drawn from `seed`; torch's global generators are left as they were."""
        with seeded(seed):
            return build()

    @torch.no_grad()
    def reset(self, seed: np.ndarray, episode: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Restarts the rows (all by default) from `seed` and `episode`, int64, one entry per chosen row."""
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
        if self.g_average is not None:
            self.g_average[index] = self.g.flat[index]
        self.look(chosen)

    # -- measuring ------------------------------------------------------------------------------------------------

    def look(self, rows: np.ndarray | None = None) -> None:
        """Marks the cached forward pass stale: the coming batch is drawn and measured when it is next needed."""
        for chunk in self._chunks:
            if rows is None or ((rows >= chunk.rows.start) & (rows < chunk.rows.stop)).any():
                chunk.stale = True
        self._measurement = self._seen = None
        if self._native is not None:
            self._native.forget(rows)

    def _catch_up(self) -> None:
        """Runs the forward pass of rows whose cached one is stale."""
        if self.engine == "native":
            if self._seen is None:
                self._seen = self.native.look()
            return
        stale = [chunk for chunk in self._chunks if chunk.stale]
        if stale:
            with torch.no_grad():
                for chunk in stale:
                    self._look(chunk)

    def _look(self, chunk: Chunk) -> None:
        chunk.forget()
        self._draw(chunk)
        self._engine.see(chunk)
        chunk.stale = False

    def _draw(self, chunk: Chunk) -> None:
        """Draws the coming batch: real samples and G's inputs."""
        rows = chunk.rows
        chunk.codes = self.feed.reals.at(rows, self.real_index[rows], self.seed[rows], self.episode[rows])
        if self._game is None:
            inputs = self.feed.latents.at(rows, self.updates[rows], self.seed[rows], self.episode[rows])
            chunk.real = self._real(chunk).to(self.dtype)
            if self.task.condition is not None:
                labels = self.task.data.batch_labels(chunk.codes)  # type: ignore[attr-defined]  checked when it was built
                chunk.real = self.task.condition.join(chunk.real.flatten(2), labels)
                inputs = self.task.condition.join(inputs.to(self.device), labels)
        else:
            inputs = self._game.inputs(chunk.codes)
        chunk.inputs = inputs.to(self.dtype)

    def _real(self, chunk: Chunk) -> Tensor:
        """Returns the real batch of each row from its own task's data."""
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

    def _prepare(self, chunk: Chunk, who: Moves) -> None:
        """Prepares what the update needs besides the batch: the loss' draws, and values that depend on progress."""
        loss, rows = self.loss, chunk.rows
        if self.annealed is not None:
            self.annealed.set_to(rows, self.updates[rows])
        if loss.noisy or (loss.penalty is not None and who.d is not None):
            drawn = self.feed.probes.at(rows, self.updates[rows], self.seed[rows], self.episode[rows])
            chunk.probe = drawn.to(self.dtype)
            if loss.noisy and self.task.condition is not None:
                chunk.probe[..., -self.task.condition.size :] = 0  # labels stay what they are
        if loss.diversity is not None:
            turn = (self.g_updates[rows] + 1) % loss.diversity.interval == 0
            chunk.turn = torch.from_numpy(turn).to(self.device)
        if self._game is not None:
            done = torch.from_numpy(self.updates[rows].astype(np.float64))
            progress = done / self.episode_updates if self.episode_updates else torch.ones_like(done)
            chunk.strength = -self._game.strength(progress).to(self.device, self.dtype)

    @property
    def measurement(self) -> Measurement:
        """Measures all rows on the coming batch."""
        if self._measurement is None:
            self._catch_up()
            if self._seen is not None:
                self._measurement = self._measured(self._seen)
                return self._measurement
            seen = [chunk.seen for chunk in self._chunks]
            real = _joined([each.pair.real_logits for each in seen])
            fake = _joined([each.pair.fake_logits for each in seen])
            numbers = _joined([each.numbers for each in seen], 1)
            if self._record is not None:  # the next look is put where this one is
                real, fake, numbers = real.clone(), fake.clone(), numbers.clone()
            self._measurement = Measurement(
                real_logits=real,
                fake_logits=fake,
                g_loss=numbers[0],
                d_loss_real=numbers[1],
                d_loss_fake=numbers[2],
                update=torch.from_numpy(self.updates.copy()).to(self.device),
                progress=torch.from_numpy(self._progress()).to(self.device),
            ).knowing(numbers)
            self._measurement.telling(partial(self._players_seen, self.updates.copy()))
        return self._measurement

    def _players_seen(self, updates: np.ndarray) -> PlayersSeen:
        """Reads a sample of both players' weights and their base rates, as they were after `updates`, (N,)."""
        if np.count_nonzero(updates != self.updates):
            raise ValueError("this measurement's players have moved on; read them before the next update")
        weights = [
            host(players.flat.index_select(1, self._places[name])) for name, players in (("d", self.d), ("g", self.g))
        ]
        return PlayersSeen(np.array(weights, np.float64).swapaxes(0, 1), host(self.base_rates).T.copy())

    def _progress(self) -> np.ndarray:
        return self.updates / self.episode_updates if self.episode_updates else np.zeros(self.n)

    def _measured(self, seen: Seen) -> Measurement:
        """Returns the kernel's measurement."""

        def make() -> dict[str, Tensor]:
            real, fake, numbers = map(torch.from_numpy, (*seen.logits, seen.numbers))
            losses = dict(zip(("g_loss", "d_loss_real", "d_loss_fake"), numbers[:3], strict=True))
            told = {"update": torch.from_numpy(update), "progress": torch.from_numpy(progress)}
            return {"real_logits": real, "fake_logits": fake, **losses, **told, "_numbers": numbers}

        update, progress = self.updates.copy(), self._progress()
        return LazyMeasurement.of(seen, make, progress).telling(partial(self._players_seen, update))

    @property
    def _sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample as the players see it: that of the data, or flat with its label appended."""
        shape, condition = self.task.data.shape, self.task.condition
        return shape if condition is None else (math.prod(shape) + condition.size,)

    def coming_labels(self, row: int) -> Tensor:
        """Returns the labels (B, *label shape) of a conditional GAN's coming batch."""
        self._catch_up()
        chunk = next(chunk for chunk in self._chunks if chunk.rows.start <= row < chunk.rows.stop)
        return self.task.data.batch_labels(chunk.codes[row - chunk.rows.start])  # type: ignore[attr-defined]

    @property
    def coming_fake(self) -> Tensor:
        """Returns the coming batch's samples of G, (N, B, *shape), or flat with labels; valid until the next call."""
        if self.engine == "native":
            fake = torch.empty(self.n, self.batch_size, *self._seen_shape, dtype=self.dtype)
            self._seen = self.native.look(fake)
            return fake
        self._catch_up()
        return _joined([chunk.fake for chunk in self._chunks])

    @property
    def seen(self) -> Seen | None:
        """The kernel's results of the last decision, including failure checks; None with torch."""
        if self.engine == "native":
            self._catch_up()
        return self._seen

    # -- updating -------------------------------------------------------------------------------------------------

    def advance(self, control: Control, updates: int = 1, active: np.ndarray | None = None) -> Trace:
        """Makes `updates` updates of every active row under one control, and measures the next batch after each.

        Args:
            control: Control of all N rows; that of inactive rows is ignored.
            updates: k ≥ 1.
            active: (N,) bool; rows that update, all by default. The others stay unchanged to the bit.
        """
        if self.engine == "torch":
            trace = self._advance(control, updates, active)
        else:
            self._measurement = self._seen = None
            self._seen = seen = self.native.advance(control, updates, active)
            trace = LazyTrace.of(seen)
        if self._g_ema is not None:
            self._average(0.5 ** (updates / self._g_ema), active)
        return trace

    @torch.no_grad()
    def _average(self, kept: float, active: np.ndarray | None) -> None:
        """Moves the average of G's weights towards these, in the active rows."""
        assert self.g_average is not None
        rows = slice(None) if active is None else torch.from_numpy(np.flatnonzero(active)).to(self.device)
        average, now, weights = self.g_average[rows], self.g.flat[rows], self.g.weights
        average[:, :weights].lerp_(now[:, :weights], 1 - kept)
        average[:, weights:] = now[:, weights:]
        if active is not None:  # an index gave copies
            self.g_average[rows] = average

    @torch.no_grad()
    def _advance(self, control: Control, updates: int, active: np.ndarray | None) -> Trace:
        """Does the same with torch."""
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
                losses[:, :, rows] = chunk.seen.numbers[:3].unsqueeze(1)
                continue
            losses[:, 0, rows] = chunk.seen.numbers[:3]
            chunk.stale = True  # as a decision leaves it that is cut short, by Ctrl-C or a user's own module
            who = Moves(update_d[rows], update_g[rows], self.order, self.device)
            for k in range(updates):
                self._prepare(chunk, who)
                self._engine.update(chunk, who, *multipliers, gradient[k])
                self.d_updates[rows] += update_d[rows]
                self.g_updates[rows] += update_g[rows]
                self.updates[rows] += moves[rows]
                self.real_index[rows] += fresh[rows]
                self._look_back(rows, moves[rows])
                self._look(chunk)
                losses[:, k + 1, rows] = chunk.seen.numbers[:3]
        return Trace(losses, gradient)

    def _look_back(self, rows: slice, moved: np.ndarray) -> None:
        """Lets the optimisers look back after an update of the slice's rows that moved, where that is due."""
        for optimizer in (self.g_optimizer, self.d_optimizer):
            if every := optimizer.looks_back_every:
                due = np.flatnonzero(moved & (self.updates[rows] % every == 0)) + rows.start
                optimizer.look_back(torch.from_numpy(due).to(self.device))

    # -- what came of it ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def samples(
        self,
        count: int,
        purpose: Purpose,
        index: int = 0,
        rows: Sequence[int] | None = None,
        *,
        averaged: bool = False,
    ) -> Tensor:
        """Returns `count` generated samples of each chosen row (all by default), (rows, count, *shape).

        The latents are a function of the row's seed and episode, `purpose` and `index`, so two controllers on one seed
        are judged on the same latents. For a task with a `Wiring`, these are G's outputs for held-out inputs. With
        `averaged`, G has the average of its weights; raises ValueError if there is none.
        """
        weights = self._g_weights(averaged)
        made, condition = [], self.task.condition
        for row in range(self.n) if rows is None else rows:
            if self._game is None:
                generator = rng(int(self.seed[row]), int(self.episode[row]), purpose, index)
                # Copied to where torch's numbers start, for rounding depends on it.
                inputs = torch.tensor(latent_block(self.task, 1, count)(generator))
                if condition is not None:
                    inputs = condition.join(inputs, self.held_labels(purpose, count)[None])
            else:
                inputs = self._game.held_out(purpose, count).unsqueeze(0)
            made.append(self.g.functional(weights[row : row + 1], inputs.to(self.device, self.dtype)))
        if condition is None:
            return torch.cat(made)
        return condition.values_of(torch.cat(made)).unflatten(-1, self.task.data.shape)

    def _g_weights(self, averaged: bool) -> Tensor:
        if not averaged:
            return self.g.flat
        if self.g_average is None:
            raise ValueError("there is no average of G's weights; set g_ema to its half-life in updates")
        return self.g_average

    def held_labels(self, purpose: Purpose, count: int) -> Tensor:
        """Returns the labels (count, *label shape) with which samples of a conditional GAN are made.

        They are spread evenly over the validation split, or over the test split for Purpose.SCORE.
        """
        labels = held_labels(self.task.data, 2 if purpose is Purpose.SCORE else 1)
        if labels is None:
            raise ValueError(f"task {self.task.name!r} is no conditional GAN")
        return spread(labels, count)

    def task_of(self, row: int) -> Task:
        """Returns the row's task."""
        return self.tasks[self.which[row]]

    def quality(self, rows: Sequence[int]) -> np.ndarray:
        """Measures the chosen rows' distances to validation data by their tasks' cheap estimators, (rows,) float64.

        Infinite where a sample is not finite.
        """
        found, which = np.empty(len(rows)), self.which[np.asarray(rows, np.int64)]
        for kind in np.unique(which):
            quality, same = self.tasks[kind].quality, np.flatnonzero(which == kind)
            fake = self.samples(quality.samples, Purpose.QUALITY, rows=[rows[i] for i in same.tolist()])
            made = fake.flatten(1).sum(1).isfinite()  # one row's NaN can stop the quality of all
            measured = quality(fake if made.all() else torch.nan_to_num(fake, 0.0, 0.0, 0.0))
            found[same] = on_host(torch.where(made, measured.to(made.device), math.inf))
        return found

    def score(self, row: int, *, averaged: bool = False) -> tuple[float, Tensor]:
        """Computes the row's exact distance to test data; returns it with the generated samples used, float32.

        The distance is infinite where a sample is not finite. With `averaged`, it is that of G with the average of its
        weights, on the same latents.
        """
        task = self.task_of(row)
        fake = self.samples(task.score.samples, Purpose.SCORE, rows=[row], averaged=averaged)[0].float()
        if not fake.isfinite().all():
            return math.inf, fake
        if task.distance is not None:
            return task.distance(self.generator(row, averaged=averaged), self.discriminator(row)), fake
        return task.score(fake), fake

    def generator(self, row: int = 0, *, averaged: bool = False) -> nn.Module:
        """Returns a copy of the row's generator as a plain module: latents (B, latent_size) → samples (B, *shape).

        For a conditional GAN this is the user's own module, called with latents and labels. With `averaged`, it has the
        average of its weights.
        """
        module = self._fresh(self.task.generator, 0).to(self.device, self.dtype)
        return own_module(unflatten(module, self._g_weights(averaged)[row]))

    def discriminator(self, row: int = 0) -> nn.Module:
        """Returns a copy of the row's discriminator as a plain module: samples (B, *shape) → logits."""
        module = self._fresh(self.task.discriminator, 0).to(self.device, self.dtype)
        return own_module(unflatten(module, self.d.flat[row]))
