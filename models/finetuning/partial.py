"""Partial fine-tuning: what came from one of the networks is trained less or not at all, or all but the last layers.

What nobody chose is always trained, a head that the source has in another shape say: its weights may be fresh.

Reference for rates by origin: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL
2018, section 3.2 (discriminative fine-tuning).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.genes import GeneMap
from models.recipe.strategy import STRATEGIES, LabelTraining, StrategyConfig
from search.errors import InvalidInputError
from search.genome import Genome

RateFactor = Annotated[float, Field(ge=1e-6, le=1e6)]


class PartialConfig(StrategyConfig):
    """Options of partial fine-tuning."""

    kind: Literal["partial"] = "partial"
    freeze: Literal["transferred", "kept", "all_but_last", "nothing"] = Field(
        "transferred",
        description="what is not trained: the source's tensors, the target's own, all genes but the last, or nothing",
    )
    last_genes: int | None = Field(
        None, ge=1, description="with all_but_last: how many genes at the end are trained"
    )
    transferred_rate: RateFactor = Field(
        1.0, description="what the learning rate of the source's tensors is multiplied with"
    )
    kept_rate: RateFactor = Field(
        1.0, description="what the learning rate of the target's own tensors is multiplied with"
    )

    @model_validator(mode="after")
    def _last_genes_come_with_all_but_last(self) -> PartialConfig:
        if (self.freeze == "all_but_last") != (self.last_genes is not None):
            raise ValueError(
                f"last_genes ({self.last_genes}) is needed exactly with freeze all_but_last, "
                f"given freeze {self.freeze}"
            )
        return self

    @model_validator(mode="after")
    def _rates_are_of_what_is_trained(self) -> PartialConfig:
        for side, factor in (("transferred", self.transferred_rate), ("kept", self.kept_rate)):
            if self.freeze == side and factor != 1:
                raise ValueError(
                    f"{side}_rate ({factor}) has no effect with freeze {side}, which trains none of these tensors; "
                    "train them at that rate with freeze nothing"
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
class PartialFineTuning(LabelTraining):
    """Trains a part of each candidate, at a learning rate for each origin."""

    config: PartialConfig

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:
        """Give the tensors of frozen genes, and those that the user pinned to the same side."""
        if self.config.last_genes is not None:
            return _all_but_last(genes, self.config.last_genes)
        if self.config.freeze == "nothing":
            return frozenset()
        return _chosen(genes, genome, is_kept=self.config.freeze == "kept")

    def rate_factors(self, genes: GeneMap, genome: Genome) -> Mapping[str, float]:
        """Give the factor of the origin of each tensor that somebody chose."""
        factors: dict[str, float] = {}
        for factor, is_kept in (
            (self.config.kept_rate, True),
            (self.config.transferred_rate, False),
        ):
            if factor != 1:
                factors |= dict.fromkeys(_chosen(genes, genome, is_kept=is_kept), factor)
        return factors


def _chosen(genes: GeneMap, genome: Genome, *, is_kept: bool) -> frozenset[str]:
    """Tensors of one origin: those of genes, and those that the user pinned to it."""
    pinned = genes.kept if is_kept else genes.transferred
    names = {fixed.name for fixed in pinned if fixed.is_chosen}
    for gene, keep in zip(genes.genes, genome.keeps, strict=True):
        if keep == is_kept:
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
