"""What a finished search says about its genes: each one's decision and effect, and the pairs that act together."""

from __future__ import annotations

from models.genes import GeneMap
from search.effects import Effects
from search.genome import Genome
from service.result import Estimate, GeneReport, PairReport


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
