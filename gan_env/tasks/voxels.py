"""GANs of 3-D shapes in 32 x 32 x 32 voxels: `furniture`, and `meshes:PATH` for any folder of OBJ, PLY or STL files."""

from __future__ import annotations

from functools import partial

from gan_env.data.meshes import shape_data
from gan_env.metrics.chamfer import ShapeQuality, ShapeScore
from gan_env.networks.dcgan import dcgan_discriminator, dcgan_generator
from gan_env.tasks.task import TASKS, Task

LATENT_SIZE = 64
CHANNELS = 16
QUALITY_SAMPLES = 48


def shape_task(name: str, where: str | None) -> Task:
    """Builds the task of the shipped furniture (None) or of the meshes at a path."""
    data = shape_data(where)
    return Task(
        name=name,
        kind="voxels",
        generator=partial(dcgan_generator, LATENT_SIZE, data.shape, CHANNELS),
        discriminator=partial(dcgan_discriminator, data.shape, CHANNELS),
        latent_size=LATENT_SIZE,
        data=data,
        quality=ShapeQuality(data, samples=QUALITY_SAMPLES),
        score=ShapeScore(data),
        batch_size=16,
        d_lr=2e-4,
        g_lr=2e-4,
        episode_updates=2_500,
    )


@TASKS.register("furniture")
def furniture() -> Task:
    """Shapes of furniture in 32 × 32 × 32 voxels; DCGAN in three dimensions."""
    return shape_task("furniture", None)


@TASKS.register("meshes")
def meshes(path: str) -> Task:
    """Meshes in 32 × 32 × 32 voxels, `meshes:PATH`: a folder with meshes at any depth, or a pattern.

    A pattern is e.g. `3DBiCar/data/*/tpose/m.obj`.
    """
    return shape_task(f"meshes:{path}", path)
