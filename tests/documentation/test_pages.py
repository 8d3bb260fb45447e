"""Promises of the documentation: what it shows runs, what it names exists, and its tables are the code's."""

import contextlib
import importlib.util
import io
import re
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
from torch.nn.functional import relu, softplus

from gan_env.cli import COMMANDS, main
from gan_env.envs.env import GANEnv
from gan_env.losses.losses import LOSSES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text() for page in [ROOT / "README.md", *DOCS.rglob("*.md")]}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = {"docs/environment.md", "docs/own-gan.md"}
"""Pages whose code takes no more than some seconds."""


def blocks(page: str, *languages: str) -> list[tuple[int, str]]:
    """A page's blocks of code with the lines that they begin on."""
    text = PAGES[page]
    return [(text[: m.start()].count("\n") + 2, m[2]) for m in FENCE.finditer(text) if m[1] in languages]


def tables(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)  # it imports its neighbour
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page != "README.md"]  # which has a test of its own


@pytest.mark.parametrize("page", [pytest.param(p, marks=() if p in QUICK else pytest.mark.slow) for p in WITH_PYTHON])
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    for line, code in blocks(page, "python"):
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            for told in ("ends in a sigmoid", "keeps state outside its weights"):  # PyTorch's tutorial, as it is
                warnings.filterwarnings("ignore", message=f".*{told}")
            exec(compile("\n" * (line - 1) + code, page, "exec"), names)  # a traceback then names the page's line


def typed(page: str) -> list[str]:
    """Commands in a page's console blocks and, where a block has no language, lines that begin with a command."""
    lines = "\n".join(code for _, code in blocks(page, "", "console")).replace("\\\n", " ").splitlines()
    commands = [line.split("#")[0].strip().removeprefix("$ ") for line in lines]
    return [line for line in commands if re.match(r"(gan-env|make|pip|python3?) [a-z./-]", line)]


@pytest.mark.parametrize("page", [page for page in PAGES if typed(page)])
def test_every_command_of_a_page_exists_with_its_options(page, capsys):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in typed(page):
        program, first, *rest = line.split()
        if program == "gan-env":
            assert first in COMMANDS, line
            for option in re.findall(r"--[a-z-]+", line):
                with contextlib.suppress(SystemExit):
                    main([first, "--help"])
                assert re.search(rf"{option}\b", capsys.readouterr().out), f"{line}: gan-env {first} has no {option}"
        elif program == "make":
            assert re.search(rf"^{first}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        elif program == "pip":
            assert set(re.findall(r"gan-env\[([a-z]+)\]", line)) <= set(extras), line
        elif first != "-m":
            assert (ROOT / first).is_file(), line


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file_of_the_repository(page):
    text = FENCE.sub("", PAGES[page])
    for target in re.findall(r"\]\((?!http|#)([^)#\s]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.slow
def test_the_tables_are_the_codes_and_the_rows(monkeypatch):
    assert not tables(monkeypatch).stale(), "run: python docs/tables.py"


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_formulas_that_a_loss_prints_are_its_functions(name):
    f = torch.linspace(-3, 3, 25, dtype=torch.float64)
    loss = LOSSES[name]
    for printed, function in zip(loss.formulas, (loss.real, loss.fake, loss.generator), strict=True):
        value = eval(printed, {"f": f, "softplus": softplus, "relu": relu})
        torch.testing.assert_close(value, function(f))


def test_every_key_of_info_is_explained():
    env = GANEnv(task="dirac", reward="quality", episode_updates=2)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    info = env.step(env.action_space.sample())[-1]
    section = PAGES["docs/environment.md"].split("\n## info")[1].split("\n## ")[0]
    explained = set(re.findall(r"`([a-z_]+)`", section)) | set(env.feature_names) | {"real_logit", "fake_logit"}
    assert {"score", "quality"} < set(info) <= explained
