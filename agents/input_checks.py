"""What speaks against the scores and losses that a training loop gives to `Steer`: warnings, each said once."""

from __future__ import annotations

import math

import torch

from gan_env.losses.losses import Loss
from gan_env.types import Measurement

TOLERANCE = 0.02
"""By how much, absolutely and relatively, a loss that you give may differ from that of the scores before a warning."""
CLIP = 1e-6
"""Where the documentation clips probabilities: `output.logit(1e-6)`."""
CLIPPED = 13.75
"""|score| from which it may have been clipped: logit(1 - 1e-6) is 13.8155, and 13.8023 in single precision."""
APART = 0.5
"""Between the least and the greatest score of both batches, for `ITERATIONS`."""
ITERATIONS = 50
"""So far apart, and all in [0, 1] from the first on, after which scores pass for probabilities.

While all its scores are above 0, each step of a D without a sigmoid lowers them together (bce's slope in a common shift
is the mean of sigmoid(f) - sigmoid(-f), which is positive), so it leaves [0, 1] before it has told much apart. Of three
MLPs with 16 first weights each, Adam at 2e-4 and 1e-3, none had more than 6 such iterations; at a rate of 1e-5, with
256 inputs, two of 32 had more than 50. Without a least distance an untrained D stays in [0, 1] for hundreds.
"""


class Doubts:
    """What speaks against what one loop gives.

    Args:
        loss: The GAN loss that is trained.
    """

    def __init__(self, loss: Loss):
        self.loss = loss
        self._within = loss.probability  # every score so far was in [0, 1]
        self._apart = 0
        self._said: set[str] = set()

    def new(self, seen: Measurement, **given: float | None) -> str:
        """What was not said before, or "".

        Args:
            seen: The scores, and the losses that follow from them.
            given: The loop's own `g_loss` and `d_loss`; None for one that is not to be compared.
        """
        if not self._within and all(value is None for value in given.values()):
            return ""  # nothing to doubt any more, at the price of none
        scores = torch.cat([seen.real_logits, seen.fake_logits], -1)
        low, high = (float(end) for end in scores.aminmax())
        self._within = self._within and 0 <= low and high <= 1
        self._apart += self._within and high - low >= APART
        theirs = {"g_loss": float(seen.g_loss[0]), "d_loss": float(seen.d_sum[0])}
        unlike = {
            name: value
            for name, value in given.items()
            if value is not None and math.isfinite(value) and math.isfinite(theirs[name])
            if not _alike(value, theirs[name])
        }
        if self._within and (why := self._sigmoid(seen, unlike)):
            return self._once(
                "sigmoid",
                f"real_logits and fake_logits look like probabilities: {why}. Controllers read scores before the "
                "sigmoid; if D ends in one, give output.logit(1e-6)",
            )
        if not unlike or self._said & {"sigmoid", "losses"}:
            return ""
        what = "; ".join(
            f"{name} is {value:.4g}, but loss={self.loss.name!r} of the scores is {theirs[name]:.4g}"
            for name, value in unlike.items()
        )
        if self.loss.probability and max(-low, high) >= CLIPPED:
            return self._once(
                "clip",
                f"{what}: some scores are at the bound where .logit(1e-6) clips them, or past it, where a sigmoid "
                "rounds. There D is all but certain, and the controller reads the latter loss; a D without its "
                "sigmoid, with BCEWithLogitsLoss, has no such bound",
            )
        half = "d_loss" in unlike and _alike(2 * unlike["d_loss"], theirs["d_loss"])
        mean = "; your d_loss looks like the mean of real and fake, theirs is the sum" if half else ""
        return self._once(
            "losses",
            f"{what}{mean}. The controller reads the latter, without penalties or label smoothing. If that is what you "
            "want, leave g_loss and d_loss out; if it shall read yours, build Steer(..., losses='given')",
        )

    def _once(self, about: str, text: str) -> str:
        first = about not in self._said
        self._said.add(about)
        return text if first else ""

    def _sigmoid(self, seen: Measurement, unlike: dict[str, float]) -> str:
        """Why scores in [0, 1] pass for probabilities; "" where they do not."""
        if unlike:
            real, fake = seen.real_logits.logit(CLIP), seen.fake_logits.logit(CLIP)
            g_loss, d_loss = self.loss.generator(fake).mean(), self.loss.real(real).mean() + self.loss.fake(fake).mean()
            for name, computed in (("g_loss", float(g_loss)), ("d_loss", float(d_loss)), ("d_loss", float(d_loss) / 2)):
                if name in unlike and _alike(unlike[name], computed):
                    return f"{name}={unlike[name]:.4g} is {self.loss.name}'s of their logits"
        if self._apart >= ITERATIONS:
            return f"all lay in [0, 1] so far, half of it apart in {ITERATIONS} iterations"
        return ""


def _alike(given: float, computed: float) -> bool:
    return abs(given - computed) <= TOLERANCE * (1 + abs(computed))
