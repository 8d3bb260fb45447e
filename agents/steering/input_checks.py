"""Checks the scores and losses that a training loop gives to `Steer`: warnings, each said once."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from gan_env.losses.aliases import our_name
from gan_env.losses.losses import Loss, get_loss
from gan_env.types import Measurement

from .slopes import Slopes

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
EQUAL = 10
"""Iterations in a row in which `d_loss` must equal the loss with the sides exchanged, and not the loss itself."""
NEARER = 10
"""Iterations in a row for a `d_loss` that holds a penalty or label smoothing: read as it is, D must be worse than
chance, and its own loss much nearer to the one with the sides exchanged. A penalty, which is never negative, cannot
look like that."""
INVERTED = 150
"""Iterations in a row, each after a step of D, in which scores must be inverted where no `d_loss` is given."""
BELOW = 500
"""Iterations in a row, each after a step of G alone, in which G's samples must have the lower scores likewise."""
FALL_LEAST, FALL = 20, 6.0
"""Against a D that stands still, a G that is trained as usual raises the scores of its samples. Iterations of the first
and of the last third of such a stretch, and how many standard errors they must have fallen from one to the other."""
INVERTED_SHARE = 0.9
"""Share of pairs (real, generated) in which the one sample must have the higher score."""

UNFINITE = 10
"""Iterations in a row with scores that are not finite until that is said: a scaler skips single ones."""


class Sides:
    """Finds out from D's own loss whether D is trained with real and generated exchanged.

    Args:
        ideal: V*, the loss of a D that cannot tell real from generated.
    """

    def __init__(self, ideal: float):
        self._ideal, self._margin = ideal, 0.1 * (abs(ideal) or 1.0)
        self.equal = 0
        """Iterations in a row in which D's own loss equalled the one with the sides exchanged."""
        self._nearer = 0

    def are_exchanged(self, d_loss: float, direct: float, exchanged: float, outputs: int) -> bool:
        """Takes in one iteration; returns whether the sides are exchanged beyond doubt.

        Args:
            d_loss: D's own loss: the sum over both sides, half of it, or either summed over the outputs.
            direct: The loss that follows from the scores.
            exchanged: The same with real and generated exchanged.
            outputs: Discriminators or scales.
        """
        if not all(map(math.isfinite, (d_loss, direct, exchanged))) or _alike(direct, exchanged):
            return False  # it says nothing
        scales = {1.0, 0.5, float(outputs), outputs / 2}
        if any(_alike(d_loss, scale * direct) for scale in scales):
            self.equal = self._nearer = 0
            return False
        off = min(abs(d_loss - scale * exchanged) / (1 + abs(scale * exchanged)) for scale in scales)
        self.equal = self.equal + 1 if off <= TOLERANCE else 0
        near = abs(d_loss - exchanged) < abs(d_loss - direct) / 4
        better, worse = exchanged < self._ideal - self._margin, self._ideal + self._margin < direct
        self._nearer = self._nearer + 1 if near and better and worse else 0
        return self.equal >= EQUAL or self._nearer >= NEARER


class InputChecks:
    """Doubts about what one loop gives.

    Args:
        loss: The GAN loss that is trained.
        given: Whether the controller reads the losses that the loop gives; they are not compared then.
        slopes: Of the loop's own losses in the scores.
    """

    def __init__(self, loss: Loss, given: bool, slopes: Slopes):
        self.loss, self._given, self._slopes = loss, given, slopes
        self.exchanged = False
        """Whether `d_loss` or D's gradients have shown that D is trained with real and generated exchanged."""
        self._within = loss.probability  # every score so far was in [0, 1]
        self._apart = self._inverted = self._unfinite = 0
        self._below: list[float] = []  # mean scores of G's samples, while G moves alone below the real ones
        self._sides = Sides(loss.ideal_d_loss)
        self._said: set[str] = set()

    def new(
        self,
        seen: Measurement,
        outputs: int,
        moved: Collection[str],
        *,
        g_loss: float | None,
        d_loss: float | None,
    ) -> str:
        """Returns what was not said before, or "".

        Args:
            seen: The scores, and the losses that follow from them.
            outputs: Discriminators or scales that the scores come from.
            moved: Of "g" and "d", who was to step since the scores before.
            g_loss: The loop's own, or None.
            d_loss: Likewise.
        """
        low, high = (float(end) for end in torch.cat([seen.real_logits, seen.fake_logits], -1).aminmax())
        if not (math.isfinite(low) and math.isfinite(high)):
            self._unfinite += 1
            if self._unfinite < UNFINITE:
                return ""
            return self._once(
                "finite",
                f"real_logits or fake_logits held NaN or infinity in {self._unfinite} iterations in a row: no "
                "controller can decide by them; D or G has probably diverged, so go back to a checkpoint",
            )
        self._unfinite = 0
        self._within = self._within and 0 <= low and high <= 1
        self._apart += self._within and high - low >= APART
        theirs = {"g_loss": float(seen.g_loss[0]), "d_loss": float(seen.d_sum[0])}
        unlike = {
            name: value
            for name, value in (("g_loss", g_loss), ("d_loss", d_loss))
            if value is not None and math.isfinite(value) and math.isfinite(theirs[name])
            if not _alike(value, theirs[name]) and not _alike(value, outputs * theirs[name])
        }
        if self._slopes.sides == "exchanged" and not self.exchanged:
            self.exchanged = True
            return self._exchanged_text(
                "D is trained with real and generated exchanged, or steer(real_logits, fake_logits) gets them in each "
                "other's place: its backward passes push the scores of real samples down"
            )
        if d_loss is None:
            if not self._slopes.sides and (text := self._stays_apart(seen, moved)):
                return self._once("apart", text)
        elif not self.exchanged:
            exchanged = self._d_loss(seen.fake_logits, seen.real_logits)
            self.exchanged = self._sides.are_exchanged(d_loss, theirs["d_loss"], exchanged, outputs)
            if self.exchanged:
                return self._exchanged_text(
                    f"d_loss={d_loss:.4g} is {self.loss.name}'s with real and generated exchanged"
                )
            if self._sides.equal or _alike(d_loss, exchanged):
                unlike.pop("d_loss", None)  # wait until that is sure
        if self._given:
            unlike = {}
        if self._within and (why := self._sigmoid(seen, unlike)):
            return self._once(
                "sigmoid",
                f"real_logits and fake_logits look like probabilities: {why}. Controllers read scores before the "
                "sigmoid; if D ends in one, give output.logit(1e-6)",
            )
        if not unlike or self._said & {"sigmoid", "losses"}:
            return ""
        return self._losses_differ(unlike, theirs, max(-low, high))

    def _d_loss(self, real: Tensor, fake: Tensor) -> float:
        return sum(float(term.mean()) for term in self.loss.terms(real, fake)[1:])

    def _losses_differ(self, unlike: dict[str, float], theirs: dict[str, float], largest: float) -> str:
        what = "; ".join(
            f"{name} is {value:.4g}, but loss={self.loss.name!r} of the scores is {theirs[name]:.4g}"
            for name, value in unlike.items()
        )
        if self.loss.probability and largest >= CLIPPED:
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
            d_loss, exchanged = self._d_loss(real, fake), self._d_loss(fake, real)
            for name, computed, more in (
                ("g_loss", float(self.loss.terms(real, fake)[0].mean()), ""),
                *(("d_loss", value, "") for value in (d_loss, d_loss / 2)),
                *(("d_loss", value, ", with the sides exchanged") for value in (exchanged, exchanged / 2)),
            ):
                if name in unlike and _alike(unlike[name], computed):
                    return f"{name}={unlike[name]:.4g} is {self.loss.name}'s of their logits{more}"
        if self._slopes.of_probabilities:
            return "the slope of D's loss in them is that of their logarithm"
        if self._apart >= ITERATIONS:
            return f"all lay in [0, 1] so far, half of it apart in {ITERATIONS} iterations"
        return ""

    def _stays_apart(self, seen: Measurement, moved: Collection[str]) -> str:
        """Says that one batch's scores stay above the other's although a player steps who should change that."""
        if "apart" in self._said or not moved:
            return ""
        real, fake = seen.real_logits[0], seen.fake_logits[0]
        if "d" in moved:
            self._below.clear()
            self._inverted = _more(self._inverted, real, fake)
            return self._inverted_text() if self._inverted >= INVERTED else ""
        if not _more(0, fake, real):
            self._below.clear()
            return ""
        self._below.append(float(fake.mean()))
        if _falls(self._below):
            return self._below_text("have fallen further below those of real ones: your labels are")
        if len(self._below) >= BELOW:
            return self._below_text(
                "are still lower than for real ones: G's rate is too low for such a D, or your labels are"
            )
        return ""

    def _exchanged_text(self, why: str) -> str:
        total = reflection(self.loss)
        if total is None:
            return f"{why}: give scores that are high for real samples"
        return (
            f"{why}: D learns high scores for generated samples (labels real = 0, fake = 1). Controllers read high as "
            f"real, so give {_minus(total)} in place of the scores; until you do, they are read so from now on"
        )

    def _inverted_text(self) -> str:
        return (
            f"D's scores were higher for generated samples than for real ones in {INVERTED} iterations in a row, "
            "although D stepped. Controllers read high as real. If your labels are the other way round (real = 0, "
            f"fake = 1), give {_minus(reflection(self.loss) or 0.0)} in place of the scores; d_loss= would tell"
        )

    def _below_text(self, what: str) -> str:
        return (
            f"G stepped alone in {len(self._below)} iterations in a row, and D's scores of its samples {what} the "
            f"other way round (real = 0, fake = 1), and then give {_minus(reflection(self.loss) or 0.0)} in place of "
            "the scores; d_loss= would tell"
        )


def _falls(means: Sequence[float]) -> bool:
    """Whether batch means have fallen beyond doubt: the last third's lie far below the first third's."""
    third = len(means) // 3
    if third < FALL_LEAST:
        return False
    first, last = torch.tensor(means[:third]), torch.tensor(means[-third:])
    error = float(((first.var() + last.var()) / third).sqrt())
    return float(first.mean() - last.mean()) > max(FALL * error, 1e-6)


def _more(count: int, low: Tensor, high: Tensor) -> int:
    """Adds one iteration to those in a row in which scores (B,) lie below others, and hardly any pair is otherwise."""
    if not float(low.mean()) < float(high.mean()):
        return 0
    lower = torch.searchsorted(high.sort().values, low, right=True).double().mean() / len(high)
    return count + 1 if float(lower) <= 1 - INVERTED_SHARE else 0


def read_loss(name: str) -> Loss:
    """Returns the loss of this name, or of one that other repositories use for it; raises ValueError for others."""
    try:
        return get_loss(our_name(name) or name)
    except ValueError as error:
        raise ValueError(f"{error}. For another loss name the one nearest to it, with losses='given'") from None


def reflection(loss: Loss) -> float | None:
    """Returns c for which c - f is the score of a D that was trained with real and generated exchanged.

    So real(c - f) = fake(f): 0 for bce, hinge and wgan, 1 for lsgan; None for a loss that has no such number.
    """
    f = torch.linspace(-4, 4, 33, dtype=torch.float64)
    for total in (0.0, 1.0):
        if torch.allclose(loss.real(total - f), loss.fake(f)) and torch.allclose(loss.fake(total - f), loss.real(f)):
            return total
    return None


def _minus(total: float) -> str:
    return f"{total:g} - scores" if total else "-scores"


def _alike(given: float, computed: float) -> bool:
    return abs(given - computed) <= TOLERANCE * (1 + abs(computed))
