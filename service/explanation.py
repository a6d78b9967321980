"""What a finished search says about its genes and its rungs."""

from __future__ import annotations

from collections.abc import Sequence

from models.genes import GeneMap
from search.effects import Effects
from search.genome import Genome
from search.proposing.rungs import RungAgreement
from service.result import Estimate, GeneReport, PairReport, RungReport


def report_genes(genes: GeneMap, winner: Genome, effects: Effects) -> tuple[GeneReport, ...]:
    """Give every gene with what became of it in the winning mask, and its effect where there is a model."""
    estimates: list[Estimate | None] = [Estimate.of(interval) for interval in effects.genes]
    return tuple(
        GeneReport(
            name=gene.name,
            tensors=gene.tensors,
            parameters=gene.parameters,
            keep=keep,
            effect=effect,
        )
        for gene, keep, effect in zip(
            genes.genes, winner.keeps, estimates or [None] * genes.n_genes, strict=True
        )
    )


def report_pairs(genes: GeneMap, effects: Effects) -> tuple[PairReport, ...]:
    """Give the pairs that stand out, the surest first."""
    names = [gene.name for gene in genes.genes]
    return tuple(
        PairReport(
            genes=(names[pair.genes[0]], names[pair.genes[1]]), effect=Estimate.of(pair.effect)
        )
        for pair in effects.pairs
    )


def report_rungs(rungs: Sequence[RungAgreement]) -> tuple[RungReport, ...]:
    """Give every rung with what it was worth."""
    return tuple(
        RungReport(steps=rung.steps, correlation=rung.correlation, used=rung.is_used)
        for rung in rungs
    )
