"""Games of the plane: one entry in `DISTRIBUTIONS` is all that a new data set needs."""

import pytest
import torch

from gan_env.data import datasets
from gan_env.data.datasets import Curve, PlaneData
from gan_env.tasks import plane


@pytest.mark.parametrize("name", sorted(plane.WORST_QUALITY))
def test_the_recorded_quality_of_untrained_generators_is_the_measured_one(name):
    task = plane.plane_task(name)
    assert plane.untrained(task.data, task.generator) == pytest.approx(plane.WORST_QUALITY[name], rel=0.15)


def test_a_new_distribution_needs_one_entry(monkeypatch):
    bent = Curve(lambda u: torch.stack([u, u.square()], -1) - 0.5)
    monkeypatch.setitem(datasets.DISTRIBUTIONS, "bent", lambda: bent)
    task = plane.plane_task.__wrapped__("bent")
    assert isinstance(task.data, PlaneData) and 0 < task.quality.worst < 10
