"""A conformance kit for your own parts: each check raises BrokenPromise, which names the broken promise and the result.

One call in your tests checks whether a task, loss or reward meets all requirements of the environment, the benchmark
and its worker processes; our own parts pass the same checks. `agents.testing` checks controllers.
"""

from gan_env.testing.losses import check_loss
from gan_env.testing.promises import BrokenPromise
from gan_env.testing.rewards import check_reward
from gan_env.testing.tasks import check_task

__all__ = ["BrokenPromise", "check_loss", "check_reward", "check_task"]
