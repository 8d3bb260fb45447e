"""`gan-env diagnose`: any usual log is read, and what real trainings show is named."""

import io
import json
import sys

import numpy as np
import pytest

from agents import make_controller
from agents.diagnose.diagnose import diagnose, lines
from agents.diagnose.loss_logs import LossLog, player_of, read_losses
from gan_env.cli import main
from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.losses.losses import get_loss

D, G = np.linspace(1.4, 1.3, 30), np.linspace(0.7, 0.8, 30)
PAIRS = list(zip(range(30), D, G, strict=True))


def trained(controller: str, updates: int, **settings) -> tuple[LossLog, str]:
    """A log of our own engine."""
    config = EnvConfig(episode_updates=updates, **settings)
    trainer, steers = make_trainer(config, 1), make_controller(controller)
    trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    steers.reset([0], trainer.facts)
    rows = []
    for update in range(updates):
        seen = trainer.measurement
        rows.append((update, float(seen.d_sum[0]), float(seen.g_loss[0])))
        trainer.advance(steers.act(seen), 1)
    update, d, g = np.array(rows).T
    return LossLog("log", "d", "g", update, d, g), config.gan_loss.name


def made(d, g=None) -> LossLog:
    d = np.asarray(d, np.float64)
    return LossLog("log", "d", "g", np.arange(len(d), dtype=np.float64), d, np.full(len(d), 0.7) if g is None else g)


def symptoms(log: LossLog, loss: str = "bce", **how) -> dict:
    return {each.name: each for each in diagnose(log, get_loss(loss), **how).symptoms}


# -- what trainings show


def test_a_discriminator_that_wins_is_seen_and_gap_aware_would_have_slowed_it_to_a_tenth():
    log, loss = trained("sim-gda", 300, task="ring", d_lr=1e-2, g_lr=1e-5)
    found = diagnose(log, get_loss(loss))
    (symptom,) = found.symptoms
    assert symptom.name == "D wins" and symptom.controllers[0] == found.controller == "gap-aware"
    assert (
        symptom.evidence["share of the ideal"] < 0.01
        and 20 < symptom.evidence["below a tenth of it since update"] < 150
    )
    assert found.gap_aware is not None and found.gap_aware["last"] == pytest.approx(0.1)
    assert "best samples" in symptom.doubt  # what this package measured itself


def test_plain_training_of_the_dirac_gan_grows_and_alternating_does_not():
    log, loss = trained("sim-gda", 600, task="dirac")
    grows = symptoms(log, loss)["oscillates, growing"]
    # It grows by sqrt(1 + 0.1^2) an update in each player, and its loss is their product: two half-turns a turn.
    assert grows.evidence["growth"] == pytest.approx(1.01**450, rel=0.3) and grows.sure == "sure"
    assert grows.evidence["period in updates"] == pytest.approx(np.pi / np.arctan(0.1), rel=0.06)
    log, loss = trained("alt-gda-1", 1200, task="dirac")
    assert symptoms(log, loss)["oscillates"].evidence["growth"] == pytest.approx(1.0, abs=0.05)


def test_a_training_that_diverges_is_told_with_its_update():
    log, loss = trained("sim-gda", 60, task="ring", optimizer="sgd", d_lr=100.0, g_lr=100.0)
    found = symptoms(log, loss)
    assert (
        list(found) == ["diverged"] and found["diverged"].evidence["update"] < 10 and not found["diverged"].controllers
    )


def test_balanced_training_needs_no_controller():
    found = diagnose(trained("sim-gda", 200, task="ring")[0], get_loss("bce"))
    assert [s.name for s in found.symptoms] == ["within the gap"] and found.controller is None


@pytest.mark.parametrize(
    ("level", "name"),
    [(0.1, "D wins"), (1.2, "D leads"), (1.3, "within the gap"), (1.5, "within the gap"), (1.6, "D lags")],
)
def test_levels_are_told_by_a_tenth_of_the_ideal_as_gap_aware_does(level, name):
    noise = 0.01 * np.random.default_rng(0).standard_normal(200)
    assert list(symptoms(made(level + noise))) == [name]


def test_noise_is_no_oscillation():
    noise = np.random.default_rng(1).standard_normal(400)
    assert list(symptoms(made(1.38 + 0.2 * noise))) == ["within the gap"]


def noises(kind: str, rows: int, number: int):
    """Pairs of series of which nothing is to be said, each of variance 1 or thereabouts."""
    rng = np.random.default_rng(rows)
    for _ in range(number):
        e = rng.standard_t(3, (2, rows)) if kind == "heavy tails" else rng.standard_normal((2, rows))
        yield np.cumsum(e, 1) / np.sqrt(rows) if kind == "random walk" else e


@pytest.mark.parametrize("kind", ["white", "heavy tails", "random walk"])
@pytest.mark.parametrize("rows", [20, 30, 40, 60, 100, 200, 500])
def test_noise_of_any_length_is_hardly_ever_called_an_oscillation(kind, rows):
    found = 0
    for d, g in noises(kind, rows, 200):
        log = LossLog("log", "d", "g", np.arange(rows), d, g)
        found += any(name.startswith("oscillates") for name in symptoms(log, "wgan"))
    assert found <= 200 * 0.05  # in thousands 1 to 2 %; by the share alone it was 95 % of white noise with 20 rows


@pytest.mark.parametrize("rows", [30, 40, 60, 100, 200, 500])
def test_a_sine_under_noise_is_found_with_its_period(rows):
    found = 0
    for period, (d, g) in zip(np.linspace(4, rows / 5, 20), noises("white", rows, 20), strict=True):
        sine = np.sin(2 * np.pi * np.arange(rows) / period)
        seen = symptoms(LossLog("log", "d", "g", np.arange(rows), 1.38 + 0.3 * sine + 0.1 * d, 0.7 + 0.05 * g))
        found += "oscillates" in seen and abs(seen["oscillates"].evidence["period in updates"] / period - 1) < 0.15
    assert found >= 18


def test_a_discriminator_that_wins_comes_before_an_oscillation_that_does_not_grow():
    t, noise = np.arange(300), 0.005 * np.random.default_rng(3).standard_normal(300)
    found = diagnose(made(0.05 + noise, 8 + 3 * np.sin(t / 5)), get_loss("bce"))
    assert [s.name for s in found.symptoms] == ["D wins", "oscillates"] and found.controller == "gap-aware"


def test_losses_that_stand_still_are_told():
    assert list(symptoms(made(np.full(50, 1.3862)))) == ["constant"]
    assert list(symptoms(made(np.full(50, 0.6931)))) == ["constant"]  # the same by the mean


def test_losses_that_stand_still_far_below_the_ideal_are_not_those_of_a_discriminator_that_cannot_tell():
    found = diagnose(made(np.zeros(50), np.full(50, 100.0)), get_loss("bce"))  # a saturated sigmoid under BCELoss
    assert [s.name for s in found.symptoms] == ["D wins", "frozen"] and found.controller == "gap-aware"
    assert "BCEWithLogitsLoss" in found.symptoms[1].answer
    found = symptoms(made(np.full(50, 0.2), np.full(50, 3.0)))
    assert set(found) == {"D leads", "frozen"} and "BCEWithLogitsLoss" not in found["frozen"].answer
    assert "constant" not in symptoms(made(np.full(50, -3.0)), "wgan")


def test_the_mean_of_both_halves_is_half_the_ideal_and_asked_about():
    log = made(np.log(2) + 0.001 * np.arange(100) / 100)
    found = diagnose(log, get_loss("bce"))
    assert "--d-loss mean" in found.hints[0] and found.controller is None
    assert [(s.name, s.sure) for s in found.symptoms] == [("D leads", "not sure")]
    assert list(symptoms(log, d_loss="mean")) == ["within the gap"] and not diagnose(log, get_loss("bce"), "mean").hints


@pytest.mark.parametrize(
    ("g", "sure", "hints"), [(0.7, "not sure", 1), (1.1, "not sure", 1), (5.5, "not sure", 1), (0.1, "likely", 1)]
)
def test_at_the_ideal_of_the_other_reading_no_loss_of_g_makes_ds_sure_for_it_may_hold_other_terms(g, sure, hints):
    noise = 0.01 * np.random.default_rng(0).standard_normal(100)
    found = diagnose(made(0.69 + noise, g + noise), get_loss("bce"))
    assert [s.sure for s in found.symptoms] == [sure] and len(found.hints) == hints
    assert found.controller == (None if sure == "not sure" else "gap-aware")


def test_a_loss_of_g_without_a_scale_leaves_the_reading_of_ds_likely():
    noise = 0.01 * np.random.default_rng(0).standard_normal(100)
    found = diagnose(made(1 + noise, 0.3 + noise), get_loss("hinge"))
    assert [s.sure for s in found.symptoms] == ["likely"] and "--d-loss mean" in found.hints[0]


def test_the_lines_say_which_scores_are_meant_and_hand_over_ds_loss_where_that_can_be_compared():
    said = "\n".join(lines("d-accuracy-gate", get_loss("bce")))
    assert "before its sigmoid; after one: .logit(1e-6)" in said and "fake_logits, d_loss=d_loss)" in said
    assert "d_loss=2 * d_loss)" in "\n".join(lines("gap-aware", get_loss("bce"), "mean"))
    said = "\n".join(lines("gap-aware", get_loss("wgan-gp")))
    assert "sigmoid" not in said and "steer(real_logits, fake_logits)" in said  # with its penalty it would differ


@pytest.mark.parametrize(
    ("d", "name"),
    [(-np.linspace(0.1, 9, 100), "critic runs away"), (np.linspace(0.1, 0.4, 100), "critic lags"),
     (-np.linspace(0.5, 0.4, 100), "critic ahead")],
)  # fmt: skip
def test_a_critic_is_judged_by_changes_of_its_estimate(d, name):
    assert name in symptoms(made(d), "wgan-gp")


def test_negative_losses_ask_for_the_name_of_the_loss():
    with pytest.raises(ValueError, match="negative in 30 rows .* --loss wgan-gp"):
        diagnose(made(-D), get_loss("bce"))


# -- logs as people have them


@pytest.mark.parametrize(
    ("name", "player"),
    [("loss_D", "d"), ("d_loss", "d"), ("D loss", "d"), ("lossD", "d"), ("errD", "d"), ("train/d_loss_epoch", "d"),
     ("discriminator_loss", "d"), ("critic loss", "d"), ("netD_loss", "d"), ("dloss", "d"), ("Loss_G", "g"),
     ("generator/loss", "g"), ("gen_loss", "g"), ("errG", "g"), ("d_loss_real", ""), ("val_d_loss", ""),
     ("D(x)", ""), ("d_lr", ""), ("loss", ""), ("grad_norm_d", ""), ("g_l1_loss", "")],
)  # fmt: skip
def test_usual_names_are_known(name, player):
    assert player_of(name) == player


def rows(**names):
    return [dict(zip(names, values, strict=True)) for values in zip(*names.values(), strict=True)]


FILES = {
    "comma.csv": "step,loss_D,loss_G\n" + "".join(f"{10 * i},{d},{g}\n" for i, d, g in PAIRS),
    "semicolon.csv": "epoch;errG;errD\n" + "".join(f"1;{g};{d}\n" for _, d, g in PAIRS),
    "lightning.csv": "d_loss,epoch,g_loss,step\n" + "".join(f"{d},0,,{2 * i}\n,0,{g},{2 * i + 1}\n"
                                                            for i, d, g in PAIRS),
    "halves.csv": "d_loss_real,d_loss_fake,g_loss\n" + "".join(f"{d / 2},{d / 2},{g}\n" for _, d, g in PAIRS),
    "log.jsonl": "\n".join(map(json.dumps, rows(step=range(30), D_loss=list(D), G_loss=list(G)))) + '\n{"st',
    "list.json": json.dumps(rows(discriminator_loss=list(D), generator_loss=list(G))),
    "columns.json": json.dumps({"d_losses": list(D), "g_losses": list(G)}),
    "tutorial.log": "Starting Training Loop...\n" + "".join(
        f"[0/5][{50 * i}/1583]\tLoss_D: {d:.4f}\tLoss_G: {g:.4f}\tD(x): 0.5\tD(G(z)): 0.4 / 0.3\n"
        for i, d, g in PAIRS),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_usual_kind_of_log_is_read(name, tmp_path):
    (tmp_path / name).write_text(FILES[name])
    (log,) = read_losses(tmp_path / name)
    assert log.d[-1] == pytest.approx(1.3, abs=1e-4) and log.g[-1] == pytest.approx(0.8, abs=1e-4)
    assert len(log.d) == 30 and (np.diff(log.update) > 0).all()
    if name == "comma.csv":
        assert log.update[-1] == 290 and (log.d_column, log.g_column) == ("loss_D", "loss_G")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("step,a,b\n" + "1,2,3\n" * 30, "no column is named like the discriminator's loss .* it has 'step', 'a', 'b'"),
        ("d_loss,g_loss\n" + "1,2\n" * 7, "holds 7 rows with both losses; 20 are needed"),
        ("d_loss,g_loss\n" + "1,2\n" * 30 + "x,2\n", "row 31: d_loss='x' is no number"),
        ("nothing at all\n", "holds no losses"),
        ("a\0b", "is no text"),
    ],
)
def test_what_is_no_log_is_told_in_a_line(content, named, tmp_path):
    (tmp_path / "log").write_text(content)
    with pytest.raises(ValueError, match=named):
        read_losses(tmp_path / "log")


def test_the_command_says_it_in_words_and_in_json(tmp_path, capsys):
    d = np.concatenate([np.linspace(1.4, 0.01, 50), np.full(50, 0.01)]) + np.arange(100) * 1e-6
    file = tmp_path / "log.csv"
    file.write_text("disc,gen\n" + "".join(f"{x},{2.0}\n" for x in d) + "nan,2\n")
    call = ["diagnose", str(file), "--d-column", "disc", "--g-column", "gen"]
    assert main(call) == 0
    said = capsys.readouterr().out
    assert (
        "diverged at update 101" in said and "D wins" in said and 'Steer("gap-aware", opt_g, opt_d, loss="bce")' in said
    )
    assert main([*call, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in found["symptoms"]] == ["diverged", "D wins"] and found["lines"][-1].startswith(
        "steer.done()"
    )
    assert found["symptoms"][0]["evidence"]["D's loss"] == "nan"
    assert main(["diagnose", str(tmp_path / "none.csv")]) == 1
    assert main([*call, "--loss", "hing"]) == 2
    assert "did you mean 'hinge'" in capsys.readouterr().err


def test_the_command_reads_a_pipe(monkeypatch, capsys):
    for content, code in ((FILES["tutorial.log"], 0), ("nothing at all\n", 2)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        assert main(["diagnose", "-"]) == code
    said, complaint = capsys.readouterr()
    assert said.startswith("standard input: 30 rows") and "standard input holds no losses" in complaint
