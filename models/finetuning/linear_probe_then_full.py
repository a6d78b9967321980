"""Linear probing, then full fine-tuning: a head that fits does not distort the features below it.

Reference: Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.genes import GeneMap
from models.recipe.strategy import STRATEGIES, LabelTraining, Stage, StrategyConfig
from search.genome import Genome


class LinearProbeThenFullConfig(StrategyConfig):
    """Options of both stages."""

    kind: Literal["linear_probe_then_full"] = "linear_probe_then_full"
    probe_share: float = Field(
        0.5, gt=0, lt=1, description="share of the steps in which the head alone is trained"
    )
    probe_rate: float = Field(
        1.0, ge=1e-6, le=1e6, description="what the learning rate of the probe is multiplied with"
    )


@STRATEGIES.register(LinearProbeThenFullConfig)
class LinearProbeThenFull(LabelTraining):
    """Trains the last layer, then everything."""

    config: LinearProbeThenFullConfig

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The probe, and the rest of the steps."""
        share = self.config.probe_share
        probe = _LinearProbe(self.config)
        return (Stage(probe, share, self.config.probe_rate), Stage(self, 1 - share))


class _LinearProbe(LabelTraining):
    """Trains the last layer."""

    def frozen(self, genes: GeneMap, genome: Genome) -> frozenset[str]:  # noqa: ARG002 - the same for every mask
        """Give all tensors before the last layer, apart from those that nobody chose: they may be fresh."""
        head = genes.tensors[-1].rpartition(".")[0]
        unchosen = {
            fixed.name for fixed in (*genes.kept, *genes.transferred) if not fixed.is_chosen
        }
        return (
            frozenset(name for name in genes.tensors if name.rpartition(".")[0] != head) - unchosen
        )
