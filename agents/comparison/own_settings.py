"""Names of contestants that change settings of their game: `oadam`, `dyn-gda(optimizer='extra-adam')`."""

from __future__ import annotations

from typing import Any

from gan_env.optimizer_spec import OptimizerSpec

from ..registry import EMBEDDED, OPPONENTS, PLAIN, parse_controller


def parse_contestant(name: str) -> tuple[str, str | None, dict[str, object], dict[str, Any]]:
    """Splits a contestant's name as `parse_controller` does, and into the settings that it changes in its game.

    >>> parse_contestant("dyn-gda(c1=1.2)")
    ('dyn-gda', None, {'c1': 1.2}, {})
    >>> stem, text, options, settings = parse_contestant("oadam(betas=(0.0, 0.9))")
    >>> stem, settings["optimizer"].name, settings["optimizer"].betas
    ('sim-gda', 'oadam', (0.0, 0.9))

    Raises ValueError as `parse_controller`, and for an optimiser that there is not.
    """
    stem, text, options = parse_controller(name)
    if stem not in OPPONENTS:
        optimizer = options.pop("optimizer", None)
        return stem, text, options, {} if optimizer is None else {"optimizer": OptimizerSpec.of(optimizer)}  # type: ignore[arg-type]
    if text is not None:
        raise ValueError(f"controller {stem!r} takes no text, got {text!r}; write {stem!r}")
    if "name" in options:
        raise ValueError(f"{stem}: name is the optimizer's own; write {PLAIN}(optimizer={options['name']!r})")
    return PLAIN, None, {}, {"optimizer": OptimizerSpec.of(OPPONENTS[stem] | options)}


def own_settings(label: str) -> dict[str, Any]:
    """Returns the settings that a contestant changes in its game, by its name or label; {} if it names none."""
    try:
        return {} if label.endswith(".safetensors") else parse_contestant(label.removesuffix(f" {EMBEDDED}"))[3]
    except ValueError:  # whatever a row from elsewhere says
        return {}
