"""Data: three splits that never meet, codes that depend on the generator given and on nothing else."""

import numpy as np
import pytest
import torch

import gan_env.tasks  # noqa: F401  registers the tasks
from gan_env.data.datasets import DISTRIBUTIONS, ArrayData, PlaneData, digits_data, digits_splits, grid, ring
from gan_env.networks.mlp import mlp, mlp_discriminator, mlp_generator

PLANE = sorted(DISTRIBUTIONS)
OWN_TASKS = [*PLANE, "digits"]


def codes(data, seed: int = 3, batch_size: int = 16) -> np.ndarray:
    return data.codes(np.random.default_rng(seed), batch_size)


@pytest.mark.parametrize(("distribution", "modes"), [(ring(), 8), (grid(), 25)])
def test_held_out_points_are_balanced_over_the_modes(distribution, modes):
    data = PlaneData(distribution)
    for points in (data.validation(), data.test()):
        nearest = torch.cdist(points.double(), torch.from_numpy(distribution.centres)).argmin(dim=1)
        # Where modes are 3.8 std from the halfway line, the odd point of thousands is nearer to a neighbour.
        assert (torch.bincount(nearest, minlength=modes) - len(points) // modes).abs().max() <= 1


def test_a_training_batch_of_the_ring_has_its_radius_and_spread():
    points = torch.from_numpy(codes(PlaneData(ring()), batch_size=4_000)).reshape(-1, 2).double()
    centres = torch.from_numpy(ring().centres)
    assert centres.norm(dim=1).tolist() == pytest.approx([0.5] * 8)
    distances, mode = torch.cdist(points, centres).min(dim=1)
    assert distances.square().mean().item() == pytest.approx(2 * 0.05**2, rel=0.03)  # two axes of variance std^2
    assert torch.bincount(mode).double().div(len(mode)).tolist() == pytest.approx([1 / 8] * 8, abs=0.008)


def test_curves_are_where_they_are_said_to_be():
    circle, line, spiral = (PlaneData(DISTRIBUTIONS[n]()).test().double() for n in ("circle", "line", "spiral"))
    assert (circle.norm(dim=1) - 0.5).abs().max() < 1e-6
    assert torch.equal(line[:, 0], line[:, 1]) and line.min() < -0.499 and line.max() > 0.499
    assert spiral.abs().max() <= 0.5 and spiral.norm(dim=1).min().item() == pytest.approx(1 / 6, abs=1e-3)


def test_an_epoch_of_digits_visits_each_image_at_most_once():
    data = digits_data()
    drawn = codes(data, batch_size=64)
    assert len(data) == 997 and drawn.shape == (15, 64)  # 997 // 64 = 15; 37 images wait for another epoch
    assert len(np.unique(drawn)) == drawn.size and drawn.min() >= 0 and drawn.max() < 997


def test_digits_are_split_by_class_without_overlap():
    from sklearn.datasets import load_digits

    splits = digits_splits()
    assert [len(splits[k].labels) for k in ("train", "validation", "test")] == [997, 400, 400]
    for name in ("validation", "test"):
        assert torch.bincount(splits[name].labels).tolist() == [40] * 10
    # No two of the 1,797 pictures are alike, so pictures stand for indices, and labels can be looked up by them.
    pixels, labels = load_digits(return_X_y=True)
    label_of = {row.tobytes(): label for row, label in zip((pixels / 8 - 1).astype(np.float32), labels, strict=True)}
    assert len(label_of) == 1797
    found = [(i.numpy().tobytes(), int(y)) for s in splits.values() for i, y in zip(s.images, s.labels, strict=True)]
    assert len({key for key, _ in found}) == 1797 and all(label_of[key] == label for key, label in found)
    everything = torch.cat([s.images for s in splits.values()])
    assert everything.min() == -1 and everything.max() == 1


def test_too_few_samples_for_a_batch_is_an_error_with_the_count():
    data = digits_data()
    with pytest.raises(ValueError, match="batch_size=998 .* 997"):
        data.block(998)
    with pytest.raises(ValueError, match="998 .* 997"):
        codes(data, batch_size=998)
    assert codes(data, batch_size=997).shape == (1, 997)


def test_splits_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\)"):
        ArrayData(torch.zeros(5, 2), torch.zeros(5, 2), torch.zeros(5, 3))


def test_players_are_the_plain_sequences_that_the_engine_knows():
    names = [type(layer).__name__ for layer in mlp_generator((4, 8, 6), (1, 2, 3), bounded=True)]
    assert names == ["Linear", "ReLU", "Linear", "Tanh", "Unflatten"]
    d = mlp_discriminator((6, 8, 8, 1), (1, 2, 3))
    assert [type(layer).__name__ for layer in d] == ["Flatten", "Linear", "LeakyReLU", "Linear", "LeakyReLU", "Linear"]
    assert d[2].negative_slope == 0.2 and d(torch.zeros(5, 1, 2, 3)).shape == (5, 1)
    with pytest.raises(ValueError, match="sizes="):
        mlp((3,), torch.nn.ReLU)
