"""A benchmark's configuration as JSON, and what differs between two of them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from gan_env.argument_checks import record_of
from gan_env.envs.config import EnvConfig
from gan_env.io.files import shown
from gan_env.optimizer_spec import OptimizerSpec

from .bench_config import MOST_PARTS, MOST_RUNS, BenchConfig, Part


def as_json(config: BenchConfig) -> dict[str, Any]:
    """Returns the configuration as `config.json` holds it; of games, only what differs from the defaults."""
    return {
        "suite": config.suite,
        "command": config.command,
        "skip_undefined": config.skip_undefined,
        "parts": [
            {f.name: _plain(getattr(part, f.name)) for f in fields(Part)} | {"game": _game_json(part.game)}
            for part in config.parts
        ],
        "undefined": [vars(each) for each in config.undefined],
        "files": config.files,
    }


def from_json(held: dict[str, Any]) -> BenchConfig:
    """Reads what `as_json` returned; raises ValueError for anything else."""
    try:
        if not isinstance(held, dict):
            raise TypeError(f"it is a {type(held).__name__}")
        for name in ("parts", "undefined"):
            if name not in held:
                raise TypeError(f"{name} is missing")
        if isinstance(held["parts"], list) and len(held["parts"]) > MOST_PARTS:
            raise ValueError(f"{len(held['parts']):,} parts are too many for one benchmark; at most {MOST_PARTS}")
        parts = [_with_engine(part) for part in held["parts"]] if isinstance(held["parts"], list) else held["parts"]
        whole = held | {"command": shown(held.get("command", "")), "parts": parts}
        config = record_of(BenchConfig, whole, partial=(BenchConfig, Part, EnvConfig))
        parts = tuple(replace(part, game=_with_spec(part.game)) for part in config.parts)
    except (OverflowError, TypeError) as error:
        raise ValueError(f"no configuration of a benchmark ({error})") from error
    if (runs := sum(part.size for part in parts)) > MOST_RUNS:
        raise ValueError(f"a benchmark of {runs:,} runs is too large; at most {MOST_RUNS:,}")
    return replace(config, parts=parts)


def _with_engine(part: Any) -> Any:
    """Names the engine of a part of a folder that was begun when there was no other."""
    game = part.get("game") if isinstance(part, dict) else None
    return {**part, "game": {"engine": "torch", **game}} if isinstance(game, dict) else part


def difference(held: Any, asked: Any, where: str = "") -> str:
    """Returns the first place where two JSON values differ, in words; "" if they are equal."""
    if isinstance(held, dict) and isinstance(asked, dict):
        for name in dict.fromkeys([*held, *asked]):
            if found := difference(held.get(name), asked.get(name), f"{where}.{name}".lstrip(".")):
                return found
        return ""
    if isinstance(held, list) and isinstance(asked, list) and len(held) == len(asked):
        found = (difference(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(held, asked, strict=True)))
        return next(filter(None, found), "")
    return "" if held == asked else f"{where} is {held!r} there and {asked!r} here"


def _game_json(game: EnvConfig) -> dict[str, Any]:
    game = _with_spec(game)
    set_here = {f.name: _plain(v) for f in fields(EnvConfig) if (v := getattr(game, f.name)) != f.default}
    return set_here | {"engine": game.engine}


def _with_spec(game: EnvConfig) -> EnvConfig:
    """Spells out the optimiser of a game, if it names one: "adam" and {"name": "adam"} are the same."""
    return game if game.optimizer is None else EnvConfig.of(game, optimizer=OptimizerSpec.of(game.optimizer))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, OptimizerSpec):
        return _plain(value.as_json())
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value
