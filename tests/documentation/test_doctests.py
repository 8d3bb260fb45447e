"""Examples in docstrings of both packages run and print what they say."""

import doctest
import importlib
import inspect
import pkgutil
import warnings

import pytest

import agents
import gan_env

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules() -> list[str]:
    """Every module of both packages, but for those that run when they are imported."""
    found = [
        each.name
        for package in (gan_env, agents)
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not each.name.endswith(".libgan_env_native")  # a plain C library, not a module of Python
    ]
    return ["gan_env", "agents", *(name for name in found if not name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=FLAGS)
    assert not failed, f"run: python -m doctest {module.__file__}"


WITHOUT = {"ControllerFileError", "SnapshotError", "Argument", "scripted"}
"""Names that need no example: errors, and what would register a controller for the rest of the tests."""


@pytest.mark.parametrize("package", [gan_env, agents], ids=lambda package: package.__name__)
def test_every_public_class_and_function_has_an_example(package):
    public = {name: getattr(package, name) for name in package.__all__}
    documented = {name for name, part in public.items() if callable(part) and name not in WITHOUT}
    assert documented
    assert not [name for name in sorted(documented) if ">>>" not in (inspect.getdoc(public[name]) or "")]
