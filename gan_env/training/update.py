"""Computes one update of some rows, and the forward passes on the next batch; makes no decisions.

It consists of arithmetic on tensors of the players' device. What the host decides (who moves, what was drawn) is passed
in a `Chunk`, so that a recording of these calls can be replayed (`cuda_graphs`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.losses.losses import Loss
from gan_env.players.players import EVERY, Asked, Buffers, Pair, Players, Rows
from gan_env.players.regularised import penalised
from gan_env.tasks.task import Wiring
from gan_env.training.chunks import Chunk, Judged, Moves
from gan_env.training.optimizers import RowOptimizer


class Engine:
    """The players of N rows, their optimisers and their loss.

    Args:
        loss: The GAN loss.
        game: Inputs and loss of G, if the game is not a plain GAN.
        g, d: The players.
        trained_d: D wrapped in the regulariser of the loss; D itself without one.
        g_optimizer, d_optimizer: Optimisers of the players' weights.
        d_penalty, g_penalty: (N,), buffers for each row's weighted penalty and diversity term.
        coefficient: (N,), the loss' coefficient at each row's coming update, if it is annealed; None: the loss' own.
    """

    def __init__(
        self,
        loss: Loss,
        game: Wiring | None,
        players: tuple[Players, Players],
        trained_d: Players,
        optimizers: tuple[RowOptimizer, RowOptimizer],
        penalties: tuple[Float[Tensor, " N"], Float[Tensor, " N"]],
        coefficient: Float[Tensor, " N"] | None = None,
    ):
        self.loss, self.game, self.trained_d = loss, game, trained_d
        self.g, self.d = players
        self.g_optimizer, self.d_optimizer = optimizers
        self.g_penalty, self.d_penalty = penalties
        self.coefficient = coefficient
        self._scratch = {name: Buffers() for name in ("d", "late d", "early", "late", "penalty")}

    def see(self, chunk: Chunk) -> None:
        """Runs both players' forward passes on the coming batch, which has been drawn."""
        chunk.out, chunk.g_tape = self.g.forward(chunk.g_flat, chunk.inputs, chunk.g_buffers)
        loss, game = self.loss, self.game
        if game is None:
            chunk.fake = chunk.out
        else:
            chunk.real, chunk.fake = game.sides(chunk.out)
        pair = self.d.pair(chunk.d_flat, chunk.real, chunk.fake, chunk.d_buffers)
        real, fake = pair.real_logits, pair.fake_logits
        # One sum for all of them, and here, where they are at hand: one by one on the host they would cost a step more.
        each = [*loss.terms(real, fake), real, fake, real > 0, fake < 0]
        numbers = torch.stack(each).sum(-1) / real.shape[-1]
        if game is not None:
            numbers[0] = game.own_loss(chunk.out, chunk.codes)
        chunk.seen = Judged(pair, numbers)

    def update(self, chunk: Chunk, moves: Moves, d_multiplier: Tensor, g_multiplier: Tensor, gradient: Tensor) -> None:
        """Makes one update of a chunk after `see`. Computes all gradients at the old weights before any weight moves.

        The sums of their entries are added to `gradient`, (N,), which is on the same device as the multipliers.
        """
        real, fake, pair = self._trained(chunk)
        d_grad, g_grads = None, []
        if moves.d is not None:
            real_gradient, fake_gradient = self.loss.d_gradient(pair.real_logits, pair.fake_logits)
            then = () if moves.g_early is None else ("fake",) if self.game is None else ("real", "fake")
            d_grad = pair.weight_gradient(real_gradient, fake_gradient, self._scratch["d"], moves.d, then)
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
        """Returns D's two batches for the gradients, and D's pass on them: the measured pass if they agree."""
        if self.loss.measured_as_trained:
            return chunk.real, chunk.fake, chunk.seen.pair
        real, fake = chunk.real, chunk.fake
        if self.loss.noisy:
            noise = self._weighted(chunk.probe, chunk.rows)
            real, fake = real + noise[:, 0], fake + noise[:, 1]
        return real, fake, self.trained_d.pair(chunk.d_flat, real, fake, chunk.d_buffers)

    def _penalty_gradient(self, chunk: Chunk, places: Rows) -> Tensor:
        """Computes the gradient of the weighted penalty in D's weights, (m, P); stores the penalty in `d_penalty`."""
        assert self.loss.penalty is not None
        rows = chunk.whole(places)
        seen = chunk.real[places], chunk.fake[places].detach(), chunk.probe[places]
        penalty, grad = penalised(self.d, self.loss.penalty, self.d.flat[rows], seen, self._scratch["penalty"])
        self.d_penalty[rows] = self._weighted(penalty, rows)
        return self._weighted(grad, rows)

    def _weighted(self, values: Tensor, rows: Rows) -> Tensor:
        """Multiplies values of these rows, (n, ...), by the loss' coefficient."""
        if self.coefficient is None:
            return values * self.loss.coefficient
        return values * self.coefficient[rows].view(-1, *[1] * (values.dim() - 1))

    def _at_output(self, chunk: Chunk, pair: Pair, scratch: Buffers, within: Rows, places: Rows) -> Tensor:
        """Computes the gradient of G's loss at G's output, (m, M, *out), through D's pass but not for D's weights.

        `within` are the m rows among those of the pass, `places` the same rows among those of the chunk.
        """
        if self.game is None:
            slope = self.loss.g_gradient(pair.real_logits, pair.fake_logits)[within]
            return self._diversified(chunk, pair.input_gradient("fake", slope, scratch, within), places)
        strength = chunk.strength[places].unsqueeze(-1)
        at_real, at_fake = (
            pair.input_gradient(side, strength * gradient[within], scratch, within)
            for side, gradient in zip(
                ("real", "fake"), self.loss.d_gradient(pair.real_logits, pair.fake_logits), strict=True
            )
        )
        with torch.enable_grad():
            out = chunk.out[places].detach().requires_grad_()
            parts = [*self.game.sides(out), self.game.own_loss(out, chunk.codes[places])]
            (grad,) = torch.autograd.grad(parts, out, [at_real, at_fake, torch.ones_like(parts[2])])
        return grad

    def _at_output_late(self, chunk: Chunk, real: Tensor, fake: Tensor, places: Rows) -> Tensor:
        """Computes the same with D's current weights; runs both batches through D only if G's loss needs both."""
        flat, scratch = self.d.flat[chunk.whole(places)], self._scratch["late d"]
        if self.game is not None or self.loss.paired:
            pair = self.trained_d.pair(flat, real[places], fake[places], chunk.late_buffers)
            return self._at_output(chunk, pair, scratch, EVERY, places)
        logits, tape = self.trained_d.forward(flat, fake[places], chunk.late_buffers)
        slope = self.loss.g_gradient(None, logits)
        _, at_fake = self.trained_d.backward(tape, slope, scratch, Asked(weights=False, inputs=True, last=True))
        assert at_fake is not None
        return self._diversified(chunk, at_fake, places)

    def _diversified(self, chunk: Chunk, at_fake: Tensor, places: Rows) -> Tensor:
        """Adds the gradient of the diversity term for the rows for which it is due; stores the term in `g_penalty`."""
        term, rows = self.loss.diversity, chunk.whole(places)
        if term is None:
            return at_fake
        turn = chunk.turn[places]
        with torch.enable_grad():
            fake = chunk.fake[places].detach().requires_grad_()
            penalty = term(fake, chunk.real[places])
            (grad,) = torch.autograd.grad(penalty.sum(), fake)
        self.g_penalty[rows] = torch.where(turn, penalty.detach(), 0.0)
        # Not by a product: a NaN in a row whose turn it is not would stay one.
        return torch.where(turn.view(-1, *[1] * (grad.dim() - 1)), at_fake + grad, at_fake)

    def _g_gradient(self, when: str, chunk: Chunk, at_out: Tensor, rows: Rows, last: bool) -> Tensor:
        """Computes G's weight gradient from the gradient at its output."""
        grad, _ = self.g.backward(
            chunk.g_tape, at_out, self._scratch[when], Asked(weights=True, inputs=False, rows=rows, last=last)
        )
        assert grad is not None
        return grad
