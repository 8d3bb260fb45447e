"""The result of a comparison: a row for each run, as a table, a plot or a data frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(repr=False)
class ComparisonResult:
    """The runs of a comparison; in a notebook it shows itself as a table.

    >>> from agents import compare
    >>> result = compare("dirac", ["sim-gda", "alt-gda-1"], seeds=2, updates=20)
    >>> result
    <ComparisonResult: 2 controllers × 2 seeds on dirac, wgan-unclipped, 20 updates; lowest mean score: alt-gda-1>
    """

    rows: list[Row]
    """One dictionary for each controller and seed, see the documentation of the benchmark's rows."""
    samples: dict[str, Tensor] = field(default_factory=dict)
    """Samples of each controller's first run that did not fail, (64, *shape), by label; none without a score."""
    checkpoint_samples: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    """Samples on the way, by update and label: of the controller's first run, (M, *shape), until that fails."""

    @property
    def controllers(self) -> list[str]:
        """Labels of the controllers, in the order in which they were given."""
        return list(dict.fromkeys(row["controller"] for row in self.rows))

    @property
    def is_scored(self) -> bool:
        """Whether the runs were scored on test data."""
        return self.rows[0]["floor"] is not None

    def table(self, baseline: str | None = None) -> str:
        """Returns a text table: score with a 95 % interval, paired difference, failures, updates, time and return.

        Args:
            baseline: Label of the controller that the others are compared with, seed by seed; by default "sim-gda" if
                it takes part, else the first.

        Raises:
            ValueError: If there is no such controller, or if the runs were not scored.
        """
        from ..report.text import summary

        return summary(self.rows, baseline=self._baseline(baseline))

    def _baseline(self, name: str | None) -> str:
        """Returns the label of the baseline; raises ValueError if it takes no part, or nothing was scored."""
        labels = self.controllers
        name = name or ("sim-gda" if "sim-gda" in labels else labels[0])
        if name not in labels:
            raise ValueError(f"baseline={name!r} takes no part; use one of {', '.join(labels)}")
        self._need_scores()
        return name

    def plot(self) -> Figure:
        """Returns a Matplotlib figure: every run's score as a dot, each controller's mean with a 95 % interval.

        Raises:
            ValueError: If the runs were not scored.
        """
        from ..report.html.figures import score_dots
        from ..report.text import ranked

        self._need_scores()
        return score_dots(self.rows, ranked(self.rows))

    def to_frame(self) -> Any:
        """Returns the rows as a `pandas.DataFrame`, without their curves.

        Raises:
            ValueError: If pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ModuleNotFoundError as error:
            raise ValueError("to_frame() needs pandas: pip install pandas; or read .rows") from error
        return pandas.DataFrame([{name: value for name, value in row.items() if name != "trace"} for row in self.rows])

    def __repr__(self) -> str:
        first, seeds = self.rows[0], len({row["seed"] for row in self.rows})
        what = f"{len(self.controllers)} controllers × {seeds} seeds on {first['task']}, {first['loss']}"
        return f"<ComparisonResult: {what}, {first['updates']} updates; {self._verdict()}>"

    def _verdict(self) -> str:
        from ..report.text import by_controller, ranked, scores

        if not self.is_scored:
            return "not scored"
        best = ranked(self.rows)[0]
        if not len(scores(by_controller(self.rows)[best])):
            return "every run failed"
        return f"lowest mean score: {best}"

    def _repr_html_(self) -> str:
        """Shows the table in a notebook."""
        from ..report.blocks import make_blocks
        from ..report.text import summary_table

        if not self.is_scored:
            return f"<pre>{escape(repr(self))}</pre>"
        (block,) = make_blocks(self.rows)
        return summary_table(block, self._baseline(None)).html()

    def _need_scores(self) -> None:
        if not self.is_scored:
            raise ValueError("the runs were not scored (score=False), so there is nothing to rank; read .rows")
