"""Promises of `Steer` about who steps when: a decision reaches its step, or the loop hears why it cannot."""

import copy
import gc

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from agents.steer import Steer
from gan_env import Control


class Turns:
    """A controller that decides what it is told, one entry an iteration, for ever again."""

    name = "turns"

    def __init__(self, *controls: dict):
        self.controls, self.asked = controls, 0

    def reset(self, row_seeds, game=None):
        self.asked = 0

    def act(self, measurement):
        self.asked += 1
        return Control.of(1, **self.controls[(self.asked - 1) % len(self.controls)])

    def learn(self, transition): ...

    def state_dict(self):
        return {}

    def load_state_dict(self, state): ...


G_ALONE, D_ALONE, BOTH = {"update_d": False, "reuse_real": True}, {"update_g": False}, {}


class Loop:
    """A small GAN; `turn` steps whom the decision names and the loop lets."""

    def __init__(self, *controls: dict, **options):
        torch.manual_seed(0)
        self.net_g, self.net_d = nn.Linear(4, 2), nn.Linear(2, 1)
        self.opt_g, self.opt_d = (torch.optim.SGD(net.parameters(), 0.1) for net in (self.net_g, self.net_d))
        self.steer, self.rates = Steer(Turns(*controls), self.opt_g, self.opt_d, **options), []

    def scores(self):
        self.fake = self.net_g(torch.randn(8, 4))
        return self.net_d(torch.randn(8, 2)), self.net_d(self.fake.detach())

    def step_g(self):
        self.opt_g.zero_grad()
        softplus(-self.net_d(self.fake)).mean().backward()
        self.rates.append(self.opt_g.param_groups[0]["lr"])
        self.opt_g.step()

    def step_d(self, real, fake):
        self.opt_d.zero_grad()
        (softplus(-real).mean() + softplus(fake).mean()).backward()
        self.opt_d.step()

    def turn(self, g: bool = True, d: bool = True, **told) -> tuple[bool, bool]:
        """One iteration; returns who moved, generator and discriminator."""
        real, fake = self.scores()
        decision = self.steer(real, fake, **told)
        if d and decision.update_d:
            self.step_d(real, fake)
        if g and decision.update_g:
            self.step_g()
        self.steer.done()
        return g and decision.update_g, d and decision.update_d


def test_a_loop_that_says_when_it_can_step_g_moves_somebody_in_every_iteration():
    loop = Loop(G_ALONE)
    moved = [loop.turn(g=i % 5 == 0, can_step_g=i % 5 == 0) for i in range(15)]
    assert moved == [(i % 5 == 0, i % 5 != 0) for i in range(15)]
    other = Loop(D_ALONE)
    assert [other.turn(d=i % 2 == 0, can_step_d=i % 2 == 0) for i in range(4)] == [(False, True), (True, False)] * 2


def test_a_step_of_d_in_place_of_g_takes_a_new_real_batch():
    loop = Loop(G_ALONE)
    assert loop.steer(*loop.scores(), can_step_g=False).reuse_real is False
    loop.steer.done()
    assert loop.steer(*loop.scores()).reuse_real is True


def test_a_loop_that_steps_g_now_and_then_without_a_word_is_noticed_and_d_moves_meanwhile():
    loop, moved = Loop(D_ALONE, G_ALONE, G_ALONE), []
    with pytest.warns(UserWarning, match=r"nobody moved: the decision was G alone.*can_step_g=") as caught:
        moved = [loop.turn(g=i % 5 == 0) for i in range(30)]
    assert len(caught) == 1
    assert sum(not any(who) for who in moved) == 2  # the iterations by which it was noticed
    assert sum(g for g, _ in moved) >= 3


def test_a_loop_that_steps_d_now_and_then_is_noticed_alike():
    loop = Loop(G_ALONE, D_ALONE)
    with pytest.warns(UserWarning, match=r"the decision was D alone.*can_step_d="):
        moved = [loop.turn(d=i % 4 == 0) for i in range(20)]
    assert sum(not any(who) for who in moved) == 2


def test_one_decision_that_is_left_over_at_the_end_of_a_loop_is_fine():
    loop = Loop(BOTH, G_ALONE)  # warnings are errors here
    loop.turn()
    loop.turn(g=False)


def test_a_loop_that_can_step_nobody_is_refused():
    loop = Loop(BOTH)
    with pytest.raises(ValueError, match="both False"):
        loop.steer(*loop.scores(), can_step_g=False, can_step_d=False)


def test_a_step_of_g_before_the_scores_is_named_since_no_decision_reaches_it():
    loop = Loop({"g_multiplier": 0.5})
    loop.scores()
    loop.step_g()  # before the first call: a loop may train G beforehand
    loop.turn(g=False)
    loop.step_g()
    with pytest.warns(UserWarning, match=r"G stepped after steer.done\(\).*its rate x 0.5.*just before"):
        loop.turn(g=False)
    assert loop.rates == [0.1, 0.1]


def test_a_step_outside_that_the_decision_would_not_change_is_fine():
    loop = Loop(BOTH)
    for _ in range(3):
        loop.scores()
        loop.step_g()
        loop.turn(g=False)


def test_in_a_g_first_loop_with_done_before_the_next_call_every_decision_reaches_its_step():
    loop, decision, moved = Loop({"g_multiplier": 0.5}, D_ALONE), None, []
    for _ in range(6):
        real, fake = loop.scores()
        if decision is None or decision.update_g:
            loop.step_g()
        if decision is not None:
            loop.steer.done()
        decision = loop.steer(real, fake)
        if decision.update_d:
            loop.step_d(real, fake)
        moved.append(decision.update_g)
    assert loop.rates == [0.1, 0.05, 0.05, 0.05] and moved == [True, False] * 3


def test_a_loop_that_steps_in_spite_of_the_decision_is_told_to_ask():
    loop = Loop(G_ALONE)
    real, fake = loop.scores()
    loop.steer(real, fake)
    loop.step_d(real, fake)
    loop.step_g()
    with pytest.warns(UserWarning, match="D stepped although update_d was False.*if decision.update_d"):
        loop.steer.done()


def test_a_call_for_each_micro_batch_is_told_to_join_them():
    loop = Loop(BOTH)
    loop.turn()
    with pytest.warns(UserWarning, match="no optimiser stepped in 20 of .*gradient accumulation"):
        for i in range(40):
            real, fake = loop.scores()
            loop.steer(real, fake)
            (softplus(-real).mean() + softplus(fake).mean()).backward()
            if i % 4 == 3:
                loop.opt_d.step()
            loop.steer.done()


def test_a_step_that_a_scaler_skips_is_no_missing_turn():
    loop, scaler = Loop(G_ALONE, D_ALONE), torch.amp.GradScaler("cpu", init_scale=2.0**127)
    for i in range(12):
        real, fake = loop.scores()
        decision = loop.steer(real, fake)
        optimizer = loop.opt_g if decision.update_g else loop.opt_d
        optimizer.zero_grad()
        loss = softplus(-loop.net_d(loop.fake)) if decision.update_g else softplus(-real) + softplus(fake)
        scaler.scale(loss.sum() * (1e3 if i in (4, 5) else 1e-3)).backward()
        scaler.step(optimizer)
        scaler.update()
        loop.steer.done()
    assert loop.steer.update == 12 and scaler.get_scale() < 2.0**127


def test_a_batch_that_is_left_out_because_it_is_not_finite_is_no_missing_turn():
    loop = Loop(D_ALONE, G_ALONE)
    loop.turn()
    loop.steer(torch.full((4,), torch.nan), torch.zeros(4))
    loop.steer.done()


def test_steps_that_torch_does_not_see_are_not_missed():
    loop = Loop(G_ALONE)
    for _ in range(30):  # e.g. an optimiser of another library
        loop.steer(*loop.scores())
        loop.steer.done()


class Wrapper(torch.optim.Optimizer):
    """Wraps an optimiser as Accelerate does: a subclass of torch's class that never calls its __init__."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    def step(self, closure=None):
        self.optimizer.step(closure)


def test_steps_of_a_wrapped_optimiser_are_seen():
    loop = Loop(G_ALONE)
    steer = Steer(Turns(G_ALONE), Wrapper(loop.opt_g), Wrapper(loop.opt_d))
    real, fake = loop.scores()
    steer(real, fake)
    loop.step_d(real, fake)
    with pytest.warns(UserWarning, match="although update_d was False"):
        steer.done()


def test_optimisers_can_still_be_copied_and_a_steer_leaves_no_hook_behind():
    loop = Loop(BOTH)
    loop.turn()
    assert copy.deepcopy(loop.opt_g).param_groups[0]["lr"] == 0.1
    hooks = loop.opt_g._optimizer_step_post_hooks
    assert len(hooks) == 1
    del loop.steer
    gc.collect()
    assert not hooks


def test_two_gradscalers_go_with_a_controller_that_leaves_a_player_out():
    loop = Loop(G_ALONE, D_ALONE)
    scaler_g, scaler_d = torch.amp.GradScaler("cpu"), torch.amp.GradScaler("cpu")
    for _ in range(6):
        real, fake = loop.scores()
        decision = loop.steer(real, fake)
        for moves, scaler, optimizer, losses in (
            (decision.update_d, scaler_d, loop.opt_d, softplus(-real) + softplus(fake)),
            (decision.update_g, scaler_g, loop.opt_g, softplus(-loop.net_d(loop.fake))),
        ):
            if moves:
                optimizer.zero_grad()
                scaler.scale(losses.mean()).backward()
                scaler.step(optimizer)
                scaler.update()
        loop.steer.done()
    assert loop.steer.update == 6


def test_one_optimiser_for_both_players_is_refused_with_what_to_build():
    loop = Loop(BOTH)
    with pytest.raises(ValueError, match="one optimiser with a group for each player, build two"):
        Steer("gap-aware", loop.opt_g, loop.opt_g)
