"""A folder from somebody else does no harm: what stands in the place of a file of ours is refused and left alone."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from agents.learned.settings import AgentConfig
from agents.training.checkpoints import Checkpoints
from agents.training.meta_training import train_meta
from agents.training.train_config import TrainConfig, plain
from gan_env.cli import main
from gan_env.envs.config import EnvConfig
from tests.support.report_rows import rows as report_rows
from tests.support.report_rows import write

CONTENT = b"dear and not gan-env's own\n"
KINDS = ("file", "folder", "itself", "nothing", "hard link")
TRAINING = TrainConfig(
    env=EnvConfig(task="digits", batch_size=4, episode_updates=4, updates_per_step=2),
    agent=AgentConfig(hidden=(4,), learning_starts=4, batch_size=4, buffer_size=20),
    decisions=12, num_envs=2, evaluate_seeds=2, controllers=(), progress=False,
)  # fmt: skip
FLAGS = [
    "--task", "digits", "--batch-size", "4", "--episode-updates", "4", "--updates-per-step", "2", "--decisions", "12",
    "--num-envs", "2", "--evaluate-seeds", "2", "--learning-starts", "4", "--controllers", "sim-gda",
]  # fmt: skip
RUN = ("config.json", "rows.jsonl", "agent.safetensors", "samples.png", "scores.png", "curves.png", "table.txt",
       "training.safetensors", "tensorboard", "tensorboard/events.out.tfevents.1.host.1.0", ".lock")  # fmt: skip
BENCH = ("config.json", "rows.jsonl", "selection.jsonl", "rows.jsonl.torn", "claims", "claims/rows.jsonl",
         "claims/GROUP", "generators", "generators/KEY.safetensors", "samples", "samples/digits-bce.png")  # fmt: skip
NAMES = {
    "bench": BENCH,
    "bench --retry-errors": (*BENCH, "rows.jsonl.retried"),
    "bench, new": ("config.json", "rows.jsonl", "claims", "claims/config"),
    "report": ("report.html", "figures", "figures/scores-1.png", "rows.jsonl", "config.json", "samples", "samples.png"),
    "verify": BENCH,
    "train": RUN,
    "train --resume": RUN,
    "watch": ("config.json", "table.txt", "tensorboard", ".lock"),
    "watch --film": ("film.gif", "run/config.json", "run/agent.safetensors"),
    "export": ("mine.safetensors",),
    "diagnose": ("losses.csv",),
}
"""Every file that a command writes, or that it reads from a folder of ours."""
READ = {
    "bench": tuple(name for name in BENCH if not name.endswith(".png")),  # of a group that is finished
    "verify": ("config.json", "rows.jsonl", "selection.jsonl"), "diagnose": (),
    "watch --film": ("film.gif", "run/config.json"),
}  # fmt: skip
"""Of a command, what it takes up at all, if that is not everything."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A training that was stopped after its end, before it was judged."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(plain(TRAINING)))
    train_meta(TRAINING, None, Checkpoints(run, 3600.0))
    return run


@pytest.fixture(scope="module")
def crashed(finished, tmp_path_factory):
    """A benchmark with one whole group, one that crashed, and a torn line."""
    place = tmp_path_factory.mktemp("crashed") / "out"
    place.mkdir()
    lines = (finished.path / "rows.jsonl").read_text().splitlines(keepends=True)
    broken = json.loads(lines[0]) | {"status": "error", "score": None}
    (place / "config.json").write_bytes((finished.path / "config.json").read_bytes())
    (place / "rows.jsonl").write_text(json.dumps(broken) + "\n" + "".join(lines[1:4]) + lines[4][:50])
    return place, finished.groups[1].id, json.loads(lines[4])["key"]


def made(command: str, place: Path, stopped: Path, crashed) -> tuple[Path, list[str]]:
    """The folder as somebody passed it on, and the call on it."""
    out = place / "given"
    if command in ("bench", "bench --retry-errors", "verify"):
        shutil.copytree(crashed[0], out)
        more = {"verify": [], "bench": ["--keep", "--pictures"]}.get(
            command, ["--retry-errors", "--keep", "--pictures"]
        )
        return out, ["verify", str(out)] if command == "verify" else ["bench", "--out", str(out), *more]
    if command == "bench, new":
        out.mkdir()
        return out, ["bench", "--tasks", "ring", "--controllers", "sim-gda", "--updates", "2", "--seeds", "1",
                     "--batch-size", "4", "--out", str(out)]  # fmt: skip
    if command in ("train --resume", "watch"):
        shutil.copytree(stopped, out)
        return out, ["train", "--resume", str(out)] if command == "train --resume" else ["watch", str(out)]
    out.mkdir()
    if command == "train":
        return out, ["train", *FLAGS, "--out", str(out)]
    if command == "report":
        write(out, report_rows(seeds=3), {"command": "x"})
        return out, ["report", str(out)]
    if command == "diagnose":
        return out, ["diagnose", str(out / "losses.csv")]
    if command == "export":
        return out, ["export", "--trust-pickle", str(model(place)), str(out / "mine.safetensors")]
    shutil.copytree(stopped, out / "run")
    return out, ["watch", str(out / "run"), "--film", str(out / "film.gif"), "--controller", "sim-gda", "--frames", "2"]


def model(place: Path) -> Path:
    """What Stable-Baselines3 saves of a DDPG."""
    from stable_baselines3 import DDPG

    from agents.learned.sb3.vec_env import SB3VecEnv
    from gan_env import GANVectorEnv

    env = SB3VecEnv(GANVectorEnv(1, config=TRAINING.env, control="learning-rate", autoreset_mode="SameStep"))
    DDPG("MlpPolicy", env, policy_kwargs={"net_arch": [4]}, buffer_size=10, device="cpu").save(place / "model.zip")
    return place / "model.zip"


def plant(path: Path, kind: str, outside: Path) -> None:
    """Puts a link where a file of ours belongs."""
    path.parent.mkdir(exist_ok=True)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    target = {"file": outside / "dear.txt", "folder": outside, "itself": path, "nothing": outside / "new"}.get(kind)
    os.link(outside / "dear.txt", path) if target is None else path.symlink_to(target)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("command", "name"), [(c, n) for c, names in NAMES.items() for n in names])
def test_a_link_in_the_place_of_a_file_of_ours_leaves_its_target_as_it_was(
    command, name, kind, tmp_path, stopped, crashed, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "dear.txt").write_bytes(CONTENT)
    given, call = made(command, tmp_path, stopped, crashed)
    path = given / name.replace("GROUP", crashed[1]).replace("KEY", crashed[2])
    plant(path, kind, outside)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in outside.iterdir()}
    code = main(call)
    said = capsys.readouterr().err.strip().split("\n")
    after = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in outside.iterdir()}
    assert after == before
    assert code in (0, 1, 2) and "Traceback" not in "\n".join(said)
    if kind != "hard link" and name in READ.get(command, NAMES[command]):
        assert code != 0 and path.is_symlink()
        assert command in ("train", "bench, new") or any(path.name in line for line in said), said
        assert sum(line.startswith("gan-env:") for line in said) <= 2


@pytest.mark.parametrize("command", ["verify", "report"])
def test_a_folder_without_write_permission_is_read_and_its_times_stay(command, finished):
    with tempfile.TemporaryDirectory() as base:
        place = Path(base) / "given"
        shutil.copytree(finished.path, place, ignore=shutil.ignore_patterns("claims"))
        call = {
            "verify": ["verify", str(place), "--groups", "1"],
            "report": ["report", str(place), "--out", f"{base}/page"],
        }
        for path in (*place.rglob("*"), place):
            os.chmod(path, 0o555 if path.is_dir() else 0o444)
        times = {str(p): (p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in (place, *place.rglob("*"))}
        os.chmod(base, 0o777)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        plain = ["setpriv", "--bounding-set=-dac_override"] if root and shutil.which("setpriv") else []
        done = subprocess.run(
            [*plain, sys.executable, "-m", "gan_env", *call[command]], capture_output=True, text=True, cwd=base,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "MPLCONFIGDIR": base, "HOME": base},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert {str(p): (p.stat().st_mtime_ns, p.stat().st_ctime_ns) for p in (place, *place.rglob("*"))} == times
        if command == "report":
            assert (Path(base) / "page" / "report.html").is_file()
        os.chmod(place, 0o755)


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("tasks", "folder:PLACE@64"), ("tasks", "mnist:PLACE"), ("controllers", "PLACE/mine.safetensors"),
        ("controllers", "replay:PLACE/mine.safetensors"), ("controllers", "autoloss(file='PLACE/mine.safetensors')"),
        ("controllers", "best-constant:mnist:PLACE"), ("controllers", "../mine.safetensors"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["bench", "verify", "watch", "train --resume"])
def test_what_a_configuration_names_elsewhere_is_read_only_if_it_is_trusted(
    command, field, name, copy, stopped, tmp_path, tmp_path_factory, capsys
):
    place = tmp_path_factory.mktemp("elsewhere")
    named = name.replace("PLACE", str(place))
    folder = copy
    if command == "train --resume":
        folder = tmp_path / "run"
        shutil.copytree(stopped, folder)
    held = json.loads((folder / "config.json").read_text())
    if command == "train --resume":
        held["env"]["task"] = named if field == "tasks" else held["env"]["task"]
        held["controllers"] = [named] if field == "controllers" else []
    else:
        held["parts"][0][field] = [named, *held["parts"][0][field]]
    (folder / "config.json").write_text(json.dumps(held))
    call = {"bench": ["bench", "--out"], "verify": ["verify"], "watch": ["watch"]}.get(command, ["train", "--resume"])
    assert main([*call, str(folder)]) == 2
    said = capsys.readouterr().err
    assert "--trust" in said and named.partition("'")[0] in said and said.count("\n") == 1
    assert main([*call, str(folder), "--trust"]) != 0  # it is read now, and nothing is there
    assert "--trust" not in capsys.readouterr().err


def test_what_lies_in_the_folder_or_was_named_in_the_call_is_read(tmp_path):
    from agents.named_places import refuse_elsewhere

    inside = {"parts": [{"controllers": [str(tmp_path / "mine.safetensors"), "constant:0.1", "alt-gda-5", "fsco"]}]}
    refuse_elsewhere(tmp_path, inside)
    refuse_elsewhere(
        tmp_path, {"parts": [{"tasks": ["ring", "folder:/x@64"]}]}, {"parts": [{"tasks": ["folder:/x@64"]}]}
    )
    with pytest.raises(ValueError, match="names '/x@64'"):
        refuse_elsewhere(tmp_path, {"parts": [{"tasks": ["ring", "folder:/x@64"]}]})


# -- costs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n in ("config.json", "rows.jsonl") for k in ("pipe", "device", "folder", "itself", "long line", "deep")]
    + [("rows.jsonl", "bomb"), ("rows.jsonl", "broken lines")],
)
@pytest.mark.parametrize("command", ["report", "watch", "verify", "bench"])
def test_what_is_no_file_or_holds_far_more_than_it_seems_is_refused_at_once(
    command, name, kind, copy, capsys, monkeypatch
):
    import gzip
    import resource
    import time

    path = copy / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)) if os.geteuid() == 0 else path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "itself":
        path.symlink_to(path)
    elif kind == "deep":
        path.write_text("[" * 1_000_000 + "\n")
    elif kind == "long line":
        path.write_text('{"x": "' + "y" * 2**25 + '"}\n')
    else:
        (copy / f"{name}.gz").write_bytes(gzip.compress(bytes(2**29) if kind == "bomb" else b"\n" * 2**24, 1))
    memory, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    monkeypatch.setattr("agents.benchmark.command.budget.costs", lambda groups, show: [])
    monkeypatch.setattr("agents.benchmark.command.budget.table", lambda found, jobs: "")
    call = {"report": ["report"], "watch": ["watch"], "verify": ["verify"], "bench": ["bench", "--budget", "--out"]}
    code = main([*call[command], str(copy)])
    said = capsys.readouterr().err
    assert "Traceback" not in said and time.process_time() - began < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 400 * 2**10
    if kind not in ("long line", "deep"):
        assert code != 0 and said.count("\n") == 1 and name in said, said


# -- names that are written so that a path does not look like one --------------------------------------------------


@pytest.mark.parametrize(
    ("field", "name"),
    [
        *(("tasks", f"folder:{tail}") for tail in ("d/..@16x16", "d/link@16,grey", "pictures@16", "~nobody-here@16")),
        ("tasks", "meshes:d/l*/*.obj"),
        ("controllers", "elsewhere(1)/m.safetensors"), ("controllers", "d/(/../../m.safetensors"),
        ("controllers", "autoloss(file='d/li' 'nk')"), ("controllers", "autoloss(file=b'd/link')"),
        ("controllers", "autoloss(file=['d/link'])"), ("controllers", "autoloss(file='d/link'"),
        ("controllers", "best-constant:folder:pictures@16"), ("controllers", "replay:d/link"),
    ],
)  # fmt: skip
def test_a_path_is_found_however_a_name_is_written(field, name, tmp_path):
    from agents.named_places import refuse_elsewhere

    held = {"parts": [{field: [name]}]}
    with pytest.raises(ValueError, match="--trust"):
        refuse_elsewhere(tmp_path, held)
    refuse_elsewhere(tmp_path, held, held)


def test_data_inside_the_folder_may_be_links_and_are_not_read_without_a_word(tmp_path):
    from agents.named_places import refuse_elsewhere

    (tmp_path / "inside").mkdir()
    with pytest.raises(ValueError, match="--trust"):
        refuse_elsewhere(tmp_path, {"parts": [{"tasks": [f"folder:{tmp_path}/inside@16"]}]})
    (tmp_path / "link.safetensors").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="--trust"):
        refuse_elsewhere(tmp_path, {"parts": [{"controllers": [str(tmp_path / "link.safetensors")]}]})


READERS = (["verify"], ["report"], ["watch"])


@pytest.mark.parametrize("command", READERS, ids=str)
def test_a_line_or_padding_without_end_is_refused_at_once(command, copy, capsys):
    rows = (copy / "rows.jsonl").read_bytes()
    with (copy / "rows.jsonl").open("r+b") as file:
        file.truncate(2**33)  # sparse: it takes no room on the disk
    start = time.process_time()
    assert main([*command, str(copy)]) != 0
    (copy / "rows.jsonl").unlink()
    (copy / "rows.jsonl.gz").write_bytes(gzip.compress(rows))
    with (copy / "rows.jsonl.gz").open("r+b") as file:
        file.truncate(2**28)
    assert main([*command, str(copy)]) != 0
    assert time.process_time() - start < 5
    said = capsys.readouterr().err
    assert said.count("\n") == 2 and "Traceback" not in said


@pytest.mark.parametrize("depth", [100, 900, 980])
@pytest.mark.parametrize("command", READERS, ids=str)
def test_deep_nesting_is_refused_in_one_line(command, depth, copy, capsys):
    text = (copy / "rows.jsonl").read_text()
    (copy / "rows.jsonl").write_text(text.replace("{", '{"zz": ' + "[" * depth + "1" + "]" * depth + ", ", 1))
    main([*command, str(copy)])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value"),
    [("controllers", [f"constant:{i}" for i in range(1, 4_001)]), ("d_lr", [1e-4 + i * 1e-9 for i in range(9_999)]),
     ("seeds", 240_000)],
    ids=["controllers", "d_lr", "seeds"],
)  # fmt: skip
@pytest.mark.parametrize("command", [["verify"], ["watch"], ["bench", "--out"]], ids=str)
def test_more_runs_than_a_folder_can_hold_are_refused_at_once(command, field, value, copy, capsys):
    held = json.loads((copy / "config.json").read_text())
    held["parts"][0][field] = value
    (copy / "config.json").write_text(json.dumps(held))
    start = time.process_time()
    assert main([*command, str(copy)]) == 2
    assert time.process_time() - start < 5 and "at most" in capsys.readouterr().err


def test_a_pipe_among_tensorboards_logs_is_refused(stopped, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    (folder / "tensorboard").mkdir(exist_ok=True)
    os.mkfifo(folder / "tensorboard" / "x.tfevents")
    assert main(["watch", str(folder)]) != 0
    assert "a pipe" in capsys.readouterr().err


def test_a_pipe_that_is_named_in_the_call_is_refused(copy, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert main(["report", str(copy), "--markdown", "--published", str(tmp_path / "pipe")]) != 0
    assert main(["export", "--trust-pickle", str(tmp_path / "pipe"), str(tmp_path / "out.safetensors")]) != 0
    assert capsys.readouterr().err.count("a pipe") == 2
