"""Compares searches on drawn games that none of them was trained on, in pairs; held-out games are not touched.

python benchmarks/auto/validate.py schedule-1 feedback-1
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from policies import FORMS
from train import RESULTS, play

FIRST = 10_000_000
"""Number of the first game; a search draws from 1,000 × games × its seed on."""


def main() -> None:
    """Prints each search's mean log distance, and its difference to the first one with a 95 % interval."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("searches", nargs="+", help="folders of searches; `start` is where they begin")
    parser.add_argument("--games", type=int, default=96)
    asked = parser.parse_args()
    found = {}
    with ProcessPoolExecutor(2) as pool:
        for name in asked.searches:
            form = FORMS["schedule" if name == "start" else name.rpartition("-")[0].removesuffix("-gradient")]
            theta = form.start
            if name != "start":
                theta = np.array(list(json.loads((RESULTS / name / "theta.json").read_text())["theta"].values()))
            jobs = [(FIRST + game, form, theta[None], False) for game in range(asked.games)]
            found[name] = np.array([scores[0] for _, scores in pool.map(play, jobs)])
    base = found[asked.searches[0]]
    for name, scores in found.items():
        off, ends = scores - base, np.random.default_rng(0).integers(0, len(base), (10_000, len(base)))
        low, high = np.percentile(off[ends].mean(1), [2.5, 97.5])
        failed = int((scores >= np.log(10) - 1e-6).sum())
        print(f"{name}: mean log distance {scores.mean():.3f}, median {np.median(scores):.3f}, failed {failed}; "
              f"minus {asked.searches[0]} {off.mean():.3f} [{low:.3f}, {high:.3f}]")  # fmt: skip


if __name__ == "__main__":
    main()
