"""Names that well-known repositories and libraries use for a GAN loss that is registered here under another name."""

from __future__ import annotations

import re

from gan_env.losses.losses import LOSSES

_ALIASES = {
    # pix2pix, CycleGAN, BasicSR and MMEditing write `vanilla`; StyleGAN `logistic`; torch and Keras most of the rest.
    "bce": (
        "vanilla", "gan", "original", "standard", "dcgan", "sgan", "ns", "nsgan", "non-saturating", "nonsaturating",
        "non-saturating-gan", "non-saturating-logistic", "logistic", "logistic-ns", "logistic-nonsaturating",
        "g-logistic-nonsaturating", "d-logistic", "softplus", "wgan-softplus", "bcewithlogits", "bcewithlogitsloss",
        "bceloss", "bce-loss", "bce-with-logits", "binary-crossentropy", "binary-cross-entropy",
        "binary-cross-entropy-with-logits", "cross-entropy", "sigmoid-cross-entropy", "js", "jsd",
    ),
    "lsgan": ("ls", "ls-gan", "least-squares", "least-square", "mse", "mseloss", "mse-loss", "l2"),
    "hinge": ("hinge-loss", "hingeloss", "hinge-gan", "hinged", "geometric-gan", "sagan", "biggan"),
    "wgan": ("wasserstein", "wasserstein-loss", "w", "w-gan", "w1", "wloss", "wgan-clip", "wgan-cp", "wgan-loss"),
    "wgan-gp": (
        "wgangp", "w-gan-gp", "wgan-with-gp", "wasserstein-gp", "wasserstein-with-gradient-penalty", "improved-wgan",
        "iwgan", "wgan-gradient-penalty",
    ),
    "r1": (
        "gan-r1", "r1-penalty", "r1-reg", "vanilla-r1", "bce-r1", "logistic-r1", "ns-r1", "nonsaturating-r1",
        "d-logistic-r1", "softplus-r1", "stylegan", "stylegan2", "stylegan3",
    ),
    "r2": ("r2-penalty", "d-logistic-r2", "logistic-r2", "bce-r2"),
    "r3gan": ("r3-gan", "rpgan-r1-r2"),
    "sn": ("bce-sn", "vanilla-sn", "spectral-norm", "spectral-normalization"),
    "js-reg": ("jsreg", "js-regularizer", "roth"),
    "gran": ("gran-gan", "gradient-normalization", "gn-gan"),
}  # fmt: skip
ALIASES = {alias: ours for ours, aliases in _ALIASES.items() for alias in aliases}
"""Maps foreign names, in lower case with hyphens, to ours. Other relativistic losses and DRAGAN are missing."""


def our_name(text: str) -> str | None:
    """Returns the name in `LOSSES` for a usual name of a GAN loss.

    Case, blanks and underscores do not matter; a coefficient or a term after the name is kept (`WGAN_GP:10` gives
    `wgan-gp:10`). Registered names, also of other packages, are returned as they are.

    Returns:
        A name whose stem is registered, or None if no registered loss is meant.
    """
    if text in LOSSES:
        return text
    stem, rest = re.fullmatch(r"([^:+]*)(.*)", text.strip(), re.DOTALL).groups()  # type: ignore[union-attr] matches all
    folded = re.sub(r"[\s_-]+", "-", stem.strip()).casefold()
    known = {name.casefold().replace("_", "-"): name for name in LOSSES} | {
        alias: ours for alias, ours in ALIASES.items() if ours in LOSSES
    }
    found = known.get(folded) or known.get(folded.removesuffix("-loss")) or known.get(folded.removesuffix("loss"))
    return None if found is None else found + rest
