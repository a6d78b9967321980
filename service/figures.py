"""The report's figures as inline SVG: convergence, mask and effects over the layers, baselines, confusion matrix.

Drawn with matplotlib's object interface: no global state, no display, safe in any thread.
"""

from __future__ import annotations

import io
import math
import warnings

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from service.result import BaselineReport, SearchResult

KEEP_COLOUR, TRANSFER_COLOUR, QUIET_COLOUR = "#d98324", "#2a6f97", "#9aa5ad"
RIGHT_COLOUR, WRONG_COLOUR = TRANSFER_COLOUR, KEEP_COLOUR
# With more classes than this, numbers would be too small to read: shades alone are shown.
MOST_CLASSES_WITH_NUMBERS = 20
# With more genes than this, their names would overlap.
MOST_GENES_WITH_NAMES = 60


def convergence_curve(result: SearchResult) -> str:
    """Every measured fitness of the search phase, and the best so far, over the evaluations."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    counts = [point.evaluations for point in result.curve]
    axes.plot(
        counts,
        [point.fitness for point in result.curve],
        linestyle="",
        marker=".",
        color=QUIET_COLOUR,
        label="one evaluation",
    )
    axes.step(
        counts,
        [point.best_fitness for point in result.curve],
        where="post",
        color=TRANSFER_COLOUR,
        label="best so far (selection score)",
    )
    axes.set_xlabel("evaluations")
    axes.set_ylabel("validation fitness")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return _svg(figure)


def mask_over_layers(result: SearchResult) -> str:
    """One box per gene in the network's order, coloured by its decision, with its number of parameters."""
    genes = result.genes
    per_row = min(len(genes), 9)
    n_rows = math.ceil(len(genes) / per_row)
    figure = Figure(figsize=(7.2, 0.55 + 0.85 * n_rows), layout="constrained")
    axes = figure.add_subplot()
    for index, gene in enumerate(genes):
        row, column = divmod(index, per_row)
        colour = KEEP_COLOUR if gene.keep else TRANSFER_COLOUR
        axes.broken_barh([(column + 0.04, 0.92)], (-row - 0.4, 0.8), facecolors=colour)
        text = f"{_shortened(gene.name)}\n{gene.parameters:,}"
        axes.text(column + 0.5, -row, text, ha="center", va="center", color="white", fontsize=7)
    axes.set_xlim(0, per_row)
    axes.set_ylim(-n_rows + 0.45, 0.55)
    axes.set_axis_off()
    handles = [
        Patch(color=TRANSFER_COLOUR, label="0: transferred from the source"),
        Patch(color=KEEP_COLOUR, label="1: the target's own weight kept"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return _svg(figure)


def mask_versus_baselines(result: SearchResult) -> str:
    """Test scores of the found mask and the baselines with their 95% intervals."""
    rows = [("found mask", result.test)]
    rows += [(name, baseline.test) for name, baseline in named_baselines(result)]
    figure = Figure(figsize=(7.2, 0.9 + 0.4 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, test) in enumerate(rows):
        low = test.mean if test.low is None else test.low
        high = test.mean if test.high is None else test.high
        colour = TRANSFER_COLOUR if place == 0 else QUIET_COLOUR
        axes.errorbar(
            test.mean,
            place,
            xerr=[[test.mean - low], [high - test.mean]],
            marker="o",
            capsize=4,
            color=colour,
        )
        axes.text(test.mean, place - 0.18, f"{test.mean:.3f}", ha="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_xlabel(f"test {result.test.metric.replace('_', ' ')}, 95% interval")
    return _svg(figure)


def effects_over_layers(result: SearchResult) -> str | None:
    """Effect of every gene with its interval, in the network's order; None where the result has none."""
    genes = [gene for gene in result.genes if gene.effect is not None]
    if not genes:
        return None
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color="black", linewidth=0.8)
    for place, gene in enumerate(genes):
        assert gene.effect is not None
        low, mean, high = gene.effect.low, gene.effect.mean, gene.effect.high
        axes.errorbar(
            place,
            mean,
            yerr=None if low is None or high is None else [[mean - low], [high - mean]],
            marker="o" if len(genes) <= MOST_GENES_WITH_NAMES else ".",
            capsize=3 if len(genes) <= MOST_GENES_WITH_NAMES else 0,
            color=KEEP_COLOUR if gene.keep else TRANSFER_COLOUR,
        )
    if len(genes) <= MOST_GENES_WITH_NAMES:
        names = [_shortened(gene.name, 22) for gene in genes]
        axes.set_xticks(range(len(genes)), names, rotation=90, fontsize=7)
    else:
        axes.set_xlabel("gene, in the network's order")
    axes.set_ylabel("fitness kept - transferred")
    handles = [
        Line2D([], [], marker="o", color=TRANSFER_COLOUR, label="transferred in the found mask"),
        Line2D([], [], marker="o", color=KEEP_COLOUR, label="kept"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
    return _svg(figure)


def confusion_matrix(result: SearchResult) -> str | None:
    """Mean counts of the winner's answers on the test part, row by true class; None where the result has none."""
    if result.by_class is None or result.by_class.confusion is None:
        return None
    matrix = result.by_class.confusion
    n_classes = len(matrix)
    size = max(2.6, min(6.6, 0.55 * n_classes))
    figure = Figure(figsize=(size + 1.1, size + 0.5), layout="constrained")
    axes = figure.add_subplot()
    for row, counts in enumerate(matrix):
        total = sum(counts)
        for column, count in enumerate(counts):
            # Empty cells are left out: of many classes, most are.
            if count > 0:
                _draw_cell(axes, row, column, count, count / total, n_classes)
    names = [_shortened(own.name) for own in result.by_class.classes]
    font = min(9.0, 350 / n_classes)
    # About 14 letters fit into an inch.
    is_crowded = max(len(name) for name in names) * n_classes > 14 * size
    # People's own names: a dollar in them begins no formula.
    axes.set_xticks(
        range(n_classes), names, rotation=90 if is_crowded else 0, fontsize=font, parse_math=False
    )
    axes.set_yticks(range(n_classes), names, fontsize=font, parse_math=False)
    axes.set_xlim(-0.5, n_classes - 0.5)
    axes.set_ylim(n_classes - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    return _svg(figure)


def _draw_cell(
    axes: Axes, row: int, column: int, count: float, share: float, n_classes: int
) -> None:
    colour = RIGHT_COLOUR if row == column else WRONG_COLOUR
    # Even a rare mistake can be seen.
    shade = 0.12 + 0.88 * share
    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=shade, edgecolor="none"))
    if n_classes <= MOST_CLASSES_WITH_NUMBERS:
        ink = "white" if shade > 0.6 else "#1d2a33"
        number = f"{count:.0f}" if count >= 100 else f"{count:.1f}".removesuffix(".0")
        font = 9.0 if n_classes <= 10 else 7.0
        axes.text(column, row, number, ha="center", va="center", color=ink, fontsize=font)


def named_baselines(result: SearchResult) -> list[tuple[str, BaselineReport]]:
    """The baselines that exist, with the names that people read."""
    baselines = result.baselines
    named = [
        ("keep-all", baselines.keep_all),
        ("transfer-all", baselines.transfer_all),
        ("best prefix", baselines.best_prefix),
    ]
    return [(name, baseline) for name, baseline in named if baseline is not None]


def _shortened(name: str, length: int = 14) -> str:
    return name if len(name) <= length else f"…{name[1 - length :]}"


def _svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element, the same bytes for the same figure."""
    buffer = io.StringIO()
    with (
        rc_context({"svg.hashsalt": "transfermask", "svg.fonttype": "none", "font.size": 9}),
        warnings.catch_warnings(),
    ):
        # Names in scripts that the font here lacks: the reader's browser has one, letters are written as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]
