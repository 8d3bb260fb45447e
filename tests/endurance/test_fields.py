"""Nothing that a field of a row or of a configuration says ends in a traceback, a hang, or a changed file."""

import copy
import json
import random
import re
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.benchmark import command, running
from agents.benchmark.executors import Failed
from agents.training.train_config import TrainConfig, plain
from gan_env.cli import main
from gan_env.io import files
from tests.support.report_rows import rows as report_rows
from tests.support.small_benchmark import config, ran

VALUES = (
    {}, [], [[]], [1], {"a": 1}, 10**30, -(10**30), 10**400, 1.5, -1, 0, True, None, "", "x", "\x1b[2J\x1b]0;gone\x07",
    "a\nb\rc", "\ud800", "x" * 10_000, 1e300, -1e-300, float("nan"), float("inf"), "../..", "ring", "1", [None],
    "\u202e",
    {"\x1b[31m": "\x1b[31m"}, ["\x1b[31m"], "folder:/nowhere@64", "mine.safetensors",
)  # fmt: skip
MISSING = object()
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What a terminal obeys, but for the end of a line."""
SECONDS = 10


def places(tree, depth: int = 0):
    """Every place in a tree of dicts and lists, those near its root often."""
    items = list(tree.items() if isinstance(tree, dict) else enumerate(tree[:4]) if isinstance(tree, list) else ())
    return [(tree, key) for key, _ in items] * (4 if depth < 2 else 1) + [
        place for _, value in items for place in places(value, depth + 1)
    ]


def changed(tree, rng: random.Random):
    """The tree with one value of another kind, or one fewer."""
    tree = copy.deepcopy(tree)
    container, key = rng.choice(places(tree))
    value = rng.choice([MISSING, MISSING, MISSING, *VALUES])
    if value is not MISSING:
        container[key] = value
    else:
        container.pop(key)
    return tree


def spoil(folder: Path, rows: list, held, rng: random.Random) -> None:
    """Writes the files with a change of one field: of the configuration, of the first row, or the same of all rows."""
    how = rng.randrange(4) if held is None or "agent" not in held else 0
    if how == 0 and held is not None:
        held = changed(held, rng)
    elif how == 1:
        seed = rng.random()
        rows = [changed(row, random.Random(seed)) for row in rows]
    else:
        rows = [changed(rows[0], rng), *rows[1:]]
    if rng.random() < 0.3:
        rows = [rows[0], *(changed(row, rng) for row in rows[1:2]), *rows[2:]]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if held is not None:
        (folder / "config.json").write_text(json.dumps(held))


@contextmanager
def within(seconds: int):
    """Raises where the block takes more of the processor's time than that."""

    def late(*_):
        raise AssertionError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A benchmark with runs that choose a constant, so that it has both files of rows."""
    place = tmp_path_factory.mktemp("tuned") / "out"
    return ran(place, config(controllers=("sim-gda", "best-constant"), seeds=2, tune_seeds=1, constants=(0.5, 2.0)))


@pytest.fixture
def remembered(tuned, monkeypatch):
    """Groups that are run come out as they did, so that thousands of calls take no training."""

    remembered_groups = {group.id for group in tuned.groups}  # a changed configuration can ask for others

    def engine(jobs):
        def run(take, say):
            while (job := take()) is not None:
                known = job.group.id in remembered_groups
                yield job, [dict(row) for row in tuned.rows_of(job.group)] if known else Failed("nothing to remember")

        return run

    monkeypatch.setattr(command, "local_executor", engine)
    monkeypatch.setattr(running, "WAIT_S", 0.0)
    monkeypatch.setattr(files.os, "fsync", lambda handle: None)


def read(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().splitlines()]


CALLS = {
    "report": ["report", "--out", "page"], "report --markdown": ["report", "--markdown"], "watch": ["watch"],
    "watch --json": ["watch", "--json"], "watch, training": ["watch"], "verify": ["verify"], "bench": ["bench"],
}  # fmt: skip


def fuzz(name: str, seeds: range, tuned, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "given"
    folder.mkdir()
    rows, held = read(tuned.path / "rows.jsonl"), json.loads((tuned.path / "config.json").read_text())
    if name.startswith("report"):
        rows, held = (
            [*report_rows(seeds=2), *report_rows(seeds=2, loss="wgan", d_lr=1e-3)],
            {"command": "x", "suite": "y"},
        )
    if name == "watch, training":
        held = plain(TrainConfig())
    selection = (tuned.path / "selection.jsonl").read_bytes()
    for seed in seeds:
        rng = random.Random(seed)
        spoil(folder, rows, held, rng)
        if not name.startswith("report"):
            (folder / "selection.jsonl").write_bytes(selection)
            if rng.random() < 0.2:
                spoiled = [changed(row, rng) for row in read(tuned.path / "selection.jsonl")]
                (folder / "selection.jsonl").write_text("".join(json.dumps(row) + "\n" for row in spoiled))
        before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
        call = ["bench", "--out", str(folder)] if name == "bench" else [CALLS[name][0], str(folder), *CALLS[name][1:]]
        with within(SECONDS):
            try:
                code = main(call)
            except Exception as error:
                raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        said = capsys.readouterr()
        assert code in (0, 1, 2), seed
        assert not CONTROL.search(said.out + said.err), (seed, CONTROL.search(said.out + said.err))
        after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
        if name == "bench" and "groups to run" in said.err:  # a sound configuration, of more runs than there are
            assert all(after[each].startswith(content) for each, content in before.items()), seed
            continue
        assert code == 0 or said.err.count("\n") == 1 or name == "verify", (seed, said.err)
        assert after == before, seed


@pytest.mark.parametrize("name", CALLS)
def test_a_changed_field_is_refused_in_one_line_or_does_no_harm(name, tuned, remembered, tmp_path, capsys, monkeypatch):
    fuzz(name, range(4 if name == "report" else 40), tuned, tmp_path, capsys, monkeypatch)


@pytest.mark.endurance
@pytest.mark.parametrize("name", CALLS)
def test_thousands_of_changed_fields_do_no_harm(name, tuned, remembered, tmp_path, capsys, monkeypatch):
    count = {"report": 300, "report --markdown": 2_700, "watch": 1_500, "watch --json": 1_500}.get(name, 3_000)
    fuzz(name, range(1_000, 1_000 + count), tuned, tmp_path, capsys, monkeypatch)
