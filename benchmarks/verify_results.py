"""Runs a quick group of every committed benchmark again and compares its rows to the bit, in seconds; a part of CI.

    python benchmarks/verify_results.py

Exit code 1 if rows differ that were made on this class of machine with these versions; where they were not, rounding
differs anyway, and the difference is only said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from agents.benchmark.executors import local_executor
from agents.benchmark.folder import open_folder
from agents.benchmark.verify import finished, report, verify

RESULTS = Path(__file__).parent / "results"
SECONDS = 6.0
"""The longest training that is run again."""


def main(results: Path = RESULTS) -> int:
    torch.set_num_threads(1)
    found = [path.parent for path in sorted(results.glob("*/config.json")) if "parts" in json.loads(path.read_text())]
    if not found:
        print(f"no benchmark's folder is committed under {results} yet")
    sound = True
    for folder in found:
        try:
            work = open_folder(folder, None, trust=True)  # it is our own
            if not finished(work, SECONDS):
                print(f"{folder.name}: every group takes longer than {SECONDS:g} s; gan-env verify {folder}")
                continue
            verdicts = verify(work, local_executor(1), groups=1, within_s=SECONDS)
        except (OSError, ValueError) as error:
            print(f"{folder.name}: {error}")
            sound = False
            continue
        print(f"{folder.name}: {report(verdicts)}", flush=True)
        sound &= all(v.equal or (v.origins and not v.failed) for v in verdicts)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
