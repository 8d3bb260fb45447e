"""Rows that are run again come out as they were, and what was changed is found."""

import gzip
import json
import re
from importlib.metadata import version

import numpy as np
import pytest
import torch

from agents.benchmark.executors import local_executor
from agents.benchmark.folder import open_folder
from agents.benchmark.plan import plan
from agents.benchmark.verify import verify
from tests.support.small_benchmark import config


def test_verify_finds_every_row_as_it_was(finished):
    verdicts = verify(finished, local_executor(1), groups=9)
    assert len(verdicts) == 2 and all(v.equal and v.rows == 4 for v in verdicts)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("score", lambda score: np.nextafter(score, np.inf)),
        ("return", lambda earned: earned + 1e-12),
        ("d_updates", lambda count: count + 1),
        ("failure", lambda failure: "dead generator"),
    ],
)
def test_verify_finds_a_changed_row(copy, field, change):
    lines = (copy / "rows.jsonl").read_text().splitlines()
    row = json.loads(lines[2])
    row[field] = change(row[field])
    lines[2] = json.dumps(row)
    (copy / "rows.jsonl").write_text("\n".join(lines) + "\n")
    verdicts = verify(open_folder(copy, None), local_executor(1), groups=9)
    (found,) = [d for v in verdicts for d in v.differences]
    assert (found.controller, found.seed, found.field) == (row["controller"], row["seed"], field)
    assert sum(v.equal for v in verdicts) == 1


@pytest.mark.parametrize(("relative", "found"), [(1e-15, 0), (1e-9, 1)])
def test_verify_allows_a_floor_its_last_bits_and_no_more(copy, relative, found):
    # Points of one curve have several cheapest matchings; their sums differ in rounding.
    lines = (copy / "rows.jsonl").read_text().splitlines()
    row = json.loads(lines[2])
    row["floor"] *= 1 + relative
    lines[2] = json.dumps(row)
    (copy / "rows.jsonl").write_text("\n".join(lines) + "\n")
    verdicts = verify(open_folder(copy, None), local_executor(1), groups=9)
    assert sum(d.field == "floor" for v in verdicts for d in v.differences) == found


def test_verify_can_be_held_to_groups_that_train_quickly(finished):
    with pytest.raises(ValueError, match="within 0 s"):
        verify(finished, local_executor(1), within_s=0.0)
    assert len(verify(finished, local_executor(1), groups=9, within_s=60.0)) == 2


def test_committed_results_are_verified_and_a_changed_row_or_a_broken_folder_is_found(copy, capsys):
    from benchmarks.verify_results import main

    committed = copy / "results" / "quick"
    assert main(copy / "results") == 0 and "no benchmark's folder" in capsys.readouterr().out
    committed.mkdir(parents=True)
    (committed / "config.json").write_bytes((copy / "config.json").read_bytes())
    rows = (copy / "rows.jsonl").read_text()

    def said(text):
        (committed / "rows.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        return main(copy / "results"), capsys.readouterr().out

    code, out = said(rows)
    assert code == 0 and "quick: " in out and "equal to the bit" in out
    code, out = said(changed := rows.replace('"ended": 6', '"ended": 5'))
    assert code == 1 and "ended is 5, now 6" in out
    code, out = said(changed.replace(torch.__version__, "1.0"))  # its rounding is not ours
    assert code == 0 and "likely cause" in out
    code, out = said(rows.replace(plan(config())[0].id, "0" * 16))
    assert code == 1 and "not in this configuration's plan" in out
    code, out = said(re.sub(r'"wall_s": [^,]*', '"wall_s": 99.0', rows))
    assert code == 0 and "takes longer" in out


def test_verify_names_another_version_as_the_likely_cause(copy):
    from agents.benchmark.verify import cause, report

    content = (copy / "rows.jsonl").read_text()
    content = content.replace(f'"torch": "{version("torch")}"', '"torch": "1.0"').replace('"ended": 6', '"ended": 5')
    (copy / "rows.jsonl").write_text(content)
    verdicts = verify(open_folder(copy, None), local_executor(1), groups=1)
    assert (
        not verdicts[0].equal and "version of torch 1.0 there" in cause(verdicts) and "likely cause" in report(verdicts)
    )
