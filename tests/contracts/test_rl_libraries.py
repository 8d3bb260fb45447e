"""Promises of the scripts for RL libraries: each trains where its library is, and the page says what they say."""

import ast
import importlib.util
import json
import subprocess
import sys

import pytest

from benchmarks import integrations

SCRIPTS = integrations.scripts()


def imports_of(path):
    """Top-level packages that a script imports."""
    tree = ast.parse(path.read_text())
    named = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom | ast.Import)]
    return {
        name.partition(".")[0]
        for node in named
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_trains_300_steps_on_all_three_kinds_of_action(script):
    needed = imports_of(script.path) - {"judge"} | ({"rl_zoo3"} if script.name == "rl_zoo3" else set())
    for package in sorted(needed):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install {' '.join(script.requirements)}")
    done = subprocess.run([sys.executable, script.path], capture_output=True, text=True, cwd=integrations.ROOT)
    assert done.returncode == 0, done.stderr
    lines = integrations.parsed(done.stdout)
    assert {line["id"] for line in lines} == set(integrations.ACTIONS)
    for line in lines:
        assert int(line["steps"].split()[0]) >= integrations.LEAST_STEPS
        assert 0 < float(line["score"].split()[1]) < 10


def test_the_page_says_what_the_docstrings_say_and_has_a_row_for_each():
    page = integrations.PAGE.read_text()
    assert integrations.written(page, "scripts", integrations.install_lines()) == page
    for script in SCRIPTS:
        assert f"| [{script.library}](../examples/rl/{script.path.name}) |" in page
    assert len({script.library for script in SCRIPTS}) == len(SCRIPTS) == 8


def test_the_hyper_parameters_for_rl_zoo3_are_what_it_reads():
    from agents import SaveController
    from agents.zoo import ddpg, ppo, td3
    from gan_env import ENV_IDS
    from gan_env.envs.config import EnvConfig

    assert set(ppo.hyperparams) == set(ENV_IDS)
    assert set(ddpg.hyperparams) == set(td3.hyperparams) == set(ENV_IDS) - {"gan_env/UpdateChoice-v0"}  # no Box
    for module in (ddpg, td3, ppo):
        for entry in module.hyperparams.values():
            assert json.loads(json.dumps(entry)) == entry  # plain values, for rl-zoo3 writes them down
            EnvConfig(**entry["env_kwargs"])
            assert entry["callback"] == f"agents.{SaveController.__name__}"


def test_the_hyper_parameters_are_those_that_won_the_search():
    from agents.zoo import ddpg, off_policy, on_policy, ppo, td3

    path = integrations.ROOT / "benchmarks" / "results" / "zoo_search" / "rows.jsonl"
    tried = {}
    for row in map(json.loads, path.read_text().splitlines()):
        tried.setdefault((row["algorithm"], row["id"]), {}).setdefault(row["candidate"], []).append(row)
    for (algorithm, name), candidates in tried.items():
        twice = [rows for rows in candidates.values() if len(rows) == 2]
        won = max(twice, key=lambda rows: sum(row["return"] for row in rows))[0]
        named = ("algorithm", "id", "candidate", "seed", "return", "wall_s")
        chosen = {key: value for key, value in won.items() if key not in named}
        module, entry = {"ddpg": (ddpg, off_policy), "td3": (td3, off_policy), "ppo": (ppo, on_policy)}[algorithm]
        assert module.hyperparams[f"gan_env/{name}-v0"] == entry(**chosen)
    assert len(tried) == 7
