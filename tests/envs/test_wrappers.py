"""Gymnasium's wrappers do on the single environment and on the native batch what they do elsewhere."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeReward, RecordEpisodeStatistics, RecordVideo, TimeLimit
from gymnasium.wrappers import vector as wrappers

import gan_env

GAME = {"task": "ring", "batch_size": 8, "episode_updates": 6, "score": False}
ID = "gan_env/LearningRate-v0"
MODES = ["NextStep", "SameStep"]


def batch(rows=3, **settings):
    return gym.make_vec(ID, num_envs=rows, **GAME, **settings)


def rewards_of(env, steps, rows=None):
    """Rewards under the neutral action, and the infos, step by step."""
    env.reset(seed=0)
    action = np.zeros((rows, 1) if rows else 1, np.float32)
    found = [env.step(action) for _ in range(steps)]
    return np.array([each[1] for each in found]), [each[4] for each in found]


def test_episode_statistics_are_the_sum_of_the_rewards_and_the_decisions():
    rewards, infos = rewards_of(RecordEpisodeStatistics(gym.make(ID, **GAME)), 6)
    assert infos[-1]["episode"]["r"] == pytest.approx(rewards.sum()) and infos[-1]["episode"]["l"] == 6
    assert all("episode" not in info for info in infos[:-1])


@pytest.mark.parametrize("mode", MODES)
def test_episode_statistics_of_a_batch_are_each_rows_own_over_two_episodes(mode):
    env = wrappers.RecordEpisodeStatistics(batch(autoreset_mode=mode))
    steps = 13 if mode == "NextStep" else 12  # one step resets
    rewards, infos = rewards_of(env, steps, 3)
    for end, first in ((5, 0), (steps - 1, steps - 6)):
        episode = infos[end]["episode"]
        np.testing.assert_allclose(episode["r"], rewards[first : end + 1].sum(0), rtol=1e-6)
        assert episode["l"].tolist() == [6, 6, 6] and infos[end]["_episode"].all()
    assert len(set(rewards[:6].sum(0))) == 3


def scaled(rewards, starts=(), gamma=0.99):
    """Rewards (T, N) by the deviation of the discounted returns so far, which begin anew at the steps `starts`."""
    carried, out, count, mean, variance = np.zeros(rewards.shape[1]), [], 1e-4, 0.0, 1.0
    for step, reward in enumerate(rewards):
        carried = reward + gamma * carried * (step not in starts)
        gap, total = carried.mean() - mean, count + len(carried)
        squares = variance * count + carried.var() * len(carried) + gap**2 * count * len(carried) / total
        mean, variance, count = mean + gap * len(carried) / total, squares / total, total
        out.append(reward / np.sqrt(variance + 1e-8))
    return np.array(out)


def test_normalised_rewards_are_divided_by_the_deviation_of_the_return():
    plain, _ = rewards_of(gym.make(ID, **GAME), 6)
    found, _ = rewards_of(NormalizeReward(gym.make(ID, **GAME)), 6)
    np.testing.assert_allclose(found, scaled(plain[:, None])[:, 0], rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_normalised_rewards_of_a_batch_share_one_scale(mode):
    plain, _ = rewards_of(batch(autoreset_mode=mode), 13, 3)
    found, _ = rewards_of(wrappers.NormalizeReward(batch(autoreset_mode=mode)), 13, 3)
    # With NEXT_STEP Gymnasium leaves out the step that only resets, and lets the return go on over a truncation.
    counts, starts = (np.arange(13) != 6, ()) if mode == "NextStep" else (np.arange(13) < 13, (6, 12))
    np.testing.assert_allclose(found[counts], scaled(plain[counts], starts), rtol=1e-5)


def test_a_time_limit_truncates_without_a_score_for_the_gan_was_not_done():
    env = TimeLimit(gym.make(ID, **{**GAME, "score": True}), max_episode_steps=4)
    env.reset(seed=0)
    results = [env.step(np.zeros(1, np.float32)) for _ in range(4)]
    assert [each[3] for each in results] == [False, False, False, True] and not any(each[2] for each in results)
    assert "score" not in results[-1][4]
    made = gym.make(ID, max_episode_steps=4, **GAME)
    made.reset(seed=0)
    assert [made.step(np.zeros(1, np.float32))[3] for _ in range(4)] == [False, False, False, True]


def test_a_time_limit_later_than_the_episode_changes_nothing():
    env = TimeLimit(gym.make(ID, **GAME), max_episode_steps=50)
    env.reset(seed=0)
    assert [env.step(np.zeros(1, np.float32))[3] for _ in range(6)] == [False] * 5 + [True]


def test_the_native_batch_has_episode_updates_instead_of_a_time_limit_and_says_so():
    with pytest.raises(TypeError, match="max_episode_steps.*episode_updates"):
        gym.make_vec(ID, num_envs=2, max_episode_steps=4, **GAME)
    limited = gym.make_vec(ID, num_envs=2, vectorization_mode="sync", max_episode_steps=4, **GAME)
    limited.reset(seed=0)
    assert [limited.step(np.zeros((2, 1)))[3].all() for _ in range(4)] == [False, False, False, True]


def frames_in(path):
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


@pytest.mark.filterwarnings("ignore")  # moviepy's own
def test_a_video_shows_the_pictures_of_every_step(tmp_path):
    pytest.importorskip("moviepy")
    game = GAME | {"episode_updates": 10}  # 11 frames: one of the lengths that a film at 10 frames a second cut by one
    env = RecordVideo(gym.make(ID, render_mode="rgb_array", **game), str(tmp_path), episode_trigger=lambda _: True)
    env.reset(seed=0)
    shown = [env.unwrapped.render(), *(env.step(np.zeros(1)) and env.unwrapped.render() for _ in range(10))]
    env.close()
    frames = frames_in(tmp_path / "rl-video-episode-0.mp4")
    assert len(frames) == len(shown) == 11
    for frame, picture in zip(frames, shown, strict=True):
        assert np.abs(frame.astype(int) - picture[: frame.shape[0], : frame.shape[1]]).mean() < 8  # compressed
    assert not np.array_equal(frames[0], frames[-1])


def test_videos_of_any_length_keep_their_last_frame():
    fps = gan_env.GANEnv.metadata["render_fps"]
    # What moviepy makes of a list of frames: as many as fit into the sum of their times.
    assert all(int(sum([1.0 / fps] * frames) * fps) == frames for frames in range(1, 2000))


@pytest.mark.filterwarnings("ignore")
def test_a_video_of_a_batch_has_a_tile_for_each_row(tmp_path):
    pytest.importorskip("moviepy")
    env = batch(render_mode="rgb_array")
    tile = np.shape(env.unwrapped.reset(seed=0) and env.unwrapped.render()[0])
    env = wrappers.RecordVideo(env, str(tmp_path), video_length=4, step_trigger=lambda step: step == 0)
    rewards_of(env, 5, 3)
    env.close()
    (path,) = tmp_path.glob("*.mp4")
    frames = frames_in(path)
    height, width = frames[0].shape[:2]
    assert len(frames) == 5  # after the reset, and after each of four steps
    assert abs(height * width - 3 * tile[0] * tile[1]) < 0.05 * height * width
    assert not np.array_equal(frames[0], frames[-1])
