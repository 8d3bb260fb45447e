"""Pictures of any file: read at the right scale, the right way up, or refused by name."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gan_env.data import picture_files as reading
from gan_env.data.images import picture_data
from gan_env.data.picture_files import Folder, Format
from gan_env.tasks.task import Task, make_task

RNG = np.random.default_rng(0)
SMALL = Format(8, 8)


def noise(dtype: str = "uint8", top: float = 255, shape: tuple[int, ...] = (8, 8, 3)) -> np.ndarray:
    return (RNG.random(shape) * top).astype(dtype)


def folder(root: Path, count: int = 30, make=lambda i: Image.fromarray(noise()), ext: str = "png") -> Path:
    root.mkdir(exist_ok=True, parents=True)
    for i in range(count):
        make(i).save(root / f"{i:03}.{ext}")
    return root


def players(colours: int = 3, height: int = 8, width: int = 8) -> dict:
    size = colours * height * width
    return {
        "generator": lambda: nn.Sequential(nn.Linear(4, size), nn.Tanh(), nn.Unflatten(1, (colours, height, width))),
        "discriminator": lambda: nn.Sequential(nn.Flatten(), nn.Linear(size, 1)),
        "latent_size": 4,
    }


# Depth and mode


@pytest.mark.parametrize("ext", ["png", "tif", "pgm"])
def test_pictures_of_16_bits_are_scaled_by_their_depth_and_do_not_saturate(tmp_path, ext):
    values = noise("uint16", 60_000, (8, 8))
    Image.fromarray(values).save(tmp_path / f"x.{ext}")
    read = reading.read_picture(tmp_path / f"x.{ext}", Format(8, 8, grey=True))
    assert np.array_equal(read[0], np.rint(values / 257).astype(np.uint8))


def test_floats_from_0_to_1_are_scaled_and_others_refused_with_their_range(tmp_path):
    values = noise("float32", 1, (8, 8))
    Image.fromarray(values).save(tmp_path / "x.tif")
    assert np.array_equal(reading.read_picture(tmp_path / "x.tif", SMALL)[1], np.rint(values * 255).astype(np.uint8))
    for name, wrong in (("a", values * 255), ("b", values - 1)):
        Image.fromarray(wrong.astype(np.float32)).save(tmp_path / f"{name}.tif")
        with pytest.raises(
            ValueError, match=rf"{name}\.tif .*values from .* as 32-bit floats; these are read from 0 to 1"
        ):
            reading.read_picture(tmp_path / f"{name}.tif", SMALL)
    Image.fromarray((values * 1e6).astype(np.int32)).save(tmp_path / "i.tif")
    with pytest.raises(ValueError, match=r"i\.tif .* 32-bit integers of unknown scale: save it with 8 or 16 bits"):
        reading.read_picture(tmp_path / "i.tif", SMALL)


def test_12_bits_in_files_of_16_are_warned_of(tmp_path):
    folder(tmp_path, make=lambda i: Image.fromarray(noise("uint16", 4095, (8, 8))))
    with pytest.warns(UserWarning, match="nearly black, 1[56] of 255 at most.* 12 bits"):
        Task(**players(1), data=tmp_path)


@pytest.mark.parametrize(
    ("mode", "colour", "ext", "expected"),
    [
        ("RGBA", (10, 20, 30, 0), "png", (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), "webp", (10, 20, 30)),
        ("LA", (100, 0), "png", (255, 255, 255)),
        ("L", 100, "tif", (100, 100, 100)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", 7, "gif", (7, 7, 7)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
    ],
)
def test_every_mode_becomes_colours_on_white(tmp_path, mode, colour, ext, expected):
    picture = Image.new(mode, (8, 8), colour)
    if mode == "P":
        picture.putpalette([value for i in range(256) for value in (i, i, i)])
    picture.save(tmp_path / f"x.{ext}", **({"lossless": True} if ext == "webp" else {}))
    assert tuple(reading.read_picture(tmp_path / f"x.{ext}", SMALL)[:, 4, 4]) == expected


def test_a_cameras_rotation_is_applied_before_the_middle_is_cut(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255  # the left half, which the camera calls the top
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    read = reading.read_picture(tmp_path / "x.png", Format(16, 8))
    assert read[:, :7].min() == 255 and read[:, 9:].max() == 0


def test_the_largest_middle_part_of_the_wanted_form_is_taken():
    rising = np.arange(100, dtype=np.uint8)
    wide = Image.fromarray(np.broadcast_to(rising[None, :, None], (20, 100, 3)).copy())
    assert reading.fitted(wide, Format(20, 20))[0, 0].tolist() == list(range(40, 60))
    assert reading.fitted(wide, Format(10, 20))[0, 0].tolist() == pytest.approx(np.arange(30.5, 70, 2), abs=0.6)
    assert reading.fitted(wide, Format(20, 20, grey=True)).shape == (1, 20, 20)


# Folders


def test_a_folder_is_read_in_the_size_and_colours_that_the_generator_makes(tmp_path):
    folder(tmp_path, 40, lambda i: Image.fromarray(noise(shape=(20, 31, 3))))
    for shape in ((3, 8, 8), (1, 8, 8), (3, 12, 20)):
        task = Task(**players(*shape), data=tmp_path)
        assert task.data.shape == shape and len(task.data) == 30 and task.quality.worst > 0
    with pytest.raises(ValueError, match=r"samples of shape \(3, 8, 8\); the data's are \(3, 16, 16\)"):
        Task(**players(), data=f"{tmp_path}@16")
    with pytest.raises(ValueError, match=r"samples of shape \(3,\); a folder's pictures are \(3, height, width\)"):
        Task(generator=lambda: nn.Linear(4, 3), discriminator=lambda: nn.Linear(3, 1), data=tmp_path, latent_size=4)
    assert Task(**players(1, 12, 20), data=f"{tmp_path}@20x12,grey").data.shape == (1, 12, 20)


def test_a_folder_of_classes_gives_its_folders_as_labels(tmp_path):
    class G(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.net = nn.Embedding(2, 4), players()["generator"]()

        def forward(self, z, y):
            return self.net(z + self.embedding(y))

    class D(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.net = nn.Embedding(2, 192), players()["discriminator"]()

        def forward(self, x, y):
            return self.net(x + self.embedding(y).view_as(x))

    for value, name in enumerate(("cats", "dogs")):
        folder(tmp_path / name, 20, lambda i, value=value: Image.new("RGB", (8, 8), (200 * value, 99, 99)))
    task = Task(generator=G, discriminator=D, data=tmp_path, latent_size=4)
    labels, pixels = task.data.labels[0], task.data.train()
    assert labels.bincount().tolist() == [15, 15] and torch.equal(pixels[:, 0, 0, 0] > 0, labels == 1)
    with pytest.raises(ValueError, match="take labels, but all pictures of .*cats lie in one folder"):
        Task(generator=G, discriminator=D, data=tmp_path / "cats", latent_size=4)


@pytest.mark.parametrize("spoil", [b"", b"\x89PNG no picture", None], ids=["empty", "no picture", "truncated"])
def test_all_broken_files_are_named_at_once_and_can_be_left_out(tmp_path, spoil):
    folder(tmp_path, 40)
    for name in ("003.png", "017.png"):
        file = tmp_path / name
        file.write_bytes(file.read_bytes()[:100] if spoil is None else spoil)
    message = rf"2 of 40 files in .*003\.png \(.*017\.png \(.*leave them out: data=\"{tmp_path}@skip-broken\""
    with pytest.raises(ValueError, match=message):
        Task(**players(), data=tmp_path)
    assert len(Task(**players(), data=f"{tmp_path}@skip-broken").data) == 28
    with pytest.raises(ValueError, match=r"017\.png .*leave them out: folder:.*@32,skip-broken"):
        make_task(f"folder:{tmp_path}@32")
    assert make_task(f"folder:{tmp_path}@32,skip-broken").name == f"folder:{tmp_path}@32,skip-broken"


def test_what_systems_leave_beside_pictures_is_no_picture(tmp_path):
    folder(tmp_path, 30)
    for name in ("._005.png", ".hidden.png", "labels.csv", "Thumbs.db", ".DS_Store"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    for name in ("__MACOSX", ".cache"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to(tmp_path)
    assert [file.name for file in reading.picture_files(tmp_path)] == [f"{i:03}.png" for i in range(30)]


def test_files_come_in_the_order_of_their_paths(tmp_path):
    for name in ("b/2.png", "b/10.png", "a.png", "a/z.png", "a b.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(reading.picture_files(tmp_path)) == sorted(tmp_path.rglob("*.png"))


def test_a_search_through_a_whole_tree_ends_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "OTHER_FILES", 50)
    for i in range(20):
        (tmp_path / f"{i}" / "deep").mkdir(parents=True)
        (tmp_path / f"{i}" / "deep" / "notes.txt").touch()
    with pytest.raises(
        ValueError, match="more than 50 files and folders besides 0 pictures; name the folder that holds"
    ):
        make_task(f"folder:{tmp_path}@64")
    monkeypatch.setattr(reading, "LIMIT", 5)
    folder(tmp_path / "0", 30)
    assert len(list(reading.picture_files(tmp_path))) == 5  # a large set is not listed to its end


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(tmp_path):
    (tmp_path / "secret").mkdir(mode=0)
    with pytest.raises(ValueError, match=r"secret cannot be read \(Permission denied\)"):
        list(reading.picture_files(tmp_path))


def test_too_few_pictures_for_features_are_judged_by_their_pixels(tmp_path):
    task = make_task(f"folder:{folder(tmp_path / 'few', 40)}@32")
    assert task.score.name == "sliced_distance" and task.data.shape == (3, 32, 32)
    assert make_task(f"folder:{folder(tmp_path / 'many', 100)}@32").score.name == "frechet"
    with pytest.raises(ValueError, match="holds 19 pictures .* at least 20 are needed"):
        make_task(f"folder:{folder(tmp_path / 'none', 19)}@32")


def test_grey_and_other_sides_make_a_task_of_their_own(tmp_path):
    folder(tmp_path, 110)
    task = make_task(f"folder:{tmp_path}@48x48,grey")
    assert task.data.shape == (1, 48, 48) and task.name == f"folder:{tmp_path}@48,grey"
    assert task.score(task.data.validation()) == task.score.floor() and task.score.details(task.data.test())["network"]
    with pytest.raises(ValueError, match="asks for 64 x 48, but its DCGAN makes squares"):
        make_task(f"folder:{tmp_path}@64x48")
    with pytest.raises(ValueError, match="'gret' behind the @ is unknown; use a side"):
        make_task(f"folder:{tmp_path}@64,gret")


@pytest.mark.parametrize("text", ["x@64", "x@64x48", "x@grey", "x@64,grey,skip-broken", "x", "a@b/x", "a@b/x@32"])
def test_a_folder_is_written_as_it_is_read(text):
    assert str(Folder.parse(text)) == text


def test_a_path_with_an_at_sign_is_a_path_if_it_is_there(tmp_path):
    assert Folder.parse(str(folder(tmp_path / "me@64"))) == Folder(str(tmp_path / "me@64"))
    assert len(picture_data("folder", str(tmp_path / "me@64"), 32)) == 22


def test_squares_in_colour_are_read_as_they_always_were():
    """The committed pictures and fonts were read so: centre square, transparent parts on white, averaged down."""
    picture = Image.fromarray(noise(shape=(21, 34, 4)))
    rgba = picture.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    white.alpha_composite(rgba)
    expected = white.convert("RGB").resize((8, 8), Image.Resampling.BOX, box=(6, 0, 27, 21))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(reading.fitted(picture, SMALL), np.asarray(expected).transpose(2, 0, 1))
