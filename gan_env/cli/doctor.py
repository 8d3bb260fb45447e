"""`gan-env doctor`: checks the installation and lists what is missing. It runs even if torch cannot be imported."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import DONE, FAILED, version
from .options import print_json, progress, read
from .wrapping import wrapped

HELP = """
    Exit code 0 unless the installation is broken: a package that is needed is missing, too old or cannot be imported,
    or one update of a small GAN fails. Extras and data that are missing are no fault.

    Examples:
      gan-env doctor
      gan-env doctor --json
"""
NOT_FOR_USE = ("test", "dev", "docs")
"""Extras for developing gan-env itself."""
REBUILD = "with a C++17 compiler: pip install --force-reinstall --no-deps gan-env"


@dataclass(frozen=True)
class Doctor:
    """Options."""

    json: bool = False
    """Print one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    given = read(Doctor, "doctor", arguments, HELP)
    looks: dict[str, Callable[[], Any]] = {
        "versions": _versions, "packages": _packages, "extras": _extras, "device": _device, "engine": _engine,
        "agents": _agents, "works": _works, "data": _data,
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name in progress(looks, "looking", quiet=given.json):
        found[name] = looks[name]()
    faults = [f"{p['name']} {p['state']}" for p in found["packages"] if p["state"] != "ok"]
    faults += [str(found[name]["fault"]) for name in ("agents", "works", "device") if found[name].get("fault")]
    found["faults"] = faults
    if given.json:
        print_json(found)
    else:
        print(told(found))
    return FAILED if faults else DONE


def _requirements() -> list[str]:
    """Returns gan-env's requirements from its metadata; nothing if it is run from a folder without being installed."""
    try:
        return metadata.requires("gan-env") or []
    except metadata.PackageNotFoundError:
        return []


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> dict[str, str]:
    return {
        "gan-env": version(),
        "from": str(Path(__file__).parent.parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _packages() -> list[dict[str, str]]:
    """Lists every required package with its version, and whether that version satisfies the requirement."""
    return [_package(line) for line in _requirements() if "extra ==" not in line]


def _package(line: str) -> dict[str, str]:
    from packaging.requirements import Requirement

    wanted = Requirement(line)
    version = _installed(wanted.name)
    if version is None:
        return {"name": wanted.name, "state": f"is missing: pip install '{wanted.name}{wanted.specifier}'"}
    if not wanted.specifier.contains(version, prereleases=True):
        fix = f"pip install '{wanted.name}{wanted.specifier}'"
        return {"name": wanted.name, "version": version, "state": f"{version} does not fit: {fix}"}
    return {"name": wanted.name, "version": version, "state": "ok"}


def _extras() -> list[dict[str, Any]]:
    """Lists every extra with its missing packages and the line that installs it."""
    found: dict[str, list[str]] = {}
    for line in _requirements():
        if (extra := re.search(r"extra == ['\"]([\w-]+)", line)) and extra[1] not in NOT_FOR_USE:
            found.setdefault(extra[1], []).append(line.partition(";")[0].strip())
    extras = []
    for name, lines in found.items():
        lacks = [p["name"] for p in map(_package, lines) if p["state"] != "ok"]
        extras.append({"name": name, "missing": lacks, "install": f"pip install 'gan-env[{name}]'" if lacks else ""})
    return extras


def _device() -> dict[str, Any]:
    """Describes the processors and GPUs that torch reports."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found: dict[str, Any] = {"cores": cores, "threads": os.environ.get("OMP_NUM_THREADS", "")}
    try:
        torch = import_module("torch")
    except (ImportError, OSError) as error:
        return found | {"fault": f"torch cannot be imported ({_short(error)})"}
    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found | {
        "threads": torch.get_num_threads(),
        "auto": "cuda" if torch.cuda.is_available() else "cpu",
        "cards": cards,
    }


def _engine() -> dict[str, str]:
    """Names the engine that trains plain MLPs on a CPU, and how to get the fast one."""
    try:
        sets = import_module("gan_env.native.library").instruction_sets()
    except OSError as error:  # a library for another machine, or a damaged one
        return {"name": "torch", "note": f"the native engine cannot be loaded ({_short(error)}); {REBUILD}"}
    if not sets:
        return {"name": "torch", "note": f"the native engine is not compiled: some 20 times slower; {REBUILD}"}
    return {"name": "native", "note": f"compiled, for {sets[0]} on this processor"}


def _agents() -> dict[str, str]:
    """Checks that the package `agents` that Python imports is ours; another one of that name may shadow it."""
    spec = find_spec("agents")
    ours = Path(__file__).parent.parent.parent / "agents"
    place = Path(spec.origin).parent if spec and spec.origin else None
    if place == ours:
        return {"from": str(ours)}
    fault = f"another package called agents is in the way: {place}; ours is {ours}"
    return {"fault": f"{fault}. Rename it, or start Python in another folder"}


def _works() -> dict[str, Any]:
    """Trains a small GAN for an update, through the environment."""
    try:
        gym = import_module("gymnasium")
        import_module("gan_env")
        import_module("stable_baselines3")
        env = gym.make("gan_env/LearningRate-v0", task="ring", episode_updates=2, score=False, device="cpu")
        env.reset(seed=0)
        env.step(env.action_space.sample())
    except Exception as error:  # whatever is broken, this is where it is told
        return {"fault": f"a small GAN cannot be trained ({type(error).__name__}: {_short(error)})"}
    return {"trained": "ring, one update"}


def _data() -> list[dict[str, Any]]:
    try:
        download = import_module("gan_env.tasks.download")
        sets = sorted({*download.SOURCES, "digits", "furniture"})
        return [download.where(name) for name in sets]
    except Exception as error:
        return [{"name": "data", "ready": False, "to_do": _short(error)}]


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def told(found: dict[str, Any]) -> str:
    """Formats the findings as text."""
    versions, device = found["versions"], found["device"]
    lines = [
        f"gan-env {versions['gan-env']} in {versions['from']}",
        wrapped("Python", f"{versions['python']} ({sys.executable}), {versions['platform']}", 7),
        "",
        f"device    {', '.join(device.get('cards', [])) or 'no CUDA device'}; 'auto' is {device.get('auto', '?')}",
        f"threads   torch would use {device['threads']}, on {device['cores']} cores; gan-env's commands use 1",
        wrapped("engine", f"{found['engine']['name']}: {found['engine']['note']}", 10),
        "",
        wrapped(
            "packages",
            ", ".join(f"{p['name']} {p['version']}" for p in found["packages"] if p["state"] == "ok")
            or "gan-env is not installed, so what it needs is not known: pip install -e FOLDER",
            10,
        ),
        "",
    ]
    for extra in found["extras"]:
        lacks = f"lacks {', '.join(extra['missing'])}: {extra['install']}" if extra["missing"] else "installed"
        lines.append(f"extra     {extra['name']:<9} {lacks}")
    lines.append("")
    for each in found["data"]:
        lines.append(f"data      {each['name']:<9} {'ready' if each['ready'] else 'gan-env data ' + str(each['name'])}")
    lines += ["", *(f"BROKEN    {fault}" for fault in found["faults"])]
    return "\n".join(lines + ([] if found["faults"] else ["All is well: a small GAN was trained for an update."]))
