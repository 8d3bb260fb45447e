"""A task, a reward and a controller for gan-env in a package of their own: copy the folder and rename."""

from functools import partial

from sklearn.datasets import make_moons
from torch import tensor

from agents import ScriptedFactory
from gan_env import Control, Reward, Task, mlp_discriminator, mlp_generator


def moons():
    """Two half moons of the plane."""
    return Task(
        name="moons",
        generator=partial(mlp_generator, (4, 32, 32, 2), (2,)),
        discriminator=partial(mlp_discriminator, (2, 32, 32, 1), (2,)),
        latent_size=4,
        data=tensor(make_moons(2_000, noise=0.05, random_state=0)[0]),
    )


def d_loss(context):
    """The discriminator's loss, 2 at most: high where it cannot tell real from fake."""
    return Reward("d_loss", lambda outcome: outcome.d_losses.mean(0), -2.0, 2.0)


class Cooling:
    """Both players move; D's rate falls as the run goes by, from its base to a tenth."""

    def start(self, row_seeds, game):
        return {}

    def decide(self, seen, memory):
        return Control.of(len(seen), d_multiplier=0.1**seen.progress), memory


cooling = ScriptedFactory("cooling", Cooling)
