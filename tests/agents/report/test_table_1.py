"""Promises of the thesis' table under other readings: which rows stand where, and what holds under all of them."""

import numpy as np
import pytest

from agents.benchmark.suites import READINGS, SUITES
from agents.report.numbers import number
from benchmarks import table_1

LEVEL = {"sim-gda": 3.0, "alt-gda-1": 4.0, "alt-gda-5": 1.0, "dyn-gda": 2.0}


def rows(score=lambda part, controller: LEVEL[controller]):
    """A row for each run of the suite, with three seeds."""
    return [
        {"part": part.name, "loss": loss, "task": task, "controller": controller, "seed": seed, "status": "ok",
         "score": score(part.name, controller) + seed / 100}
        for part in SUITES["dynamic-gda-table-1-readings"]
        for loss in part.losses
        for task in part.tasks
        for controller in part.controllers
        for seed in range(3)
    ]  # fmt: skip


def test_every_reading_has_every_order_in_every_cell():
    readings = table_1.readings_of(rows())
    assert [each.title for each in readings] == [
        "β₁ = 0.5, 30,000 updates", "β₁ = 0.5, 30,000 rounds", "β₁ = 0.9, 30,000 updates", "β₁ = 0.9, 30,000 rounds",
    ]  # fmt: skip
    for each in readings:
        assert each.medians.shape == (32, 4)
        np.testing.assert_array_equal(each.ranks, np.tile([3.0, 4.0, 1.0, 2.0], (32, 1)))


def test_a_reading_in_rounds_has_the_long_runs_of_the_alternating_orders_alone():
    def score(part, controller):
        return LEVEL[controller] + (10 if "rounds" in part else 0)

    updates, rounds, *_ = table_1.readings_of(rows(score))
    assert (rounds.medians - updates.medians == [0, 10, 10, 0]).all()


def test_what_holds_under_every_reading_is_said_first_and_what_does_not_is_left_out():
    whole = table_1.page(table_1.readings_of(rows()), {("ring", "wgan", "sim-gda"): 0.05})
    assert whole.index("`alt-gda-5` before `sim-gda`") < whole.index("| reading |")
    assert "in 32 of 32 cells: `sim-gda` 0, `alt-gda-1` 0, `alt-gda-5` 32" in whole
    assert f"| `{READINGS['wgan']}`, `ring` | 3.01, thesis {number(0.05)} |" in whole

    def turned(part, controller):
        return -LEVEL[controller] if "0.9" in part else LEVEL[controller]

    told = table_1.robust(table_1.readings_of(rows(turned)))
    assert "no pair" in told[0] and "in 8 of 32 cells" in told[1]  # RMSprop's two losses have no β₁


def test_rows_that_lack_an_order_are_refused():
    with pytest.raises(ValueError, match=r"dyn-gda for \('bce', 'ring'\)"):
        table_1.readings_of(row for row in rows() if row["controller"] != "dyn-gda")
