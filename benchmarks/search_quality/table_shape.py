"""What do the measured landscapes look like?  Shares of variance, how alone the best mask stands, what brevity costs.

The fitness of all masks is a sum of effects of genes, of pairs of genes, and so on (Walsh analysis; Weinberger,
"Fourier and Taylor series on fitness landscapes", Biological Cybernetics 65 (1991)): each degree has a share of the
variance between masks.  What the noise of the measured means adds to each degree is taken off.

    python -m benchmarks.search_quality.table_shape
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.record import conditions_of, write_record
from benchmarks.search_quality.table_data import Table, load_table, table_names
from search.observations import FloatArray, IntArray


def walsh(values: FloatArray) -> FloatArray:
    """Coefficients of products of bits as +-1, ``(2^n,)``: bit i of a place says whether gene i is in the product."""
    found, width = values, 1
    while width < len(values):
        pairs = found.reshape(-1, 2, width)
        found = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
        width *= 2
    return found / len(values)


def degrees(n_genes: int) -> IntArray:
    """Number of genes in the product of each coefficient."""
    return np.array([place.bit_count() for place in range(2**n_genes)])


def own_fitness(fitness: FloatArray) -> tuple[FloatArray, float]:
    """Mean fitness of masks beside all of them, ``(M,)``, and the variance of one evaluation around it.

    Draws that all masks share say nothing about masks.

    Args:
        fitness: ``(R, M)``: by replicate and mask.
    """
    own = fitness - fitness.mean(axis=1, keepdims=True)
    return own.mean(axis=0), float(own.var(axis=0, ddof=1).mean())


def shape_of(table: Table) -> dict[str, Any]:
    """The figures of one table."""
    measured = table.brief
    n_replicates, n_masks = measured.fitness.shape
    truth, noise = own_fitness(measured.fitness)
    noise /= n_replicates
    coefficients, degree = walsh(truth), degrees(table.n_genes)
    power = coefficients**2 - noise / n_masks
    total = float(power[degree > 0].sum())
    ordered = np.sort(truth)[::-1]
    fitted = walsh(np.where(degree <= 2, coefficients, 0.0)) * n_masks
    best = int(truth.argmax())
    figures: dict[str, Any] = {
        "share_by_degree": [
            round(float(power[degree == d].sum()) / total, 4) for d in range(1, table.n_genes + 1)
        ],
        "best": table.genome(best).bitstring,
        "best_over_second": round(float(ordered[0] - ordered[1]), 4),
        "place_of_best_in_fit": int((fitted > fitted[best]).sum()) + 1,
    }
    if table.document["full_factors"]:
        full = table.full(1.0).truth
        figures["rank_correlation_with_full_length"] = round(float(spearmanr(truth, full)[0]), 3)
    return figures


def render(tables: dict[str, dict[str, Any]]) -> str:
    """One row per table."""
    lines = [
        "| table | variance in genes, % | pairs | three genes | four and more | best mask over the second, points "
        "| its place in the best model of genes and pairs | rank correlation with full length |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in tables.items():
        shares = figures["share_by_degree"]
        cells = [f"{100 * share:.0f}" for share in (*shares[:3], sum(shares[3:]))]
        correlation = figures.get("rank_correlation_with_full_length")
        lines.append(
            f"| {name} | {' | '.join(cells)} | {100 * figures['best_over_second']:.1f} "
            f"| {figures['place_of_best_in_fit']} | {'' if correlation is None else f'{correlation:.2f}'} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Analyse all tables and write the record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    conditions = conditions_of("search_quality.table_shape")
    tables = {name: shape_of(load_table(name)) for name in table_names() if name != "tiny"}
    write_record(conditions, tables, render(tables))


if __name__ == "__main__":
    main()
