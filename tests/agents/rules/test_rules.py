"""Promises of every scripted controller, and hand-worked answers of each rule but GCANN (see test_gcann.py)."""

import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from agents import list_controllers, make_controller
from agents.base import CONTROLLERS, Controller
from agents.registry import controller_summary
from agents.rules.dynamic_gda import RULES, wasserstein_1d
from agents.rules.scripted import ScriptedFactory
from agents.testing import check_controller, story
from gan_env.types import Control, GameFacts, Measurement

GAME = GameFacts(episode_updates=14, d_lr=2e-4, g_lr=1e-4)
LOG4 = math.log(4)
SCRIPTED = sorted(
    example
    for part in map(CONTROLLERS.__getitem__, CONTROLLERS)
    if isinstance(part, ScriptedFactory)
    for example in part.examples
)


def seen(real, fake, *, g_loss=None, d_loss=None, update=0, progress=0.0, dtype=torch.float64) -> Measurement:
    """What a controller sees of logits (N, B), with the losses of bce unless others are given."""
    real, fake = torch.tensor(real, dtype=dtype), torch.tensor(fake, dtype=dtype)
    n = len(real)
    half = None if d_loss is None else torch.tensor(d_loss, dtype=dtype).expand(n) / 2
    return Measurement(
        real_logits=real,
        fake_logits=fake,
        g_loss=softplus(-fake).mean(-1) if g_loss is None else torch.tensor(g_loss, dtype=dtype).expand(n),
        d_loss_real=softplus(-real).mean(-1) if half is None else half,
        d_loss_fake=softplus(fake).mean(-1) if half is None else half,
        update=torch.full((n,), update),
        progress=torch.full((n,), progress, dtype=torch.float64),
    )


def started(name: str, n: int = 3, game: GameFacts = GAME, **options) -> Controller:
    controller = make_controller(name, **options)
    controller.reset(list(range(7, 7 + n)), game)
    return controller


# Every scripted controller; what any controller promises stands in test_contracts.py


@pytest.mark.parametrize("name", SCRIPTED)
def test_single_and_double_precision_agree(name):
    single, double = started(name), started(name)
    for measurement in story(3, dtype=torch.float32):
        wide = {f.name: getattr(measurement, f.name) for f in fields(Measurement)}
        wide = Measurement(**{key: v.double() if v.is_floating_point() else v for key, v in wide.items()})
        a, b = single.act(measurement), double.act(wide)
        assert torch.equal(a.update_g, b.update_g) and torch.equal(a.update_d, b.update_d)
        torch.testing.assert_close(a.d_multiplier, b.d_multiplier, rtol=1e-5, atol=0)


# Names, arguments and options


def test_every_listed_name_can_be_made():
    assert {"sim-gda", "alt-gda-1", "alt-gda-5", "dyn-gda", "gap-aware", "gcann", "constant:2"} <= set(SCRIPTED)
    assert set(SCRIPTED) <= set(list_controllers())
    assert list_controllers() == sorted(set(list_controllers()))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dyn-gad", {}, "did you mean 'dyn-gda'"),
        ("constant:abc", {}, r"constant:X needs a number > 0, got 'abc'; e.g. constant:2"),
        ("constant:0", {}, "constant:X needs a number > 0, got '0'"),
        ("constant:inf", {}, "constant:X needs a number > 0, got 'inf'"),
        ("constant", {}, "constant:X needs a number > 0, got nothing"),
        ("constant:2", {"multiplier": 3}, "given twice"),
        ("random-order:1.5", {}, "random-order:Q needs a probability from 0 to 1, got '1.5'"),
        ("alt-gda", {}, "alt-gda-N needs a whole number N >= 1, got nothing"),
        ("alt-gda-0", {}, "alt-gda-N needs a whole number N >= 1, got '0'"),
        ("alt-gda-1.5", {}, "got '1.5'; e.g. alt-gda-1"),
        ("sim-gda:3", {}, "sim-gda takes no argument, got '3'"),
        ("sim-gda", {"c1": 1}, "sim-gda has no options, got 'c1'"),
        ("dyn-gda", {"c3": 1}, "unknown dyn-gda option 'c3'; did you mean 'c"),
        ("dyn-gda", {"c1": -1}, "dyn-gda: c1=-1 must be a finite number > 0"),
        ("gap-aware", {"alpha": 1.0}, "gap-aware: alpha=1.0"),
        ("cosine-decay", {"floor": 0.0}, "floor=0.0"),
        ("random", {"low": 20.0}, "low=20.0 must be below high=10.0"),
        ("d-accuracy-gate", {"d_below": 0.4}, "must be below"),
        ("pi", {"kp": math.nan}, "pi: kp=nan"),
        ("began", {"low": 2.0}, "began: low=2.0"),
        ("gap-aware", {"alpha": "high"}, "gap-aware: alpha='high' must be a number"),
        ("gap-aware", {"ideal": math.nan}, "ideal=nan must be a number or None"),
        ("autoloss", {"greedy": 1}, "greedy=1 must be True or False"),
    ],
)
def test_a_mistake_is_named_with_the_way_out(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_controller(name, **options)


class Plain:
    """Waits for D."""

    def __init__(self, wait: int = 2):
        self.wait, self.rows = wait, 0

    def reset(self, row_seeds, game=None):
        self.rows = len(row_seeds)

    def act(self, measurement):
        if len(measurement) != self.rows:
            raise ValueError("reset it first")
        return Control.of(self.rows, update_d=measurement.d_loss("mean") > 1.0)

    def learn(self, transition):
        pass

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Demanding(Plain):
    def __init__(self, text, g, *, wait: int = 2):
        super().__init__(wait)


@pytest.fixture
def plain(monkeypatch):
    """Factories as somebody else may register them."""
    made = {
        "plain": Plain,
        "part": partial(Plain, wait=3),
        "demanding": Demanding,
        "texts": lambda text=None, **options: (text, options),
    }
    monkeypatch.setattr(CONTROLLERS, "_registered", {**CONTROLLERS._parts, **made})


def test_a_plain_class_is_a_factory_without_a_text(plain):
    assert make_controller("plain").wait == 2 and make_controller("part").wait == 3
    assert make_controller("plain(wait=5)").wait == make_controller("plain", wait=5).wait == 5
    assert make_controller("texts") == (None, {}) and make_controller("texts:7(a=1)") == ("7", {"a": 1})
    assert controller_summary("plain") == "Waits for D."
    check_controller("plain")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plain:3", r"controller 'plain' takes no text, got '3'; write 'plain'. .* callable as factory\(text, "),
        ("plain(wiat=3)", "unknown plain option 'wiat'; did you mean 'wait'"),
        ("plain(wait='x')", "plain: wait='x' must be a whole number"),
        (
            "demanding",
            r"'demanding' cannot be made \(missing a required argument: 'g'\); its factory must be",
        ),
    ],
)
def test_a_factory_that_cannot_be_called_so_is_named_on_one_line(plain, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_controller(name)
    assert "\n" not in str(caught.value)


def test_every_controller_has_a_summary():
    assert [name for name in list_controllers() if not controller_summary(name)] == []


@pytest.mark.parametrize(
    ("name", "game", "message"),
    [
        ("linear-decay", GameFacts(), "set episode_updates"),
        ("cosine-decay", GameFacts(), "set episode_updates"),
        ("gcann", GameFacts(loss="wgan", signed=True), "'wgan'.*never negative"),
        ("began", GameFacts(loss="wgan", signed=True), "'wgan' is signed"),
        ("d-accuracy-gate", GameFacts(loss="hinge", probability=False), "boundary=0 for hinge"),
    ],
)
def test_a_game_that_the_rule_cannot_play_is_refused_at_reset(name, game, message):
    with pytest.raises(ValueError, match=message):
        make_controller(name).reset([0], game)


def test_a_state_of_another_controller_is_refused():
    with pytest.raises(ValueError, match="not a state of dyn-gda"):
        started("dyn-gda").load_state_dict(started("pi").state_dict())


def test_agents_itself_imports_neither_gymnasium_nor_stable_baselines():
    # gan_env is replaced by a bare package, since its own __init__ may register with Gymnasium.
    code = """
import importlib.util, sys, types
bare = types.ModuleType("gan_env")
bare.__path__ = importlib.util.find_spec("gan_env").submodule_search_locations
sys.modules["gan_env"] = bare
import agents
assert not {"stable_baselines3", "gymnasium"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# Fixed orders and rates


def choices(controller: Controller, tale: Sequence[Measurement]) -> list[str]:
    """The update that row 0 got at each decision."""
    names = {(True, False): "V1", (False, True): "V2", (True, True): "V3"}
    controls = [controller.act(m) for m in tale]
    return [names[bool(c.update_g[0]), bool(c.update_d[0])] for c in controls]


def test_fixed_rules_do_what_their_names_say():
    tale = story(1, 12)
    assert choices(started("sim-gda", 1), tale) == ["V3"] * 12
    assert choices(started("frozen-d", 1), tale) == ["V1"] * 12
    assert choices(started("alt-gda-1", 1), tale) == ["V2", "V1"] * 6
    assert choices(started("alt-gda-5", 1), tale) == (["V2"] * 5 + ["V1"]) * 2
    rates = [
        (control.d_multiplier.item(), control.g_multiplier.item())
        for control in (started(name, 1).act(tale[0]) for name in ("sim-gda", "constant:2.5", "ttur"))
    ]
    assert rates == [(1.0, 1.0), (2.5, 1.0), (4.0, 1.0)]


def test_decays_end_at_their_floor_and_pass_half_way_in_the_middle():
    for name in ("linear-decay", "cosine-decay"):
        controller = started(name, 1, floor=0.01)
        rates = [controller.act(seen([[0.0]], [[0.0]], progress=p)).d_multiplier.item() for p in (0, 0.5, 1, 1.5)]
        assert rates == pytest.approx([1.0, 0.505, 0.01, 0.01])
    quarter = seen([[0.0]], [[0.0]], progress=0.25)
    assert started("linear-decay", 1, floor=1e-3).act(quarter).g_multiplier.item() == pytest.approx(0.75025)
    cosine = 1e-3 + 0.999 * (2 + math.sqrt(2)) / 4
    assert started("cosine-decay", 1, floor=1e-3).act(quarter).g_multiplier.item() == pytest.approx(cosine)


def test_random_controllers_draw_from_the_stated_distribution_and_each_row_its_own():
    tale = story(16, 1) * 150
    rates = torch.stack([c.d_multiplier for c in map(started("random", 16).act, tale)])
    assert ((rates >= 0.1) & (rates < 10)).all()
    # log10 of the rate is uniform on (-1, 1): mean 0, variance 1/3; 2400 draws put the mean within 0.05 (4 sigma).
    assert rates.log10().mean().item() == pytest.approx(0, abs=0.05)
    assert rates.log10().var().item() == pytest.approx(1 / 3, abs=0.03)
    assert len(set(rates.flatten().tolist())) == rates.numel()
    moves_g = torch.stack([c.update_g for c in map(started("random-order:0.45", 16).act, tale)])
    assert moves_g.double().mean().item() == pytest.approx(0.45, abs=0.04)
    assert started("random-order:0").act(story(3)[0]).update_d.all()
    assert started("random-order:1").act(story(3)[0]).update_g.all()


# Dirac-GAN: real 0, fake θ, D(x) = ψx, loss of wgan; G: θ += ηψ, D: ψ -= ηθ


def dirac(theta: torch.Tensor, psi: torch.Tensor) -> Measurement:
    fake = (psi * theta)[:, None]
    return Measurement(
        real_logits=torch.zeros_like(fake),
        fake_logits=fake,
        g_loss=-fake[:, 0],
        d_loss_real=torch.zeros_like(theta),
        d_loss_fake=fake[:, 0],
        update=torch.zeros(len(theta), dtype=torch.int64),
        progress=torch.zeros(len(theta), dtype=torch.float64),
    )


def play_dirac(controller: Controller, theta: torch.Tensor, psi: torch.Tensor, updates: int, eta: float = 0.1):
    """Distances from the saddle, (updates + 1, N)."""
    distances = [torch.hypot(theta, psi)]
    for _ in range(updates):
        control = controller.act(dirac(theta, psi))
        theta, psi = theta + eta * psi * control.update_g, psi - eta * theta * control.update_d
        distances.append(torch.hypot(theta, psi))
    return torch.stack(distances)


def starts(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    theta, psi = np.random.default_rng(0).standard_normal((2, n))
    return torch.from_numpy(theta), torch.from_numpy(psi)


DIRAC = GameFacts(loss="wgan", ideal_d_loss=0.0, signed=True, probability=False, kind="dirac")


def test_the_oracle_reaches_the_saddle_and_never_strays():
    distance = play_dirac(started("dirac-oracle", 60, DIRAC), *starts(60), 800)
    assert distance[-1].median() < 1e-3  # 2e-4 here, 2e-16 after 5000 updates; sim-gda would be at 53 times the start
    assert ((distance / distance[0]).amax(0) <= math.sqrt(1.01) + 1e-12).all()


def test_simultaneous_updates_leave_the_saddle_at_the_known_rate_and_alternating_ones_circle_it():
    distance = play_dirac(started("sim-gda", 4, DIRAC), *starts(4), 300)
    torch.testing.assert_close(distance[-1] / distance[0], torch.full((4,), 1.01**150, dtype=torch.float64))
    circled = play_dirac(started("alt-gda-1", 4, DIRAC), *starts(4), 300)
    assert (circled[-100:].amax(0) < 2 * circled[0]).all() and (circled[-100:].amin(0) > 0.5 * circled[0]).all()


def test_dynamic_gda_on_dirac_is_the_oracle_after_its_first_forced_update():
    theta, psi = starts(40)
    oracle, dynamic = started("dirac-oracle", 40, DIRAC), started("dyn-gda", 40, DIRAC)
    for i in range(200):
        a, b = oracle.act(dirac(theta, psi)), dynamic.act(dirac(theta, psi))
        assert b.update_d.all() if i == 0 else torch.equal(a.update_g, b.update_g)
        theta, psi = theta + 0.1 * psi * a.update_g, psi - 0.1 * theta * a.update_d


def test_the_oracle_on_a_tie_moves_d():
    assert choices(started("dirac-oracle", 1), [seen([[0.0, 1.0]], [[1.0, 0.0]])]) == ["V2"]


# Dynamic-GDA

FORCED = (
    ("V2", "inverted", [[0.0, 1.0]], [[2.0, 3.0]]),
    ("V1", "perfect", [[2.0, 3.0]], [[0.0, 1.0]]),
)
RAW = GameFacts(probability=False, kind="plane")


def spread(w: float) -> tuple[list, list]:
    """Overlapping raw scores whose W1 distance is w < 10."""
    return [[0.0, 10.0]], [[w, 10.0 + w]]


def test_dynamic_gda_begins_with_d():
    for real, fake in (spread(1.0), *(case[2:] for case in FORCED)):
        controller = started("dyn-gda", 1, RAW)
        assert choices(controller, [seen(real, fake)]) == ["V2"]
        assert RULES[controller.rule[0]] == "start"


@pytest.mark.parametrize("last", ["V1", "V2"])
@pytest.mark.parametrize(("choice", "rule", "real", "fake"), FORCED)
def test_dynamic_gda_obeys_separated_scores_whatever_went_before(last, choice, rule, real, fake):
    controller = started("dyn-gda", 1, RAW)
    tale = [seen(*spread(1.0))] if last == "V2" else [seen(*spread(1.0)), seen([[2.0]], [[0.0]])]
    assert choices(controller, [*tale, seen(real, fake)])[-2:] == [last, choice]
    assert RULES[controller.rule[0]] == rule


@pytest.mark.parametrize(
    ("last", "w_last", "w", "choice", "rule"),
    [
        ("V2", 1.0, 1.11, "V2", "continue-d"),
        ("V2", 1.0, 1.09, "V1", "d-to-g"),
        ("V2", 1.0, 0.1, "V1", "d-to-g"),
        ("V1", 1.0, 0.74, "V1", "continue-g"),
        ("V1", 1.0, 0.76, "V2", "g-to-d"),
        ("V1", 1.0, 0.75, "V2", "g-to-d"),  # exactly c2 is not below c2
        ("V1", 1.0, 5.0, "V2", "g-to-d"),
        ("V2", 0.0, 0.0, "V1", "d-to-g"),  # zero after zero: ratio 1
        ("V1", 0.0, 0.0, "V2", "g-to-d"),
        ("V2", 0.0, 1.0, "V2", "continue-d"),  # something after zero: ratio infinite
        ("V1", 0.0, 1.0, "V2", "g-to-d"),
        ("V1", 1.0, 0.0, "V1", "continue-g"),
        ("V2", 1.0, math.nan, "V2", "invalid"),
        ("V1", 1.0, math.nan, "V2", "invalid"),
    ],
)
def test_dynamic_gda_decides_overlapping_scores_by_the_change_of_their_distance(last, w_last, w, choice, rule):
    controller = started("dyn-gda", 1, RAW)
    tale = [seen(*spread(1.0))] if last == "V1" else []  # V2, then ratio w_last <= 1.1 gives V1; alone it gives V2
    control = None
    for measurement in (*tale, seen(*spread(w_last)), seen(*spread(w))):
        control = controller.act(measurement)
    state = controller.state_dict()
    assert RULES[state["rule"][0]] == rule
    assert control.update_g.tolist() == [choice == "V1"] and control.update_d.tolist() == [choice == "V2"]
    assert control.reuse_real.tolist() == [choice == "V1"]  # the real batch is kept exactly after V1
    torch.testing.assert_close(state["w_last"], torch.tensor([w], dtype=torch.float64), equal_nan=True)


def test_dynamic_gda_switches_exactly_at_a_threshold_and_takes_zero_after_zero_for_unchanged():
    exactly_c1 = [seen(*spread(1.0)), seen(*spread(1.25))]
    assert choices(started("dyn-gda", 1, RAW, c1=1.25), exactly_c1) == ["V2", "V1"]
    zeros = [seen(*spread(0.0))] * 3
    assert choices(started("dyn-gda", 1, RAW, c1=1.01, c2=0.99), zeros) == ["V2", "V1", "V2"]
    assert choices(started("dyn-gda", 1, RAW, c1=0.99, c2=1.01), zeros) == ["V2", "V2", "V2"]


def test_dynamic_gda_takes_touching_scores_for_overlapping():
    for real, fake in (([[1.0, 2.0]], [[2.0, 3.0]]), ([[2.0, 3.0]], [[1.0, 2.0]])):
        controller = started("dyn-gda", 1, RAW)
        choices(controller, [seen(*spread(1.0)), seen(real, fake)])
        assert RULES[controller.rule[0]] == "d-to-g"


def test_dynamic_gda_goes_on_after_a_nan():
    controller = started("dyn-gda", 1, RAW)
    broken = seen([[math.nan, 1.0]], [[0.0, 1.0]])
    assert choices(controller, [seen(*spread(1.0)), broken, seen(*spread(1.0)), seen(*spread(1.0))])[1:] == [
        "V2",
        "V2",  # the ratio to a NaN is no news either
        "V1",
    ]


@pytest.mark.parametrize(("kind", "grown", "shrunk"), [("plane", 1.15, 0.77), ("image", 1.25, 0.79)])
def test_dynamic_gda_has_thresholds_by_kind_of_game(kind, grown, shrunk):
    game = GameFacts(probability=False, kind=kind)
    assert choices(started("dyn-gda", 1, game), [seen(*spread(1.0)), seen(*spread(grown))]) == ["V2", "V2"]
    after_g = [seen(*spread(1.0)), seen(*spread(1.0)), seen(*spread(shrunk))]
    assert choices(started("dyn-gda", 1, game), after_g)[-1] == ("V2" if kind == "plane" else "V1")
    wide = [seen(*spread(1.0)), seen(*spread(1.15))]
    assert choices(started("dyn-gda", 1, GameFacts(probability=False, kind="image")), wide) == ["V2", "V1"]
    assert choices(started("dyn-gda", 1, RAW, c1=1.2), wide) == ["V2", "V1"]


def test_dynamic_gda_measures_probabilities_where_d_yields_them():
    # Logits 20 and 30 are the same probability to 1e-9, logits -1 and 1 are not.
    tale = [seen([[-1.0, 20.0]], [[1.0, 20.0]]), seen([[-1.0, 20.0]], [[1.0, 30.0]])]
    assert choices(started("dyn-gda", 1, GameFacts()), tale) == ["V2", "V1"]
    assert choices(started("dyn-gda", 1, RAW), tale) == ["V2", "V2"]


def test_dynamic_gda_tells_separated_logits_apart_where_probabilities_saturate():
    controller = started("dyn-gda", 1, GameFacts())
    choices(controller, [seen([[0.0]], [[0.0]], dtype=torch.float32), seen([[90.0]], [[80.0]], dtype=torch.float32)])
    assert RULES[controller.rule[0]] == "perfect"


def test_wasserstein_distance_of_unequal_batches_is_that_of_their_repeats():
    a, b = torch.randn(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    b = b[:, :4]
    expected = wasserstein_1d(a.repeat_interleave(2, -1), b.repeat_interleave(3, -1))
    torch.testing.assert_close(wasserstein_1d(a, b), expected)
    torch.testing.assert_close(wasserstein_1d(a, a + 3), torch.full((4,), 3.0, dtype=torch.float64))


# Gap-aware


@pytest.mark.parametrize(
    ("average", "multiplier"),
    [
        (1.386294, 1),
        (1.455609, 1.414214),
        (1.524924, 2),
        (9, 2),
        (1.351637, 0.562341),
        (1.316980, 0.316228),
        (1.2, 0.1),
    ],
)
def test_gap_aware_maps_the_gap_to_the_published_multipliers(average, multiplier):
    controller = started("gap-aware", 1, alpha=0.0)  # no memory: the average is the loss itself
    control = controller.act(seen([[0.0]], [[0.0]], d_loss=average))
    assert control.d_multiplier.item() == pytest.approx(multiplier, rel=2e-5)
    assert control.g_multiplier.item() == 1 and control.update_g.all() and control.update_d.all()


def test_gap_aware_follows_a_strong_discriminator_down_step_by_step():
    controller = started("gap-aware", 1)
    rates = [controller.act(seen([[0.0]], [[0.0]], d_loss=0.9)).d_multiplier.item() for _ in range(10)]
    assert [rates[i] for i in (0, 4, 9)] == pytest.approx([0.66774, 0.16086, 0.1], abs=5e-6)


def test_gap_aware_measures_absolute_gaps_where_the_ideal_loss_is_zero():
    controller = started("gap-aware", 2, replace(DIRAC, kind="plane"), alpha=0.0)
    control = controller.act(seen([[0.0]] * 2, [[0.0]] * 2, d_loss=[0.05, -0.05]))
    assert control.d_multiplier.tolist() == pytest.approx([math.sqrt(2), math.sqrt(0.1)])


# Heuristics


def losses(d_loss: float, g_loss: float) -> Measurement:
    return seen([[0.0]], [[0.0]], d_loss=d_loss, g_loss=g_loss)


def test_loss_rate_balance_moves_the_player_whose_loss_changes_faster():
    tale = [losses(1.0, 1.0), losses(1.2, 1.1), losses(1.21, 1.3), losses(1.21, 1.3)]
    assert choices(started("loss-rate-balance", 1), tale) == ["V2", "V2", "V1", "V1"]
    below_zero = [losses(-1.0, 1.0), losses(-1.1, 1.2)]  # 10 % against 20 %: the sign must not decide
    assert choices(started("loss-rate-balance", 1, DIRAC), below_zero) == ["V2", "V1"]
    assert choices(started("loss-rate-balance", 1, balance=3.0), tale[:2]) == ["V2", "V1"]


def test_accuracy_gate_stops_whoever_is_too_far_ahead():
    right, wrong, half = [[1.0] * 5], [[-1.0] * 5], [[1.0, 1.0, 1.0, -1.0, -1.0]]
    cases = [seen(right, wrong), seen(wrong, right), seen(half, [[-1.0] * 3 + [1.0] * 2]), seen([[0.0]], [[0.0]])]
    assert choices(started("d-accuracy-gate", 1), cases) == ["V1", "V2", "V3", "V2"]  # 1.0, 0.0, 0.6, 0.5
    shifted = seen([[0.9]], [[0.1]])
    lsgan = GameFacts(loss="lsgan", probability=False)
    assert choices(started("d-accuracy-gate", 1, lsgan, boundary=0.5), [shifted]) == ["V1"]


def test_weaker_only_moves_the_player_whose_loss_rose():
    tale = [losses(1.0, 1.0), losses(1.1, 0.9), losses(1.0, 1.0), losses(1.1, 1.1), losses(1.0, 1.0), losses(1.0, 1.0)]
    assert choices(started("weaker-only", 1), tale) == ["V3", "V2", "V1", "V3", "V3", "V3"]


def test_began_rests_at_the_equilibrium_and_steers_against_the_leader():
    for logit, sign in ((0.0, 0), (2.0, -1), (-2.0, 1)):  # real at +logit, fake at -logit: D ahead, then behind
        controller = started("began", 1)
        tale = [seen([[logit]], [[-logit]])] * 50
        rate = [controller.act(m).d_multiplier.item() for m in tale][-1]
        step = float(softplus(torch.tensor(-logit)) - softplus(torch.tensor(logit)))
        assert math.log(rate) == pytest.approx(50 * 1e-3 * step, abs=1e-6)
        assert np.sign(round(math.log(rate), 9)) == sign


def test_pi_adds_up_its_three_parts_and_keeps_its_limits():
    controller = started("pi", 1, alpha=0.0, kp=1.0, ki=0.1, kd=0.5)
    rates = [controller.act(losses(d, 1.0)).d_multiplier.item() for d in (1.1 * LOG4, 1.3 * LOG4, LOG4)]
    # e = .1, .3, 0: kp e + ki sum(e) + kd (e - e_last) = .1+.01+.05, .3+.04+.1, 0+.04-.15
    assert [math.log(r) for r in rates] == pytest.approx([0.16, 0.44, -0.11])
    for d_loss, limit in ((50.0, 10.0), (0.0, 0.1)):
        assert started("pi", 1, alpha=0.0).act(losses(d_loss, 1.0)).d_multiplier.item() == pytest.approx(limit)


def test_pi_forgets_a_long_lead_within_bounded_time():
    controller = started("pi", 1)
    for _ in range(400):  # the sum alone would reach -4
        controller.act(losses(0.0, 5.0))
    bound = math.log(10)
    assert controller.state_dict()["integral"].item() == pytest.approx(-bound)
