"""Networks of the library transformers: any architecture that it has for classifying text or images.

Built from a configuration alone: never from code that comes with a model, never over the network unless the operator
allows it.  Weights are the business of ``source`` and ``target``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from models.checkpoints import State
from models.data.preprocessing import ImagePreprocessing, Preprocessing
from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.gene_grouping import Granularity
from models.huggingface.architecture import Architecture, TaskName
from models.huggingface.folder import CONFIG, IMAGE_OPTIONS, ModelFolder
from models.huggingface.genes import group_transformer
from models.huggingface.hub import fetched_folder
from models.huggingface.images import image_preprocessing, processor_options
from models.huggingface.text import INPUT_NAMES, LONGEST, FolderTokenizer, PadToken
from models.surroundings import Surroundings
from models.tensor_names import NamedTensors
from search.errors import InvalidInputError
from search.registry import PluginConfig


class TransformersConfig(PluginConfig):
    """Options of a network of the library transformers; exactly one of path, config and hub."""

    kind: Literal["transformers"] = "transformers"
    task: TaskName = Field(description="what is classified: text or images")
    path: str | None = Field(
        None,
        min_length=1,
        description="folder below the inputs folder with config.json and, for text, a tokenizer",
    )
    config: dict[str, Any] | None = Field(
        None,
        description="what would be in a config.json: model_type and the architecture's options",
    )
    hub: str | None = Field(
        None,
        pattern=r"^[\w.-]+(/[\w.-]+)?$",
        max_length=200,
        description="name of a model on the Hugging Face hub, where the operator allows downloads; configuration and "
        "tokenizer are fetched, weights are not",
    )
    revision: str = Field(
        "main",
        pattern=r"^[\w./-]+$",
        max_length=200,
        description="with hub: which version; a commit, unlike a branch, stays what it is",
    )
    tokenizer: str | None = Field(
        None,
        min_length=1,
        description="folder below the inputs folder with a tokenizer; that of path or hub if null",
    )
    pad_token: PadToken = Field(
        "own",
        description="what fills up texts: the tokenizer's own token for that, or its token for the end of a text",
    )

    @model_validator(mode="after")
    def _is_described_once(self) -> TransformersConfig:
        given = [name for name in ("path", "config", "hub") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of path, config and hub must be given, not {' and '.join(given) or 'none of them'}"
            )
        return self


@FAMILIES.register(TransformersConfig)
class TransformersFamily(ModelFamily):
    """Builds networks of the library transformers, for text or for images."""

    def __init__(self, config: TransformersConfig, surroundings: Surroundings) -> None:
        """Read the configuration.

        Raises:
            InvalidInputError: It is not there, is none of the library's, or may not be fetched.
        """
        self._config, self._inputs = config, surroundings.inputs
        self._folder: ModelFolder | None = None
        if config.path is not None:
            self._folder = ModelFolder(surroundings.inputs, config.path, "model.path")
        elif config.hub is not None:
            self._folder = fetched_folder(config.hub, config.revision, surroundings)
        self._architecture = self._read_architecture()
        if config.config is not None:
            self._architecture.refuse_unknown_keys()

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network for text of any length that it takes, or for images of its size."""
        config = self._library_config([str(number) for number in range(shape.n_classes)])
        if self._architecture.is_for_images:
            _check_image(shape, config)
            self._architecture.check_size(config, shape.inputs["x"])
        else:
            _check_text(shape, self._longest)
        network = self._architecture.build(config)
        _check_names(shape, network)
        return network

    def preprocessing(self) -> Preprocessing:
        """Size and scale of images, or the tokenizer."""
        if self._architecture.is_for_images:
            return Preprocessing(image=self._images)
        return Preprocessing(text=self._tokenizer)

    def group(self, tensors: NamedTensors, granularity: Granularity) -> dict[str, list[str]]:
        """Attention and feed-forward parts of encoder layers, embeddings, and whatever else there is."""
        return group_transformer(tensors, granularity)

    def companion_files(
        self,
        shape: DataShape,
        class_names: Sequence[str],
        images: ImagePreprocessing | None = None,
    ) -> Mapping[str, bytes]:
        """Configuration with the names of classes, and the tokenizer or the image processor."""
        config = self._library_config(class_names)
        with torch.device("meta"):
            architectures = [type(self.build(shape)).__name__]
        document = config.to_dict() | {"architectures": architectures, "dtype": "float32"}
        files = {CONFIG: _json(document)}
        if self._architecture.is_for_images:
            if images is None and self._image_options is not None:
                # Who prepared the data is not known; what came with the model is likelier than nothing.
                images = self._images
            if images is not None:
                files[IMAGE_OPTIONS] = _json(processor_options(images))
        if self._tokenizer is not None and self._tokenizer.exists:
            files |= self._tokenizer.files()
        return files

    def network_names(self, names: Collection[str], shape: DataShape) -> dict[str, str]:
        """By the library's own table of what modules were called before, and with the name of the base model."""
        with torch.device("meta"):
            network = self.build(shape)
        return self._architecture.network_names(network, names)

    def reopened(self, folder: Path) -> State:
        """Read a folder by ``from_pretrained``."""
        return self._architecture.reopened(str(folder))

    def _read_architecture(self) -> Architecture:
        if self._folder is None:
            return Architecture(self._config.config or {}, self._config.task, "model.config")
        document = self._folder.read_json(CONFIG)
        assert document is not None  # the folder complains where there is none
        return Architecture(document, self._config.task, self._folder.field)

    def _library_config(self, class_names: Sequence[str]) -> Any:
        config = self._architecture.config(class_names)
        tokenizer = self._tokenizer
        has_padding = getattr(config, "pad_token_id", None) is not None
        if has_padding or tokenizer is None or not tokenizer.exists:
            return config
        # Decoders look for the filling in the tokens.
        return self._architecture.config(class_names, tokenizer.pad_token_id)

    @cached_property
    def _images(self) -> ImagePreprocessing | None:
        field = "model.config" if self._folder is None else self._folder.field
        return image_preprocessing(
            self._architecture.config(("0", "1")), self._image_options, field
        )

    @cached_property
    def _image_options(self) -> dict[str, Any] | None:
        return None if self._folder is None else self._folder.read_json(IMAGE_OPTIONS)

    @cached_property
    def _tokenizer(self) -> FolderTokenizer | None:
        if self._architecture.is_for_images:
            return None
        folder = self._folder
        if self._config.tokenizer is not None:
            folder = ModelFolder(self._inputs, self._config.tokenizer, "model.tokenizer")
        if folder is None:
            return None
        return FolderTokenizer(
            folder,
            pad_token=self._config.pad_token,
            limit=self._most_tokens,
            vocabulary=self._vocabulary_size,
        )

    def _most_tokens(self) -> int:
        return self._longest

    def _vocabulary_size(self) -> int | None:
        return getattr(self._architecture.config(("0", "1")), "vocab_size", None)

    @cached_property
    def _longest(self) -> int:
        """The most tokens that the network has positions for."""
        config = self._architecture.config(("0", "1"))
        limit = getattr(config, "max_position_embeddings", None)
        if not isinstance(limit, int) or limit < 1:
            return LONGEST
        with torch.device("meta"):
            network = self._architecture.build(config)
        offsets = [
            module.padding_idx + 1
            for name, module in network.named_modules()
            if name.endswith("position_embeddings")
            and isinstance(module, nn.Embedding)
            and module.padding_idx is not None
        ]
        # Some count positions from the padding's number on.
        return max(1, min(LONGEST, limit - max(offsets, default=0)))


def _check_image(shape: DataShape, config: Any) -> None:
    dimensions = shape.inputs.get("x", ())
    channels = getattr(config, "num_channels", 3)
    if set(shape.inputs) != {"x"} or len(dimensions) != 3 or dimensions[0] != channels:
        raise InvalidInputError(
            "dataset",
            f"inputs of shape {dict(shape.inputs)}",
            f"x of shape ({channels}, height, width); the model's num_channels says so",
        )


def _check_text(shape: DataShape, longest: int) -> None:
    lengths = {len(dimensions) for dimensions in shape.inputs.values()}
    if "input_ids" not in shape.inputs or lengths != {1}:
        raise InvalidInputError(
            "dataset",
            f"inputs of shape {dict(shape.inputs)}",
            f"text, as the inputs {' and '.join(INPUT_NAMES)} of shape (tokens,)",
        )
    (n_tokens,) = shape.inputs["input_ids"]
    if n_tokens > longest:
        raise InvalidInputError(
            "dataset", f"inputs of {n_tokens} tokens", f"at most the {longest} that the model takes"
        )


def _check_names(shape: DataShape, network: nn.Module) -> None:
    taken = {
        "x" if n == "pixel_values" else n for n in inspect.signature(network.forward).parameters
    }
    unknown = sorted(shape.inputs.keys() - taken)
    if unknown:
        raise InvalidInputError(
            "dataset",
            f"inputs named {', '.join(unknown)}",
            f"inputs that the network takes: {', '.join(sorted(taken))}",
        )


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, default=str) + "\n").encode()
