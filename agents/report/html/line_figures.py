"""Draws curves: losses and rates over time, performance profiles, quality against rate, return against score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gan_env.rendering.draw import D_COLOUR, G_COLOUR, REAL_COLOUR, plain_log

from ..blocks import Block, Row, by_controller
from ..model import Report
from ..statistics import Interval
from .figures import DPI, WIDTH, short

MOST_LINES = 8
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito's palette without its yellow, which is invisible on white."""
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")


def training_curves(rows: list[Row], names: Sequence[str], columns: int = 3) -> Figure | None:
    """Draws losses and the discriminator's learning rate, a panel per controller; None without a trace."""
    groups = {
        name: [row for row in group if row["status"] == "ok" and (row.get("trace") or {}).get("update")]
        for name, group in by_controller(rows).items()
    }
    if not any(groups.values()):
        return None
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH, 1.45 * lines + 0.85), dpi=DPI, layout="constrained")
    cells = list(figure.subplots(lines, columns, squeeze=False, sharex=True).flat)
    reach = [v for group in groups.values() for row in group for v in _rates(row)]
    losses = np.concatenate([row["trace"][k] for g in groups.values() for row in g for k in ("d_loss", "g_loss")])
    low, high = np.quantile(losses, (0.01, 0.99))
    for axes, name in zip(cells, names, strict=False):
        axes.set_title(short(name), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.locator_params(axis="x", nbins=4)  # as many as 30,000 leaves room for
        axes.set_ylim(min(low, 0.0), 1.05 * high if high > 0 else 1.0)
        if groups[name]:
            _curves(axes, groups[name], reach)
        else:
            axes.text(0.5, 0.5, "every run failed", ha="center", transform=axes.transAxes, fontsize=8)
    for axes in cells[len(names) :]:
        axes.set_axis_off()
    for axes in cells[max(len(names) - columns, 0) : len(names)]:  # the last one of each column
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("update", fontsize=8)
    drawn = next(axes for axes, name in zip(cells, names, strict=False) if groups[name])
    figure.legend(drawn.get_lines(), ["L_D", "L_G"], loc="outside lower center", fontsize=8, ncols=2, frameon=False)
    figure.suptitle("losses (left; mean, 10-90 %), D's learning rate (grey, right)", fontsize=8)
    return figure


def _rates(row: Row) -> np.ndarray:
    return np.exp(np.array(row["trace"]["log_d_multiplier"])) * row["d_lr"]


def _curves(axes: Axes, rows: list[Row], reach: list[float]) -> None:
    length = min(len(row["trace"]["update"]) for row in rows)
    update = np.array(rows[0]["trace"]["update"][:length])
    for key, colour, style in (("d_loss", D_COLOUR, "-"), ("g_loss", G_COLOUR, "--")):
        values = np.array([row["trace"][key][:length] for row in rows])
        axes.plot(update, values.mean(0), color=colour, linestyle=style, linewidth=1)
        axes.fill_between(update, *np.quantile(values, (0.1, 0.9), axis=0), color=colour, alpha=0.2, linewidth=0)
    right = axes.twinx()
    rates = np.array([_rates(row)[:length] for row in rows])
    right.plot(update, np.exp(np.log(rates).mean(0)), color=REAL_COLOUR, linewidth=1.5, linestyle="-")
    bounds = min(reach) / 3, max(reach) * 3
    right.set_ylim(*bounds)  # first, or a constant rate makes the scale warn
    plain_log(right, "y", bounds)
    right.tick_params(labelsize=6, colors="#666666")


def lines_of(report: Report, names: Sequence[str]) -> list[str]:
    """Returns the first `MOST_LINES` names, and always the baseline."""
    kept = list(names[:MOST_LINES])
    if report.baseline in names and report.baseline not in kept:
        kept[-1] = report.baseline
    return kept


def line_style(place: int) -> dict[str, Any]:
    """Returns colour, marker and dashes of line number `place`."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place % len(DASHES)],
        "linewidth": 1.3,
        "markersize": 4,
    }


def _styles(report: Report, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the line style of each controller, the same in all figures of a report."""
    return {name: line_style(report.order.index(name)) for name in report.order if name in names}


def _line_figure(panels: int = 1, width: float = WIDTH, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Makes a figure with panels side by side, two to a line, or below one another where it is narrow."""
    columns = 1 if panels == 1 or width < WIDTH else 2
    lines = -(-panels // columns)
    figure = Figure(figsize=(width, height if lines == 1 else 0.8 * height * lines), dpi=DPI, layout="constrained")
    cells = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in cells:
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.tick_params(labelsize=8)
    for axes in cells[panels:]:
        axes.set_axis_off()
    return figure, cells[:panels]


def _legend(figure: Figure, axes: Axes, width: float = WIDTH) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4 if width >= WIDTH else 2, fontsize=8,
                  frameon=False)  # fmt: skip


def profile_lines(report: Report, names: Sequence[str]) -> Figure | None:
    """Draws performance profiles, and the baseline's 95 % band."""
    if report.profiles is None:
        return None
    figure, (axes,) = _line_figure()
    at, styles = np.array(report.profiles.thresholds), _styles(report, names)
    for place, name in enumerate(styles):
        shares = report.profiles.shares[name]
        style = {**styles[name], "drawstyle": "steps-post"}  # a share holds until the next threshold
        axes.plot(at, [s.value for s in shares], label=short(name), markevery=(place, 8), **style)
        if name == report.baseline and shares[0].bounded:
            low, high = [s.low for s in shares], [s.high for s in shares]
            axes.fill_between(at, low, high, step="post", color=styles[name]["color"], alpha=0.12, linewidth=0)
    plain_log(axes, "x", at)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("score ÷ best median of its configuration", fontsize=8)
    axes.set_ylabel("share of runs at or below", fontsize=8)
    _legend(figure, axes)
    return figure


def rate_lines(report: Report, names: Sequence[str], width: float = WIDTH) -> Figure:
    """Draws mean scores against the base rate, a panel for each family, on logarithmic axes where scores allow it."""
    curves = [(curve.family, curve.controller, curve.rates, curve.means) for curve in report.rate_curves]
    figure, panels = _curve_panels(report, names, curves, width)
    for axes, family in zip(panels, dict.fromkeys(curve.family for curve in report.rate_curves), strict=True):
        rates = next(curve.rates for curve in report.rate_curves if curve.family == family)
        plain_log(axes, "x", rates)
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.set_xlabel("base learning rate of the discriminator", fontsize=8)
    return figure


def budget_lines(report: Report, names: Sequence[str], width: float = WIDTH) -> Figure:
    """Draws expected scores against the number of rates tried, a panel for each family."""
    curves = [
        (curve.family, curve.controller, [float(k) for k in range(1, len(curve.means) + 1)], curve.means)
        for curve in report.budget
    ]
    figure, panels = _curve_panels(report, names, curves, width)
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trials of the base rate, the best kept by validation data", fontsize=8)
    return figure


def _curve_panels(
    report: Report,
    names: Sequence[str],
    curves: Sequence[tuple[str, str, list[float], list[Interval]]],
    width: float,
) -> tuple[Figure, list[Axes]]:
    """Draws curves (family, controller, places, means) with their intervals and the two marks, a panel a family."""
    families = list(dict.fromkeys(family for family, *_ in curves))
    figure, panels = _line_figure(len(families), width)
    styles = _styles(report, names)
    for axes, family in zip(panels, families, strict=True):
        found = {name: (at, means) for each, name, at, means in curves if each == family and name in styles}
        values = [mean.value for _, means in found.values() for mean in means]
        positive = min(values, default=0.0) > 0
        for place, (name, (at, means)) in enumerate((n, found[n]) for n in styles if n in found):
            shift = 1.03 ** (place - len(found) / 2)  # bars side by side
            axes.errorbar(np.array(at) * shift, [m.value for m in means], yerr=_spread(means, positive),
                          label=short(name), **styles[name])  # fmt: skip
        values += _marks(axes, report, family)
        if positive:
            plain_log(axes, "y", values)
        axes.set_title(short(family, 40), fontsize=9)
        axes.set_ylabel("mean score, lower is better", fontsize=8)
    _legend(figure, panels[0], width)
    return figure, panels


def _spread(means: Sequence[Interval], positive: bool) -> list[np.ndarray]:
    """Returns error bars below and above; on a logarithmic axis they end at half of the value."""
    values = np.array([m.value for m in means])
    low, high = (np.array([getattr(m, end) if m.bounded else m.value for m in means]) for end in ("low", "high"))
    return [values - (np.maximum(low, 0.5 * values) if positive else low), high - values]


def _marks(axes: Axes, report: Report, family: str) -> list[float]:
    """Draws the floor and the untrained generator's score of a family's first configuration; returns them."""
    found = report.marks[report.families[family]]
    known = [(v, label, line) for v, label, line in ((found.floor, "floor", "--"), (found.untrained, "untrained", ":"))
             if v is not None]  # fmt: skip
    for value, label, line in known:
        axes.axhline(value, color=G_COLOUR, linestyle=line, linewidth=1)
        axes.annotate(label, (0.995, value), xycoords=("axes fraction", "data"), color=G_COLOUR, fontsize=7,
                      ha="right", va="bottom")  # fmt: skip
    return [value for value, *_ in known if value > 0]


def reward_dots(report: Report, block: Block, names: Sequence[str]) -> Figure | None:
    """Draws return against score, a dot per run that did not fail; None where there are none."""
    groups = {n: [r for r in g if r["status"] == "ok"] for n, g in by_controller(block.rows).items()}
    if not any(groups.values()):
        return None
    figure, (axes,) = _line_figure()
    for name, own in _styles(report, [name for name in names if groups.get(name)]).items():
        style = {**own, "linestyle": "none"}
        group = groups[name]
        axes.plot([r["score"] for r in group], [r["return"] for r in group], label=short(name), alpha=0.8, **style)
    found = [row["score"] for group in groups.values() for row in group]
    if min(found) > 0:
        plain_log(axes, "x", found)
    axes.set_xlabel("score, lower is better", fontsize=8)
    axes.set_ylabel("return, higher is better", fontsize=8)
    _legend(figure, axes)
    return figure
