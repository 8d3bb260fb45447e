"""A folder from somebody else cannot cost more than its size suggests, unless the user says so."""

import json
import os
import shutil
import struct
import threading
import time

import pytest

from agents.training.checkpoints import STATE, Checkpoints
from agents.training.meta_training import train_meta
from agents.training.train_config import plain
from gan_env.cli import main
from gan_env.io import files
from tests.contracts.test_foreign_folders import TRAINING


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A training that ended, with its log, before it was judged."""
    run = tmp_path_factory.mktemp("ended") / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(plain(TRAINING)))
    train_meta(TRAINING, run / "tensorboard", Checkpoints(run, 3600.0))
    return run


@pytest.fixture
def run(ended, tmp_path):
    """Its copy, which may be spoiled."""
    return shutil.copytree(ended, tmp_path / "run")


def change(folder, place, value):
    held = json.loads((folder / "config.json").read_text())
    at = held
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    (folder / "config.json").write_text(json.dumps(held))


def refused(call, capsys, *words):
    start = time.process_time()
    assert main(list(map(str, call))) != 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(word in said for word in words), said
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("decisions",), 10**12), (("num_envs",), 100_000), (("env", "episode_updates"), 2 * 10**9),
        (("evaluate_seeds",), 10**6), (("controllers",), [f"constant:{i}" for i in range(1, 9_999)]),
        (("agent", "hidden"), [100_000, 100_000]), (("agent", "hidden"), [64] * 9_000),
        (("agent", "buffer_size"), 10**12), (("agent", "gradient_steps"), 10**9), (("agent", "batch_size"), 10**9),
        (("controllers",), ["fsco(hidden=(100000, 100000))"]), (("controllers",), ["lookahead(horizon=1000000000)"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_training_that_asks_for_far_more_than_any_of_ours_is_not_begun(place, value, run, capsys):
    (run / STATE).unlink()
    change(run, place, value)
    if place == ("controllers",) and len(value) > 1:
        change(run, ("evaluate_seeds",), 3)
    refused(["train", "--resume", run], capsys, "config.json")
    assert not (run / STATE).exists() and not (run / "agent.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"executor": "ray", "address": "ray://somewhere:10001"}, "--address"), ({"jobs": 3_000}, "--jobs"),
        ({"agent": {"population": 10**8}}, "population"), ({"agent": {"seeds": 999_999}}, "seeds"),
    ],
)  # fmt: skip
def test_a_training_by_evolution_goes_to_no_cluster_and_starts_no_horde_that_only_its_folder_names(
    more, word, run, capsys
):
    (run / STATE).unlink()
    held = json.loads((run / "config.json").read_text())
    held |= {"algorithm": "es", **more, "agent": dict.fromkeys(held["agent"]) | more.get("agent", {})}
    held["env"]["reward"] = "final_quality"
    (run / "config.json").write_text(json.dumps(held))
    refused(["train", "--resume", run], capsys, "config.json", word)


@pytest.mark.parametrize(
    ("field", "value"), [("updates", 10**12), ("group_rows", 10**6)], ids=str,
)  # fmt: skip
@pytest.mark.parametrize("command", [["bench", "--out"], ["verify"]], ids=str)
def test_a_benchmark_that_asks_for_far_more_than_any_of_ours_is_not_begun(command, field, value, copy, capsys):
    (copy / "rows.jsonl").unlink()
    change(copy, ("parts", 0, field), value)
    if field == "group_rows":
        change(copy, ("parts", 0, "seeds"), 24_000)
    refused([*command, copy], capsys, "config.json", "--trust")


def test_whoever_names_the_benchmark_in_the_call_or_trusts_it_may_ask_for_any_amount(copy):
    from agents.benchmark.folder import open_folder

    (copy / "rows.jsonl").unlink()
    change(copy, ("parts", 0, "updates"), 10**12)
    held = open_folder(copy, None, trust=True)
    assert open_folder(copy, held.config).groups[0].updates == 10**12


@pytest.mark.parametrize("command", [["verify"], ["watch"]], ids=str)
def test_many_parts_and_many_groups_are_planned_in_a_moment(command, copy, capsys):
    held = json.loads((copy / "config.json").read_text())
    part = held["parts"][0] | {"seeds": 1, "controllers": ["sim-gda"]}
    (copy / "config.json").write_text(json.dumps(held | {"parts": [part | {"name": str(i)} for i in range(9_000)]}))
    refused([*command, copy], capsys, "config.json", "parts")


def test_the_plan_of_many_groups_takes_time_in_proportion():
    from agents.benchmark.plan import plan
    from tests.support.small_benchmark import config

    def seconds(seeds):
        start = time.process_time()
        assert len(plan(config(seeds=seeds, group_rows=2))) == seeds
        return time.process_time() - start

    seconds(500)
    assert seconds(8_000) < 3 * 8 * seconds(1_000)


# -- a training's saved state -------------------------------------------------------------------------------------


def log_name(run):
    return next((run / "tensorboard").iterdir()).name


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("model", "counters", "num_timesteps"), -(10**15)), (("model", "counters", "num_timesteps"), 10**15),
        (("logs", "LOG"), -5), (("logs", "LOG"), True), (("model", "last"), [None, None]),
        (("untrained",), []), (("model", "log", "counts"), {"a": "b"}), (("model", "log", "values"), {"a": "b"}),
        (("model", "episodes"), [{"r": "a", "l": 1, "t": 1.0}]),
    ],
    ids=str,
)  # fmt: skip
def test_a_state_that_no_training_could_have_is_refused_by_name(place, value, run, capsys):
    checkpoints = Checkpoints(run, 0.0)
    state = checkpoints.load()
    assert state is not None
    at = state["training"]
    for name in place[:-1]:
        at = at[name]
    at[place[-1].replace("LOG", log_name(run))] = value
    checkpoints.save(state)
    refused(["train", "--resume", run], capsys, STATE)


def test_last_observations_of_other_rows_are_refused_by_name(run, capsys):
    checkpoints = Checkpoints(run, 0.0)
    state = checkpoints.load()
    assert state is not None
    seen, begun = state["training"]["model"]["last"]
    state["training"]["model"]["last"] = [seen.repeat(3, 1), begun]
    checkpoints.save(state)
    refused(["train", "--resume", run], capsys, STATE)


@pytest.mark.parametrize("name", [STATE, "table.txt", "rows.jsonl"])
def test_a_file_that_consists_of_holes_is_refused_unread(name, run, copy, capsys):
    folder = copy if name == "rows.jsonl" else run
    if name == "table.txt":
        (run / STATE).unlink()
    with (folder / name).open("ab") as file:
        file.truncate(2**31)
    refused({"rows.jsonl": ["report", folder]}.get(name, ["train", "--resume", folder]), capsys, name)


# -- logs and tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2**63, 2**60])
def test_a_log_with_a_record_of_impossible_length_is_refused_by_name(length, run, capsys):
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    head = struct.pack("<Q", length)
    with (run / "tensorboard" / log_name(run)).open("ab") as file:
        file.write(head + struct.pack("<I", masked_crc32c(head)) + b"x" * 20)
    refused(["watch", run], capsys, "tensorboard", "damaged")


@pytest.mark.parametrize("command", [["watch"], ["train", "--resume"]], ids=str)
def test_a_table_that_is_no_text_is_refused_by_name(command, run, capsys):
    (run / STATE).unlink()
    (run / "table.txt").write_bytes(b"\xff\xfe\x00")
    refused([*command, run], capsys, "table.txt")


@pytest.mark.parametrize(("field", "most"), [("controller", 200), ("d_lr", 1_000)])
def test_more_than_a_report_can_compare_is_refused_at_once(field, most, copy, capsys):
    (row, *_) = map(json.loads, (copy / "rows.jsonl").read_text().splitlines())
    row.pop("trace")
    values = [f"c{i}" if field == "controller" else 1e-4 + 1e-8 * i for i in range(most + 1)]
    (copy / "rows.jsonl").write_text("".join(json.dumps(row | {field: value}) + "\n" for value in values))
    refused(["report", copy], capsys, "rows.jsonl", f"{most:,}")


# -- names --------------------------------------------------------------------------------------------------------


def test_a_number_is_a_path_where_such_a_file_is(tmp_path, monkeypatch):
    from agents.named_places import refuse_elsewhere

    monkeypatch.chdir(tmp_path)
    for held in ({"task": "mnist:7"}, {"controllers": ["replay:7"]}):
        refuse_elsewhere(tmp_path / "given", held)
    (tmp_path / "7").touch()
    for held in ({"task": "mnist:7"}, {"controllers": ["replay:7"]}):
        with pytest.raises(ValueError, match="--trust"):
            refuse_elsewhere(tmp_path / "given", held)


# -- exchanged while it runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda path: files.write_whole(path, b"ours"), lambda path: files.add_to(path, b"ours"),
        lambda path: files.cut(path, 0), lambda path: files.read_bytes(path), lambda path: files.Lock(path).take(),
    ],
    ids=["write_whole", "add_to", "cut", "read_bytes", "lock"],
)  # fmt: skip
def test_a_name_that_is_exchanged_for_a_link_all_the_time_never_leads_outside(write, tmp_path):
    dear, place, stop = tmp_path / "dear", tmp_path / "place", threading.Event()
    dear.write_bytes(b"dear")

    def exchange():
        while not stop.is_set():
            for name in ("link", "file"):
                other = tmp_path / name
                other.symlink_to(dear) if name == "link" else other.write_bytes(b"harmless")
                os.replace(other, place)

    thread = threading.Thread(target=exchange)
    thread.start()
    end, done = time.monotonic() + 0.4, 0
    try:
        while time.monotonic() < end:
            try:
                assert write(place) != b"dear"
                done += 1
            except OSError:
                pass
    finally:
        stop.set()
        thread.join()
    assert dear.read_bytes() == b"dear" and dear.stat().st_nlink == 1 and not dear.is_symlink()
