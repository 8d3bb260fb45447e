"""Tasks of pictures: what ships is whole, what is missing or broken is named, scores have marks beside them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gan_env.data import sources
from gan_env.data.datasets import ArrayData
from gan_env.data.images import picture_data, picture_splits, split
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.metrics import distances as metrics
from gan_env.networks.dcgan import ToGrey, dcgan_discriminator, dcgan_generator
from gan_env.tasks import download as fetching
from gan_env.tasks.images import image_task
from gan_env.tasks.reference_scores import gaussian_samples, marks
from gan_env.tasks.task import make_task
from gan_env.types import Control

SHIPPED = {"fashion": (5000, 1, 28), "mnist": (3572, 1, 28), "emoji32": (1520, 3, 32), "emoji64": (1520, 3, 64)}


def pictures(path, count: int, side: int = 40):
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels = rng.integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
        file = path / f"{i % 3}" / f"{i:04d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file)
    return path


# What ships


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_slice_is_split_without_overlap_and_its_players_fit(name):
    task, (count, colours, side) = make_task(name), SHIPPED[name]
    data = task.data
    assert task.kind == "image" and data.shape == (colours, side, side) and len(data) == count
    parts = [data.train(), data.validation(), data.test()]
    assert all(part.min() >= -1 and part.max() <= 1 and part.dtype == torch.float32 for part in parts)
    seen = [{x.numpy().tobytes() for x in part} for part in parts]
    assert not (seen[1] & seen[2]) and not (seen[0] & seen[2])
    with torch.random.fork_rng():
        fake = task.generator()(torch.randn(3, task.latent_size))
    assert fake.shape == (3, *data.shape) and task.discriminator()(fake).shape == (3, 1)


@pytest.mark.parametrize("name", ["fashion", "emoji32"])
def test_marks_order_as_they_should_and_name_what_they_were_read_with(name):
    task = make_task(name)
    found = marks(task)
    # What an untrained generator gets is many times what a Gaussian gets, and that is many times the floor.
    assert 0 < 3 * found["floor"] < found["gaussian"] < 0.5 * task.quality.worst
    assert marks(task) is found
    details = task.score.details(task.data.validation()[: task.score.samples])
    assert details["network"] == task.name and details["samples"] == task.score.samples
    assert (
        abs(details["kid"]) < 0.1 * task.score.details(gaussian_samples(task.data.train(), task.score.samples))["kid"]
    )


def test_the_emoji_at_32_are_those_at_64_averaged():
    small, large = (sources.emoji(None, side).pixels for side in (32, 64))
    assert len(small) == len(large)
    torch.testing.assert_close(
        torch.from_numpy(small).double(),
        torch.nn.functional.avg_pool2d(torch.from_numpy(large).double(), 2),
        rtol=0,
        atol=0.51,
    )


def test_the_mlp_of_the_thesis_has_five_layers_of_1024():
    linear = [m for m in make_task("fashion-mlp").discriminator() if isinstance(m, torch.nn.Linear)]
    assert [m.in_features for m in linear] == [784] + [1024] * 5


# Players


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 128, 128), (1, 32, 32, 32)])
def test_a_dcgan_keeps_no_state_and_no_normalisation_where_the_paper_has_none(shape):
    g, d = dcgan_generator(8, shape, 2), dcgan_discriminator(shape, 2)
    assert not list(g.buffers()) and not list(d.buffers())
    norms = (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)
    assert not isinstance(d[1], norms) and not any(isinstance(m, norms) for m in list(g)[-2:])
    fake = g(torch.randn(4, 8))
    assert fake.shape == (4, *shape) and d(fake).shape == (4, 1) and fake.abs().max() < 1


def test_a_side_without_a_dcgan_is_refused():
    with pytest.raises(ValueError, match="size=30"):
        dcgan_generator(8, (1, 30, 30))


@pytest.mark.parametrize("bias", [True, False])
def test_the_last_layer_of_grey_pictures_is_the_transposed_convolution_that_it_stands_for(bias):
    torch.manual_seed(0)
    layer = ToGrey(3, bias).double()
    known = torch.nn.ConvTranspose2d(3, 1, 4, 2, 1, bias=bias, dtype=torch.float64)
    known.load_state_dict(layer.state_dict())

    def told(of):
        """Pictures, their slopes in maps and weights, and the slopes of those slopes."""
        x = torch.linspace(-1, 1, 2 * 3 * 5 * 5, dtype=torch.float64).view(2, 3, 5, 5).sin().requires_grad_()
        picture, weights = of(x), list(of.parameters())
        slopes = torch.autograd.grad(picture.pow(3).sum(), [x, *weights], create_graph=True)
        return [picture, *slopes, *torch.autograd.grad(sum(s.square().sum() for s in slopes), [x, *weights])]

    for ours, theirs in zip(told(layer), told(known), strict=True):
        torch.testing.assert_close(ours, theirs)
    maps = torch.randn(4, 2, 3, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(torch.vmap(layer)(maps), torch.stack([known(each) for each in maps]))


def test_two_dcgans_side_by_side_train_as_each_alone():
    x = torch.rand(40, 1, 28, 28) * 2 - 1
    task = image_task("noise", ArrayData(x, x[:20], x[20:]), "fashion", channels=2)

    def trained(seeds):
        trainer = make_trainer(EnvConfig(task=task, batch_size=4, dtype="float64", device="cpu"), len(seeds))
        trainer.reset(np.array(seeds), np.zeros(len(seeds), np.int64))
        trainer.advance(Control.of(len(seeds)), 3)
        return trainer.g.flat

    torch.testing.assert_close(trained([3, 5])[1:], trained([5]), rtol=1e-12, atol=1e-12)


# A folder of one's own, and what can be wrong with it


def test_a_folder_of_pictures_becomes_a_task(tmp_path):
    task = make_task(f"folder:{pictures(tmp_path, 140)}@32")
    assert task.data.shape == (3, 32, 32) and len(task.data) == 100 and task.data.test_size == 20
    trainer = make_trainer(EnvConfig(task=task, batch_size=4, device="cpu"), 1)
    trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    trainer.advance(Control.of(1), 1)
    assert torch.isfinite(trainer.g.flat).all()
    assert make_task(f"folder:{tmp_path}").data.shape == (3, 64, 64)


def test_a_broken_picture_is_named_before_training(tmp_path):
    (pictures(tmp_path, 120) / "1" / "0010.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(
        ValueError, match=r"1 of 120 files in .* cannot be read .*1.0010\.png .*folder:.*@32,skip-broken"
    ):
        make_task(f"folder:{tmp_path}@32")


def test_too_few_pictures_no_folder_and_odd_sides_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(ValueError, match="holds 7 pictures .* 20 are needed"):
        make_task(f"folder:{pictures(tmp_path, 7)}@64")
    with pytest.raises(ValueError, match="nowhere is no folder"):
        make_task("folder:/nowhere@64")
    with pytest.raises(ValueError, match="size=50 has no DCGAN; use 28, 32, 64, 128"):
        make_task(f"folder:{pictures(tmp_path, 40)}@50")
    with pytest.raises(ValueError, match="folder:@32 names no folder; write folder:PATH@32"):
        make_task("folder:@32")


def test_sets_that_do_not_ship_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ENV_DATA", str(tmp_path))
    for name in ("cifar10", "celeba"):
        with pytest.raises(ValueError, match=f"gan-env data {name} --fetch") as caught:
            make_task(name)
        assert "download=True" not in str(caught.value)
    with pytest.raises(ValueError, match="lacks train-images-idx3-ubyte.gz"):
        make_task(f"fashion:{tmp_path}")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03 short")
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is damaged"):
        make_task(f"fashion:{tmp_path}")
    monkeypatch.setattr(sources, "FONTS", ())
    picture_splits.cache_clear()  # another test may have read the font of this machine
    picture_data.cache_clear()
    with pytest.raises(ValueError, match="fonts-noto-color-emoji"):
        make_task("emoji128:")
    (tmp_path / "font.ttf").write_bytes(b"no font")
    pytest.importorskip("fontTools")
    with pytest.raises(ValueError, match="font.ttf is no font"):
        make_task(f"emoji128:{tmp_path / 'font.ttf'}")


def test_names_with_and_without_a_place_are_told_apart():
    EnvConfig(task="folder:/nowhere@64")  # nothing is read before it is built
    with pytest.raises(ValueError, match="did you mean 'fashion'"):
        EnvConfig(task="fashon:/x")
    with pytest.raises(ValueError, match="'ring' takes no argument"):
        EnvConfig(task="ring:/x")
    with pytest.raises(ValueError, match="folder:PATH"):
        EnvConfig(task="folder")


def test_without_a_test_split_of_its_makers_a_set_is_shuffled_once():
    pixels = np.arange(70, dtype=np.uint8).reshape(70, 1, 1, 1)
    parts = split(sources.Pictures(pixels))
    assert [len(parts[k].pixels) for k in parts] == [50, 10, 10]
    assert sorted(torch.cat([p.pixels for p in parts.values()]).flatten().tolist()) == list(range(70))
    ordered = split(sources.Pictures(pixels, ordered=True))
    assert ordered["train"].pixels.flatten().tolist() == list(range(50))


def test_near_doubles_go_and_others_stay():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (5, 3, 32, 32), dtype=np.uint8)
    with_double = np.concatenate([pixels, pixels[:1] + 1])
    assert np.array_equal(sources.distinct(with_double), pixels)


def test_what_is_said_of_data_fits_what_is_there(tmp_path, monkeypatch, capsys):
    from gan_env.cli import main

    monkeypatch.setenv("GAN_ENV_DATA", str(tmp_path))
    assert fetching.where("fashion-mlp")["ready"] is True and fetching.where("fashion")["train"] == 5000
    there = fetching.where("cifar10")
    assert there["ready"] is False and str(tmp_path) in str(there["looked_for_in"]) and "--fetch" in str(there["to_do"])
    with pytest.raises(ValueError, match="did you mean 'fashion'"):
        fetching.where("fasion")
    with pytest.raises(ValueError, match="dataset-fashion-mnist"):
        fetching.fetch("fashion")
    assert main(["data", "mnist", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == 714
    assert main(["data", "mist"]) == 2


@pytest.mark.parametrize("name", ["ring", "grid", "dirac", "digits", "digits-domains"])
def test_of_data_that_nobody_has_to_fetch_it_is_said_that_they_are_ready(name):
    told = fetching.where(name)
    assert told["ready"] is True and told["test"] > 0 and ("train" in told) == name.startswith("digits")


def test_a_download_that_fails_is_an_error_of_the_network(tmp_path, monkeypatch):
    from gan_env.data.torchvision_guard import torchvision

    def broken(root, **which):
        raise RuntimeError("no route")

    monkeypatch.setenv("GAN_ENV_DATA", str(tmp_path))
    monkeypatch.setattr(torchvision().datasets, "MNIST", broken)
    with pytest.raises(OSError, match="MNIST could not be downloaded .* no route"):
        fetching.fetch("mnist")


# Distances against others


def test_the_kernel_distance_is_that_of_its_definition():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(5, 3, generator=rng).double(), torch.randn(4, 3, generator=rng).double()

    def kernel(a, b):
        return float((a @ b / 3 + 1) ** 3)

    same = [sum(kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j) for a in (x, y)]
    cross = sum(kernel(a, b) for a in x for b in y)
    assert metrics.kernel_distance(x, y) == pytest.approx(same[0] / 20 + same[1] / 12 - 2 * cross / 20)


def test_the_frechet_score_is_that_of_torchmetrics_on_the_same_network():
    from gan_env.data.torchvision_guard import torchvision

    torchvision()
    fid = pytest.importorskip("torchmetrics.image.fid")
    task = make_task("mnist")
    net, real, fake = (
        task.score.classifier(torch.device("cpu")),
        task.data.test(),
        task.data.train()[: task.score.samples].flip(3),
    )

    class Features(torch.nn.Module):
        num_features = 64

        def forward(self, images):
            return net.features(images)

    theirs = fid.FrechetInceptionDistance(Features(), normalize=True, input_img_size=(1, 28, 28))
    theirs.set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert task.score(fake) == pytest.approx(float(theirs.compute()), rel=1e-3)
