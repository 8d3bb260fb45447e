"""Imports point one way: games and trainer know no environment, the environment no controllers."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import import_graph

ROOT = import_graph.ROOT
SCRIPTED = {"base", "registry"} | {
    f"rules.{name}" for name in ("scripted", "gda", "dynamic_gda", "gap_aware", "gcann", "heuristics", "random_draws")
}
HEAVY = (
    "gymnasium",
    "stable_baselines3",
    "scipy",
    "sklearn",
    "ot",
    "matplotlib",
    "torchvision",
    "tensorboard",
    "tyro",
    "tqdm",
)
"""What a controller in a user's own loop does without."""


def imported(file: Path) -> set[str]:
    """Full names of all that a file imports when it runs, at any depth; relative imports made absolute."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    tree, names = ast.parse(file.read_text()), set()
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def heads(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def parts(names: set[str], package: str) -> set[str]:
    """Which modules of a package are imported: "env" of "gan_env.envs.env.GANEnv"."""
    return {name.split(".")[1] for name in names if name.startswith(f"{package}.")}


def files(package: str) -> dict[str, Path]:
    """Name relative to the package, dotted, to file."""
    base = ROOT / package
    return {".".join(file.relative_to(base).with_suffix("").parts): file for file in sorted(base.rglob("*.py"))}


GAN_ENV, AGENTS = files("gan_env"), files("agents")
MODULES = import_graph.modules()
IMPORTS = list(import_graph.imports(MODULES))


def test_imports_point_downward_only_and_close_no_circle():
    assert not import_graph.upward(IMPORTS)
    assert not import_graph.circle(IMPORTS)


@pytest.mark.parametrize(
    ("module", "target"),
    [("gan_env.tasks.plane", "gan_env.envs.env"), ("agents.rules.gda", "agents.comparison.compare")],
)
def test_an_import_that_points_upward_is_noticed(module, target):
    assert import_graph.upward([*IMPORTS, import_graph.Import(module, target, 1)])


def test_a_circle_is_noticed():
    back = import_graph.Import("gan_env.training.optimizers", "gan_env.training.trainer", 1)
    assert {"gan_env.training.optimizers", "gan_env.training.trainer"} <= set(import_graph.circle([*IMPORTS, back]))


def test_no_module_reads_private_names_of_another():
    assert not import_graph.private_reads(MODULES)


@pytest.mark.parametrize("name", GAN_ENV)
def test_only_the_command_line_knows_the_controllers(name):
    found = imported(GAN_ENV[name])
    assert name.split(".")[0] == "cli" or "agents" not in heads(found)
    assert "stable_baselines3" not in heads(found)


def test_gymnasium_is_known_to_the_environment_alone():
    users = {name for name, file in GAN_ENV.items() if "gymnasium" in heads(imported(file))}
    assert users == {"__init__", "envs.env", "envs.vector_env"}


@pytest.mark.parametrize("name", sorted(SCRIPTED))
def test_scripted_controllers_need_records_names_and_streams_alone(name):
    found = imported(AGENTS[name])
    assert parts(found, "gan_env") <= {"argument_checks", "random", "registry", "types"}
    assert not heads(found) & set(HEAVY)


@pytest.mark.parametrize("name", AGENTS)
def test_imports_inside_agents_are_relative(name):
    # So that a package of the user's that is called `agents`, too, is never half mixed with ours.
    tree = ast.walk(ast.parse(AGENTS[name].read_text()))
    absolute = [node.module for node in tree if isinstance(node, ast.ImportFrom) and not node.level]
    assert not [module for module in absolute if module and module.split(".")[0] == "agents"]


def fresh(code: str, blocked: tuple[str, ...] = ()) -> str:
    """What a fresh interpreter prints, in which the blocked packages cannot be imported."""
    block = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, cwd="/", env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_controllers_work_where_only_torch_numpy_and_safetensors_are():
    code = """
import torch
from agents import list_controllers, make_controller
from agents.policies import policy, policy_files
from gan_env.types import GameFacts, Measurement

one, zero = torch.ones(2), torch.zeros(2, dtype=torch.float64)
seen = Measurement(real_logits=torch.ones(2, 4), fake_logits=-torch.ones(2, 4), g_loss=one, d_loss_real=one,
                   d_loss_fake=one, update=torch.zeros(2, dtype=torch.int64), progress=zero)
controller = make_controller("dyn-gda")
controller.reset([0, 1], GameFacts())
controller.act(seen).check(2)
from gan_env.losses.losses import LOSSES
print(len(list_controllers()), LOSSES["bce"].ideal_d_loss)
"""
    count, ideal = fresh(code, HEAVY).split()
    assert int(count) >= 20 and float(ideal) == pytest.approx(1.3862943611198906, abs=1e-9)


def test_importing_the_package_loads_nothing_heavy_but_gymnasium():
    code = "import gan_env, agents, json; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    loaded = json.loads(fresh("import sys\n" + code))
    assert sorted(set(loaded) & set(HEAVY) - {"gymnasium", "tqdm"}) == []  # torch loads tqdm where there is one


def test_help_and_importing_the_package_do_not_wait_for_torch():
    code = "from gan_env.cli import main; import gan_env, sys; main(['--help']); print('torch' in sys.modules)"
    assert fresh(code).split()[-1] == "False"


def test_tasks_are_there_for_whoever_looks_first():
    assert fresh("from gan_env.tasks.task import TASKS; print(len(TASKS))") == fresh(
        "import gan_env.tasks; from gan_env.tasks.task import TASKS; print(len(TASKS))"
    )


def test_ctrl_c_while_things_are_imported_gets_one_line():
    code = """
import sys
from gan_env.cli import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == "torch":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.stderr = sys.stdout
print(main(["list"]))
"""
    assert fresh(code).splitlines() == ["gan-env: stopped", "1"]


def test_importing_registers_the_ids_and_importing_again_is_harmless():
    code = """
import warnings; warnings.simplefilter("error")
import importlib, gan_env, gymnasium
importlib.reload(gan_env)
print(sorted(i for i in gymnasium.registry if i.startswith("gan_env/")) == sorted(gan_env.ENV_IDS))
env = gymnasium.make("gan_env:gan_env/Joint-v0", episode_updates=4)
print(type(env.unwrapped) is gan_env.GANEnv)
"""
    assert fresh(code).split() == ["True", "True"]


def test_a_name_the_package_does_not_have_is_an_attribute_error():
    import gan_env

    with pytest.raises(AttributeError, match="no attribute 'GANEnvv'"):
        gan_env.GANEnvv  # noqa: B018
    assert all(hasattr(gan_env, name) for name in gan_env.__all__)
