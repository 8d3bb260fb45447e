"""Converts a user's samples and labels in memory to tensors: arrays, tables, data sets."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_env.data.picture_files import whole

LABEL_NAMES = ("label", "labels", "target", "targets", "class", "fine_label", "coarse_label", "y")
"""Names of an item's field that mean labels, the likeliest first."""
MOST_ROUNDED = 1_000
"""Samples that are looked at for what rounding to float32 loses."""
MOST_LOST = 0.01
"""Greatest rounding error, as a share of the values' range."""
LARGEST_LABEL = 2**24
"""Whole numbers below it are exact in float32; labels are stored beside samples in float32."""


@dataclass(frozen=True)
class Samples:
    """Samples as the user gave them, with their labels."""

    values: Tensor
    """(count, *shape), of any numeric type."""
    labels: Tensor | None = None
    """(count, *label shape), int64 or float32; None if there are none."""
    why_no_labels: str = ""
    """Why labels cannot be read, if items have other fields beside the sample."""
    columns: tuple[str, ...] = ()
    """Names of the numbers of a sample, for messages; empty if they have none."""


def read_samples(data: Any) -> Samples:
    """Reads all samples of an array, a table, a pair of samples and labels, or a data set with a length.

    Args:
        data: A tensor or array (count, *shape); a table with columns of numbers (pandas, polars); a pair or a dict of
            arrays; a `Dataset` or list of samples, of tuples (sample, label, ...) or of dicts with one array or
            picture.

    Raises:
        ValueError: If it is none of these; the message names its type and the way out.
    """
    if hasattr(data, "toarray") and hasattr(data, "nnz"):
        raise ValueError(f"data are a sparse {type(data).__name__}; give data.toarray()")
    if isinstance(data, tuple) and len(data) == 2 and all(_is_whole(part) for part in data):
        samples = _whole(data[0])
        if len(data[0]) != len(data[1]):
            raise ValueError(f"data hold {len(data[0])} samples and {len(data[1])} labels; each sample needs one")
        return replace(_labelled(samples, _column(data[1])), columns=_column_names(data[0]))
    if _is_whole(data):
        return Samples(_whole(data), columns=_column_names(data))
    if isinstance(data, Mapping):
        return _from_columns(data)
    return _from_items(_items(data))


# -- all at once --------------------------------------------------------------------------------------------------


def _is_table(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "to_numpy")


def _column_names(data: Any) -> tuple[str, ...]:
    return tuple(map(str, data.columns)) if _is_table(data) else ()


def _is_whole(data: Any) -> bool:
    """Returns whether the data are one object with all samples: an array, a table, or one column of a table."""
    return isinstance(data, (Tensor, np.ndarray)) or _is_table(data) or hasattr(data, "to_numpy")


def _whole(data: Any) -> Tensor:
    if isinstance(data, Tensor):
        if data.layout != torch.strided or data.is_quantized:
            raise ValueError(f"data are a {data.layout} tensor of {data.dtype}; give data.to_dense() or dequantize()")
        return data.detach().cpu()
    if _is_table(data):
        return torch.from_numpy(_table(data))
    if not isinstance(data, np.ndarray):
        return _own_tensor(_column(data))
    if data.dtype.names:
        raise ValueError(
            f"data are records of {', '.join(map(repr, data.dtype.names))}; give their fields side by side: "
            "numpy.lib.recfunctions.structured_to_unstructured(data)"
        )
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        raise ValueError(f"data hide {np.ma.count_masked(data)} values by a mask; leave these samples out or fill them")
    if data.dtype.kind not in "biufc":
        raise ValueError(f"data hold values of type {data.dtype}; numbers are needed")
    return _own_tensor(data)


def _own_tensor(values: np.ndarray) -> Tensor:
    """Converts an array of any byte order to a tensor; copies read-only arrays, which torch does not accept."""
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False))
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def _table(table: Any) -> np.ndarray:
    """Converts the columns of a table to (count, columns), float32."""
    columns, unread = [], []
    for i, name in enumerate(table.columns):
        # pandas gives a name to two columns, say after a concat; then only their places tell them apart
        values = _numbers(np.asarray(table.iloc[:, i] if hasattr(table, "iloc") else table[name]))
        if values is None:
            unread.append(repr(name))
            continue
        columns.append(single(values, f"column {name!r} of the table"))
    if unread:
        raise ValueError(
            f"columns {', '.join(unread)} of the table hold no numbers; turn them into numbers (pandas.get_dummies), "
            "or leave them out"
        )
    return np.stack(columns, 1) if columns else np.empty((len(table), 0), np.float32)


def single(values: np.ndarray, what: str) -> np.ndarray:
    """Converts numbers (count, ...) to float32.

    Raises:
        ValueError: If they do not fit, or lie so far from 0 that rounding leaves nothing of how they differ, as of
            times in nanoseconds.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32, copy=False)
    if values.dtype.itemsize <= 2 or values.dtype == np.float32:
        return rounded
    few = slice(None, None, -(-len(values) // MOST_ROUNDED) or 1)
    exact, kept = values[few].astype(np.float64), rounded[few].astype(np.float64)
    if (np.isfinite(exact) & ~np.isfinite(kept)).any():
        raise ValueError(f"{what}: values up to {np.abs(exact).max():.3g} do not fit float32; scale them")
    if not len(exact) or not np.isfinite(exact).all():  # what is missing is refused elsewhere
        return rounded
    lost, spread, size = np.abs(exact - kept).max(0), np.ptp(exact, 0), np.abs(exact).max(0)
    noise = np.maximum(1e-12 * size, 1e-30)  # constants that were computed differ in their last digits
    if ((lost > MOST_LOST * spread) & (spread > noise)).any():
        raise ValueError(
            f"{what}: values near {np.abs(exact).max():.6g} differ by less than float32 can tell apart, in which "
            "samples are trained; subtract their mean, and divide by their spread"
        )
    return rounded


def _numbers(values: np.ndarray) -> np.ndarray | None:
    """Converts one column to numbers, NaN where one is missing; returns None if it contains anything else."""
    if values.ndim == 1 and values.dtype.kind in "biuf":
        return values
    if values.ndim == 1 and values.dtype == object:
        missing = [value is None or type(value).__name__ == "NAType" for value in values]
        if all(gap or isinstance(value, numbers.Real) for gap, value in zip(missing, values, strict=True)):
            return np.array([np.nan if gap else float(v) for gap, v in zip(missing, values, strict=True)])
    return None


def _column(values: Any) -> np.ndarray:
    """Converts one column of any type to an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _from_columns(data: Mapping[str, Any]) -> Samples:
    """Reads a dict of columns, one of which contains the samples."""
    columns = {name: values for name, values in data.items() if _is_whole(values) or isinstance(values, list)}
    if len(columns) < len(data) or len({len(values) for values in columns.values()}) != 1:
        raise ValueError(
            f"data are a {type(data).__name__} of {', '.join(f'{k!r}: {type(v).__name__}' for k, v in data.items())}; "
            f"give one of them (data[{next(iter(data), '')!r}]), a pair (samples, labels), or columns of one length"
        )
    firsts = {name: values[0] for name, values in columns.items()}
    sample, label = _fields(firsts)
    if sample is None:
        numbers_of = {name: _column(values) for name, values in columns.items()}
        return Samples(
            torch.from_numpy(np.stack([single(v, f"column {k!r} of the data") for k, v in numbers_of.items()], 1)),
            columns=tuple(numbers_of),
        )
    chosen = columns[sample]
    samples = _whole(chosen) if _is_whole(chosen) else _from_items(chosen).values
    return _labelled(samples, None if label is None else _column(columns[label]))


# -- item by item -------------------------------------------------------------------------------------------------


def _items(data: Any) -> Iterable[Any]:
    name = type(data).__name__
    if isinstance(data, torch.utils.data.DataLoader):
        raise ValueError("data are a DataLoader, whose order may change; give the data set itself: data=loader.dataset")
    if isinstance(data, (str, bytes)) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        endless = isinstance(data, (Iterable, torch.utils.data.IterableDataset))
        cure = (
            "give as many of its samples as you need: data=list(itertools.islice(data, 5_000)); or " if endless else ""
        )
        raise ValueError(
            f"data={name} is not known; {cure}give a tensor or array (count, *shape), a table, a pair (samples, "
            "labels), a Dataset with a length, a folder of pictures, or an object like gan_env.tasks.task.Data"
        )
    return (_item(data, i) for i in range(_length(data)))


def _length(data: Any) -> int:
    try:
        return len(data)
    except TypeError as error:  # a sparse matrix has the method, and refuses
        raise ValueError(f"data are a {type(data).__name__}, which has no length ({error}); give an array") from error


def _item(data: Any, index: int) -> Any:
    try:
        return data[index]
    except Exception as error:  # whatever a user's data set stumbles over
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"sample {index} of the data set cannot be read ({told:.200}); mend it or leave it out"
        ) from error


def _from_items(items: Iterable[Any]) -> Samples:
    """Reads samples item by item, in order."""
    samples: list[Tensor] = []
    beside: list[Any] = []
    for i, item in enumerate(items):
        if isinstance(item, Mapping):
            name, label = _fields(item)
            row = list(item.values()) if name is None else item[name]
            item = (row,) if label is None else (row, item[label])
        elif not isinstance(item, tuple):  # a list is a pair only if it holds more than numbers
            item = item if isinstance(item, list) and not _is_array(item) else (item,)
        samples.append(_sample(item[0] if item else None, i))
        if samples[0].shape != samples[-1].shape:
            raise ValueError(
                f"sample {i} has shape {tuple(samples[-1].shape)}, sample 0 {tuple(samples[0].shape)}; they must agree"
                + (_ONE_FORM if _is_picture(item[0]) else "")
            )
        beside.extend(item[1:2])
    values = torch.stack(samples) if samples else torch.empty(0)
    if not beside or len(beside) < len(samples):
        return Samples(values)
    try:
        return _labelled(values, np.stack([_column(each) for each in beside]))
    except ValueError as error:
        return Samples(values, None, str(error).splitlines()[0])


_ONE_FORM = (
    ": picture.convert('RGB').resize((WIDTH, HEIGHT)), torchvision's Resize, or the path of their folder as data, "
    "which does both"
)
"""How pictures of several sizes or modes become alike."""


def _is_picture(value: Any) -> bool:
    return hasattr(value, "getbands") and hasattr(value, "convert")


def _is_array(value: Any) -> bool:
    """Returns whether it is a sample by itself: an array with axes, a picture, or a list of numbers."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(v, numbers.Real) or _is_array(v) for v in value)
    return _is_picture(value) or (isinstance(value, (Tensor, np.ndarray)) and value.ndim > 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) or (isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0)


def _fields(item: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Finds the names of an item's sample and label; no sample name means that all of its numbers are one sample.

    Raises:
        ValueError: If several fields could be the sample, or none.
    """
    names = [name for name, value in item.items() if _is_array(value) and name not in LABEL_NAMES]
    if not names and item and all(_is_number(value) for value in item.values()):
        return None, None
    if len(names) != 1:
        held = ", ".join(f"{name!r} ({type(value).__name__})" for name, value in item.items())
        raise ValueError(
            f"items of the data are dicts of {held}; one array or picture is needed beside a label: give "
            "[item[NAME] for item in data], or a pair (samples, labels)"
        )
    others = [name for name, value in item.items() if name != names[0] and _is_number(value)]
    known = [name for name in LABEL_NAMES if name in item]
    return names[0], known[0] if known else others[0] if len(others) == 1 else None


def _sample(value: Any, index: int) -> Tensor:
    if _is_picture(value):
        try:
            return _own_tensor(whole(value))
        except ValueError as error:
            raise ValueError(f"sample {index} of the data set: {error}") from error
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Sequence) and _is_array(value):
        value = np.asarray(value, np.float32)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return _own_tensor(value)
    kind = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise ValueError(
        f"sample {index} of the data set is a {kind}, not a tensor; give the data set a transform, "
        "e.g. torchvision.transforms.ToTensor()"
    )


# -- labels -------------------------------------------------------------------------------------------------------


def _labelled(values: Tensor, labels: np.ndarray | None) -> Samples:
    """Attaches labels to samples; texts become the numbers of their sorted names."""
    if labels is None:
        return Samples(values)
    if labels.dtype.kind in "OUS" and all(isinstance(each, (str, bytes)) for each in labels.flat):
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    if labels.dtype.kind not in "biuf":
        return Samples(values, None, f"they are of type {labels.dtype}, neither numbers nor names")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            return Samples(values, None, "some are NaN or infinite")
        return Samples(values, torch.from_numpy(labels.astype(np.float32)))
    if labels.size and int(np.abs(labels.astype(np.int64)).max()) >= LARGEST_LABEL:
        return Samples(values, None, f"some are {LARGEST_LABEL:,} or more")
    return Samples(values, torch.from_numpy(labels.astype(np.int64)))
