"""Between the native vector environment and Stable-Baselines3: its VecEnv, and a guard around its global randomness."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorWrapper
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from gan_env.envs.env import GANVectorEnv
from gan_env.training.snapshot import Snapshot


class PrivateRandomness:
    """Python's, NumPy's and torch's global generators as SB3's own: swapped in for a while, the caller's put back."""

    def __init__(self, seed: int):
        with self._restored():
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every other device, too
            self._state = self._take()
        self._inside = False

    @staticmethod
    def _take() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state(), torch.get_rng_state()

    @staticmethod
    def _put(state: tuple[Any, ...]) -> None:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])

    @classmethod
    @contextmanager
    def _restored(cls) -> Iterator[None]:
        callers = cls._take()
        try:
            yield
        finally:
            cls._put(callers)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """`with randomness():` runs SB3's code on these states and keeps them for the next time."""
        with self._restored():
            self._put(self._state)
            self._inside = True
            try:
                yield
            finally:
                self._state, self._inside = self._take(), False

    @property
    def state(self) -> dict[str, Any]:
        """The three states as plain lists, numbers and tensors, inside the block as outside it."""
        python, (name, keys, place, has_gauss, gauss), torchs = self._take() if self._inside else self._state
        return {
            "python": [python[0], list(python[1]), python[2]],
            "numpy": [name, torch.from_numpy(keys.astype(np.int64)), place, has_gauss, gauss],
            "torch": torchs.clone(),
        }

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        version, words, gauss = state["python"]
        name, keys, *rest = state["numpy"]
        if keys.dtype != torch.int64:  # a cast would make something of anything
            raise ValueError(f"NumPy's generator has words of {keys.dtype}, not of {torch.int64}")
        numpys = (name, keys.numpy().astype(np.uint32), *rest)
        self._state = ((version, tuple(words), gauss), numpys, state["torch"].clone())
        if self._inside:
            self._put(self._state)
            return
        with self._restored():
            self._put(self._state)  # so that what is no state is refused here


class SB3VecEnv(VecEnv):
    """A `GANVectorEnv` with same-step autoreset as SB3's VecEnv.

    >>> from gan_env import GANVectorEnv
    >>> batch = GANVectorEnv(4, task="dirac", reward="quality", score=False, autoreset_mode="SameStep")
    >>> SB3VecEnv(batch).num_envs
    4

    Hands on `terminal_observation`, and `TimeLimit.truncated` for episodes that merely ran out of updates: without
    it every truncation would be learned as an end without a future. Each episode ends with SB3's `episode` record.

    Args:
        env: The environment itself. A wrapper around it is refused, for the state that `state` saves would lack its
            own; SB3's wrappers go around this one.

    Raises:
        ValueError: If it is another environment, or of another autoreset mode.
    """

    def __init__(self, env: GANVectorEnv):
        if not isinstance(env, GANVectorEnv):
            raise ValueError(f"SB3VecEnv takes a GANVectorEnv, not {type(env).__name__}; {_way_out(env)}")
        if env.autoreset_mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                f"SB3 needs autoreset_mode='SameStep', this environment has {env.autoreset_mode.value!r}; "
                "build it with GANVectorEnv(..., autoreset_mode='SameStep')"
            )
        self.env, self.render_mode = env, env.render_mode
        self._actions: np.ndarray | None = None
        self._returns, self._lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
        self._began = time.perf_counter()
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> np.ndarray:
        """Starts new episodes; the seed given to `seed` counts once, as in SB3's own VecEnvs."""
        seed = self._seeds[0] if self._seeds and self._seeds[0] is not None else None
        observations, infos = self.env.reset(seed=seed)
        self._reset_seeds()
        self.reset_infos = _per_row(infos, self.num_envs)
        self._returns[:], self._lengths[:] = 0, 0
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Makes one decision of every row."""
        assert self._actions is not None, "step_async comes before step_wait"
        observations, rewards, terminated, truncated, infos = self.env.step(self._actions)
        done = terminated | truncated
        rows = _per_row({k: v for k, v in infos.items() if k.lstrip("_") not in ("final_obs", "final_info")}, len(done))
        self._returns += rewards
        self._lengths += 1
        for row in np.flatnonzero(done):
            rows[row] |= _per_row(infos["final_info"], len(done))[row]
            rows[row]["terminal_observation"] = infos["final_obs"][row]
            rows[row]["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
            elapsed_s = round(time.perf_counter() - self._began, 6)
            rows[row]["episode"] = {"r": float(self._returns[row]), "l": int(self._lengths[row]), "t": elapsed_s}
        self._returns[done], self._lengths[done] = 0, 0
        return observations, rewards.astype(np.float32), done, rows

    def state(self) -> dict[str, Any]:
        """Returns the environment's snapshot, and the returns and lengths of the episodes under way."""
        return {"env": vars(self.env.snapshot()), "returns": self._returns.copy(), "lengths": self._lengths.copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Restores a `state`, in place of a reset."""
        self.env.restore(Snapshot(**state["env"]))
        if state["lengths"].dtype != self._lengths.dtype:  # a cast would make something of anything
            raise ValueError(f"lengths of episodes are {state['lengths'].dtype}, not {self._lengths.dtype}")
        self._returns[:], self._lengths[:] = state["returns"], state["lengths"]
        self._reset_seeds()

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns the environment's attribute, once for each chosen row."""
        return [getattr(self.env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of the environment, which all rows share."""
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Calls a method of the environment for each chosen row; returns their answers.

        A method that takes a `row` is asked for each row's own, unless the call names one; `render` gives each row's
        picture. Any other method is called once, and all chosen rows get its answer.
        """
        method, rows = getattr(self.env, method_name), list(self._get_indices(indices))
        if method_name == "render":
            images = self.get_images()
            return [images[row] for row in rows]
        signature = inspect.signature(method)
        if "row" in signature.parameters and "row" not in signature.bind_partial(*args, **kwargs).arguments:
            return [method(*args, row=row, **kwargs) for row in rows]
        return [method(*args, **kwargs)] * len(rows)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Tells whether rows are wrapped: never, they are one environment. Episode records come from this adapter."""
        return [False] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Draws one picture of each row."""
        return self.env.render() or [None] * self.num_envs


class ReturnNormalizer(VecNormalize):
    """SB3's `VecNormalize` for rewards alone: divides them by the standard deviation of discounted returns.

    Args:
        env: The batch.
        gamma: Discount of the returns, the agent's own.
    """

    def __init__(self, env: SB3VecEnv, gamma: float):
        super().__init__(env, norm_obs=False, norm_reward=True, gamma=gamma)

    def normalize_obs(self, obs: Any) -> Any:
        """Returns observations as they are: a copy, which SB3 makes, may be rounded differently by torch's products."""
        return obs

    def moments(self) -> dict[str, Any]:
        """Returns the moments of the returns so far, and the returns under way."""
        held = self.ret_rms
        moved = {"mean": float(held.mean), "var": float(held.var), "count": float(held.count)}
        return moved | {"returns": self.returns.copy()}

    def load_moments(self, state: dict[str, Any]) -> None:
        """Restores `moments`; raises ValueError for those of another number of rows."""
        returns = state["returns"]
        if returns.shape != self.returns.shape or returns.dtype != self.returns.dtype:
            raise ValueError(f"returns are {returns.dtype} {returns.shape}, not those of {self.num_envs} rows")
        self.ret_rms.mean, self.ret_rms.var = np.asarray(state["mean"]), np.asarray(state["var"])
        self.ret_rms.count = float(state["count"])
        self.returns = returns.copy()


def _way_out(env: object) -> str:
    """The way out for what is no `GANVectorEnv`."""
    make = "gym.make_vec(..., autoreset_mode='SameStep')"
    if isinstance(env, gym.Env):
        return f"give {make}; a single environment goes into SB3 as it is"
    if isinstance(env, VectorWrapper):
        return f"give {make} unwrapped, and put SB3's own wrappers, e.g. VecNormalize, around SB3VecEnv"
    return f"give {make}"


def _per_row(infos: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    names = [name for name in infos if not name.startswith("_")]
    return [{name: infos[name][row] for name in names if infos[f"_{name}"][row]} for row in range(rows)]
