"""Partial fine-tuning: what came from one of the two networks stays as it is, or all but the last layers do.

What nobody chose is always trained, a head that the source has in another shape say: its weights may be fresh.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Literal

from pydantic import Field, model_validator

from models.genes import GeneMap
from models.strategy import STRATEGIES, CrossEntropyTraining, StrategyConfig
from search.errors import InvalidInputError
from search.genome import Genome


class PartialConfig(StrategyConfig):
    """Options of partial fine-tuning with cross entropy."""

    kind: Literal["partial"] = "partial"
    freeze: Literal["transferred", "kept", "all_but_last"] = Field(
        "transferred",
        description="what is not trained: the source's tensors, the target's own, or all genes but the last",
    )
    last_genes: int | None = Field(
        None, ge=1, description="with all_but_last: how many genes at the end are trained"
    )

    @model_validator(mode="after")
    def _last_genes_come_with_all_but_last(self) -> PartialConfig:
        if (self.freeze == "all_but_last") != (self.last_genes is not None):
            raise ValueError(
                f"last_genes ({self.last_genes}) is needed exactly with freeze all_but_last, "
                f"given freeze {self.freeze}"
            )
        return self

    def check(self, genes: GeneMap) -> None:
        """Refuse to train more genes than there are.

        Raises:
            InvalidInputError: With both numbers.
        """
        if self.last_genes is not None and self.last_genes > genes.n_genes:
            raise InvalidInputError(
                "finetune.last_genes",
                self.last_genes,
                f"at most the {genes.n_genes} genes of the model",
            )


@STRATEGIES.register(PartialConfig)
class PartialFineTuning(CrossEntropyTraining):
    """Trains a part of each candidate at one learning rate."""

    config: PartialConfig

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:
        """Give the tensors of frozen genes, and those that the user pinned to the same side."""
        if self.config.last_genes is not None:
            return _all_but_last(genes, self.config.last_genes)
        freezes_kept = self.config.freeze == "kept"
        pinned = genes.kept if freezes_kept else genes.transferred
        names = {fixed.name for fixed in pinned if fixed.is_chosen}
        for gene, is_kept in zip(genes.genes, genome.keeps, strict=True):
            if is_kept == freezes_kept:
                names.update(gene.tensors)
        return frozenset(names)


def _all_but_last(genes: GeneMap, last_genes: int) -> frozenset[str]:
    """Tensors of all genes but the last, and pinned tensors that come before those in the network.

    A pinned tensor after the first trained one is trained as well, a pinned head say.
    """
    trained = {name for gene in genes.genes[-last_genes:] for name in gene.tensors}
    frozen = {name for gene in genes.genes for name in gene.tensors} - trained
    pinned = {fixed.name for fixed in (*genes.kept, *genes.transferred) if fixed.is_chosen}
    before = takewhile(lambda name: name not in trained, genes.tensors)
    return frozenset(frozen | pinned.intersection(before))
