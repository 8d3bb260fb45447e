"""A conformance kit for parts of your own: each check raises BrokenPromise, saying which promise and what was found.

One call in a test of yours says whether a task, loss or reward does all that the environment, the benchmark and its
worker processes count on; our own parts are held to the same promises. `agents.testing` checks controllers.
"""

from gan_env.testing.losses import check_loss
from gan_env.testing.promises import BrokenPromise
from gan_env.testing.rewards import check_reward
from gan_env.testing.tasks import check_task

__all__ = ["BrokenPromise", "check_loss", "check_reward", "check_task"]
