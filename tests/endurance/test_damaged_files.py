"""Promises to whoever hands in rubbish: one line, no traceback, no hang, nothing lost, nothing run."""

import contextlib
import io
import json
import os
import pickle
import random
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from agents.diagnose.diagnose import diagnose
from agents.diagnose.loss_logs import read_losses
from agents.learned.settings import AgentConfig
from agents.report.model import make_report
from agents.training.checkpoints import FORMAT, STATE, VERSION, Checkpoints
from agents.training.main_job import TrainConfig, plain, read_config, resume
from agents.training.meta_training import train_meta
from gan_env import GANVectorEnv, Snapshot, SnapshotError
from gan_env.cli import main
from gan_env.data.meshes import read_mesh
from gan_env.data.picture_files import Folder, Format
from gan_env.data.sources import fashion
from gan_env.envs.config import EnvConfig
from gan_env.io.tensor_files import read_tensors, write_tensors
from gan_env.losses.losses import get_loss
from tests.support.report_rows import row as a_row

CONFIG = TrainConfig(
    env=EnvConfig(task="ring", batch_size=4, episode_updates=4, updates_per_step=2),
    agent=AgentConfig(hidden=(4,), learning_starts=4, batch_size=4, buffer_size=20),
    decisions=12,
    num_envs=2,
    evaluate_seeds=2,
    controllers=(),
    progress=False,
)
RUN = Path("touched-by-a-file")
"""What a hostile file would write if anything of it were executed."""


class Hostile:
    def __reduce__(self):
        return (Path.touch, (RUN,))


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with a few bytes changed, cut, doubled, or replaced by something else altogether."""
    how = rng.randrange(7)
    spot = rng.randrange(len(content))
    if how == 0:
        return content[:spot]
    if how == 1:
        changed = bytearray(content)
        for _ in range(rng.randint(1, 6)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if how == 2:
        return content[:spot] + bytes(rng.randrange(256) for _ in range(rng.randint(1, 40))) + content[spot:]
    if how == 3:
        return content[:spot] + content[spot + rng.randint(1, 200) :]
    if how == 4:
        return pickle.dumps(Hostile())
    if how == 5:
        return rng.choice([b"", b"\0" * 64, b"\xff" * 16, b"[" * 100_000, b"{}", b"null", b'{"a": NaN}'])
    return rng.randbytes(rng.randint(1, 3_000))


def one_line(error: BaseException) -> None:
    assert "\n" not in str(error) and str(error)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A snapshot, a run's folder with a saved state, and an environment."""
    folder = tmp_path_factory.mktemp("made")
    env = GANVectorEnv(2, config=CONFIG.env, score=False)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.snapshot().save(folder / "kept.safetensors")
    run = folder / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(plain(CONFIG), indent=2))
    train_meta(CONFIG, None, Checkpoints(run, 3600.0))
    return folder, env


def fuzz_snapshot(made, tmp_path, rng: random.Random) -> None:
    folder, env = made
    before = env.snapshot().rows
    path = tmp_path / "kept.safetensors"
    path.write_bytes(mutated((folder / path.name).read_bytes(), rng))
    held = path.read_bytes()
    if held == (folder / path.name).read_bytes():
        return
    with pytest.raises(SnapshotError) as caught:
        env.restore(Snapshot.load(path))
    one_line(caught.value)
    assert path.read_bytes() == held
    assert all(torch.equal(value, before[name]) for name, value in env.snapshot().rows.items())


def fuzz_config(made, tmp_path, rng: random.Random) -> None:
    """Broken bytes, or JSON that is whole and says something else."""
    path = tmp_path / "config.json"
    content = (made[0] / "run" / "config.json").read_bytes()
    if rng.random() < 0.5:
        held = json.loads(content)
        place = rng.choice([held, held["env"], held["agent"]])
        name = rng.choice(sorted(place))
        place[name] = rng.choice([None, -1, 0, 2.5, 1e300, "", "x", [], [1], {}, True, 10**30, float("nan"), "../.."])
        content = json.dumps(held).encode()
    else:
        content = mutated(content, rng)
    path.write_bytes(content)
    try:
        config = read_config(path)
    except ValueError as error:
        one_line(error)
        assert "config.json" in str(error)
    else:
        assert isinstance(config, TrainConfig) and isinstance(config.env, EnvConfig)
    assert path.read_bytes() == content


def fuzz_run_folder(made, tmp_path, rng: random.Random) -> None:
    out = tmp_path / "run"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(made[0] / "run", out)
    broken = out / rng.choice([STATE, "config.json"])
    broken.write_bytes(mutated(broken.read_bytes(), rng))
    if broken.name == "config.json" and rng.random() < 0.3:
        broken.unlink()
        broken.mkdir()
    held = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    if held.items() == {p.name: p.read_bytes() for p in (made[0] / "run").iterdir()}.items():
        return
    if broken.is_file() and broken.name == "config.json":
        with contextlib.suppress(ValueError):
            read_config(broken)
            return  # still a configuration: the saved state tells whether the same, see the tests of resuming
    with pytest.raises((ValueError, OSError)) as caught:
        resume(out, progress=False)
    one_line(caught.value)
    after = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file() and p.name != ".lock"}
    assert after == {name: content for name, content in held.items() if name != ".lock"}


def leaves(tree) -> list[tuple[dict | list, str | int]]:
    """Every place in a tree of dicts and lists, as the container and its key."""
    items = list(tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ())
    return [(tree, key) for key, _ in items] + [place for _, value in items for place in leaves(value)]


def fuzz_signed_state(made, tmp_path, rng: random.Random) -> None:
    """A saved training whose checksum is right and whose content is not: one value or tensor is another."""
    folder, _ = made
    path = tmp_path / STATE
    content, tensors = read_tensors(folder / "run" / STATE, FORMAT, VERSION, error=ValueError, remedy="")
    if rng.random() < 0.7:
        container, key = rng.choice(leaves(content["state"]["training"]))
        container[key] = rng.choice([None, -1, 0, 10**30, 2.5, float("nan"), "x", [], [1], {}, True, "tensor:nowhere"])
    else:
        name = rng.choice(sorted(tensors))
        changes = (Tensor.bfloat16, lambda t: t.unsqueeze(0), lambda t: t * torch.nan, lambda t: t[:0])
        change = rng.choice(changes)
        with contextlib.suppress(IndexError):  # a number has no first part
            tensors[name] = change(tensors[name])
    write_tensors(path, FORMAT, VERSION, content, tensors)
    try:
        train_meta(CONFIG, None, Checkpoints(tmp_path, 3600.0))
    except ValueError as error:
        one_line(error)


WORDS = (
    "train", "list", "data", "--out", "--resume", "--task", "--loss", "--decisions", "--num-envs", "--json", "--d-lr",
    "--controllers", "--features", "--seed", "--device", "-1", "0", "nan", "1e999", "99999999999999999999", "ring:",
    "rng", "folder:/nowhere@0", "folder:@", "wgan-gp:-3", "", "--", "-", "\x00", "💥", "../..", "$(touch x)", "fsco:3",
    "{}", "[]", "None", "__import__('os')", "cuda:77", "--evaluate-seeds", "--save-every", "--hidden", "--gamma",
)  # fmt: skip


def fuzz_command_line(made, tmp_path, rng: random.Random) -> None:
    """Words that no command is made of; what could begin a real training is made to fail by a wrong setting."""
    arguments = [rng.choice(WORDS) for _ in range(rng.randint(1, 6))]
    if arguments[0] == "train":
        arguments += ["--evaluate-seeds", "1"]
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(out):
        try:
            code = main(arguments)
        except SystemExit as ended:  # the parser's own way to say that an option is wrong
            code = ended.code
            assert code in (0, 2), arguments
        else:
            assert code in (0, 1, 2), arguments
            assert code == 0 or said.getvalue().count("\n") == 1, (arguments, said.getvalue())
    assert "Traceback" not in said.getvalue() + out.getvalue(), arguments


def picture_file(name: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).save(path / name)

    return write


def idx_files(path: Path) -> None:
    for part in ("train", "t10k"):
        (path / f"{part}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + struct.pack(">3i", 2, 28, 28) + bytes(2 * 784)
        )
        (path / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">i", 2) + bytes(2))


def loss_log(path: Path) -> None:
    lines = [f"[{i}/50] Loss_D: {1.3 + i % 7 / 9:.3f} Loss_G: {0.7 - i % 5 / 9:.3f}" for i in range(50)]
    (path / "log.txt").write_text("\n".join(lines))


def report_rows(path: Path) -> None:
    found = [a_row(controller, seed) for controller in ("sim-gda", "dyn-gda") for seed in range(3)]
    (path / "rows.jsonl").write_text("\n".join(map(json.dumps, found)) + "\n")


def mesh_file(kind: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pytest.importorskip("trimesh").creation.box().export(path / f"box.{kind}")

    return write


def read_a_mesh(path: Path) -> None:
    (file,) = path.iterdir()
    read_mesh(str(file), file.suffix[1:], str(file))


DATA_FILES = (
    *(
        (picture_file(name), lambda path: Folder(str(path)).read(Format.square(8), least=1))
        for name in ("one.png", "one.jpg", "one.gif", "one.bmp")
    ),
    *((mesh_file(kind), read_a_mesh) for kind in ("obj", "ply", "stl")),
    (idx_files, lambda path: fashion(path, 28)),
    (loss_log, lambda path: diagnose(read_losses(path / "log.txt")[0], get_loss("bce"))),
    (report_rows, lambda path: make_report(path)),
)
"""Who writes a file of data, and who reads it."""


def fuzz_data_file(made, tmp_path, rng: random.Random) -> None:
    """Broken in any way, or such that it still means something: the reader gives what it holds, or names the file."""
    place = tmp_path / "data"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    write, read = rng.choice(DATA_FILES)
    write(place)
    broken = rng.choice(sorted(place.iterdir()))
    content = mutated(broken.read_bytes(), rng)
    broken.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged pictures, by who reads them
        try:
            read(place)
        except ValueError as error:
            one_line(error)
            assert broken.name in str(error) or place.name in str(error)
    assert broken.read_bytes() == content and set(tmp_path.iterdir()) <= {place}


KINDS = (fuzz_snapshot, fuzz_config, fuzz_run_folder, fuzz_signed_state, fuzz_command_line, fuzz_data_file)


def fuzz(kind, made, tmp_path, monkeypatch, seeds: range) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in seeds:
        kind(made, tmp_path, random.Random(seed))
        assert not (tmp_path / RUN).exists() and not os.path.exists("x")


@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_is_refused_on_one_line(kind, made, tmp_path, monkeypatch):
    fuzz(kind, made, tmp_path, monkeypatch, range(25))


@pytest.mark.endurance
@pytest.mark.parametrize("kind", KINDS)
def test_two_thousand_pieces_of_rubbish_are_refused(kind, made, tmp_path, monkeypatch):
    fuzz(kind, made, tmp_path, monkeypatch, range(1_000, 1_500))
