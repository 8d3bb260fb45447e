"""`gan-env diagnose`: reads a log of losses and describes what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.diagnose.diagnose import GAP_AWARE_ROWS, Diagnosis, diagnose, lines
from agents.diagnose.loss_logs import read_losses
from gan_env.losses.aliases import our_name
from gan_env.losses.losses import get_loss

from . import DONE
from .options import print_json, read
from .wrapping import wrapped

HELP = """
    FILE is what a training loop wrote or printed: CSV or columns with a line of names, JSON, JSON lines, Python's
    dicts, "Loss_D: 0.5 Loss_G: 2.1" in lines or progress bars, with each player's loss under any of the usual names.
    "-" reads standard input; two of TensorBoard's CSV exports are joined.

    Examples:
      gan-env diagnose losses.csv
      gan-env diagnose train.log --loss hinge
      python train.py | gan-env diagnose -
      gan-env diagnose run-1-tag-Loss_D.csv run-1-tag-Loss_G.csv
      gan-env diagnose metrics.csv --d-loss mean
      gan-env diagnose history.json --d-column disc --g-column gen --json
      gan-env diagnose loss_log.txt --d-column D_real D_fake --g-column G_GAN
"""
NAMES = tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")


@dataclass(frozen=True)
class Diagnose:
    """Options."""

    files: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(name="file", metavar="FILE [FILE ...]", help_behavior_hint="")]
    ]
    """The log; - for standard input. Several are joined by the steps that they count."""
    loss: str = "bce"
    """The GAN loss that is trained (gan-env list losses), also by other repositories' names, such as vanilla."""
    d_loss: Literal["auto", "sum", "mean"] = "auto"
    """Whether D's logged loss is the sum of its real and fake halves, as in PyTorch's tutorial, or their mean; auto
    takes what the log itself shows, else the sum."""
    d_column: Annotated[tuple[str, ...], NAMES] = ()
    """Of D's loss, where it is not found by itself; several are added up."""
    g_column: Annotated[tuple[str, ...], NAMES] = ()
    """Of G's loss."""
    json: bool = False
    """Print one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    given = read(Diagnose, "diagnose", arguments, HELP)
    if not given.files:
        raise ValueError("name the log first: gan-env diagnose FILE [--d-column NAME ...] [--g-column NAME ...]")
    loss = get_loss(our_name(given.loss) or given.loss)
    logs = read_losses(given.files, given.d_column, given.g_column)
    d_loss = None if given.d_loss == "auto" else given.d_loss
    found = [diagnose(log, loss, d_loss) for log in logs]
    if given.json:
        first, *others = [_document(each) for each in found]
        whole = {"file": first.pop("file"), **first}
        print_json(whole | {"discriminators": [first, *others]} if others else whole)
        return DONE
    for number, each in enumerate(found):
        print(*([""] if number else []), told(each), sep="\n")
    steered = next((each for each in found if each.controller), None)
    if steered is not None and steered.controller is not None:
        print(
            f"\nTo let {steered.controller} answer it in your loop:\n",
            *lines(steered.controller, loss, steered.reading.d_loss),
            sep="\n    ",
        )
    return DONE


def _document(found: Diagnosis) -> dict[str, Any]:
    """Converts a diagnosis to plain values for JSON."""
    log = found.log
    return {
        "file": log.source,
        "rows": len(log.d),
        "discriminator": log.which,
        "columns": {"d": log.d_column, "g": log.g_column},
        "quality_columns": {each.column: each.measure.name for each in log.quality},
        "loss": found.loss.name,
        "ideal_d_loss": found.loss.ideal_d_loss,
        "d_loss": found.reading.d_loss,
        "symptoms": [_plain(asdict(symptom)) for symptom in found.symptoms],
        "gap_aware_multiplier": found.gap_aware,
        "hints": found.hints,
        "controller": found.controller,
        "lines": lines(found.controller, found.loss, found.reading.d_loss) if found.controller else [],
    }


def told(found: Diagnosis) -> str:
    """Formats a diagnosis as text."""
    log = found.log
    which = f" (discriminator {log.which!r})" if log.which else ""
    what = (
        f"{len(log.d):,} rows, {log.d_column!r} and {log.g_column!r}{which}, read as {found.loss.name} "
        f"with D's loss the {found.reading.d_loss} of its halves"
    )
    if log.quality:
        what += f"; beside them {', '.join(repr(each.column) for each in log.quality)}"
    parts = [wrapped(f"{log.source}: ", what, 2)]
    for symptom in found.symptoms:
        evidence = [f"- {name}: {_value(value)}" for name, value in symptom.evidence.items()]
        parts += ["", f"{symptom.words} ({symptom.sure})"]
        parts += [f"    {line}" for line in evidence]
        who = ", ".join(symptom.controllers)
        for label, text in (("controllers", who), ("why" if who else "what to do", symptom.answer),
                            ("not sure", symptom.doubt)):  # fmt: skip
            if text:
                parts.append(wrapped(f"    {label}: ", f"{text}.", 6))
    if found.gap_aware is not None:
        rates = found.gap_aware
        over = f" of the last {GAP_AWARE_ROWS:,} rows" if len(log.d) > GAP_AWARE_ROWS else ""
        parts += [
            "",
            wrapped(
                f"gap-aware would have put D's rate at x{rates['last']:.2f} at the end (",
                f"x{rates['mean']:.2f} on average{over}, if every row is an update).",
                0,
            ),
        ]
    parts += [line for hint in found.hints for line in ("", wrapped("But: ", f"{hint}.", 5))]
    return "\n".join(parts)


def _value(value: Any) -> str:
    return ", ".join(f"{v:.4g}" for v in value) if isinstance(value, list) else f"{value:.4g}"


def _plain(value: Any) -> Any:
    """Converts numbers to JSON types: no NaN, no NumPy."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    number = float(value)
    return number if abs(number) < float("inf") else str(number)
