"""What the experiments share that are run once at each of several base learning rates."""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

RATES = (2e-4, 1e-3, 4e-3)


def command_line(doc: str | None, out: str) -> argparse.ArgumentParser:
    """Options of every such experiment; rows and table go to `out` under benchmarks/results/."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--updates", type=int, default=2_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / out)
    return parser


def at_rates(given: argparse.Namespace, run: Callable[[float], tuple[list[dict[str, Any]], str]]) -> None:
    """Runs `run`, which gives rows and a table, at each rate; prints and saves both as they come."""
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    texts = []
    for rate in given.rates:
        start = time.perf_counter()
        rows, text = run(rate)
        texts.append(text)
        print(text, f"{time.perf_counter() - start:.0f} s\n", sep="\n", flush=True)
        with gzip.open(given.out / f"rows_{rate:g}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    (given.out / "table.txt").write_text("\n\n".join(texts) + "\n")
