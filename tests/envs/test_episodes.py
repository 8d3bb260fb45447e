"""Episodes run without Gymnasium: what becomes of a row when its episode has ended."""

import numpy as np

from gan_env.envs.env import GANVectorEnv
from gan_env.types import Control


def test_a_row_whose_episode_ended_stays_as_it_is_until_it_is_started_again():
    env = GANVectorEnv(2, autoreset_mode="Disabled", episode_updates=5)
    env.reset(seed=3)
    episodes, trainer = env.episodes, env.trainer
    trainer.d.flat[1] = np.nan
    trainer.look()
    assert episodes.decide(Control.of(2)).terminated.tolist() == [False, True]
    ended = trainer.updates[1]
    for _ in range(4):
        assert episodes.decide(Control.of(2)).moved.tolist() == [True, False]
        assert episodes.done[1] and trainer.updates[1] == ended
    assert episodes.done.all()
    episodes.start(np.array([1]))
    assert episodes.done.tolist() == [True, False] and trainer.updates[1] == 0
