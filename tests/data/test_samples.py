"""Samples in whatever holds them: read as they are, or named in one clear line."""

import itertools
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_matrix
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from gan_env.data.samples import read_samples

X = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32))
Y = torch.arange(30) % 3


class Table:
    """As pandas and polars have them: columns by name, each with `to_numpy`."""

    def __init__(self, **columns):
        self.held = {name: np.asarray(values) for name, values in columns.items()}
        self.columns = list(self.held)

    def __len__(self):
        return len(next(iter(self.held.values()), ()))

    def __getitem__(self, name):
        return self.held[name]

    def to_numpy(self):
        return np.stack(list(self.held.values()), 1)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "data",
    [
        X,
        X.requires_grad_(False).double(),
        X.numpy(),
        X.numpy().astype(">f4"),
        Table(a=X[:, 0], b=X[:, 1]),
        TensorDataset(X, Y),
        Subset(TensorDataset(X), range(30)),
        X.tolist(),
        list(X),
        list(X.numpy()),
        [{"a": float(a), "b": float(b)} for a, b in X],
        [{"features": row.tolist(), "label": 1} for row in X],
        {"x": X, "y": Y},
        (X, Y),
        list(itertools.islice(itertools.cycle(X), 30)),
        Items([(row, 1, "more") for row in X]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_every_holder_of_the_same_samples_gives_the_same_samples(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(read_samples(data).values.float(), X, rtol=0, atol=1e-6)


def test_an_array_on_the_disk_that_may_not_be_written_to_is_copied(mapped):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(read_samples(mapped).values, X)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "uint16", "int64", "float16", "float64"])
def test_every_type_of_numbers_is_read_by_value(dtype):
    values = np.abs(X.numpy() * 20).astype(dtype)
    assert np.array_equal(read_samples(values).values.float().numpy(), values.astype(np.float32))


def test_pictures_of_a_data_set_become_bytes_with_their_own_channels():
    grey, colour = (
        Items([{"image": Image.new(mode, (6, 5), 9), "label": i} for i in range(3)]) for mode in ("L", "RGB")
    )
    for data, channels in ((grey, 1), (colour, 3)):
        read = read_samples(data)
        assert read.values.shape == (3, channels, 5, 6) and read.values.dtype == torch.uint8
        assert read.values[0, 0].unique().tolist() == [9] and read.labels.tolist() == [0, 1, 2]
    deep = Items([(Image.fromarray(np.full((5, 6), 257 * 9, np.uint16)), 0)] * 3)
    assert read_samples(deep).values.unique().tolist() == [9]


def test_labels_are_whole_numbers_names_or_floats():
    for labels, expected in (
        (Y, Y),
        (Y.numpy().astype(np.uint8), Y),
        (np.array(["a", "b", "c"])[Y], Y),
        (Y > 0, (Y > 0).long()),
        (X, X),
        (X[:, 0].double(), X[:, 0]),
    ):
        read = read_samples((X, labels))
        assert read.labels is not None and torch.equal(read.labels, expected) and read.labels.dtype == expected.dtype
    assert "NaN" in read_samples((X, X * torch.nan)).why_no_labels
    assert "neither numbers nor names" in read_samples(Items([(row, {"box": 1}) for row in X])).why_no_labels


def test_a_hugging_face_data_set_is_read_by_its_one_picture_and_label():
    class Rows:
        column_names = ("img", "fine_label", "coarse_label", "name")

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return {"img": Image.new("RGB", (4, 4)), "fine_label": i, "coarse_label": 9, "name": "x"}

    assert read_samples(Rows()).labels.tolist() == [0, 1, 2, 3]


class Broken(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 2:
            raise OSError("truncated file")
        return X[i]


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataLoader(TensorDataset(X)), r"data are a DataLoader.*data=loader\.dataset"),
        (Endless(), r"data=Endless is not known; .*itertools\.islice"),
        ((row for row in X), r"data=generator is not known; .*itertools\.islice"),
        (3, "data=int is not known; give a tensor or array"),
        (Table(a=[1.0, 2], city=["x", "y"], day=np.array(["2020-01-01"] * 2, "M8[D]")), "columns 'city', 'day' of the"),
        ({"train": [1, 2], "test": [3]}, r"data are a dict of 'train': list, 'test': list; give one .*data\['train'\]"),
        (
            [{"image": X, "mask": X, "label": 1}],
            r"dicts of 'image' \(Tensor\), 'mask' \(Tensor\), 'label' \(int\); one",
        ),
        ([{"text": "a", "label": 1}], r"dicts of 'text' \(str\), 'label' \(int\); one array or picture"),
        ([{"image": {"bytes": b"", "path": "x"}}], "'image' .dict.; one array or picture"),
        (np.array([[1, "a"]], dtype=object), "data hold values of type object"),
        (np.ma.masked_greater(X.numpy(), 1), r"data hide \d+ values by a mask"),
        (X.to_sparse(), r"torch.sparse_coo tensor .*to_dense"),
        ([X[0], "text"], "sample 1 of the data set is a str, not a tensor; give the data set a transform"),
        ([X[0], X[0, :1]], r"sample 1 has shape \(1,\), sample 0 \(2,\); they must agree"),
        ([np.array(["a"])] * 3, "sample 0 of the data set is a array of <U1, not a tensor"),
        (csr_matrix(X.numpy()), r"data are a sparse csr_matrix; give data\.toarray\(\)"),
        (np.zeros(3, [("a", "f4"), ("b", "f4")]), "data are records of 'a', 'b'; .*structured_to_unstructured"),
        (Broken(), r"sample 2 of the data set cannot be read \(OSError: truncated file\); mend it or leave it out"),
        (
            [Image.new("RGB", (4, 4)), Image.new("L", (4, 4))],
            r"sample 1 has shape \(1, 4, 4\), sample 0 \(3, 4, 4\); they must agree: picture\.convert\('RGB'\)\.resize",
        ),
        (Table(a=[1e39, 0]), "column 'a' of the table: values up to 1e.39 do not fit float32; scale them"),
        (Table(a=[0.0, 1], ns=np.array([0, 900]) + 1_700_000_000_000), "column 'ns' .* subtract their mean"),
        ((X, Y[:7]), "data hold 30 samples and 7 labels; each sample needs one"),
    ],
    ids=lambda data: type(data).__name__ if not isinstance(data, str) else data[:24],
)
def test_what_cannot_be_read_is_named_with_the_way_out(data, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_samples(data)
    assert "\n" not in str(caught.value)


def test_missing_values_of_a_table_are_nan_and_no_texts_are_parsed():
    class Missing:
        pass

    Missing.__name__ = "NAType"
    table = Table(a=np.array([1, Missing(), None, 2.5], object))
    assert np.array_equal(read_samples(table).values.numpy()[:, 0], [1, np.nan, np.nan, 2.5], equal_nan=True)
    with pytest.raises(ValueError, match="columns 'a' of the table hold no numbers"):
        read_samples(Table(a=np.array(["1.5", "2.5"], object)))


def test_numbers_that_float32_holds_are_not_refused():
    table = Table(
        constant=np.array([0.1, 0.1 + 1e-17, np.nextafter(0.1, 1)]),
        underflowing=np.array([0.0, 1e-60, 1.0]),
        seconds=np.array([0, 40_000, 86_400]) + 1_700_000_000,
        zeros=np.zeros(3, np.int64),
        missing=np.array([1e9, np.nan, 1e9 + 1]),
    )
    assert read_samples(table).values.shape == (3, 5)


def test_two_columns_of_one_name_are_two_columns():
    pandas = pytest.importorskip("pandas")
    one = pandas.DataFrame({"a": X[:, 0].numpy()})
    assert torch.equal(read_samples(pandas.concat([one, -one], axis=1)).values, torch.stack([X[:, 0], -X[:, 0]], 1))


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_the_tables_that_people_have_are_read(name):
    library: types.ModuleType = pytest.importorskip(name)
    table = library.DataFrame({"a": X[:, 0].numpy(), "b": X[:, 1].numpy(), "label": Y.numpy()})
    assert torch.equal(read_samples(table).values[:, :2], X)
    pair = read_samples((table[["a", "b"]], table["label"]))
    assert torch.equal(pair.values, X) and torch.equal(pair.labels, Y)
    assert name in sys.modules
