"""`gan-env diagnose`: a log of losses in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.diagnose.diagnose import Diagnosis, diagnose, lines
from agents.diagnose.loss_logs import read_losses
from gan_env.losses.losses import get_loss

from . import DONE
from .options import print_json, read

HELP = """
    FILE is CSV with a header, JSON, JSON lines, or what a training loop printed ("Loss_D: 0.5 Loss_G: 2.1"), with a
    column for each player's loss under any of the usual names; "-" reads standard input.

    Examples:
      gan-env diagnose losses.csv
      gan-env diagnose train.log --loss hinge
      python train.py | gan-env diagnose -
      gan-env diagnose metrics.csv --d-loss mean
      gan-env diagnose history.json --d-column disc --g-column gen --json
"""
NAME = tyro.conf.arg(metavar="NAME", help_behavior_hint="")


@dataclass(frozen=True)
class Diagnose:
    """Options."""

    file: tyro.conf.Positional[Path]
    """The log; - for standard input."""
    loss: str = "bce"
    """The GAN loss that is trained (gan-env list losses)."""
    d_loss: Literal["sum", "mean"] = "sum"
    """Whether D's logged loss is the sum of its real and fake halves, as in PyTorch's tutorial, or their mean."""
    d_column: Annotated[str | None, NAME] = None
    """Of D's loss, where it is not found by itself."""
    g_column: Annotated[str | None, NAME] = None
    """Of G's loss."""
    json: bool = False
    """Print one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """The command."""
    given = read(Diagnose, "diagnose", arguments, HELP)
    loss = get_loss(given.loss)
    found = diagnose(read_losses(given.file, given.d_column, given.g_column), loss, given.d_loss)
    drop_in = lines(found.controller, loss, given.d_loss) if found.controller else []
    if given.json:
        print_json(
            {
                "file": given.file,
                "rows": len(found.log.d),
                "columns": {"d": found.log.d_column, "g": found.log.g_column},
                "loss": loss.name,
                "ideal_d_loss": loss.ideal_d_loss,
                "d_loss": given.d_loss,
                "symptoms": [_plain(asdict(symptom)) for symptom in found.symptoms],
                "gap_aware_multiplier": found.gap_aware,
                "hints": found.hints,
                "controller": found.controller,
                "lines": drop_in,
            }
        )
        return DONE
    print(told(found, given.d_loss))
    if drop_in:
        print(f"\nTo let {found.controller} answer it in your loop:\n", *drop_in, sep="\n    ")
    return DONE


def told(found: Diagnosis, d_loss: str) -> str:
    """A diagnosis as a person reads it."""
    log = found.log
    parts = [
        f"{log.source}: {len(log.d):,} rows, {log.d_column!r} and {log.g_column!r}, read as {found.loss.name} with D's "
        f"loss the {d_loss} of its halves"
    ]
    for symptom in found.symptoms:
        evidence = [f"- {name}: {_value(value)}" for name, value in symptom.evidence.items()]
        parts += ["", f"{symptom.words} ({symptom.sure})"]
        parts += [f"    {line}" for line in evidence]
        who = ", ".join(symptom.controllers)
        for label, text in (("controllers", who), ("why" if who else "what to do", symptom.answer),
                            ("not sure", symptom.doubt)):  # fmt: skip
            if text:
                parts += textwrap.wrap(f"{label}: {text}.", 100, initial_indent="    ", subsequent_indent="      ")
    if found.gap_aware is not None:
        rates = found.gap_aware
        parts += [
            "",
            f"gap-aware would have put D's rate at x{rates['last']:.2f} at the end (x{rates['mean']:.2f} on average, "
            "if every row is an update).",
        ]
    parts += [line for hint in found.hints for line in ("", *textwrap.wrap(f"But: {hint}.", 100))]
    return "\n".join(parts)


def _value(value: Any) -> str:
    return ", ".join(f"{v:.4g}" for v in value) if isinstance(value, list) else f"{value:.4g}"


def _plain(value: Any) -> Any:
    """Numbers as JSON has them: no NaN, no NumPy."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    number = float(value)
    return number if abs(number) < float("inf") else str(number)
