"""Joins the rows of the suite `dynamic-gda-table-1-readings` to the thesis' 2-D table, one for each reading.

    gan-env bench --suite dynamic-gda-table-1-readings --jobs 2 --out benchmarks/results/dynamic-gda-table-1-readings
    python -m benchmarks.table_1                          # writes README.md beside the rows
    python -m benchmarks.table_1 --published cells.csv    # with the thesis' cells: task,loss,controller,score

A reading is Adam's β₁ and what 30,000 iterations of an alternating order are: updates of either player, or rounds, with
30,000 updates of G. Sim-GDA and Dynamic-GDA have 30,000 updates either way, RMSprop has no β₁.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from agents.benchmark.suites import BETAS, ORDERS, READINGS, THESIS_LOSSES
from agents.report.blocks import Row, read_config, read_rows
from agents.report.published import THESIS_BEST, THESIS_RANKS, Cells, read_cells
from agents.report.rank_tests import block_ranks, friedman, nemenyi
from agents.report.statistics import median_interval, rank_intervals
from gan_env.io.files import write_whole

SETS = ("ring", "circle", "spiral", "line")
COUNTS = ("updates", "rounds")
TITLES = {"sim-gda": "Sim-GDA", "alt-gda-1": "Alt-GDA 1", "alt-gda-5": "Alt-GDA 5", "dyn-gda": "Dynamic-GDA"}
ROUNDS = {"alt-gda-1": "rounds of 2", "alt-gda-5": "rounds of 6"}
ALPHA = 0.05
