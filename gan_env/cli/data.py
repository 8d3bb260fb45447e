"""`gan-env data`: reports where data sets are found and how to get them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from gan_env.tasks import download

from . import DONE
from .options import print_json, progress, read
from .wrapping import wrapped

HELP = """
    Examples:
      gan-env data
      gan-env data celeba
      gan-env data cifar10 --fetch
"""


@dataclass(frozen=True)
class Data:
    """Options."""

    name: tyro.conf.Positional[str] = ""
    """Of a task or set; all of them if left out."""
    fetch: bool = False
    """Download it, where torchvision can."""
    json: bool = False
    """Print one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    given = read(Data, "data", arguments, HELP)
    if given.fetch:
        message = download.fetch(given.name)
        print_json({"name": given.name, "fetched": message}) if given.json else print(message)
        return DONE
    names = [given.name] if given.name else progress(download.names(), "looking", quiet=given.json)
    found = [download.where(name) for name in names]
    if given.json:
        print_json(found[0] if given.name else found)
        return DONE
    for each in found:
        for key, value in each.items():
            print(wrapped(f"{key}:", str(value), 15))
        print()
    return DONE
