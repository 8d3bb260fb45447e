"""What is shipped: a wheel and an sdist that hold everything, with the native engine or without, quick to import."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def python(*arguments: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=env, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as held:
        return set(held.namelist())


@pytest.mark.slow
def test_wheel_and_sdist_build_and_the_wheel_works_away_from_the_tree(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ENV_NATIVE", "0")
    python("-m", "hatchling", "build", "-d", tmp_path / "dist", cwd=ROOT)
    (sdist,), (wheel,) = (tmp_path / "dist").glob("*.tar.gz"), (tmp_path / "dist").glob("*-py3-none-any.whl")
    tracked = subprocess.run(["git", "ls-files", "gan_env", "agents"], capture_output=True, text=True, cwd=ROOT)
    assert set(tracked.stdout.split()) <= files_of(wheel)
    assert {"gan_env/py.typed", "agents/py.typed", "gan_env/data/assets/LICENSE-emoji.txt"} <= files_of(wheel)
    dist_info = f"gan_env-{PROJECT['version']}.dist-info"
    assert {name.split("/")[0] for name in files_of(wheel)} == {"gan_env", "agents", dist_info}
    assert wheel.stat().st_size < 10 * 2**20

    with tarfile.open(sdist) as held:
        held.extractall(tmp_path, filter="data")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again", cwd=tmp_path / sdist.name[:-7])
    assert files_of(next((tmp_path / "again").glob("*.whl"))) == files_of(wheel)

    site = tmp_path / "site"
    python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel, cwd=tmp_path)
    env = {**os.environ, "PYTHONPATH": str(site)}
    said = python("-c", "import agents, gan_env; print(gan_env.__file__, agents.__file__)", cwd=tmp_path, env=env)
    assert said.count(str(site)) == 2
    out = tmp_path / "out"
    small = ("--tasks", "digits", "--seeds", "1", "--updates", "4")
    python("-m", "gan_env", "bench", *small, "--out", out, cwd=tmp_path, env=env)
    assert (out / "rows.jsonl").stat().st_size > 0
    python("-m", "gan_env", "report", out, cwd=tmp_path, env=env)
    assert "<style>" in (out / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")
def test_a_wheel_with_the_native_engine_serves_every_python_of_its_platform(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ENV_NATIVE", "1")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-" in wheel.name and not wheel.name.endswith("-any.whl")
    assert wheel.stat().st_size < 10 * 2**20
    with zipfile.ZipFile(wheel) as held:
        held.extractall(tmp_path / "site")
    code = "from gan_env.native.library import instruction_sets; print(*instruction_sets())"
    said = python("-c", code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")})
    assert "plain" in said.split() or "neon" in said.split()


@pytest.mark.slow
def test_without_a_compiler_the_wheel_is_pure_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    said = python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl") and not any(name.endswith(".so") for name in files_of(wheel))
    assert "the native engine was not compiled" in said and "training uses the torch engine" in said


PUBLIC = (
    *("envs.config", "envs.env", "envs.rewards", "envs.vector_env", "losses.losses", "registry", "tasks.task"),
    *("testing", "types"),
)
"""Modules that users import from, beside `gan_env` itself."""


@pytest.mark.slow
def test_every_public_name_has_a_complete_type():
    beside = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    asked = (sys.executable, "-m", "pyright", "--ignoreexternal", "--outputjson", "--verifytypes", "gan_env")
    done = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **beside}, timeout=600)
    symbols = json.loads(done.stdout[done.stdout.index("{") :])["typeCompleteness"]["symbols"]
    exported = [each for each in symbols if each["isExported"]]
    public = [each for each in exported if re.match(rf"gan_env\.([A-Z]|({'|'.join(PUBLIC)})\.)", each["name"])]
    assert len(public) > 200
    assert [each["name"] for each in public if not each["isTypeKnown"] or each["isTypeAmbiguous"]] == []


def test_importing_takes_less_than_two_seconds_beyond_torch_itself():
    # Of the processor: on a busy machine the clock says more of its neighbours.
    code = "import time, torch; at = time.process_time(); import gan_env, agents; print(time.process_time() - at)"
    assert float(python("-c", code, cwd=ROOT)) < 2


def bounds(requirements: list[str]) -> dict[str, str]:
    """Name to lowest version of requirements that have one."""
    found = (re.match(r"([\w-]+)(?:\[[\w,-]+\])?>=([\w.]+)", each) for each in requirements)
    return {m[1].lower(): m[2] for m in found if m}


def padded(version: str) -> list[int]:
    return ([int(part) for part in version.split(".")] + [0, 0])[:3]


def test_the_lowest_versions_that_are_tested_are_the_lowest_in_range():
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    tested = {m[1].lower(): m[2] for m in (re.match(r"([\w-]+)==([\w.]+)", line) for line in lines) if m}
    extras = PROJECT["optional-dependencies"]
    tried = [each for name in ("metrics", "meshes", "emoji", "es", "test") for each in extras[name]]
    said = bounds([*PROJECT["dependencies"], *tried])
    assert {name: padded(version) for name, version in said.items()} == {
        name: padded(version) for name, version in tested.items() if name != "pyparsing"
    }


def test_every_file_that_tells_about_the_project_is_there_and_agrees_on_the_version():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
