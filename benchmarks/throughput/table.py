"""Figures of throughput: what was measured as JSON, and one row per network and way for people."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.record import over_seeds, spread
from benchmarks.throughput.networks import BATCH, N_TRAIN, N_VALIDATION
from benchmarks.throughput.rounds import Measured, Way
from benchmarks.throughput.ways import OURS, PLAIN_LOOP
from models.plans.plan import Plan

HEADER = [
    "| network | way | ms per candidate-step | ours is faster by | mean, 95% interval | GFLOP/s | share of peak |",
    "|---|---|---|---|---|---|---|",
]
EXPLANATION = f"""\
Times and ratios: median over the rounds (min to max). A ratio compares two ways within one round; its mean is
geometric. A candidate-step is one training step on a minibatch of {BATCH} of one candidate with its share of grafting,
and of scoring {N_VALIDATION} samples, after which the candidate is done; {N_TRAIN} training samples, Adam.
GFLOP/s count the products and convolutions of training and scoring as one network needs them, by torch's counter.
The peak is the best of float32 matrix products in one process and in one process per core, in the same rounds.
Ours runs in the environment in which the service computes, the plain loop in the default one, the plain pool in
the default one with one thread per process, started beforehand."""

Figures = dict[str, Any]


def figures_of(measured: Measured) -> Figures:
    """Everything measured on one network, as JSON."""
    per_step = 1000 / (measured.n_candidates * measured.steps)
    arithmetic = measured.arithmetic
    operations = measured.n_candidates * (
        measured.steps * arithmetic.training_step + arithmetic.scoring
    )
    return {
        "candidates": measured.n_candidates,
        "steps": measured.steps,
        "other_load_cores": measured.other_load_cores,
        "operations_of_a_training_step": arithmetic.training_step,
        "operations_of_scoring": arithmetic.scoring,
        "peak_gflops": dict(measured.peak),
        "ways": {
            way.name: {
                "plan": None if way.plan is None else way.plan.model_dump(mode="json"),
                "refusal": way.refusal,
                "ms_per_candidate_step": [per_step * seconds for seconds in way.seconds],
                "gflops": [operations / seconds / 1e9 for seconds in way.seconds],
            }
            for way in measured.ways
        },
        "agreement_with_the_plain_loop": _agreement({way.name: way for way in measured.ways}),
    }


def table_of(figures: Mapping[str, Figures]) -> str:
    """The table of all networks, and what to know about it."""
    lines = list(HEADER)
    notes = []
    for network, own in figures.items():
        setting, peak = _best(own["peak_gflops"])
        ours = own["ways"][OURS]["ms_per_candidate_step"]
        for name, way in own["ways"].items():
            lines.append(f"| {network} | {_row(name, way, ours, peak)} |")
        agreement = own["agreement_with_the_plain_loop"]
        notes.append(
            f"- {network}: {own['candidates']} candidates x {own['steps']} steps; ours and the plain loop give "
            f"{100 * agreement['same_accuracy']:.0f}% of them the same validation accuracy within one sample, and "
            f"losses that differ by {agreement['largest_loss_difference_after_one_step']:.1e} at most (relative) after "
            f"one step; peak {peak:.0f} GFLOP/s ({setting}); a training step of one candidate is "
            f"{own['operations_of_a_training_step'] / 1e6:.1f} MFLOP; "
            f"other programs kept {own['other_load_cores']:.2f} cores busy meanwhile."
        )
    return "\n".join([*lines, "", *notes, "", EXPLANATION])


def _row(name: str, way: Figures, ours: Sequence[float], peak: float) -> str:
    plan = None if way["plan"] is None else Plan.model_validate(way["plan"])
    label = f"ours: {plan.label}" if name == OURS and plan is not None else name
    times = way["ms_per_candidate_step"]
    if not times:
        return f"{label} | refused: {way['refusal']} | | | | "
    gflops = statistics.median(way["gflops"])
    ratios = [other / own for other, own in zip(times, ours, strict=True)]
    is_ours = name == OURS
    cells = [
        label,
        spread(times),
        "" if is_ours else spread(ratios),
        "" if is_ours else _geometric_mean(ratios),
        f"{gflops:.1f}",
        f"{100 * gflops / peak:.0f}%",
    ]
    return " | ".join(cells)


def _geometric_mean(ratios: Sequence[float]) -> str:
    interval = over_seeds([math.log(ratio) for ratio in ratios])
    if interval.low is None or interval.high is None:
        return f"{math.exp(interval.mean):.2f}"
    return f"{math.exp(interval.mean):.2f} [{math.exp(interval.low):.2f}, {math.exp(interval.high):.2f}]"


def _best(peaks: Mapping[str, Sequence[float]]) -> tuple[str, float]:
    """The setting with the largest median, and that median in GFLOP/s."""
    medians = {setting: statistics.median(values) for setting, values in peaks.items()}
    setting = max(medians, key=lambda name: medians[name])
    return setting, medians[setting]


def _agreement(ways: Mapping[str, Way]) -> Figures:
    """How far ours and the plain loop find the same on the same candidates."""
    own, plain = (np.array(ways[name].scores) for name in (OURS, PLAIN_LOOP))
    own_first, plain_first = (
        np.array(ways[name].scores_after_one_step) for name in (OURS, PLAIN_LOOP)
    )
    # Half a sample of slack for rounding; a candidate that diverged either way agrees with nothing.
    is_same = np.abs(own[:, 0] - plain[:, 0]) <= 1.5 / N_VALIDATION
    differences = np.abs(own_first[:, 1] - plain_first[:, 1]) / plain_first[:, 1]
    return {
        "same_accuracy": float(is_same.mean()),
        "largest_loss_difference_after_one_step": float(differences.max()),
    }
