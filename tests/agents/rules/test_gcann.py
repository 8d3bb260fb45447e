"""Hand-worked answers of GCANN. A small window (5) keeps them short; the mechanisms do not depend on it."""

import math
from dataclasses import replace

import pytest
import torch

from agents import make_controller
from agents.rules.gcann import PRESETS, RULES, GcannConfig
from agents.rules.scripted import Scripted
from gan_env.types import Control, GameFacts, Measurement

W = 5
GAN = GameFacts()
SMALL = {"window": W, "cooldown": W}


def losses(d_sum: float, g_loss: float, rows: int = 1, update: int = 0) -> Measurement:
    half = torch.full((rows,), d_sum / 2, dtype=torch.float64)
    logits = torch.zeros(rows, 2, dtype=torch.float64)
    return Measurement(
        real_logits=logits,
        fake_logits=logits,
        g_loss=torch.full((rows,), g_loss, dtype=torch.float64),
        d_loss_real=half,
        d_loss_fake=half,
        update=torch.full((rows,), update),
        progress=torch.zeros(rows, dtype=torch.float64),
    )


def started(name: str = "gcann", game: GameFacts = GAN, **options) -> Scripted:
    controller = make_controller(name, **options)
    assert isinstance(controller, Scripted)
    controller.reset([0], game)
    return controller


def run(controller: Scripted, d_sum: float, g_loss: float, iterations: int) -> list[Control]:
    done = int(controller.memory["iteration"])
    return [controller.act(losses(d_sum, g_loss, update=done + i)) for i in range(iterations)]


def who(controls: list[Control]) -> str:
    """One letter a decision: g, d or b(oth)."""
    return "".join("b" if c.update_g and c.update_d else "g" if c.update_g else "d" for c in controls)


def rates(control: Control) -> tuple[float, float]:
    return control.d_multiplier.item(), control.g_multiplier.item()


@pytest.mark.parametrize("trigger", ["pseudo", "prose"])
def test_constant_equal_losses_never_act(trigger):
    controls = run(started(trigger=trigger, **SMALL), 0.7, 0.7, 10 * W)
    assert who(controls) == "b" * 10 * W
    assert {rates(c) for c in controls} == {(1.0, 1.0)}


@pytest.mark.parametrize(
    ("preset", "down", "up_d", "up_g"),
    [("damped", (1 / 1.2, 1 / 1.2), 1.2, 1.2), ("image", (0.2, 0.4), 1.8, 1.6), ("voxels", (0.2, 0.4), 1.8, 1.6)],
)
def test_two_windows_of_a_strong_player_cut_its_rate_raise_the_others_and_train_the_other_alone(
    preset, down, up_d, up_g
):
    window = PRESETS[preset].window
    strong_d = run(started(f"gcann:{preset}"), 0.1, 4.0, 2 * window + 10)
    assert rates(strong_d[2 * window - 2]) == (1.0, 1.0)
    assert rates(strong_d[2 * window - 1]) == pytest.approx((down[0], up_g))
    # D overpowers, so the skip scale is 1 / 1.1 and round(5 / 1.1) = 5 iterations follow.
    assert who(strong_d)[2 * window - 2 :] == "bb" + "ggggg" + "bbbbb"

    strong_g = run(started(f"gcann:{preset}"), 4.0, 0.1, 2 * window + 10)
    assert rates(strong_g[2 * window - 1]) == pytest.approx((up_d, down[1]))
    # D lags, so the scale is 1.1 and round(5.5) = 6.
    assert who(strong_g)[2 * window - 2 :] == "bb" + "dddddd" + "bbbb"


def test_one_window_is_the_baseline_epoch_where_data_never_end():
    assert rates(run(started(**SMALL), 0.1, 4.0, 2 * W - 1)[-1]) == (1.0, 1.0)
    assert rates(run(started(baseline_epochs=0, **SMALL), 0.1, 4.0, W)[-1]) != (1.0, 1.0)
    finite = GameFacts(updates_per_epoch=3 * W)
    controls = run(started(game=finite, **SMALL), 0.1, 4.0, 4 * W)
    assert rates(controls[3 * W - 1]) == (1.0, 1.0) and rates(controls[4 * W - 1]) != (1.0, 1.0)


def test_the_cooldown_counts_iterations():
    acted = run(started(window=W, cooldown=3 * W - 1), 0.1, 4.0, 9 * W)
    changes = [i + 1 for i in range(1, len(acted)) if rates(acted[i]) != rates(acted[i - 1])]
    assert changes == [3 * W, 6 * W, 9 * W]
    impatient = run(started(window=W, cooldown=1), 0.1, 4.0, 4 * W)
    assert [i + 1 for i in range(1, 4 * W) if rates(impatient[i]) != rates(impatient[i - 1])] == [2 * W, 3 * W, 4 * W]


@pytest.mark.parametrize("preset", ["damped", "image"])
def test_rates_stay_within_their_limits(preset):
    controls = run(started(f"gcann:{preset}", **SMALL), 0.1, 4.0, 28 * W)
    assert rates(controls[-1]) == (0.01, 10.0)
    controls = run(started(f"gcann:{preset}", **SMALL), 4.0, 0.1, 30 * W)
    assert rates(controls[-1]) == (10.0, 0.01)


def test_the_skip_length_shrinks_while_d_overpowers_and_grows_up_to_its_bound_while_d_lags():
    short = started(window=20, cooldown=20)
    assert who(run(short, 0.1, 4.0, 20 * 18))[-21:-1].count("g") == 1  # scale 0.25: round(1.25)
    long = started(window=20, cooldown=20, max_skip_iterations=15)
    assert who(run(long, 4.0, 0.1, 20 * 18))[-21:-1].count("d") == 15  # scale 4 would be 20


def test_a_tiny_loss_pauses_its_player_for_that_iteration():
    controller = started()
    assert who(run(controller, 0.02, 5.0, 3)) == "ggg" and RULES[controller.rule[0]] == "d-paused"
    assert who(run(controller, 1.0, 1.0, 2)) == "bb" and RULES[controller.rule[0]] == "both"
    assert who(run(controller, 5.0, 0.01, 3)) == "ddd" and RULES[controller.rule[0]] == "g-paused"


def test_a_small_loss_skips_its_player_for_some_iterations_even_if_the_loss_recovers():
    controller = started()
    assert who(run(controller, 0.04, 2.0, 1) + run(controller, 1.0, 1.0, 6)) == "ggggg" + "bb"
    assert who(run(controller, 2.0, 0.04, 1) + run(controller, 1.0, 1.0, 6)) == "ddddd" + "bb"


def test_a_new_skip_waits_until_the_running_one_is_over():
    controller = started()
    run(controller, 0.04, 2.0, 1)
    assert who(run(controller, 2.0, 0.04, 5)) == "gggg" + "d"


def test_a_running_skip_is_not_prolonged():
    controller = started()
    assert who(run(controller, 0.04, 2.0, 3) + run(controller, 1.0, 1.0, 4)) == "ggg" + "gg" + "bb"


def test_when_both_are_paused_the_player_with_the_larger_loss_trains():
    controller = started()
    assert who(run(controller, 0.02, 0.001, 2)) == "dd" and RULES[controller.rule[0]] == "deadlock"
    assert who(run(controller, 0.001, 0.009, 2)) == "gg" and RULES[controller.rule[0]] == "deadlock"


def test_of_two_small_losses_the_smaller_is_skipped():
    assert who(run(started(), 0.04, 0.045, 1)) == "g"
    assert who(run(started(), 0.045, 0.04, 1)) == "d"


def test_read_literally_nothing_trains_and_the_control_says_deadlock():
    controller = started("gcann:literal")
    for d_sum, g_loss, choice in ((1.386, 0.693, "d"), (0.7, 2.0, "g"), (5.0, 5.1, "g")):
        for control in run(controller, d_sum, g_loss, 3):
            control.check(1)
            assert who([control]) == choice
            assert RULES[controller.rule[0]] == "deadlock"


def test_the_prose_trigger_fires_at_the_equilibrium_and_the_pseudo_code_does_not():
    ln2 = math.log(2)
    assert rates(run(started(trigger="prose", **SMALL), 2 * ln2, ln2, 2 * W)[-1]) == pytest.approx((1.2, 1 / 1.2))
    assert rates(run(started(trigger="pseudo", **SMALL), 2 * ln2, ln2, 2 * W)[-1]) == (1.0, 1.0)


def gaps(controller: Scripted, *windows: float) -> None:
    """Plays windows whose mean losses differ by the given gaps, D being the stronger."""
    for gap in windows:
        run(controller, 1.0, 1.0 + gap, W)


def test_a_steep_gap_triggers_before_it_is_wide():
    controller = started(**SMALL)
    gaps(controller, 0.0, 0.0, 0.4)  # slope 0.08 < 0.1
    assert controller.memory["d_rate"].item() == 1.0
    gaps(controller, 1.0)  # slope 0.12
    assert controller.memory["d_rate"].item() == pytest.approx(1 / 1.2)


def test_a_closed_stable_region_sets_the_threshold_by_its_steepest_slope():
    controller = started(**SMALL)
    gaps(controller, 0.0, 0.0, 0.3, 0.5)  # stable: slopes 0, 0.06, 0.04
    assert controller.memory["threshold"].item() == pytest.approx(0.1)
    gaps(controller, 1.2)  # slope 0.14 closes the region
    assert controller.memory["max_slope"].item() == pytest.approx(0.06)
    assert controller.memory["threshold"].item() == pytest.approx(0.9 * 0.06)


def test_one_window_is_no_stable_region_and_falling_gaps_set_no_threshold():
    controller = started(**SMALL)
    gaps(controller, 0.0, 0.2, 1.2)  # the gate hides the first window, so one stable window, slope 0.04
    assert controller.memory["threshold"].item() == pytest.approx(0.1)
    controller = started(**SMALL)
    gaps(controller, 2.0, 1.8, 1.6, 1.4, 2.4)  # slopes -0.04, then 0.2
    assert controller.memory["threshold"].item() == pytest.approx(0.1)


def test_the_threshold_freezes_unless_its_maximum_decays():
    for decay, expected in ((1.0, 0.06), (0.5, 0.04)):
        controller = started(max_slope_decay=decay, **SMALL)
        gaps(controller, 0.0, 0.0, 0.3, 1.2)  # region with maximum 0.06 closes
        gaps(controller, 1.2, 1.4, 2.2)  # region with maximum 0.04 closes
        assert controller.memory["max_slope"].item() == pytest.approx(expected)


def test_read_literally_the_threshold_drops_to_zero_in_the_first_window():
    controller = started("gcann:literal", **SMALL)
    gaps(controller, 0.0, 0.0)
    assert controller.memory["threshold"].item() == 0


def test_rows_with_unlike_losses_keep_to_themselves_through_adjustments_and_reloading():
    d_sums, g_losses = torch.tensor([0.1, 4.0, 1.4, 0.04]).double(), torch.tensor([4.0, 0.1, 0.7, 2.0]).double()
    together = make_controller("gcann", **SMALL)
    together.reset([0] * 4, GAN)
    alone = [started(**SMALL) for _ in range(4)]
    for t in range(4 * W):
        crowd = replace(losses(0, 0, 4, t), g_loss=g_losses, d_loss_real=d_sums / 2, d_loss_fake=d_sums / 2)
        control = together.act(crowd)
        for i, controller in enumerate(alone):
            own = controller.act(crowd.rows(slice(i, i + 1)))
            shared = control.rows(slice(i, i + 1))
            assert (rates(own), who([own])) == (rates(shared), who([shared]))
        if t == 2 * W:
            state, together = together.state_dict(), make_controller("gcann", **SMALL)
            together.load_state_dict(state)
    assert len(set(control.d_multiplier.tolist())) == 3  # cut, raised and twice untouched


def test_a_broken_loss_leaves_the_window_mean_alone():
    controller = started(**SMALL)
    run(controller, 0.1, 4.0, W + 2)
    run(controller, math.nan, math.inf, 1)
    assert rates(run(controller, 0.1, 4.0, W - 3)[-1]) == pytest.approx((1 / 1.2, 1.2))


def test_a_window_without_a_usable_loss_says_nothing():
    controller = started(window=10, slope_range=(0.001, 0.01), cooldown=10)
    run(controller, 1.4, 0.7, 20)
    run(controller, math.nan, math.nan, 10)
    assert {rates(c) for c in run(controller, 1.4, 0.7, 20)} == {(1.0, 1.0)}


def test_baseline_epochs_are_counted_in_updates_where_a_decision_holds_for_many():
    controller = started(game=replace(GAN, updates_per_epoch=1_000), window=10, cooldown=10)
    told = [controller.act(losses(0.1, 4.0, update=100 * i)) for i in range(20)]
    assert rates(told[8]) == (1.0, 1.0) and rates(told[19]) == pytest.approx((1 / 1.2, 1.2))


def test_the_presets_hold_the_printed_numbers():
    image, voxels = PRESETS["image"], PRESETS["voxels"]
    assert (image.window, image.max_loss_diff, image.slope_range) == (100, 3, (-0.1, 0.1))
    assert (image.d_pause, image.g_pause, image.d_skip, image.g_skip) == (0.025, 0.01, 0.05, 0.05)
    assert (image.max_skip_iterations, image.cooldown, image.baseline_epochs) == (25, 100, 1)
    assert (voxels.max_skip_iterations, voxels.cooldown, voxels.slope_range) == (30, 150, (0.001, 0.2))
    assert (voxels.alpha, voxels.beta, voxels.max_loss_diff) == (0.8, 0.6, 3)
    assert PRESETS["damped"] == GcannConfig() == replace(image, alpha=0.2, beta=0.2, symmetric=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gcann", {"wndow": 3}, "unknown gcann option 'wndow'; did you mean 'window'"),
        ("gcann:imag", {}, "gcann:PRESET needs one of damped, image, voxels, literal, got 'imag'"),
        ("gcann", {"preset": "x"}, "gcann:PRESET needs one of"),
        ("gcann", {"trigger": "prosa"}, "did you mean 'prose'"),
        ("gcann", {"window": 0}, "window=0 must be at least 1"),
        ("gcann", {"window": 1.5}, "window=1.5 must be a whole number"),
        ("gcann", {"slope_range": 0.1}, "slope_range=0.1 must be \\(a number, a number\\)"),
        ("gcann", {"literal": "no"}, "literal='no' must be True or False"),
        ("gcann:image", {"alpha": 1.0}, "must be below 1 unless symmetric"),
        ("gcann", {"rate_limits": (0.0, 1.0)}, "rate_limits"),
    ],
)
def test_a_mistake_is_named_with_the_way_out(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_controller(name, **options)
