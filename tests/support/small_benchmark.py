"""A benchmark of seconds, for the tests of benchmarks."""

import json

from agents.benchmark import running as benchmark
from agents.benchmark.bench_config import BenchConfig, Part
from agents.benchmark.executors import local_executor
from agents.benchmark.folder import open_folder
from gan_env.envs.config import EnvConfig

GAME = EnvConfig(batch_size=8, device="cpu")
SMALL = Part(tasks=("digits",), controllers=("sim-gda", "constant:2"), updates=6, seeds=4, group_rows=4, game=GAME)
FIELDS = (
    "task loss controller d_lr g_lr optimizer order updates updates_per_step seed split status score score_name floor "
    "return d_updates g_updates wall_s dtype device threads group key versions trace"
).split()
"""Of every row, by design."""


def config(**changes):
    return BenchConfig(parts=(Part(**{**{f: getattr(SMALL, f) for f in SMALL.__dataclass_fields__}, **changes}),))


def ran(path, asked, jobs=1):
    """The folder after one whole run, as a fresh look finds it."""
    done = benchmark.run(open_folder(path, asked), local_executor(jobs))
    assert done.complete, done.failures
    return open_folder(path, None, trust=True)


def told(rows):
    """Rows without what no two runs share, in an order of their own."""
    kept = [{k: v for k, v in row.items() if k not in ("wall_s", "control_s")} for row in rows]
    return sorted(json.dumps(row, sort_keys=True) for row in kept)
