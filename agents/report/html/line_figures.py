"""Draws curves: losses and rates over time, performance profiles, quality against rate, return against score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gan_env.rendering.draw import D_COLOUR, G_COLOUR, REAL_COLOUR, plain_log

from ..blocks import Block, Row, by_controller
from ..model import Report
from .figures import DPI, WIDTH, short

MOST_LINES = 8
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito's palette without its yellow, which is invisible on white."""
MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")


def training_curves(rows: list[Row], names: Sequence[str], columns: int = 2) -> Figure | None:
    """Draws losses and the discriminator's learning rate, a panel per controller; None without a trace."""
    groups = {
        name: [row for row in group if row["status"] == "ok" and (row.get("trace") or {}).get("update")]
        for name, group in by_controller(rows).items()
    }
    if not any(groups.values()):
        return None
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(WIDTH / 2 * columns, 1.45 * lines + 0.85), dpi=DPI, layout="constrained")
    cells = list(figure.subplots(lines, columns, squeeze=False, sharex=True).flat)
    reach = [v for group in groups.values() for row in group for v in _rates(row)]
    losses = np.concatenate([row["trace"][k] for g in groups.values() for row in g for k in ("d_loss", "g_loss")])
    low, high = np.quantile(losses, (0.01, 0.99))
    for axes, name in zip(cells, names, strict=False):
        axes.set_title(short(name), fontsize=8)
        axes.tick_params(labelsize=7)
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


def _line_figure(height: float = 3.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.tick_params(labelsize=8)
    return figure, axes


def profile_lines(report: Report, names: Sequence[str]) -> Figure | None:
    """Draws performance profiles, and the baseline's 95 % band."""
    if report.profiles is None:
        return None
    figure, axes = _line_figure()
    at = np.array(report.profiles.thresholds)
    for place, name in enumerate(names):
        shares = report.profiles.shares[name]
        style = {**line_style(place), "drawstyle": "steps-post"}  # a share holds until the next threshold
        axes.plot(at, [s.value for s in shares], label=short(name), markevery=(place, 8), **style)
        if name == report.baseline and shares[0].bounded:
            low, high = [s.low for s in shares], [s.high for s in shares]
            axes.fill_between(at, low, high, step="post", color=COLOURS[place % 7], alpha=0.12, linewidth=0)
    plain_log(axes, "x", at)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("score ÷ best median of its configuration", fontsize=8)
    axes.set_ylabel("share of runs at or below", fontsize=8)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def rate_lines(report: Report, family: str, names: Sequence[str]) -> Figure:
    """Draws mean scores with their intervals against the base rate, on logarithmic axes where scores are positive."""
    curves = {c.controller: c for c in report.rate_curves if c.family == family}
    figure, axes = _line_figure()
    every = [i for name in names if name in curves for i in curves[name].means]
    positive = min(i.value for i in every) > 0
    for place, name in enumerate(n for n in names if n in curves):
        curve = curves[name]
        values = np.array([i.value for i in curve.means])
        low, high = (
            np.array([getattr(i, end) if i.bounded else i.value for i in curve.means]) for end in ("low", "high")
        )
        spread = [values - (np.maximum(low, 0.5 * values) if positive else low), high - values]
        shift = 1.03 ** (place - len(names) / 2)  # bars side by side
        axes.errorbar(np.array(curve.rates) * shift, values, yerr=spread, label=short(name), **line_style(place))
    rates = next(iter(curves.values())).rates
    plain_log(axes, "x", rates)
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    if positive:
        plain_log(axes, "y", [i.value for i in every])
    axes.set_xlabel("base learning rate of the discriminator", fontsize=8)
    axes.set_ylabel("mean score, lower is better", fontsize=8)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def reward_dots(block: Block, names: Sequence[str]) -> Figure | None:
    """Draws return against score, a dot per run that did not fail; None where there are none."""
    groups = {n: [r for r in g if r["status"] == "ok"] for n, g in by_controller(block.rows).items()}
    if not any(groups.values()):
        return None
    figure, axes = _line_figure()
    for place, name in enumerate(name for name in names if groups.get(name)):
        style = {**line_style(place), "linestyle": "none"}
        group = groups[name]
        axes.plot([r["score"] for r in group], [r["return"] for r in group], label=short(name), alpha=0.8, **style)
    found = [row["score"] for group in groups.values() for row in group]
    if min(found) > 0:
        plain_log(axes, "x", found)
    axes.set_xlabel("score, lower is better", fontsize=8)
    axes.set_ylabel("return, higher is better", fontsize=8)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure
