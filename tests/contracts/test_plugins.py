"""Parts of other packages: a name finds them in every process, and a broken one harms nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.comparison.rows import versions
from gan_env import registry as registry_module
from gan_env.cli import main
from gan_env.registry import Registry

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "examples" / "plugin"
GROUP = "gan_env.tests"


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Installs a package, by its metadata, that offers parts of a module of the same name."""

    def install(package: str, code: str, **parts: str) -> None:
        info = tmp_path / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = [f"{name} = {package}:{value}" for name, value in parts.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))
        (tmp_path / f"{package}.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, package, raising=False)

    return install


def registry() -> Registry:
    made = Registry("part", GROUP)
    made.add("own", len)
    return made


def test_an_offered_part_is_named_without_an_import_and_loaded_when_asked_for(offer):
    offer("acme", "def strong(): return 3\n", strong="strong")
    parts = registry()
    assert list(parts) == ["own", "strong"] and "strong" in parts and len(parts) == 2
    assert "acme" not in sys.modules
    assert parts["strong"]() == 3 and parts["strong"] is parts["strong"]
    with pytest.raises(ValueError, match="unknown part 'strnog'; did you mean 'strong'"):
        parts["strnog"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def strong(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("weak = 1", "AttributeError"),
        ("strong = 1", "a int and cannot be one"),
    ],
)
def test_a_broken_package_is_named_and_harms_nobody(offer, code, said):
    offer("broken", code, strong="strong")
    offer("acme", "def fine(): return 3\n", fine="fine")
    parts = registry()
    with pytest.raises(
        ValueError, match="part 'strong' is offered by broken 1.2.*; mend or uninstall broken$"
    ) as caught:
        parts["strong"]
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert parts["own"] is len and parts["fine"]() == 3
    assert parts.get("strong") is None and parts.usable() == ["fine", "own"]
    assert [bool(parts.problem(each)) for each in parts.offers] == [False, True]


def test_a_row_names_the_packages_whose_parts_it_may_hold(offer):
    offer("acme", "", strong="strong")
    found = versions()
    assert found["acme"] == "1.2" and "pytest" not in found and "acme" not in sys.modules


def test_two_packages_with_one_name_are_both_named(offer):
    offer("acme", "def strong(): return 3\n", strong="strong")
    offer("rival", "def strong(): return 4\n", strong="strong")
    with pytest.raises(ValueError, match="offered by acme 1.2 and rival 1.2; uninstall all but one"):
        registry()["strong"]


def test_a_part_of_ours_is_not_replaced_and_that_is_said(offer):
    offer("acme", "def own(): return 3\n", own="own")
    parts = registry()
    assert parts["own"] is len
    assert parts.problem(parts.offers[0]) == "part 'own' of acme 1.2 is not used, for gan-env has one of that name"


def test_what_stands_in_a_misspelt_group_is_told_and_not_used(offer, capsys):
    offer("acme", "def own(): return 3\n", own="own")
    known = ["gan_env.tasks", "gan_env.rewards"]
    assert registry_module.misplaced([*known, GROUP]) == []
    (entry,) = (Path(path) for path in sys.path if Path(path, "acme.py").is_file())
    (entry / "acme-1.2.dist-info" / "entry_points.txt").write_text("[gan_env.reward]\noops = acme:own\n")
    ((found, why),) = registry_module.misplaced(known)
    assert (found.name, found.package) == ("oops", "acme 1.2")
    said = "'oops' of acme 1.2 is not used: unknown entry-point group 'gan_env.reward'; did you mean 'gan_env.rewards'?"
    assert why == f"{said} Known: gan_env.tasks, gan_env.rewards"
    assert main(["list", "plugins"]) == 0
    told = capsys.readouterr()
    assert said in told.err and "oops" not in told.out
    assert main(["list", "plugins", "--json"]) == 0
    assert said in json.loads(capsys.readouterr().out)["plugins"][0]["problem"]


def installed(folder: Path, source: Path = PLUGIN) -> dict[str, str]:
    """The environment of a process in which the package in `source` is installed, built by pip without a network."""
    pip = ("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", folder, source)
    subprocess.run([sys.executable, *pip], check=True, capture_output=True, text=True)
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def run(*arguments: object, env: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, env=env, cwd=cwd, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_template_is_installed_listed_checked_and_benchmarked(tmp_path):
    code = [p for p in PLUGIN.rglob("*") if p.suffix in (".py", ".toml")]
    assert sum(len(p.read_text().splitlines()) for p in code) < 60
    source = tmp_path / "source"
    source.mkdir()
    for file in code:  # pip would leave its build in the tree
        (source / file.name).write_bytes(file.read_bytes())
    env = installed(tmp_path / "site", source)
    listed = json.loads(run("-m", "gan_env", "list", "--json", env=env, cwd=tmp_path))
    assert "moons" in listed["tasks"] and "d_loss" in listed["rewards"] and "cooling" in listed["controllers"]
    assert [each["package"] for each in listed["plugins"]] == ["gan-env-moons 0.1.0"] * 3
    kit = (
        "from agents.testing import check_controller; from gan_env.testing import *; "
        "check_task('moons'); check_reward('d_loss'); check_controller('cooling')"
    )
    run("-W", "error", "-c", kit, env=env, cwd=tmp_path)
    asked = ("--tasks", "moons", "--controllers", "cooling,sim-gda", "--reward", "d_loss", "--seeds", "2")
    size = ("--updates", "20", "--batch-size", "8", "--group-rows", "2", "--jobs", "2", "--out", "mine")
    run("-m", "gan_env", "bench", *asked, *size, env=env, cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "mine" / "rows.jsonl").read_text().splitlines()]
    assert {(row["task"], row["controller"], row["status"]) for row in rows} == {
        ("moons", "cooling", "ok"),
        ("moons", "sim-gda", "ok"),
    }
    assert all(row["return_name"] == "d_loss" and row["versions"]["gan-env-moons"] == "0.1.0" for row in rows)
