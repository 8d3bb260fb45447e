"""Runs the three loops of PROTOCOL.md; what is finished stays, what was stopped begins its last run again.

python benchmarks/practitioners/run.py             # all that is missing; 25 minutes of an idle core
python benchmarks/practitioners/run.py --loop dcgan --contestants auto --jobs 2
python benchmarks/practitioners/run.py figures     # README.md and samples.png from the rows

A row of `auto` counts as long as the weights that ship are those with which it was run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from figures import write_figures
from PIL import Image
from single_run import CONTESTANTS, SEEDS, run, weights_of
from torch import Tensor

from gan_env.io.files import add_to, cut, locked, open_lines, own_folder, write_by, write_whole
from gan_env.io.progress import progress_bar
from gan_env.rendering.draw import image_grid

RESULTS = Path(__file__).parents[1] / "results" / "practitioners"
Cell = tuple[str, str, int]
"""Loop, contestant and seed."""


def read_rows(out: Path) -> list[dict[str, Any]]:
    """Reads rows.jsonl, or rows.jsonl.gz where it is packed; leaves out a last line that a killed process tore."""
    plain = out / "rows.jsonl"
    file = plain if plain.exists() else plain.with_name("rows.jsonl.gz")
    if not file.exists():
        return []
    with open_lines(file) as lines:
        return [json.loads(line) for line in lines if line.endswith(b"\n")]


def unpack(out: Path) -> None:
    """Makes rows.jsonl ready to be appended to: unpacked, and without a torn last line."""
    plain, packed = out / "rows.jsonl", out / "rows.jsonl.gz"
    if packed.exists() and not plain.exists():
        write_whole(plain, gzip.decompress(packed.read_bytes()))
    packed.unlink(missing_ok=True)
    if plain.exists():
        cut(plain, plain.read_bytes().rfind(b"\n") + 1)


def pack(out: Path) -> None:
    """Replaces rows.jsonl by rows.jsonl.gz, in order of loop, contestant and seed."""
    rows = sorted(read_rows(out), key=lambda row: (list(SEEDS).index(row["loop"]), row["contestant"], row["seed"]))
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    write_whole(out / "rows.jsonl.gz", gzip.compress(content, mtime=0))
    (out / "rows.jsonl").unlink(missing_ok=True)


def current(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaves out rows that other weights of `auto` made than those that ship."""
    return [row for row in rows if row["weights"] == weights_of(row["contestant"])]


def missing(rows: list[dict[str, Any]], loops: list[str], contestants: list[str]) -> list[Cell]:
    """Returns what is asked for and not in the rows, seed by seed."""
    there = {(row["loop"], row["contestant"], row["seed"]) for row in current(rows)}
    cells = [(loop, name, seed) for loop in loops for seed in range(SEEDS[loop]) for name in contestants]
    return [cell for cell in cells if cell not in there]


def keep(out: Path, row: dict[str, Any], samples: Tensor | None) -> None:
    """Appends a row; the samples of seed 0 become a strip in the folder `samples`."""
    if samples is not None and row["seed"] == 0 and row["status"] == "ok":
        strip = Image.fromarray((image_grid(samples, len(samples)) * 255).round().astype(np.uint8))
        file = own_folder(out / "samples") / f"{row['loop']}-{row['contestant']}.png"
        write_by(file, lambda path: strip.quantize(256).save(path, optimize=True))
    add_to(out / "rows.jsonl", (json.dumps(row) + "\n").encode())


@contextmanager
def workers(jobs: int) -> Iterator[Executor]:
    """Runs cells in processes of their own; what has not begun is dropped if this one stops."""
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def main() -> int:
    """Runs what is missing, or writes the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["rows", "figures"], default="rows")
    parser.add_argument("--loop", nargs="+", choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with locked(asked.out):
        if asked.what == "figures":
            write_figures(current(read_rows(asked.out)), asked.out)
            pack(asked.out)
            return 0
        unpack(asked.out)
        cells = missing(read_rows(asked.out), asked.loop, asked.contestants)
        if not cells:
            print("all that was asked for is there; `run.py figures` writes README.md")
            return 0
        with workers(asked.jobs) as pool, progress_bar(len(cells), "practitioners", "run") as bar:
            for done in as_completed([pool.submit(run, *cell) for cell in cells]):
                row, samples = done.result()
                keep(asked.out, row, samples)
                bar.update(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
