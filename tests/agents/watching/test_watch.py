"""`gan-env watch`: a run's folder while it goes on, and films."""

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from agents.training.train_config import TrainConfig, plain
from agents.watching.watch import CURVES, Progress, watched
from gan_env.cli import main
from gan_env.cli.watch import panel, sparkline
from gan_env.io.files import locked
from tests.cli.test_cli import TINY

FILM = ["watch", "--task", "ring", "--updates", "12", "--frames", "4"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("watch") / "run"
    assert main(["train", *TINY, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    out = tmp_path_factory.mktemp("watch") / "bench"
    assert main(
        ["bench", "--tasks", "dirac", "--losses", "wgan-unclipped", "--controllers", "sim-gda,dirac-oracle", "--seeds",
         "2", "--updates", "12", "--reward", "quality", "--out", str(out)]
    ) == 0  # fmt: skip
    return out


def test_a_finished_training_shows_its_table_and_the_next_step(trained, capsys):
    assert main(["watch", str(trained)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("finished") and "40 of 40 decisions" in said and "sim-gda" in said
    assert f"--film {trained}/film.gif" in said.replace("\n", "") and "\x1b" not in said  # no terminal, no colours


def test_what_runs_and_what_was_stopped_are_told_by_the_lock(trained, tmp_path):
    running = tmp_path / "run"
    running.mkdir()
    (running / "config.json").write_text((trained / "config.json").read_text())
    assert watched(running).look().state == "stopped"
    assert watched(running).look().next == f"gan-env train --resume {running}"
    with locked(running):
        assert watched(running).look().state == "running"


def test_a_benchmark_shows_its_scores(judged, capsys):
    assert main(["watch", str(judged), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["state"] == "finished" and "1 of 1 groups" in seen["what"] and "dirac-oracle" in seen["table"]
    assert seen["next"] == f"gan-env report {judged}"


def test_a_film_shows_controllers_side_by_side_and_ends_with_scores(tmp_path, capsys):
    file = tmp_path / "ring.gif"
    assert main([*FILM, "--controller", "gap-aware,frozen-d", "--film", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcomes"].keys() == {"gap-aware", "frozen-d"} and all(0 < s < 10 for s in found["outcomes"].values())
    with Image.open(file) as film:
        assert film.size == (960, 640) and film.n_frames == 5


def test_a_folder_films_its_agent_beside_plain_training(trained, judged, tmp_path, capsys):
    for folder, names in ((trained, {"fsco (meta)", "sim-gda"}), (judged, {"dirac-oracle", "sim-gda"})):
        file = tmp_path / f"{folder.name}.gif"
        assert main(["watch", str(folder), "--film", str(file), "--frames", "2", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["outcomes"].keys() >= names - {"dirac-oracle"}
        assert file.stat().st_size > 1000


def test_a_gan_that_fails_stays_in_the_film_as_it_was(tmp_path, capsys):
    file = tmp_path / "x.gif"
    call = ["watch", "--task", "dirac", "--controller", "constant:1e6,sim-gda", "--updates", "40", "--frames", "4"]
    assert main([*call, "--film", str(file), "--json"]) == 0
    outcomes = json.loads(capsys.readouterr().out)["outcomes"]
    assert outcomes["constant:1e6"] in ("loss past its bound", "weights past their bound") and outcomes["sim-gda"] > 0


def test_a_films_score_is_called_what_the_task_calls_it(tmp_path, capsys):
    call = ["watch", "--task", "dirac", "--controller", "sim-gda", "--updates", "4", "--frames", "2"]
    assert main([*call, "--film", str(tmp_path / "x.gif")]) == 0
    score = r"sim-gda: distance from the saddle [\d.]+, lower is better"  # no distance of the samples to data
    assert re.match(score, capsys.readouterr().out)


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_narrow_terminal_shows_every_number_whole(width):
    curves = {name: [(0, -1.2345e-5), (1, 0.00067891)] for name in CURVES}
    table = "controller   score, mean [95 %]        minus sim-gda\nfsco         0.8271 [-3.952, 5.606]   -0.465"
    seen = Progress(Path("x"), "fsco on ring", "running", 5, 9, "decision", 3.0, curves, table)
    console = Console(width=width, color_system=None, file=io.StringIO())
    console.print(panel(seen, console.width))
    said = console.file.getvalue()
    assert said.count("-1.234e-05") == said.count("0.0006789") == len(CURVES) and "…" not in said
    assert all(number in said for number in ("0.8271", "5.606", "-0.465")) and "█" in said
    assert max(len(line) for line in said.splitlines()) <= width


def test_what_is_piped_is_not_cut(judged, capsys, monkeypatch):
    monkeypatch.setattr("agents.watching.watch.tables.tables", lambda rows: "a word " * 100)
    assert main(["watch", str(judged)]) == 0
    assert ("a word " * 100).strip() in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio-ffmpeg leaves its pipes open
def test_an_mp4_is_written_where_the_extra_is(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    file = tmp_path / "ring.mp4"
    assert main([*FILM, "--film", str(file)]) == 0
    frames = ffmpeg.read_frames(str(file))
    assert next(frames)["size"] == (960, 320) and len(list(frames)) >= 4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["watch"], "name a run's folder"),
        (["watch", "--task", "ring"], "--task is of a film"),
        (["watch", "."], "holds no config.json"),
        ([*FILM, "--film", "x.gfi"], "did you mean '.gif'"),
        ([*FILM, "--film", "nowhere/x.gif"], "there is no folder"),
        ([*FILM, "--film", "x.gif", "--controller", "gap-awar"], "did you mean 'gap-aware'"),
        ([*FILM, "--film", "x.gif", "--loss", "hing"], "did you mean 'hinge'"),
        ([*FILM[:2], "rng", "--film", "x.gif"], "did you mean 'ring'"),
        ([*FILM[:-1], "1", "--film", "x.gif"], "frames=1"),
        ([*FILM, "--film", "x.gif", "--seed", "-1"], "seed=-1 must lie in 0 to 999999"),
    ],
)
def test_a_wrong_call_gets_one_line_and_exit_code_2(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


def test_an_mp4_without_the_extra_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr("agents.watching.film.find_spec", lambda name: None)
    assert main([*FILM, "--film", "x.mp4"]) == 2
    assert "pip install 'gan-env[render]'" in capsys.readouterr().err


def test_sparklines_go_from_the_least_to_the_greatest():
    assert sparkline([0, 1, 2]) == "▁▅█" and sparkline([5, 5]) == "▁▁" and len(sparkline(range(1000), 40)) == 40


def test_what_a_log_says_beyond_all_numbers_is_left_out(tmp_path, capsys):
    from torch.utils.tensorboard import SummaryWriter

    (tmp_path / "config.json").write_text(json.dumps(plain(TrainConfig())))
    with SummaryWriter(str(tmp_path / "tensorboard")) as log:
        for step, value in enumerate([1.0, float("nan"), float("inf"), -1e30, 2.0]):
            log.add_scalar("gan/return", value, step * 100)
            log.add_scalar("gan/failures", float("nan"), 2**62)
    assert main(["watch", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "return of an episode" in said and "failed" not in said and "nan" not in said
