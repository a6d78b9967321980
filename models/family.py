"""The seam for network architectures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from models.checkpoints import State, load_state
from models.data.dataset import Dataset, DatasetConfig, DatasetContext, open_dataset
from models.data.preprocessing import ImagePreprocessing, Preprocessing
from models.data.shapes import DataShape
from models.gene_grouping import Granularity, group_tensors
from models.surroundings import Surroundings
from models.tensor_names import NamedTensors
from search.registry import PluginConfig, Registry

# The weights in a folder that a library loads.
MODEL_WEIGHTS = "model.safetensors"


class ModelFamily(Protocol):
    """Builds networks of one kind of architecture; families inherit what they do not say themselves.

    The promise: ``build`` draws initial weights from torch's global generator only, works on the meta device, and
    gives a module that is called with the data's named inputs and returns logits ``(N, C)``.  A family is sent to other
    processes (pickled), where it must draw the same weights.
    """

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network with default initial weights.

        Raises:
            InvalidInputError: The data do not fit the architecture; the field is ``dataset``.
        """
        ...

    def preprocessing(self) -> Preprocessing:
        """What raw images and text must become; no opinion by default."""
        return Preprocessing()

    def group(self, tensors: NamedTensors, granularity: Granularity) -> dict[str, list[str]]:
        """Tensors of each gene by the gene's name, in order; by modules by default.

        Args:
            tensors: Of a network that ``build`` gave.
            granularity: What is one gene; not ``groups``, which are the user's own.
        """
        return group_tensors(tensors, granularity)

    def companion_files(
        self,
        shape: DataShape,  # noqa: ARG002 - most families have none
        class_names: Sequence[str],  # noqa: ARG002
        images: ImagePreprocessing | None = None,  # noqa: ARG002
    ) -> Mapping[str, bytes]:
        """Files by name that make a folder with weights, ``MODEL_WEIGHTS``, one that their library loads.

        Args:
            shape: Of the data that the network is for.
            class_names: Of the ``C`` classes, in order.
            images: How the data come from image files, where they do.

        Returns:
            None by default: then there is no such folder.
        """
        return {}

    def network_names(self, names: Collection[str], shape: DataShape) -> dict[str, str]:  # noqa: ARG002
        """What a network calls the tensors that a file of published weights calls so; the same by default.

        Args:
            names: In the file; those that no network of the family knows are given back as they are.
            shape: Of the data that the network is for.
        """
        return {name: name for name in names}

    def reopened(self, folder: Path) -> State:
        """Read such a folder as its library does: the state of the network that a user will get.

        By default there is no library, and the weights are what the file holds.

        Raises:
            RuntimeError: The library does not find what it expects there.
        """
        return load_state(folder / MODEL_WEIGHTS)


FAMILIES: Registry[ModelFamily] = Registry("model", "models.families")


def open_data(
    family: ModelFamily, config: DatasetConfig, surroundings: Surroundings, field: str = "dataset"
) -> Dataset:
    """Open a data set for the networks of a family.

    Args:
        family: Says what raw data must become.
        config: Which data set.
        surroundings: What the spec may reach.
        field: Where the data set stands in the spec.

    Raises:
        InvalidInputError: The data set cannot be opened.
    """
    return open_dataset(config, DatasetContext(surroundings, family.preprocessing(), field))


def build_family(config: PluginConfig, surroundings: Surroundings) -> ModelFamily:
    """Construct the family that a config names.

    Raises:
        InvalidInputError: What the config names is not there, or the operator does not allow it.
    """
    return FAMILIES.plugin(config.kind)(config, surroundings)  # type: ignore[call-arg]  # a Protocol has no __init__
