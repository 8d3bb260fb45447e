"""What a person sees: pictures of a training, a window, a film."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo
from gymnasium.wrappers.vector import RecordVideo as RecordVideos

from agents import make_controller
from gan_env import GANEnv, GANVectorEnv, render, window

SMALL = {"task": "ring", "episode_updates": 40, "batch_size": 8, "score": False}


def seen(env: GANVectorEnv, decisions: int = 3) -> tuple[np.ndarray, ...]:
    env.reset(seed=0), env.action_space.seed(0)
    for _ in range(decisions):
        env.step(env.action_space.sample())
    return env.pictures()


def coloured(frame: np.ndarray, colour: str) -> int:
    """Pixels near a colour. Where two other lines meet, a blend can come near it: hence the seed of the actions."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(frame.astype(int) - rgb).max(-1) < 50).sum())


def test_a_frame_has_one_size_whatever_is_trained_and_tracked():
    frames = [
        seen(GANVectorEnv(1, render_mode="rgb_array", **SMALL | {"task": task, "track_quality": tracked}), 1)[0]
        for task, tracked in (("ring", False), ("digits", True))
    ]
    assert {(f.shape, f.dtype) for f in frames} == {((320, 960, 3), np.dtype(np.uint8))}


def test_quality_is_drawn_where_it_is_tracked_and_only_there():
    with_it, without = (
        seen(GANVectorEnv(1, render_mode="rgb_array", track_quality=tracked, quality_every=1, **SMALL), 20)[0]
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


def test_domain_adaptation_shows_the_accuracy_on_the_target(monkeypatch):
    titles = []
    draw = render._draw_made
    monkeypatch.setattr(render, "_draw_made", lambda axes, *a: (draw(axes, *a), titles.append(axes.get_title())))
    env = GANVectorEnv(
        1, render_mode="rgb_array", track_quality=True, **SMALL | {"task": "digits-domains", "episode_updates": 4}
    )
    seen(env, 1)
    # The same extractor on the same images, read the plain way.
    from gan_env.domains import guesses, target

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
