"""Whether a recipe fits a network, its genes and its data: all that can be told before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from models.data.shapes import DataShape
from models.genes import GeneMap
from models.population.gated_norm import running_statistics
from models.population.modes import has_dropout
from models.recipe.class_weights import check_class_weights
from models.recipe.options import BatchNormOptions, RecipeOptions
from models.recipe.strategy import TrainingOptions, build_strategy
from models.recipe.teachers import check_source_teaches
from search.errors import InvalidInputError


def check_recipe(
    options: TrainingOptions,
    *,
    genes: GeneMap,
    network: nn.Module,
    shape: DataShape,
    source: Mapping[str, tuple[int, ...]],
) -> None:
    """Refuse what would fail later, or would do nothing without a word.

    Args:
        options: Of the strategy.
        genes: Of the search.
        network: The architecture; on the meta device, say.
        shape: Of the target task's data.
        source: Shapes of the source's tensors.

    Raises:
        InvalidInputError: Names the field, what came and what was expected.
    """
    for place, recipe in options.recipes.items():
        with _standing_at(place):
            recipe.check(genes)
            check_class_weights(recipe.loss.class_weights, shape.n_classes)
            for augmentation in recipe.augmentation:
                augmentation.check(shape)
            _check_layers(recipe, network)
            teachers = [stage.objective.teacher for stage in build_strategy(recipe).stages]
            if any(teacher is not None and not teacher.steps for teacher in teachers):
                check_source_teaches(network, source)


@contextmanager
def _standing_at(place: str) -> Iterator[None]:
    """Let the errors of a block name fields of the recipe that stands at a place below ``finetune``."""
    try:
        yield
    except InvalidInputError as error:
        if not place:
            raise
        field = error.field.replace("finetune", f"finetune.{place}", 1)
        raise InvalidInputError(field, error.given, error.expected) from error


def _check_layers(config: RecipeOptions, network: nn.Module) -> None:
    if config.dropout is not None and not any(map(has_dropout, network.modules())):
        raise InvalidInputError(
            "finetune.dropout", config.dropout, "null: the network has no dropout layer"
        )
    if config.batch_norm != BatchNormOptions() and not running_statistics(network):
        raise InvalidInputError(
            "finetune.batch_norm",
            config.batch_norm.model_dump(),
            "nothing: the network has no running statistics",
        )
