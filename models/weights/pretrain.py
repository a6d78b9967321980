"""Weights trained here, on another data set: a source without a download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from models.checkpoints import State, load_state, save_state
from models.data.dataset import Examples
from models.data.splits import PartSizes, split
from models.datasets import DATASETS
from models.family import open_data
from models.randomness import derive_seed, seeded_torch
from models.recipe.minibatches import draw_minibatches
from models.weights_source import WEIGHTS, WeightsContext, state_shapes
from search.errors import DataError, InvalidInputError
from search.registry import PluginConfig

if TYPE_CHECKING:
    from models.data.dataset import DatasetConfig
else:
    DatasetConfig = DATASETS.union()


class PretrainConfig(PluginConfig):
    """Options of training a network on another data set with Adam."""

    kind: Literal["pretrain"] = "pretrain"
    dataset: DatasetConfig = Field(
        description="what to train on, without the samples that the target task is validated and tested on and, with "
        "fitness.source_retention, this one; train_size of them if given"
    )
    steps: int = Field(600, ge=1, le=10_000_000, description="training steps")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="samples per step")
    learning_rate: float = Field(0.001, ge=1e-12, le=1e12, description="of Adam")


@WEIGHTS.register(PretrainConfig)
class PretrainedWeights:
    """Trains once per job; a restarted job finds the weights in its cache."""

    def __init__(self, config: PretrainConfig, context: WeightsContext) -> None:
        """Bind the options; no data are read."""
        self._config, self._context = config, context
        self._field = f"{context.field}.dataset"
        self._dataset = open_data(context.family, config.dataset, context.surroundings, self._field)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the architecture on the other data set: its head may have another size."""
        size, n_samples = self._config.dataset.train_size, self._dataset.n_samples()
        if size is not None and size > n_samples:
            raise InvalidInputError(
                f"{self._field}.train_size", size, f"at most the {n_samples} samples that there are"
            )
        return state_shapes(self._context.meta_network(self._dataset.shape()))

    def load(self, replicate: int) -> State:  # noqa: ARG002 - trained once for all replicates
        """Train, or read what was trained before."""
        cache = self._context.cache
        path = None if cache is None else cache / f"{self._context.field}.safetensors"
        if path is not None and path.exists():
            return load_state(path, self._context.field)
        state = self._train(self._training_part())
        if path is not None:
            save_state(path, state)
        return state

    def _training_part(self) -> Examples:
        """Everything that the search does not judge on, or a stratified part of it."""
        data = self._dataset.load()
        free = [i for i, name in enumerate(data.samples) if name not in self._context.held_out]
        if not free:
            raise DataError(
                self._field, f"{len(data.samples)} samples, all judged on", "some to train on"
            )
        examples = data.examples.take(torch.tensor(free))
        size = self._config.dataset.train_size
        if size is not None and size < len(examples):
            seed = derive_seed(self._context.seed, self._context.field, "split")
            sizes = PartSizes(size, 0, 0)
            chosen, _, _ = split(examples.labels.numpy(), sizes, seed, self._field)
            examples = examples.take(torch.from_numpy(chosen))
        return self._dataset.normalised(examples, examples)

    def _train(self, train: Examples) -> State:
        context, config = self._context, self._config
        with seeded_torch(context.seed, context.field, "pretrain"):
            network = context.family.build(self._dataset.shape()).train()
            optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
            for indices in draw_minibatches(
                len(train), config.steps, config.batch_size, context.seed, context.field, "pretrain"
            ):
                minibatch = train.take(indices)
                optimizer.zero_grad()
                loss = cross_entropy(network(**minibatch.inputs), minibatch.labels)
                loss.backward()
                optimizer.step()
        if not torch.isfinite(loss):
            raise InvalidInputError(
                f"{context.field}.learning_rate",
                config.learning_rate,
                "a rate at which the source trains",
            )
        return network.state_dict()
