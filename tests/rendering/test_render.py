"""What a person sees: pictures of a training, a window, a film."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo
from gymnasium.wrappers.vector import RecordVideo as RecordVideos
from matplotlib.figure import Figure

from agents import make_controller
from gan_env import GANEnv, GANVectorEnv
from gan_env.rendering import draw as render
from gan_env.rendering import painter, window
from gan_env.rendering.painter import Painter, Scene
from gan_env.tasks.task import make_task

SMALL = {"task": "ring", "episode_updates": 40, "batch_size": 8, "score": False}


def seen(env: GANVectorEnv, decisions: int = 3) -> tuple[np.ndarray, ...]:
    """Pictures after decisions at a rate that is D's alone, so that lines do not meet, where colours blend."""
    env.reset(seed=0)
    for _ in range(decisions):
        env.step(np.full((env.num_envs, 1), 0.5, np.float32))
    return env.pictures()


def coloured(frame: np.ndarray, colour: str) -> int:
    """Pixels near a colour."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(frame.astype(int) - rgb).max(-1) < 50).sum())


def test_a_frame_has_one_size_whatever_is_trained_and_tracked():
    frames = [
        seen(GANVectorEnv(1, render_mode="rgb_array", **SMALL | {"task": task, "track_quality": tracked}), 1)[0]
        for task, tracked in (("ring", False), ("digits", True))
    ]
    assert {(f.shape, f.dtype) for f in frames} == {((320, 960, 3), np.dtype(np.uint8))}


def test_quality_is_drawn_where_it_is_tracked_and_only_there():
    with_it, without = (  # few decisions: later the losses cross, and their colours blend
        seen(GANVectorEnv(1, render_mode="rgb_array", track_quality=tracked, quality_every=1, **SMALL), 12)[0]
        for tracked in (True, False)
    )
    assert coloured(with_it, render.QUALITY_COLOUR) > 50 and coloured(without, render.QUALITY_COLOUR) == 0


def test_the_lanes_tell_who_moved():
    def lanes(name):
        env = GANVectorEnv(1, render_mode="rgb_array", **SMALL)
        env.reset(seed=0)
        controller = make_controller(name)
        controller.reset([0], env.facts)
        for _ in range(40):
            env.step_control(controller.act(env.measurement))
        low = env.pictures()[0][235:275]
        return coloured(low, render.D_COLOUR), coloured(low, render.G_COLOUR)

    d_only, both = lanes("frozen-d"), lanes("sim-gda")
    assert d_only[0] < 0.2 * both[0] and d_only[1] > 0.9 * both[1]


LOSS_NUMBERS = slice(340, 384)
"""Columns of a picture without quality: what stands left of the losses."""


def scene(updates=(1, 2, 3), loss=0.7, d_moved=1.0, g_moved=1.0, failed=False):
    """A history of which only what is named varies, the last samples of a generator that reached the origin."""
    history = np.ones((len(updates), len(render.COLUMNS)))
    columns = {"update": updates, "g_loss": loss, "d_loss": 0.6, "g_lr": 2.0, "d_moved": d_moved, "g_moved": g_moved}
    for name, values in columns.items():
        history[:, render.COLUMNS.index(name)] = values
    update = updates[-1] if len(updates) else 0
    return Scene(title="test", samples=torch.zeros(8, 1), history=history, update=update, failed=failed)


def painter_of_dirac(**settings):
    return Painter(make_task("dirac"), **{"tracked": False, "episode_updates": 40} | settings)


def test_the_lanes_end_with_the_last_decision():
    def filled(history, end):
        return np.flatnonzero((painter.lanes(history, end) < 1).any((0, 2))).tolist()

    held = scene((3, 6), d_moved=np.array([1, 0]), g_moved=np.array([0, 1])).history
    assert filled(held, 6) == list(range(60))
    d_lane, g_lane = (painter.lanes(held, 6) < 1).any(-1)
    assert d_lane.tolist() == [True] * 30 + [False] * 30 and g_lane.tolist() == [False] * 30 + [True] * 30
    for end in (1, 7, 60, 61, 5000):
        assert filled(scene(range(1, end + 1)).history, end) == list(range(60))
    assert filled(scene((10,)).history, 40) == list(range(15))


def test_players_that_take_turns_both_show_in_the_lanes_of_a_long_history(monkeypatch):
    monkeypatch.setattr(painter, "MOST_POINTS", 10)  # every second of the 20 decisions below
    turns = np.arange(20) % 2
    (picture,) = painter_of_dirac().pictures([scene(range(1, 21), d_moved=turns, g_moved=1 - turns)])
    moves = picture[235:275]
    assert coloured(moves, render.D_COLOUR) > 200 and coloured(moves, render.G_COLOUR) > 200


def test_the_first_picture_has_the_panels_of_the_others_and_no_numbers_beside_them():
    env = GANVectorEnv(1, render_mode="rgb_array", track_quality=True, **SMALL)
    first, second = (seen(env, decisions)[0] for decisions in (0, 1))
    spines = [np.flatnonzero((frame[80:210, 320:] < 60).all(-1).all(0)).tolist() for frame in (first, second)]
    assert spines[0] == spines[1] and len(spines[0]) >= 6  # the sides of three panels
    beside = [frame[80:210, 535:575] for frame in (first, second)]
    assert (beside[0] == 255).all() and (beside[1] < 100).any()


def test_a_single_decision_can_be_seen():
    (picture,) = painter_of_dirac(tracked=True).pictures([scene((1,))])
    assert coloured(picture, render.QUALITY_COLOUR) > 5
    losses, rates = picture[76:272, 371:518], picture[76:220, 582:729]
    assert coloured(losses, render.D_COLOUR) > 5 and coloured(losses, render.G_COLOUR) > 5
    assert coloured(rates, render.D_COLOUR) > 5


def test_pictures_drawn_together_have_one_scale_which_a_failed_one_does_not_set():
    together = painter_of_dirac()
    numbers = [picture[60:290, LOSS_NUMBERS] for picture in together.pictures([scene(), scene(loss=5.0)])]
    assert (numbers[0] == numbers[1]).all()
    alone = together.pictures([scene()])[0]
    assert (alone[60:290, LOSS_NUMBERS] != numbers[0]).any()
    beside_a_failed_one = together.pictures([scene(), scene(loss=1e6, failed=True)])[0]
    assert np.array_equal(beside_a_failed_one, alone)


def test_the_axes_of_a_film_are_the_same_from_its_first_picture_to_its_last():
    """Only lines grow: whatever is no line, lane or sample is equal to the bit, and the axis ends with the episode."""
    long, short = scene(range(1, 41), loss=3.0), scene((1, 2))
    drawn = painter_of_dirac()
    early, late = (drawn.pictures([each], [long])[0] for each in (short, long))
    alone = painter_of_dirac().pictures([short])[0]
    numbers = slice(60, 320), LOSS_NUMBERS
    assert np.array_equal(early[numbers], late[numbers]) and not np.array_equal(alone[numbers], late[numbers])
    below = slice(276, 320), slice(340, 640)  # the updates, which a live picture shows to the end, too
    assert np.array_equal(early[below], late[below]) and np.array_equal(alone[below], late[below])


def test_distances_have_names_for_people():
    drawn = Painter(make_task("ring"), tracked=True)
    assert drawn._panels["quality"].get_title() == "sliced Wasserstein distance"


def test_a_picture_does_not_depend_on_those_that_were_drawn_before():
    used, scenes = painter_of_dirac(tracked=True), [scene(()), scene((1,)), scene(range(1, 30), loss=3.0), scene(())]
    for each in scenes:
        (again,), (fresh,) = used.pictures([each]), painter_of_dirac(tracked=True).pictures([each])
        assert np.array_equal(again, fresh)


@pytest.mark.parametrize("bounds", [(0.9, 1.9), (0.96, 1.04), (1e-4, 1.8e-4), (0.3, 3.0), (1e-5, 10.0), (1.0, 1.0)])
def test_a_logarithmic_axis_names_at_least_two_places(bounds):
    axes = Figure().subplots()
    axes.plot(bounds, bounds)
    render.plain_log(axes, "x", bounds)
    low, high = axes.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axes.get_xticks()) <= 8


def test_domain_adaptation_shows_the_accuracy_on_the_target(monkeypatch):
    titles = []
    draw = Painter._draw_made
    monkeypatch.setattr(Painter, "_draw_made", lambda p, *s: (draw(p, *s), titles.append(p._made.get_title())))
    env = GANVectorEnv(
        1, render_mode="rgb_array", track_quality=True, **SMALL | {"task": "digits-domains", "episode_updates": 4}
    )
    seen(env, 1)
    # The same extractor on the same images, read the plain way.
    from gan_env.data.digit_domains import guesses, target

    labels = target("validation").labels[:256]
    right = (guesses(env.sample(0, 256)) == labels).double().mean()
    assert f"target accuracy {right:.0%}" in titles[0]


def test_tiles_keep_every_row_and_leave_white_what_is_left():
    frames = [np.full((2, 6, 3), i, np.uint8) for i in range(4)]
    sheet = render.tiled(frames)
    assert sheet.shape == (8, 6, 3) and [sheet[2 * i, 0, 0] for i in range(4)] == [0, 1, 2, 3]
    sheet = render.tiled([np.zeros((4, 4, 3), np.uint8)] * 3)
    assert sheet.shape == (8, 8, 3) and (sheet[4:, 4:] == 255).all()


def test_without_pygame_human_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(window, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs pygame: pip install 'gan-env\[render\]'"):
        GANEnv(render_mode="human", **SMALL)


@pytest.fixture
def no_display(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setattr(window.sys, "platform", "linux")
    for name in window.DISPLAYS:
        monkeypatch.delenv(name, raising=False)


def test_without_a_display_human_says_so_however_it_is_asked_for(no_display):
    for make in (GANEnv, partial(gym.make, "gan_env/LearningRate-v0"), partial(gym.make_vec, "gan_env/Joint-v0")):
        with pytest.raises(ValueError, match="needs a display"):
            make(render_mode="human", **SMALL)


def test_without_a_display_human_is_not_among_an_environments_modes_and_the_checker_passes(no_display):
    env = gym.make("gan_env/LearningRate-v0", **SMALL).unwrapped
    assert env.metadata["render_modes"] == GANVectorEnv(2, **SMALL).metadata["render_modes"] == ["rgb_array"]
    check_env(env)


@pytest.mark.parametrize(
    ("platform", "variables"),
    [("linux", {"DISPLAY": ":0"}), ("linux", {"SDL_VIDEODRIVER": "dummy"}), ("darwin", {}), ("win32", {})],
    ids=str,
)
def test_with_a_display_human_is_among_them(no_display, monkeypatch, platform, variables):
    monkeypatch.setattr(window.sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert window.can_show()


def test_gymnasiums_checker_passes_with_a_window(no_display, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make("gan_env/LearningRate-v0", **SMALL).unwrapped
    assert env.metadata["render_modes"] == ["human", "rgb_array"]
    check_env(env)


def test_a_window_follows_a_batch_by_itself_and_its_forks_do_not(monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make_vec("gan_env/LearningRate-v0", num_envs=2, render_mode="human", **SMALL).unwrapped
    env.reset(seed=0)
    assert env.render() is None
    first = pygame.surfarray.array3d(pygame.display.get_surface())
    for _ in range(40):
        env.step(np.zeros((2, 1), np.float32))  # the end of an episode is always shown
    assert not np.array_equal(first, pygame.surfarray.array3d(pygame.display.get_surface()))
    assert env.fork().render_mode == "rgb_array" and len(env.fork().render()) == 2
    env.close()
    assert pygame.display.get_surface() is None
    env.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_record_video_films_a_single_env_and_a_batch(tmp_path):
    pytest.importorskip("moviepy")
    import imageio_ffmpeg

    one = RecordVideo(gym.make("gan_env/LearningRate-v0", render_mode="rgb_array", **SMALL), str(tmp_path / "one"))
    many = RecordVideos(
        gym.make_vec("gan_env/LearningRate-v0", num_envs=4, render_mode="rgb_array", **SMALL), str(tmp_path / "many")
    )
    for env, size in ((one, (960, 320)), (many, (1920, 640))):
        env.reset(seed=0)
        for _ in range(40):
            env.step(env.action_space.sample())
        env.close()
        frames = imageio_ffmpeg.read_frames(str(next(tmp_path.rglob(f"{'one' if env is one else 'many'}/*.mp4"))))
        assert next(frames)["size"] == size
        assert len(list(frames)) >= 40
