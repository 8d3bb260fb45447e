"""Spectral norm by one running power iteration a step, as Miyato et al. 2018 do, beside ours by eight fresh ones.

    python -m benchmarks.readings.spectral_norm     # what benchmarks/results/readings/spectral-norm/ lacks

Tune seeds, validation data, PyTorch's engine for both: see PROTOCOL.md. A running vector is state outside the weights,
so it is no loss of the package: snapshots would not hold it.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from torch import Tensor

from agents import compare
from agents.report.blocks import paired_difference
from agents.report.statistics import mean_interval
from gan_env.io.files import write_whole
from gan_env.losses.losses import LOSSES

RESULTS = Path(__file__).parents[1] / "results" / "readings" / "spectral-norm"
SETS, ORDERS = ("ring", "spiral"), ("sim-gda", "alt-gda-5")
KEPT = ("task", "loss", "controller", "seed", "status", "quality", "quality_name", "updates", "engine", "versions")
"""Fields of a row that are kept."""


@dataclass(frozen=True)
class Options:
    """How much is trained."""

    out: Path = RESULTS
    updates: int = 5_000
    seeds: int = 8


class RunningNorm:
    """Divides matrices by σ = uᵀWv, u and v from one more power iteration at every call.

    Holds the vectors of one batch, whose rows must all be trained at every call.
    """

    def __init__(self) -> None:
        self.u: dict[int, Tensor] = {}

    def __call__(self, flat: Tensor, matrices: list[tuple[int, int, int]]) -> Tensor:
        """Returns the weights (n, P) with normalised matrices, at (start, rows, columns) each."""
        pieces, at = [], 0
        for start, out, columns in matrices:
            weight = flat[:, start : start + out * columns].unflatten(1, (out, columns))
            pieces += [flat[:, at:start], (weight / self._size(start, weight)).flatten(1)]
            at = start + out * columns
        return torch.cat([*pieces, flat[:, at:]], 1)

    def _size(self, start: int, weight: Tensor) -> Tensor:
        with torch.no_grad():
            if start not in self.u:
                draw = torch.randn(weight.shape[1], 1, generator=torch.Generator().manual_seed(start))
                self.u[start] = draw.to(weight).expand(len(weight), -1, -1)
            assert len(self.u[start]) == len(weight), "a step of some rows alone"
            v = torch.nn.functional.normalize(weight.transpose(1, 2) @ self.u[start], dim=1)
            u = self.u[start] = torch.nn.functional.normalize(weight @ v, dim=1)
        return u.transpose(1, 2) @ weight @ v


def load(file: Path) -> list[dict]:
    """Reads the rows; none if the file is not there."""
    if not file.exists():
        return []
    with gzip.open(file, "rt") as lines:
        return [json.loads(line) for line in lines]


def table(rows: Sequence[dict]) -> str:
    """Formats both norms and their paired difference, a line for each set and order."""
    lines = [f"{'set':<8}{'order':<11}{'eight fresh':<28}{'one running':<28}running minus fresh, paired by seed"]
    for task, order in itertools.product(SETS, ORDERS):
        own = [row for row in rows if (row["task"], row["controller"]) == (task, order)]
        if not own:
            continue
        each = [mean_interval([r["quality"] for r in own if r["loss"] == loss]) for loss in ("sn", "sn-running")]
        labelled = [{**row, "controller": row["loss"]} for row in own]
        gap = mean_interval(paired_difference(labelled, "sn-running", "sn", "quality"))
        lines.append(f"{task:<8}{order:<11}{each[0]!s:<28}{each[1]!s:<28}{gap}")
    return "\n".join(lines)


def main(options: Options) -> None:
    """Trains what is missing, and writes the table."""
    torch.set_num_threads(1)
    norm, file = RunningNorm(), options.out / "rows.jsonl.gz"
    LOSSES.add("sn-running", replace(LOSSES["sn"], name="sn-running", reparametrise=norm))
    rows = load(file)
    there = {(row["task"], row["loss"], row["controller"]) for row in rows}
    for task, order, loss in itertools.product(SETS, ORDERS, ("sn", "sn-running")):
        if (task, loss, order) in there:
            continue
        norm.u.clear()  # of one batch alone
        found = compare(
            task, [order], seeds=options.seeds, split="tune", updates=options.updates, loss=loss, engine="torch",
            score=False,
        ).rows  # fmt: skip
        rows += [{name: row[name] for name in KEPT} for row in found]
        options.out.mkdir(parents=True, exist_ok=True)
        write_whole(file, gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0))
    text = (
        f"sn, {options.updates:,} updates, {options.seeds} tune seeds; mean sliced W1 to validation data [95 %]\n\n"
        + table(rows)
    )
    write_whole(options.out / "table.txt", text + "\n")
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
