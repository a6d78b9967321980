"""Fine-tuning of a grafted population, stage by stage: from masks, learning rates and steps to trained weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.data.splits import TaskData
from models.genes import GeneMap
from models.layout import Augment, Layout, Recipe
from models.population.gated_norm import running_statistics
from models.randomness import seeded_torch
from models.recipe.augmentation import Augmenter
from models.recipe.class_weights import balanced_draws, sample_weights
from models.recipe.draws import Draws
from models.recipe.freezing import Freezing, tensors_kept
from models.recipe.minibatches import Minibatches, draw_minibatches
from models.recipe.options import RecipeOptions
from models.recipe.strategy import TEACHER, WEIGHTS, Objective, Stage, Strategy, steps_by_stage
from search.genome import Genome

# Samples per forward pass when running statistics are measured anew.
STATISTICS_BATCH = 256


@dataclass(frozen=True, slots=True)
class Rows:
    """What distinguishes the candidates of a chunk.

    Attributes:
        genomes: ``P`` masks.
        learning_rates: ``P`` rates.
    """

    genomes: tuple[Genome, ...]
    learning_rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk whose training is under way.

    ``moved`` names the tensors that some stage so far has changed.
    """

    layout: Layout
    state: State
    rows: Rows
    moved: set[str] = field(default_factory=set)

    def train(self, samples: Examples, minibatches: Minibatches, recipe: Recipe) -> None:
        """Run one training step per minibatch."""
        freezing = replace(recipe.freezing, moved=frozenset(self.moved))
        self.layout.train(
            self.state,
            samples,
            minibatches.to(samples.labels.device),
            replace(recipe, freezing=freezing),
        )
        self.moved.update(self.state.keys() - freezing.everywhere)


class FineTuner:
    """Trains populations of one task; draws depend on seed, replicate and stage alone."""

    def __init__(
        self,
        network: nn.Module,
        genes: GeneMap,
        data: TaskData,
        strategy: Strategy,
        seed: int,
        teachers: Mapping[str, Tensor],
    ) -> None:
        """Bind a task.

        Args:
            network: For its structure.
            genes: Which tensors are kept or transferred as one.
            data: On the device that training happens on.
            strategy: What training does.
            seed: Of every draw.
            teachers: Logits ``(N, C)`` of the strategy's teachers on the training part, by their names.
        """
        self._genes, self._data, self._strategy, self._seed = genes, data, strategy, seed
        # A buffer outside the state is nobody's to freeze.
        statistics = frozenset[str]().union(*running_statistics(network).values())
        self._statistics = statistics.intersection(genes.tensors)
        self._samples = [
            stage_examples(stage.objective, data, teachers) for stage in strategy.stages
        ]

    def train(
        self,
        layout: Layout,
        state: State,
        rows: Rows,
        *,
        steps: int,
        replicates: int | tuple[int, ...],
        only_steps: bool = False,
    ) -> None:
        """Train a chunk.

        Args:
            layout: Computes it.
            state: ``(P, *shape)`` per tensor; changed in place.
            rows: What distinguishes the candidates.
            steps: Over all stages.
            replicates: Of the draws: one for the whole chunk; or each candidate's own, which only a training can have
                that draws nothing but minibatches (``models/recipe/mixing.py``).
            only_steps: For timing: leave out what takes its time once, however many steps there are.
        """
        chunk = _Chunk(layout, state, rows)
        for number, (stage, stage_steps) in enumerate(steps_by_stage(self._strategy, steps)):
            draws = Draws(replicates, number)
            samples = self._samples[number]
            recipe = self._recipe(chunk, stage, draws)
            reestimate = stage.objective.config.batch_norm.reestimate
            if reestimate == "before" and not only_steps:
                self._reestimate(chunk, samples, recipe, draws)
            if stage_steps:
                self._take_steps(chunk, samples, recipe, stage_steps, draws)
            if reestimate == "after" and not only_steps:
                self._reestimate(chunk, samples, recipe, draws)

    def _take_steps(
        self, chunk: _Chunk, samples: Examples, recipe: Recipe, steps: int, draws: Draws
    ) -> None:
        config = recipe.objective.config
        weights = sampling_weights(config, samples)

        def draw(purpose: tuple[int, ...]) -> Tensor:
            return draw_minibatches(
                len(samples), steps, config.batch_size, self._seed, *purpose, weights=weights
            )

        with seeded_torch(self._seed, "layers", *draws.purpose):
            chunk.train(samples, draws.minibatches(draw), recipe)

    def _recipe(self, chunk: _Chunk, stage: Stage, draws: Draws) -> Recipe:
        objective, genes, rows = stage.objective, self._genes, chunk.rows
        config = objective.config
        always = self._statistics if config.batch_norm.frozen else frozenset[str]()
        frozen = tuple(objective.frozen(genes, genome) | always for genome in rows.genomes)
        factors = [objective.rate_factors(genes, genome) for genome in rows.genomes]
        named = frozenset[str]().union(*factors)
        return Recipe(
            objective=objective,
            learning_rates=tuple(rate * stage.learning_rate_factor for rate in rows.learning_rates),
            freezing=Freezing(frozen, tensors_kept(genes, rows.genomes)),
            rate_factors={
                name: tuple(own.get(name, 1.0) for own in factors)
                for name in chunk.state
                if name in named
            },
            augment=_augment(config, self._seed, draws.purpose),
            validation=self._data.validation if config.early_stopping else None,
        )

    def _reestimate(self, chunk: _Chunk, samples: Examples, recipe: Recipe, draws: Draws) -> None:
        """Measure running statistics anew where the objective does not freeze them, in one pass over the samples.

        All minibatches are of one size: of more samples than fit into one, a few may be left out.
        """
        if not self._statistics:
            return
        # ``batch_norm.frozen`` keeps training from changing them; this is the moment at which they are made.
        objective, genes = recipe.objective, self._genes
        others = frozenset(chunk.state) - self._statistics
        only_statistics = replace(
            recipe,
            freezing=Freezing(
                tuple(objective.frozen(genes, genome) | others for genome in chunk.rows.genomes),
                recipe.freezing.kept,
            ),
            augment=None,
            validation=None,
            averages_statistics=True,
        )
        n_passes = math.ceil(len(samples) / STATISTICS_BATCH)
        # Drawn, because samples may come sorted by class; and beside the draws of training, which stay as they are.
        purpose: tuple[str | int, ...] = ("statistics", *draws.purpose)
        minibatches = draw_minibatches(
            len(samples), n_passes, len(samples) // n_passes, self._seed, *purpose
        )
        with seeded_torch(self._seed, *purpose):
            chunk.train(samples, Minibatches.common(minibatches), only_statistics)


def stage_examples(
    objective: Objective, data: TaskData, teachers: Mapping[str, Tensor]
) -> Examples:
    """The training part with what an objective's loss compares with beside the labels.

    Raises:
        InvalidInputError: There are more or fewer class weights than classes.
    """
    train = data.train
    targets: dict[str, Tensor] = {}
    weights = sample_weights(
        objective.config.loss.class_weights, train.labels, len(data.class_names)
    )
    if weights is not None:
        targets[WEIGHTS] = weights
    if objective.teacher is not None:
        targets[TEACHER] = teachers[objective.teacher.name].to(train.labels.device)
    return replace(train, targets=targets)


def sampling_weights(config: RecipeOptions, samples: Examples) -> Tensor | None:
    """How likely each sample is drawn, ``(N,)`` on the CPU; None where epochs are shuffled."""
    return balanced_draws(samples.labels).cpu() if config.sampling == "balanced" else None


def _augment(config: RecipeOptions, seed: int, purpose: tuple[int, ...]) -> Augment | None:
    if not config.augmentation:
        return None
    return Augmenter(config.augmentation, seed, *purpose).augment
