"""How many training steps rungs save: from curves of quality over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.record import over_seeds, show
from search.observations import FloatArray, IntArray

# Evaluations after which the search without rungs has the quality that is to be reached.
TARGETS = (50, 100, 200)
N_RESAMPLES = 1000
Rows = Sequence[Mapping[str, Any]]


def curves_of(rows: Rows) -> FloatArray:
    """``(searches, counts)``: quality of what each search would return after so many evaluations' worth of steps."""
    return np.array([row["curve"].split() for row in rows], dtype=np.float64)


def first_at(curve: FloatArray, counts: Sequence[int], target: float) -> float:
    """Evaluations' worth of steps until a curve reaches a target; infinite if it does not."""
    reached = np.flatnonzero(curve >= target - 1e-9)
    return float(counts[reached[0]]) if len(reached) else float("inf")


def clusters_of(rows: Rows) -> list[IntArray]:
    """Places of the searches that are drawn together: those of one problem, or each alone where all are of one."""
    problems = [row["problem"] for row in rows]
    if len(set(problems)) == 1:
        return [np.array([place]) for place in range(len(rows))]
    return [
        np.flatnonzero([own == problem for own in problems]) for problem in dict.fromkeys(problems)
    ]


@dataclass(frozen=True, slots=True)
class Saving:
    """What rungs save on the way to one quality.

    Attributes:
        needed: Evaluations' worth of steps with rungs; infinite where the quality is not reached.
        ratio: How many times fewer than without rungs; 0 where it is not reached.
        low: Lower bound of ``ratio``, 95%.
        high: Upper bound.
    """

    needed: float
    ratio: float
    low: float
    high: float


def saving(reference: Rows, own: Rows, counts: Sequence[int], after: int) -> Saving:
    """Compare the first times that two mean curves reach what the one without rungs has after so many evaluations.

    Both lists hold the same problems and seeds in the same order; searches are resampled in pairs.
    """
    without, with_rungs = curves_of(reference), curves_of(own)
    place, clusters = list(counts).index(after), clusters_of(own)

    def compare(searches: IntArray) -> tuple[float, float]:
        known, other = without[searches].mean(axis=0), with_rungs[searches].mean(axis=0)
        needed = first_at(other, counts, known[place])
        return needed, first_at(known, counts, known[place]) / needed

    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(N_RESAMPLES):
        drawn = rng.integers(len(clusters), size=len(clusters))
        ratios.append(compare(np.concatenate([clusters[number] for number in drawn]))[1])
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Saving(*compare(np.arange(len(own))), float(low), float(high))


def render(
    by_problem: Mapping[str, Mapping[str, Rows]],
    counts: Sequence[int],
    reference: str,
    least: float,
) -> str:
    """One table per group of problems, and one of the rungs' rank correlations."""
    lines = [
        "Steps, in evaluations at the search fidelity, after which a search has on average the quality of the search",
        f"{reference} after {', '.join(map(str, TARGETS))} evaluations; in parentheses how many times",
        "fewer than that search needs itself, with the 95% interval of a bootstrap.  Quality: 0 the mean of all masks,",
        "1 the best; its mean and 95% t interval.  Of several problems, whole ones are the independent repetitions.",
    ]
    for problem, arms in by_problem.items():
        lines += ["", f"{problem}, {len(arms[reference])} searches:", ""]
        header = [f"as after {after}" for after in TARGETS]
        lines.append(f"| search | quality after {counts[-1]} | {' | '.join(header)} |")
        lines.append("|---|---|" + "---|" * len(TARGETS))
        for name, rows in arms.items():
            cells = [_saving(arms[reference], rows, counts, after) for after in TARGETS]
            lines.append(f"| {name} | {_quality(rows)} | {' | '.join(cells)} |")
        lines += ["", *_correlations(arms, least)]
    return "\n".join(lines)


def _quality(rows: Rows) -> str:
    """At the end."""
    last = curves_of(rows)[:, -1]
    return show(over_seeds([float(last[own].mean()) for own in clusters_of(rows)]))


def _saving(reference: Rows, own: Rows, counts: Sequence[int], after: int) -> str:
    found = saving(reference, own, counts, after)
    if not np.isfinite(found.needed):
        return f"not within {counts[-1]} (at most {found.high:.1f} times fewer)"
    return f"{found.needed:.0f} ({found.ratio:.1f} [{found.low:.1f}, {found.high:.1f}])"


def _correlations(arms: Mapping[str, Rows], least: float) -> list[str]:
    """Rank correlation of each rung with the search fidelity, and how often it is below the guard's threshold."""
    lines = [
        f"| search | rung, steps | rank correlation in the first generation | below {least:g} |",
        "|---|---|---|---|",
    ]
    for name, rows in arms.items():
        rungs = sorted({int(steps) for row in rows for steps in row["correlations"]})
        for steps in rungs:
            found = [
                row["correlations"][str(steps)] for row in rows if str(steps) in row["correlations"]
            ]
            below = sum(value < least for value in found)
            cells = [name, str(steps), show(over_seeds(found), 2), f"{below} of {len(found)}"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines
