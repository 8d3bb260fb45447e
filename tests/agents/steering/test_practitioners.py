"""Promises of the practitioners' benchmark: its loops are what it says, and its arms differ in rates alone."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from agents import Decision
from benchmarks.practitioners import dcgan, r3gan

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "benchmarks" / "practitioners"
TINY = {
    dcgan: (64, dcgan.Settings(iterations=4, batch_size=6, latent_size=5, channels=2)),
    r3gan: (32, r3gan.Settings(iterations=4, batch_size=6, latent_size=5, channels=2)),
}


def trained(loop, controller, **options) -> list[torch.Tensor]:
    side, settings = TINY[loop]
    pictures = torch.rand(20, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return [
        value for net in loop.train(pictures, 0, controller, settings, **options) for value in net.state_dict().values()
    ]


def equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def scripts(monkeypatch):
    """Lets the benchmark's scripts import each other as they do when one of them is run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in ("single_run", "figures", "run"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("loop", TINY, ids=["dcgan", "r3gan"])
def test_a_controller_that_holds_the_rates_changes_no_weight_of_the_loop(loop):
    own = {"own_rates": True} if loop is r3gan else {}
    plain = trained(loop, None, **own)
    assert equal(plain, trained(loop, "sim-gda", **own))
    assert not equal(plain, trained(loop, "ttur"))  # another rate of D is another run


def test_r3gans_schedule_of_rates_is_the_plain_loops_alone():
    assert equal(trained(r3gan, None), trained(r3gan, "sim-gda", own_rates=True))
    assert equal(trained(r3gan, "sim-gda"), trained(r3gan, None, own_rates=False))
    assert not equal(trained(r3gan, None), trained(r3gan, "sim-gda"))


def test_a_schedule_moves_along_half_a_cosine_and_then_stays():
    moved = [r3gan.half_cosine((2e-4, 5e-5), progress) for progress in (0.0, 0.5, 1.0, 1.7)]
    assert moved == pytest.approx([2e-4, 1.25e-4, 5e-5, 5e-5])


def test_the_slope_of_a_linear_critic_is_that_of_its_weights():
    pictures = torch.randn(4, 1, 2, 2, requires_grad=True)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    found = r3gan.squared_slope(critic(pictures), pictures)
    torch.testing.assert_close(found, critic[1].weight.square().sum())


@pytest.mark.slow
def test_the_dcgan_is_the_tutorials(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tutorial_dcgan.py"])
    tutorial = runpy.run_path(str(ROOT / "examples" / "tutorial_dcgan.py"))
    net_g, net_d = dcgan.players(tutorial["nz"], tutorial["ngf"])
    assert [repr(net_g), repr(net_d)] == [repr(tutorial["netG"]), repr(tutorial["netD"])]
    assert dcgan.Settings().lr == tutorial["lr"]


def test_the_clock_gives_the_share_of_an_iteration_that_steer_takes(scripts):
    from single_run import Clock

    decision = Decision(update_g=True, update_d=True, reuse_real=False, g_multiplier=1.0, d_multiplier=10.0)
    clock = Clock(starts=[0.0, 1.0, 2.0, 4.0], spent=[0.1, 0.1, 0.8, 9.0], decisions=[decision] * 4)
    found = clock.measured()  # the last iteration has no end
    assert found["steer_share"] == pytest.approx(0.1) and found["steer_share_of_run"] == pytest.approx(1.0 / 4.0)
    assert found["iteration_ms"] == pytest.approx(1_000) and set(found["d_rates"]) == {2e-3}


def test_a_run_that_is_there_is_not_repeated_and_other_weights_of_auto_do_not_count(scripts, tmp_path):
    import run

    rows = [{"loop": "ctgan", "contestant": "auto", "seed": seed, "weights": run.weights_of("auto")} for seed in (0, 1)]
    rows[1]["weights"] = "of an older file"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"loop": "ct')  # torn
    run.unpack(tmp_path)
    assert (tmp_path / "rows.jsonl").read_text().count("\n") == 2
    assert run.read_rows(tmp_path) == rows
    left = run.missing(run.read_rows(tmp_path), ["ctgan"], ["auto"])
    assert left == [("ctgan", "auto", seed) for seed in range(1, 10)]
    run.pack(tmp_path)
    assert run.read_rows(tmp_path) == rows and not (tmp_path / "rows.jsonl").exists()


def test_a_ctgan_that_diverges_is_a_failed_run_and_any_other_error_is_raised(scripts, monkeypatch):
    import single_run

    def fails(*_):
        raise ValueError(said)

    monkeypatch.setattr(single_run, "loop_module", lambda _: SimpleNamespace(Steer=None, run=fails))
    said = "gumbel_softmax returning NaN."
    assert single_run.ctgan_run("auto", 0, single_run.Clock())["status"] == "failed"
    said = "unknown controller"
    with pytest.raises(ValueError, match="unknown controller"):
        single_run.ctgan_run("auto", 0, single_run.Clock())


def test_a_dcgan_that_diverges_is_a_failed_run(scripts, monkeypatch):
    import single_run

    def train(*_, **__):
        nn.BCELoss()(torch.tensor([float("nan")]), torch.ones(1))

    monkeypatch.setattr(single_run, "loop_module", lambda _: SimpleNamespace(Settings=dcgan.Settings, train=train))
    found, samples = single_run.picture_run("dcgan", "auto", 0, single_run.Clock())
    assert found["status"] == "failed" and found["score"] is None and samples is None


def test_a_failed_run_is_no_win_and_in_no_mean(scripts):
    import figures

    def row(name, seed, score):
        return {
            "loop": "dcgan",
            "contestant": name,
            "seed": seed,
            "status": "ok" if score else "failed",
            "score": score,
        }

    scores = {"plain": [4.0, 5.0, 6.0, 7.0, None], "auto": [3.0, 4.5, None, 8.0, 2.0]}
    rows = {("dcgan", n, s): row(n, s, score) for n, each in scores.items() for s, score in enumerate(each)}
    assert figures.wins(rows, "dcgan", "auto", "score", 1) == "3 of 5"
    gap = figures.difference(rows, "dcgan", "auto", "score")
    assert gap.value == pytest.approx((-1 - 0.5 + 1) / 3) and gap.n == 3


def test_a_contestant_whose_runs_all_failed_stands_in_the_table(scripts):
    import figures

    failed = {"status": "failed", "score": None, "accuracy": None}
    fine = {"status": "ok", "score": 1.0, "accuracy": 0.5}
    rows = {("ctgan", name, s): row for name, row in (("plain", fine), ("auto", failed)) for s in range(5)}
    lines = figures.section(rows, "ctgan").splitlines()
    (line,) = [line for line in lines if line.startswith("| `auto`") and "5 of 5" in line]
    assert "0 of 5" in line and "–" in line
    assert lines[-1].endswith("`auto`: too few runs. `ttur-decay` was not run with what ships now.")
