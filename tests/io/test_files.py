"""Promises of files: whole or not there, what was there stays, and one worker in a folder."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import torch

from gan_env.io import files
from gan_env.io.files import LOCK, locked, remove_partials, write_whole
from gan_env.io.tensor_files import pack, read_tensors, unpack, write_tensors


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_on_a_full_disk_what_was_there_stays(tmp_path, monkeypatch, call):
    file = tmp_path / "kept.txt"
    write_whole(file, "old")
    monkeypatch.setattr(os, call, full_disk)
    with pytest.raises(OSError, match=r"kept.txt: cannot be written \(No space left on device\)") as caught:
        write_whole(file, "new")
    assert "\n" not in str(caught.value)
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["kept.txt"]


def test_a_file_too_large_for_the_process_leaves_the_old_one(tmp_path):
    file = tmp_path / "kept.bin"
    write_whole(file, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OSError, match="cannot be written"):
            write_tensors(file, "test", 1, {}, {"x": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == b"old" and os.listdir(tmp_path) == ["kept.bin"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "kept.txt"
    write_whole(file, "old")

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(file, "new")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["kept.txt"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(OSError, match="nowhere.*name another"):
        write_whole(tmp_path / "nowhere" / "file", "text")
    with pytest.raises(OSError, match="nowhere: cannot be written to"), locked(tmp_path / "nowhere"):
        pass


def test_one_worker_at_a_time_and_the_lock_dies_with_it(tmp_path):
    code = f"""
import sys; from pathlib import Path; from gan_env.io.files import locked
with locked(Path({str(tmp_path)!r})):
    print("in", flush=True); sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(OSError, match="another process works there"), locked(tmp_path):
            pass
    finally:
        other.kill()
        other.communicate()
    with locked(tmp_path):
        with pytest.raises(OSError, match="another process"), locked(tmp_path):
            pass
    with locked(tmp_path):
        assert os.listdir(tmp_path) == [LOCK]


def test_what_a_crash_left_half_written_goes(tmp_path):
    (tmp_path / f".state.1.2{files.PARTIAL}").write_text("half")
    (tmp_path / "mine.partial").write_text("dear")
    remove_partials(tmp_path)
    assert os.listdir(tmp_path) == ["mine.partial"]


def test_a_tree_comes_back_from_a_file_as_it_was_packed(tmp_path):
    tree = {
        "weights": [torch.randn(3, generator=torch.Generator().manual_seed(0)), torch.zeros(0, dtype=torch.int64)],
        "arrays": {"x": np.arange(4.0), "mask": np.array([True, False])},
        "plain": [1, 2**100, -0.5, 1e-320, True, None, "text", np.float32(0.1)],
    }
    content, tensors = pack(tree)
    write_tensors(tmp_path / "f", "test", 1, {"tree": content}, tensors)
    content, tensors = read_tensors(tmp_path / "f", "test", 1, error=ValueError, remedy="")
    back = unpack(content["tree"], tensors)
    for a, b in zip(back["weights"], tree["weights"], strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    for name, array in tree["arrays"].items():
        assert back["arrays"][name].dtype == array.dtype and np.array_equal(back["arrays"][name], array)
    assert back["plain"] == [*tree["plain"][:-1], float(np.float32(0.1))]


def test_a_type_that_numpy_does_not_know_comes_back(tmp_path):
    write_tensors(tmp_path / "f", "test", 1, {}, {"x": torch.ones(2, dtype=torch.bfloat16), "y": torch.tensor(3)})
    tensors = read_tensors(tmp_path / "f", "test", 1, error=ValueError, remedy="")[1]
    assert tensors["x"].dtype == torch.bfloat16 and tensors["y"].item() == 3


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it is no file"):
        read_tensors(tmp_path / "pipe", "test", 1, error=ValueError, remedy="")


def test_the_same_content_is_the_same_bytes(tmp_path):
    for name in "abcdefgh":
        write_tensors(tmp_path / name, "test", 1, {"x": 1}, {"t": torch.arange(3), "u": torch.ones(2)})
    assert len({(tmp_path / name).read_bytes() for name in "abcdefgh"}) == 1


@pytest.mark.parametrize("tree", [{1: 2}, {"x": object()}, {"x": "tensor:y"}, {"x": {1, 2}}])
def test_what_a_file_cannot_hold_is_refused(tree):
    with pytest.raises(TypeError):
        pack(tree)
