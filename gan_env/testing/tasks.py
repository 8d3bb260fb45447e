"""Promises of every task: disjoint splits, judges that distinguish good samples from bad, players that train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from unittest import mock

import cloudpickle
import numpy as np
import torch
from torch import Tensor

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv
from gan_env.random.streams import Purpose
from gan_env.tasks.task import Task, make_task
from gan_env.testing.promises import generators_left_alone, keep_all, require, trained, trains_from_the_seed_alone


def codes(task: Task, seed: int = 3) -> np.ndarray:
    """Draws a block of training codes."""
    return task.data.codes(np.random.default_rng(seed), task.batch_size)


def fakes(task: Task, count: int, seeds: tuple[int, ...] = (0,)) -> Tensor:
    """Returns samples of untrained generators, (N, count, *shape), float32."""
    return trained(list(seeds), task=task, batch_size=4).samples(count, Purpose.QUALITY).float()


def reals(task: Task, count: int) -> Tensor:
    """Selects `count` validation samples, evenly spaced from first to last, because a split may be sorted."""
    held = task.data.validation()
    return held[torch.linspace(0, len(held) - 1, count).round().long()]


def batches_have_the_promised_shape(task: Task) -> None:
    """`block` batches of codes; float32 samples of `shape` in all three splits."""
    data, drawn = task.data, codes(task)
    wanted = (data.block(task.batch_size), task.batch_size)
    require(drawn.shape[:2] == wanted, f"a block of codes leads with {drawn.shape[:2]}, not {wanted}")
    parts = {"batch": data.batch(torch.from_numpy(drawn[:1]))[0], "validation": data.validation(), "test": data.test()}
    for name, part in parts.items():
        require(part.shape[1:] == data.shape, f"{name} has samples {tuple(part.shape[1:])}, not {data.shape}")
        require(part.dtype == torch.float32, f"{name} is {part.dtype}, not torch.float32")
        require(torch.isfinite(part).all(), f"{name} holds NaN or infinity")


def the_three_splits_share_no_sample(task: Task) -> None:
    """Unless the data are one point."""

    def seen(part: Tensor) -> set[bytes]:
        return {sample.numpy().tobytes() for sample in part}

    held, test, train = seen(task.data.validation()), seen(task.data.test()), set()
    for batch in torch.from_numpy(codes(task)):
        train |= seen(task.data.batch(batch[None])[0])
    if len(held | test | train) > 1:
        for name, both in (("validation", train & held), ("test", train & test)):
            require(not both, f"{len(both)} training samples are in the {name} split, too")
        require(not held & test, f"the validation and the test split share {len(held & test)} samples")


def splits_and_codes_are_the_same_every_time(task: Task) -> None:
    """Held-out splits never change; codes are a function of the generator given."""
    first = codes(task), task.data.validation().clone(), task.data.test().clone()
    with generators_left_alone():
        codes(task, seed=4)  # another row drew in between
        again = codes(task), task.data.validation(), task.data.test()
    require(np.array_equal(first[0], again[0]), "codes differ for the same generator")
    for name, a, b in zip(("validation", "test"), first[1:], again[1:], strict=True):
        require(torch.equal(a, b), f"the {name} split was another at the second call")


def real_samples_beat_an_untrained_generator(task: Task) -> None:
    """By quality and by score; the floor lies below the untrained score, too. A task with a `Wiring` is left out."""
    if task.wiring is not None:
        return
    fake = fakes(task, max(task.quality.samples, task.score.samples))
    both = torch.stack([reals(task, task.quality.samples), fake[0, : task.quality.samples]])
    good, bad = task.quality(both).tolist()
    require(good < bad, f"quality is {good:.4g} for real samples and {bad:.4g} for untrained ones; lower is better")
    untrained = task.score(fake[0, : task.score.samples])
    good, floor = task.score(reals(task, task.score.samples)), task.score.floor()
    require(good < untrained, f"score is {good:.4g} for real samples and {untrained:.4g} for untrained ones")
    require(0 <= floor < untrained, f"the floor {floor:.4g} is not from 0 to the untrained score {untrained:.4g}")


def the_worst_quality_is_about_what_an_untrained_generator_gets(task: Task) -> None:
    """Within a factor of ten: rewards clip there."""
    found = float(task.quality(fakes(task, task.quality.samples, (0, 1))).mean())
    worst = task.quality.worst
    require(worst / 10 <= found <= worst * 10, f"worst is {worst:.4g}, untrained generators get {found:.4g}")


def a_row_of_quality_does_not_notice_its_neighbours(task: Task) -> None:
    """Not even one with a NaN or an infinity in it, which gets `worst`; distances are float64 without a gradient."""
    rows = fakes(task, task.quality.samples, (0, 1, 2, 3))
    alone = torch.cat([task.quality(row[None]) for row in rows[::2]])
    rows[1].view(-1)[-1], rows[3].view(-1)[0] = torch.nan, -torch.inf
    found = task.quality(rows.double().requires_grad_())
    require(found.shape == (4,) and found.dtype == torch.float64, f"four rows gave {found.dtype} {tuple(found.shape)}")
    require(not found.requires_grad, "quality carries a gradient; detach it")
    close = torch.isclose(found[::2], alone, rtol=1e-4, atol=0).all()
    require(close, f"rows get {alone.tolist()} alone and {found[::2].tolist()} beside broken ones")
    worst, hurt = task.quality.worst, found[1::2]
    require((hurt == worst).all(), f"rows with NaN or infinity get {hurt.tolist()}, not worst={worst:.4g}")


def the_score_repeats_and_refuses_what_it_cannot_judge(task: Task) -> None:
    """Twice the same; ValueError for NaN and for another count. A score that is read off the players is left out."""
    if task.distance is not None:
        return
    fake = fakes(task, task.score.samples)[0]
    with generators_left_alone():
        first, second = task.score(fake), task.score(fake.double().requires_grad_())
    require(abs(first - second) <= 1e-4 * abs(first), f"the same samples score {first} and {second}")
    require(isinstance(task.score.details(fake), Mapping), "details are no mapping")
    broken = fake.clone()
    broken.flatten()[0] = torch.nan
    for samples, what in ((broken, "samples with a NaN"), (fake[:-1], "one sample too few")):
        try:
            task.score(samples)
        except ValueError:
            continue
        require(False, f"{what} raised no ValueError")


def its_gans_train_from_the_seed_alone(task: Task) -> None:
    """Two updates in double precision: finite, both players move, the same in any company, nothing drawn globally."""
    trains_from_the_seed_alone(2, task=task, batch_size=4)


def nothing_touches_test_data_before_the_score(task: Task) -> None:
    """Not the environment, not a reward that reads quality."""
    config = EnvConfig(
        task=task, reward="quality", quality_every=1, episode_updates=4, batch_size=4, score=False, device="cpu"
    )
    touched = mock.patch.object(type(task.data), "test", side_effect=AssertionError("test data were read in training"))
    with touched:
        env = GANVectorEnv(1, config=config)
        env.reset(seed=0)
        env.step(np.zeros((1, 1)))


def it_survives_the_way_into_another_process(task: Task) -> None:
    """By cloudpickle, as Gymnasium's own vector environments send it."""
    again = cloudpickle.loads(cloudpickle.dumps(task))
    require(torch.equal(again.data.validation(), task.data.validation()), "its data came back as others")
    here, there = (trained([7], task=each, batch_size=4).measurement for each in (task, again))
    require(torch.equal(here.g_loss, there.g_loss), "its first losses are others there")


PROMISES: tuple[Callable[[Task], None], ...] = (
    batches_have_the_promised_shape,
    the_three_splits_share_no_sample,
    splits_and_codes_are_the_same_every_time,
    its_gans_train_from_the_seed_alone,
    real_samples_beat_an_untrained_generator,
    the_worst_quality_is_about_what_an_untrained_generator_gets,
    a_row_of_quality_does_not_notice_its_neighbours,
    the_score_repeats_and_refuses_what_it_cannot_judge,
    nothing_touches_test_data_before_the_score,
    it_survives_the_way_into_another_process,
)


def check_task(task: str | Task) -> None:
    """Raises BrokenPromise unless a task meets the requirements of trainer, environment and benchmark.

    Takes as long as a few dozen updates and a few scores.

    Args:
        task: A registered name, with its argument behind a colon if it takes one, or the task itself.

    Raises:
        BrokenPromise: Naming the first promise that it breaks, and what was found.
        ValueError: If nobody registered the name, or its data cannot be read.
    """
    built = make_task(task) if isinstance(task, str) else task
    if isinstance(task, str):
        said = f"task {task!r} calls itself {built.name!r}; rows would be filed under another name"
        require(built.name.partition(":")[0] == task.partition(":")[0], said)
    keep_all(f"task {built.name!r}", PROMISES, built)
