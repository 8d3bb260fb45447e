"""Tasks of 3-D shapes: exact Chamfer distances, measures that collapse cannot please, meshes of one's own."""

import numpy as np
import pytest
import torch

from gan_env.data import meshes
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.metrics import chamfer as shapes
from gan_env.rendering.draw import draw_samples, shape_views
from gan_env.tasks.reference_scores import gaussian_samples, marks
from gan_env.tasks.task import make_task
from gan_env.types import Control


def brute_force(a: torch.Tensor, b: torch.Tensor) -> float:
    apart = torch.cdist(a.nonzero().double(), b.nonzero().double())
    return float((apart.amin(1).mean() + apart.amin(0).mean()) / 2)


def some_grids(count: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, 6, 7, 8)) < 0.05)


def test_chamfer_distances_are_those_of_a_search_over_all_pairs_of_voxels():
    a, b = some_grids(4, 0), some_grids(5, 1)
    found = shapes.chamfer(shapes.ShapeSet(a), shapes.ShapeSet(b))
    wanted = [[brute_force(x, y) for y in b] for x in a]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-5, atol=1e-6)


def test_two_cubes_one_voxel_apart():
    a = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    a[:, 2:4, 2:4, 2:4] = True
    # Half of each cube's voxels are covered by the other, half are one voxel away.
    assert shapes.chamfer(shapes.ShapeSet(a), shapes.ShapeSet(a.roll(1, 1))).item() == pytest.approx(0.5)


def test_an_empty_shape_is_a_diagonal_away_from_every_other():
    grids = torch.cat([some_grids(1, 0), torch.zeros(1, 6, 7, 8, dtype=torch.bool)])
    found = shapes.chamfer(shapes.ShapeSet(grids), shapes.ShapeSet(grids))
    assert found[0, 0] == 0 and found[0, 1] == found[1, 0] == pytest.approx(float(np.sqrt(36 + 49 + 64)))


def test_collapse_is_told_by_coverage_neighbours_and_diversity():
    task = make_task("furniture")
    real = task.data.validation()[: task.score.samples]
    good = task.score.details(real)
    # The shape that is nearest to the others on the whole, again and again: the best that collapse can do.
    apart = shapes.chamfer(*[shapes.ShapeSet(samples[:, 0] > 0) for samples in (task.data.test(), real)])
    collapsed = real[apart.mean(0).argmin()].expand_as(real)
    bad = task.score.details(collapsed)
    assert task.score(collapsed) > 2 * task.score(real)
    assert bad["coverage"] < 0.05 < 0.4 < good["coverage"]
    assert bad["nearest_accuracy"] > 0.9 and 0.35 < good["nearest_accuracy"] < 0.65
    assert bad["diversity"] == 0 < good["diversity"]


def test_the_nearest_neighbour_accuracy_of_separate_sets_is_one():
    near, far = torch.ones(3, 3) - torch.eye(3), torch.full((3, 3), 9.0)
    assert shapes.nearest_neighbour_accuracy(near, near, far) == 1
    assert shapes.nearest_neighbour_accuracy(far, far, near) == 0


def test_furniture_ships_and_its_marks_stand_in_order():
    task = make_task("furniture")
    assert task.data.shape == (1, 32, 32, 32) and len(task.data) > 500
    assert set(task.data.test().unique().tolist()) == {-1.0, 1.0}
    found = marks(task)
    assert 0 < found["floor"] < found["gaussian"] < task.quality.worst
    gaussian = task.score.details(gaussian_samples(task.data.train(), task.score.samples))
    assert gaussian["nearest_accuracy"] > 0.7


def test_quality_judges_rows_apart_and_gives_the_worst_to_broken_ones():
    task = make_task("furniture")
    fake = task.data.train()[: 3 * task.quality.samples].unflatten(0, (3, task.quality.samples)).clone()
    alone = torch.cat([task.quality(row[None]) for row in fake])
    fake[1, 0, 0, 0, 0, 0] = torch.nan
    found = task.quality(fake)
    assert torch.equal(found[[0, 2]], alone[[0, 2]]) and found[1] == task.quality.worst
    with pytest.raises(ValueError, match="48 generated samples are needed, got 1"):
        task.quality(fake[:, :1])


@pytest.mark.slow
def test_the_voxel_dcgan_trains():
    trainer = make_trainer(EnvConfig(task="furniture", batch_size=4, device="cpu"), 1)
    trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    trainer.advance(Control.of(1), 2)
    assert torch.isfinite(trainer.g.flat).all()


def test_a_picture_of_shapes_shows_near_slices_before_far_ones():
    shape = torch.full((1, 1, 4, 4, 4), -1.0)
    shape[0, 0, 1, 1, 0] = shape[0, 0, 2, 2, 3] = 1
    view = shape_views(shape)[0, 0]
    assert view.shape == (6, 6)
    near, far = sorted(view[view < 1].tolist(), reverse=True)
    assert near > far and (view < 1).sum() == 2
    from matplotlib.figure import Figure

    draw_samples(Figure().subplots(), make_task("furniture"), make_task("furniture").data.test()[:8])


# Meshes of one's own


def tetrahedra(path, count: int):
    pytest.importorskip("trimesh")
    for i in range(count):
        low = "v 0 0 0\nv 1 0 0\nv 0 1 0\n" + f"v 0 0 {0.2 + i / count}\n"
        file = path / f"{i:03d}" / "tpose" / "m.obj"
        file.parent.mkdir(parents=True)
        file.write_text(low + "f 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n")
    return path


def test_a_folder_of_meshes_is_voxelised_once(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ENV_DATA", str(tmp_path / "kept"))
    where = str(tetrahedra(tmp_path / "data", 42))
    grids = meshes.mesh_grids(where)
    assert grids.shape == (42, 32, 32, 32) and grids.any((1, 2, 3)).all()
    spans = [np.ptp(np.argwhere(grid), axis=0) for grid in grids]
    assert all(span.max() == 31 for span in spans)  # the longest edge spans the grid
    monkeypatch.setattr(meshes, "read_mesh", None)  # never asked again
    assert np.array_equal(meshes.mesh_grids(where), grids)
    task = make_task(f"meshes:{where}/*/tpose/m.obj")
    assert task.kind == "voxels" and len(task.data) == 30


def test_closed_shapes_are_solid_and_flat_ones_are_shapes_too():
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = [(0, 1, 3), (0, 3, 2), (4, 5, 7), (4, 7, 6), (0, 1, 5), (0, 5, 4)]
    faces += [(2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 3, 7), (1, 7, 5)]
    assert meshes.voxelised(corners[np.array(faces)]).all()
    flat = meshes.voxelised(corners[np.array(faces[:2])] * [1, 1, 0.5])
    assert flat.sum() == 32 * 16


def test_broken_and_too_few_meshes_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ENV_DATA", str(tmp_path / "kept"))
    where = tetrahedra(tmp_path / "data", 42)
    (where / "007" / "tpose" / "m.obj").write_text("no mesh")
    with pytest.raises(ValueError, match=r"007.tpose.m\.obj cannot be read as a mesh \(it holds no triangles\)"):
        make_task(f"meshes:{where}")
    with pytest.raises(ValueError, match="holds 0 meshes .* at least 40"):
        make_task(f"meshes:{tmp_path / 'nowhere'}")
    with pytest.raises(ValueError, match="meshes:PATH"):
        make_task("meshes")
