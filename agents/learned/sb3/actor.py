"""What decides in a Stable-Baselines3 model, as plain layers: of a live model, or of one that was saved."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from gan_env.envs.actions import CHOICES, CODECS, LogRange
from gan_env.io.files import open_to_read, parsed_json

from ...policies.policy_files import LARGEST_BYTES

_LAYOUTS = (
    (re.compile(r"actor\.(latent_pi\.\d+|mu\.\d+|mu)\.(weight|bias)"), "relu"),  # DDPG, TD3, SAC, TQC
    (re.compile(r"(mlp_extractor\.policy_net\.\d+|action_net)\.(weight|bias)"), "tanh"),  # PPO, A2C, TRPO
    (re.compile(r"q_net\.q_net\.\d+\.(weight|bias)"), "relu"),  # DQN
)
"""What the layers that decide are called, and SB3's own activation between them."""
_NO_PART = re.compile(r"(\w+_target|critic|value_net|mlp_extractor\.value_net|actor\.log_std)\..*|log_std")
"""What has no part in deterministic decisions."""

_UNREADABLE = EOFError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile


@dataclass(frozen=True)
class Actor:
    """The network that decides in an SB3 model."""

    layers: list[tuple[Tensor, Tensor]]
    """Weight (out, in) and bias (out,) of each layer, copied."""
    activation: str
    """Between the layers; see `PolicySpec`."""
    output: str
    """How the last layer's numbers become an action; see `PolicySpec`."""

    @property
    def control(self) -> str:
        """Whose actions these are: the name of a codec; raises ValueError for a width that no id has."""
        width = len(self.layers[-1][1])
        if self.output == "argmax" and width == len(CHOICES):
            return "update-choice"
        for name in CODECS:
            if self.output != "argmax" and CODECS[name](LogRange(0.1, 10), LogRange(0.1, 10)).axes == width:
                return name
        raise ValueError(f"its actions have {width} numbers ({self.output}), which is the action of none of our ids")


def actor_of(model: BaseAlgorithm) -> Actor:
    """Returns the actor of a live model; raises ValueError for a policy that is more than plain layers."""
    chosen = (model.policy_kwargs or {}).get("activation_fn")  # type: ignore[attr-defined]
    return _actor(model.policy.state_dict(), None if chosen is None else chosen.__name__)


def read_zip(path: Path | str) -> Actor:
    """Reads the actor of a model that SB3's `save` wrote.

    Weights in such a file are a pickle. It is given to torch's reader of weights alone, which is made to run no code;
    SB3's other pickles are not touched. Even so: only for files whose maker you trust.

    Raises:
        ValueError: If the file is none of SB3's, or its policy is more than plain layers.
        OSError: If it cannot be read.
    """
    try:
        with open_to_read(Path(path).resolve()) as opened, zipfile.ZipFile(opened) as file:
            if max(file.getinfo(name).file_size for name in ("data", "policy.pth")) > LARGEST_BYTES:
                raise ValueError(f"it is larger than {LARGEST_BYTES >> 20} MiB")
            settings = parsed_json(file.read("data"))["policy_kwargs"]
            weights = torch.load(io.BytesIO(file.read("policy.pth")), map_location="cpu", weights_only=True)
            chosen = re.search(r"(\w+)'>$", settings["activation_fn"]) if "activation_fn" in settings else None
            return _actor(weights, None if chosen is None else chosen[1])
    except (
        EOFError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: no Stable-Baselines3 model that a controller file can hold ({why})") from error


def _actor(weights: Mapping[str, Tensor], activation: str | None) -> Actor:
    found = ((usual, [name for name in weights if layout.fullmatch(name)]) for layout, usual in _LAYOUTS)
    usual, names = next((each for each in found if each[1]), ("", []))
    if not names:
        raise ValueError("its policy has none of the layers of DDPG, TD3, SAC, TQC, PPO, A2C, TRPO or DQN")
    odd = [name for name in weights if name not in names and not _NO_PART.fullmatch(name)]
    if odd or weights.get("log_std", torch.zeros(1)).ndim != 1:  # a matrix: state-dependent exploration
        raise ValueError(f"its policy has {(odd or ['log_std'])[0]}; only MlpPolicy without gSDE is plain layers")
    layers = [
        (weights[name].detach().clone(), weights[name.removesuffix("weight") + "bias"].detach().clone())
        for name in names
        if name.endswith("weight")
    ]
    squashed = names[0].startswith("actor.")
    return Actor(
        layers,
        usual if activation is None else activation.lower(),
        "tanh" if squashed else "clip" if "log_std" in weights else "argmax",
    )
