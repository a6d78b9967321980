"""Regret curves as a table and as a figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.record import over_seeds, show
from benchmarks.search_quality.searchers import is_ours
from search.observations import FloatArray

IMAGES = Path(__file__).parents[2] / "docs" / "images"
N_RESAMPLES = 2000
SHOWN_COUNTS = (25, 50, 100, 200, 500)
RANDOM = "random"
ONE_POINT = 1.0

# Regret by replay and count, ``(seeds, counts)``.
Curves = Mapping[str, FloatArray]


def render(
    table: str,
    summary: str,
    counts: Sequence[int],
    curves: Curves,
    others: Mapping[str, Sequence[float]],
    untrained: Mapping[str, Sequence[int]],
) -> str:
    """Regret after some counts, and the evaluations needed for one point and for what random search has at the end."""
    shown = [count for count in SHOWN_COUNTS if count in counts]
    lines = [
        f"{table}: {summary}.",
        "",
        "| search | replays | "
        + " | ".join(f"regret after {count}" for count in shown)
        + " | the other choice | within one point from | evaluations for random's last regret "
        "| masks measured untrained |",
        "|---|---|" + "---|" * (len(shown) + 4),
    ]
    for name in sorted(curves, key=lambda name: (not is_ours(name), name)):
        own = curves[name]
        cells = [show(over_seeds(own[:, counts.index(c)].tolist()), 2) for c in shown]
        cells.append(show(over_seeds(others[name]), 2))
        cells.append(_count(counts, _stays_within(counts, own.mean(axis=0), ONE_POINT)))
        cells.append(_needed(counts, own, curves[RANDOM]) if RANDOM in curves else "")
        cells.append(f"{np.mean(untrained[name]):.0f}")
        lines.append(f"| {name} | {len(own)} | " + " | ".join(cells) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "Regret in points of validation accuracy, mean over replays with its 95% t interval.  transfermask returns",
            "the best expectation, a peer its best score; the other choice is the other of these two, after all.",
            f"Then the count (of {counts[0]}, {counts[1]}, ...) from which on the mean regret is at most a point, and",
            f"the first at which it is not above random's after {counts[-1]}, with a 95% bootstrap interval over the",
            "replays of both.  Masks measured untrained, on average, come on top: a pass over the validation part.",
        ]
    )


def _needed(counts: Sequence[int], own: FloatArray, random: FloatArray) -> str:
    """The first count at which the mean curve is as low as random's end."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(N_RESAMPLES):
        target = random[rng.integers(len(random), size=len(random)), -1].mean()
        curve = own[rng.integers(len(own), size=len(own))].mean(axis=0)
        drawn.append(_first(counts, curve, target))
    low, high = np.percentile(drawn, [2.5, 97.5], method="nearest")
    reached = _first(counts, own.mean(axis=0), float(random[:, -1].mean()))
    return f"{_count(counts, reached)} [{_count(counts, low)}, {_count(counts, high)}]"


def _stays_within(counts: Sequence[int], curve: FloatArray, target: float) -> float:
    """The first count from which on a curve is never higher."""
    above = np.flatnonzero(curve > target)
    place = 0 if len(above) == 0 else int(above[-1]) + 1
    return counts[place] if place < len(counts) else float("inf")


def _first(counts: Sequence[int], curve: FloatArray, target: float) -> float:
    reached = np.flatnonzero(curve <= target)
    return float(counts[reached[0]]) if len(reached) else float("inf")


def _count(counts: Sequence[int], value: float) -> str:
    return f"over {counts[-1]}" if np.isinf(value) else f"{value:.0f}"


def draw(table: str, counts: Sequence[int], curves: Curves) -> None:
    """Draw mean regret with its 95% interval over the evaluations: ours as full lines, peers dashed."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["tab20"].colors  # type: ignore[attr-defined]
    for number, name in enumerate(sorted(curves, key=lambda name: (not is_ours(name), name))):
        intervals = [over_seeds(column.tolist()) for column in curves[name].T]
        means = [interval.mean for interval in intervals]
        lows = [i.mean if i.low is None else i.low for i in intervals]
        highs = [i.mean if i.high is None else i.high for i in intervals]
        colour, style = colours[number % len(colours)], "-" if is_ours(name) else "--"
        axes.plot(counts, means, linestyle=style, color=colour, label=name)
        axes.fill_between(counts, lows, highs, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("regret, points of validation accuracy")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "transfermask", "svg.fonttype": "none", "font.size": 9}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    (IMAGES / f"regret-{table}.svg").write_text(svg[svg.index("<svg") :], encoding="utf-8")
