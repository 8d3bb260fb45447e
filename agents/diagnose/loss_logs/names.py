"""Interprets names of columns: whose loss a name means, which part of it, and which names measure quality."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

PLAYERS = {
    "d": {"d", "dis", "disc", "discr", "discrim", "discriminator", "critic", "crit", "netd", "dnet"},
    "g": {"g", "gen", "gener", "generator", "netg", "gnet"},
}
_LOSS = {"loss", "losses", "err", "error", "cost", "objective", "l"}
_ADVERSARIAL = {"gan", "adv", "adversarial", "u", "unsupervised"}  # the last two are TimeGAN's
_SIDES = {"real": "real", "true": "real", "fake": "fake", "generated": "fake", "synthetic": "fake"}
_TOTAL = {"total", "all", "sum", "overall", "full"}
_NEUTRAL = {
    "train", "training", "tr", "step", "epoch", "iter", "iteration", "batch", "avg", "average", "mean", "running",
    "smoothed", "net", "model", "item", "value", "raw", "mse", "bce", "hinge", "ls", "lsgan", "wgan", "vanilla", "log",
    "logs", "scalar", "scalars", "metrics", "metric", "history", "current", "tensorboard", "tag", "run", "info",
}  # fmt: skip
_VALIDATION = {"val", "valid", "validation", "test", "testing", "eval", "evaluation", "dev"}
_OTHER = _VALIDATION | {
    "lr", "rate", "grad", "gradient", "norm", "acc", "accuracy", "gp", "penalty", "reg", "regularization", "x", "z",
    "l1", "l2", "pixel", "pix", "percep", "perceptual", "cycle", "cyc", "identity", "idt", "id", "vgg", "lpips",
    "ssim", "content", "style", "tv", "kl", "kld", "mel", "spec", "stft", "fm", "feat", "feature", "features",
    "match", "matching", "dur", "duration", "rec", "recon", "reconstruction", "ae", "aeloss", "nll", "mask",
    "class", "cls", "classification", "aux", "auxiliary", "mi", "pl", "path", "r1", "r2", "forward", "backward",
    "fwd", "bwd", "time", "weight", "factor", "scale", "std", "min", "max", "num", "count", "var", "logit",
    "logits", "score", "scores", "sign", "signs", "pred", "prediction", "n", "iters", "dim", "out", "output",
    "prob", "probability", "ratio", "fid", "kid", "wasserstein", "distance", "steps", "updates", "params",
    "supervised", "eta", "memory", "mem",
}  # fmt: skip
"""Words in names of columns other than a player's adversarial training loss."""
TAGS = {"tag", "metric", "name", "key", "scalar"}
"""Names of the column that names the number, in tables with a row for each number."""
COUNTS = ("update", "step", "iteration", "iter", "it", "batch", "epoch", "iters", "steps", "updates")
_HELD_OUT = re.compile("|".join(sorted(_VALIDATION)), re.IGNORECASE)
_GLUED = re.compile(
    r"(loss|err|l)?(netd|netg|discriminator|generator|critic|discrim|disc|dis|gen|d|g)(loss|losses|err|cost)?"
)
_NO_SPLIT = {"l1", "l2", "r1", "r2"}


class Role(NamedTuple):
    """Role of a column for a player."""

    player: str
    """"d" or "g"."""
    part: str
    """Of D's loss "whole", "real" or "fake"; of G's "whole" or "adversarial", that term alone."""
    which: str
    """Which of several discriminators or runs, "" where the name says nothing."""
    named: bool
    """Whether the player stands in the name; if not, the column is the last choice."""


def words_of(name: str) -> list[str]:
    """Splits a name into words: `lossD`, `loss_D`, `train/D-loss` and `dloss` all have "loss" and "d"."""
    parts = []
    for word in re.findall(r"[a-z]+\d*|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()):
        if word in _NO_SPLIT or word.isdigit():
            parts.append(word)
            continue
        stem = word.rstrip("0123456789")
        glued = _GLUED.fullmatch(stem)
        if glued:
            parts += [part for part in glued.groups() if part]
        elif stem.endswith("loss") and stem != "loss":
            parts += [stem.removesuffix("loss"), "loss"]
        else:
            parts.append(stem)
        if stem != word:
            parts.append(word[len(stem) :])
    return parts


def player_of(name: str) -> str:
    """Returns whose training loss a column of this name contains: "d" or "g", or "" for neither."""
    role = role_of(name)
    return role.player if role and role.named and role.part in ("whole", "adversarial") else ""


def role_of(name: str) -> Role | None:
    """Returns the role of a column by its name; None if it is no loss of a player."""
    if name.endswith("]") and re.search(r"\[\d+\]$", name):
        return None
    run, _, metric = name.rpartition(" - ")  # as W&B names the lines of a panel
    words = words_of(metric)
    found = set(words)
    if found & _OTHER:
        return None
    player = [who for who, known in PLAYERS.items() if known & found]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if len(player) > 1 or len(sides) > 1:
        return None
    loss, adversarial = bool(found & _LOSS), bool(found & _ADVERSARIAL)
    known = {*_LOSS, *_ADVERSARIAL, *_SIDES, *_TOTAL, *_NEUTRAL, *PLAYERS["d"], *PLAYERS["g"]}
    rest = [word for word in words if word not in known]
    if not loss and not _bare(metric, words, rest, adversarial or bool(sides)):
        return None
    which = " ".join([*([run] if run else []), *rest])
    side = sides.pop() if sides else None
    if not player:
        if side and loss:
            return Role("d", side, which, False)
        return Role("g", "adversarial", which, False) if adversarial and not side else None
    if player[0] == "d":
        return Role("d", side or "whole", which, True)
    if side == "real":
        return None
    return Role("g", "adversarial" if adversarial or side else "whole", which, True)


def _bare(metric: str, words: list[str], rest: list[str], more: bool) -> bool:
    """Returns whether a name without the word loss is as short as `D`, `D_A`, `G_GAN`, `netD`, `Gen.` or `adv`."""
    if len(words) > 3 or len(rest) > 1:
        return False
    return more or (all(len(each) == 1 for each in rest) and not set(words) & (_NEUTRAL | _TOTAL))


def is_validation(text: str) -> bool:
    """Returns whether a line or a label is about held-out data."""
    return bool(_HELD_OUT.search(text)) and bool(_VALIDATION & set(words_of(text)))


# -- measures beside the losses -----------------------------------------------------------------------------------


class Measure(NamedTuple):
    """A kind of quality column."""

    name: str
    better: Literal["low", "high", ""]
    """Direction of improvement, "" if the measure is of D."""
    of_modes: bool = False
    """Whether it falls (or, where low is better, rises) as samples become alike."""


FID = Measure("FID", "low")
_MEASURES = {
    "fid": FID, "kid": Measure("KID", "low"), "swd": Measure("SWD", "low"), "mmd": Measure("MMD", "low"),
    "inception": Measure("inception score", "high"), "precision": Measure("precision", "high"),
    "recall": Measure("recall", "high", True), "coverage": Measure("coverage", "high", True),
    "density": Measure("density", "high"), "modes": Measure("modes", "high", True),
    "diversity": Measure("diversity", "high", True), "msssim": Measure("MS-SSIM", "low", True),
}  # fmt: skip
ACCURACY = Measure("accuracy", "")
REAL_SCORE, FAKE_SCORE = Measure("D's score, real", ""), Measure("D's score, fake", "")


def measure_of(name: str) -> Measure | None:
    """Returns the quality measure of a column; None for any other column."""
    squeezed = re.sub(r"[^a-z0-9]", "", name.rpartition(" - ")[2].lower())
    words = set(words_of(name))
    if name in ("IS", "IS_mean") or "inceptionscore" in squeezed:
        return _MEASURES["inception"]
    if words & {"std", "min", "max", "num", "count", "best", "time", "loss"}:
        return None
    if "msssim" in squeezed:
        return _MEASURES["msssim"]
    for word in words:
        if stem := _MEASURES.get(word):
            return stem
    if words & {"acc", "accuracy"} and not words & PLAYERS["g"]:
        return ACCURACY
    if squeezed in ("dx", "doutreal"):
        return REAL_SCORE
    if squeezed in ("dgz", "dgz1", "dgz2"):
        return FAKE_SCORE
    if words & {"logit", "logits", "score", "scores", "out", "output", "prob", "sign", "signs"}:
        return REAL_SCORE if "real" in words else FAKE_SCORE if "fake" in words else None
    return None
