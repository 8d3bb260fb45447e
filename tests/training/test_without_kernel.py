"""An installation without the compiled kernel: everything runs on the torch engine, and says so."""

import numpy as np
import pytest

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.envs.env import GANVectorEnv
from gan_env.native import library as lib


@pytest.fixture
def no_kernel(tmp_path, monkeypatch):
    """The folder of the package as a pure wheel leaves it: no library beside the module."""
    monkeypatch.setattr(lib, "HERE", tmp_path)
    lib.library.cache_clear()
    yield
    monkeypatch.undo()
    lib.library.cache_clear()


def test_auto_takes_the_torch_engine_and_says_so(no_kernel):
    assert lib.library() is None and lib.instruction_sets() == ()
    env = GANVectorEnv(2, task="ring", score=False, device="cpu", engine="auto")
    env.reset(seed=0)
    env.step(np.zeros((2, 1)))
    assert env.trainer.engine == "torch"


def test_a_kernel_that_is_asked_for_is_refused_with_the_way_out(no_kernel):
    config = EnvConfig(task="ring", device="cpu", engine="native")
    with pytest.raises(ValueError, match=r"engine='native' .* not installed; leave it out, or use engine='torch'"):
        make_trainer(config, 2)
