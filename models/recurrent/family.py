"""What the families of recurrent networks have in common: options, inputs, text."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from pydantic import Field
from torch import nn

from models.data.byte_text import N_BYTE_TOKENS, ByteText
from models.data.preprocessing import Preprocessing
from models.data.shapes import DataShape
from models.family import ModelFamily
from models.huggingface.folder import ModelFolder
from models.huggingface.text import FolderTokenizer
from models.recurrent.network import Cell, RecurrentEncoder, SequenceNetwork, TokenNetwork
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from search.registry import PluginConfig

TOKENS, MASK = "input_ids", "attention_mask"


class RecurrentConfig(PluginConfig):
    """Options of a recurrent network."""

    width: int = Field(64, ge=1, le=65536, description="numbers that each direction remembers")
    layers: int = Field(2, ge=1, le=64, description="recurrent layers on top of each other")
    bidirectional: bool = Field(
        False, description="read sequences backwards too, by cells of their own"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="after every layer")
    embedding: int = Field(64, ge=1, le=65536, description="with text: numbers per token")
    tokenizer: str | None = Field(
        None,
        min_length=1,
        description="with text: folder below the inputs folder with a tokenizer.json; text is read byte by byte if "
        "null",
    )


class RecurrentFamily(ModelFamily):
    """Builds recurrent networks: layers over features or embedded tokens, and a head over where they end."""

    cell: ClassVar[Cell]

    def __init__(self, config: RecurrentConfig, surroundings: Surroundings) -> None:
        """Bind the options."""
        self._config, self._inputs = config, surroundings.inputs

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network for sequences ``(time, features)`` of numbers, or for text."""
        dimensions = shape.inputs.get("x", ())
        if set(shape.inputs) == {"x"} and len(dimensions) == 2 and min(dimensions) > 0:
            return SequenceNetwork(self._encoder(dimensions[1]), shape.n_classes)
        is_text = TOKENS in shape.inputs and shape.inputs.keys() <= {TOKENS, MASK}
        if not is_text or any(len(axes) != 1 for axes in shape.inputs.values()):
            raise InvalidInputError(
                "dataset",
                f"inputs of shape {dict(shape.inputs)}",
                f"one input x of shape (time, features), or text: {TOKENS} and {MASK} of shape (tokens,)",
            )
        embedding = nn.Embedding(self._n_tokens, self._config.embedding)
        return TokenNetwork(embedding, self._encoder(self._config.embedding), shape.n_classes)

    def preprocessing(self) -> Preprocessing:
        """Text by a tokenizer, or as bytes."""
        return Preprocessing(text=self._text)

    @cached_property
    def _text(self) -> FolderTokenizer | ByteText:
        if self._config.tokenizer is None:
            return ByteText()
        folder = ModelFolder(self._inputs, self._config.tokenizer, "model.tokenizer")
        # Where a sequence ends is told by its length: filling comes after it.
        return FolderTokenizer(folder, pad_token="own", padding_side="right")

    @property
    def _n_tokens(self) -> int:
        return N_BYTE_TOKENS if isinstance(self._text, ByteText) else self._text.n_tokens

    def _encoder(self, width_in: int) -> RecurrentEncoder:
        config = self._config
        return RecurrentEncoder(
            self.cell,
            width_in,
            width=config.width,
            n_layers=config.layers,
            is_bidirectional=config.bidirectional,
            dropout=config.dropout,
        )
