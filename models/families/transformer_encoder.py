"""Transformer encoder for sequences of feature vectors: pre-norm blocks, mean over time, a linear head.

References: Vaswani et al., "Attention Is All You Need", NIPS 2017; Xiong et al., "On Layer Normalization in the
Transformer Architecture", ICML 2020 (the norm before each sub-layer, and one after the last).  Positions are learned,
drawn as in Devlin et al., "BERT", NAACL 2019.  Unlike the original, attention weights have no dropout.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from search.registry import PluginConfig

# PyTorch's own 1.0 would drown the embedded samples.
POSITION_DEVIATION = 0.02


class TransformerEncoderConfig(PluginConfig):
    """Options of a transformer encoder; the defaults give 27 layers."""

    kind: Literal["transformer_encoder"] = "transformer_encoder"
    width: int = Field(64, ge=1, le=65536, description="numbers per time step inside the network")
    layers: int = Field(4, ge=1, le=256, description="blocks of attention and feed-forward")
    heads: int = Field(4, ge=1, le=1024, description="attention heads; must divide width")
    feed_forward: int = Field(
        256, ge=1, le=262144, description="hidden width of each feed-forward part"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="after embedding, attention and feed-forward parts"
    )

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> TransformerEncoderConfig:
        if self.width % self.heads != 0:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


@FAMILIES.register(TransformerEncoderConfig)
class TransformerEncoderFamily(ModelFamily):
    """Builds transformer encoders: an embedding with positions, blocks, a linear head."""

    def __init__(self, config: TransformerEncoderConfig, surroundings: Surroundings) -> None:  # noqa: ARG002
        """Bind the options."""
        self._config = config

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network for sequences ``(time, features)`` of numbers, all of one length."""
        dimensions = shape.inputs.get("x", ())
        if set(shape.inputs) != {"x"} or len(dimensions) != 2:
            raise InvalidInputError(
                "dataset",
                f"inputs of shape {dict(shape.inputs)}",
                "one input x of shape (time, features)",
            )
        length, features = dimensions
        return TransformerEncoder(self._config, length, features, shape.n_classes)


class TransformerEncoder(nn.Module):
    """Embedding, positions, encoder, mean over time, head."""

    def __init__(
        self, config: TransformerEncoderConfig, length: int, features: int, n_classes: int
    ) -> None:
        """Build the layers in the order data pass them."""
        super().__init__()
        self.embedding = nn.Linear(features, config.width)
        # A layer of its own, so that positions are a gene and every layout knows how to stack them.
        self.positions = nn.Embedding(length, config.width)
        nn.init.normal_(self.positions.weight, std=POSITION_DEVIATION)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Encoder(config)
        self.head = nn.Linear(config.width, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits ``(N, C)`` for sequences ``(N, time, features)``."""
        # For every sample anew: a layout that folds candidates into the batch needs it in each layer's input.
        steps = torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)
        x = self.encoder(self.dropout(self.embedding(x) + self.positions(steps)))
        logits: torch.Tensor = self.head(x.mean(dim=1))
        return logits


class Encoder(nn.Module):
    """Blocks in order and the norm that pre-norm blocks need at their end, which goes with the last block's weights."""

    def __init__(self, config: TransformerEncoderConfig) -> None:
        """Build the blocks."""
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give features ``(N, time, width)``."""
        for block in self.blocks:
            x = block(x)
        features: torch.Tensor = self.norm(x)
        return features


class EncoderBlock(nn.Module):
    """Attention over time, then a feed-forward part at each time step, each beside a shortcut."""

    def __init__(self, config: TransformerEncoderConfig) -> None:
        """Build both parts."""
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give features ``(N, time, width)``."""
        x = x + self.attention(x)
        features: torch.Tensor = x + self.feed_forward(x)
        return features


class SelfAttention(nn.Module):
    """Multi-head attention of normalised features to themselves."""

    def __init__(self, config: TransformerEncoderConfig) -> None:
        """Build the norm and four projections, each a layer of its own."""
        super().__init__()
        self._heads = config.heads
        self.norm = nn.LayerNorm(config.width)
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.output = nn.Linear(config.width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give what is added to the features, ``(N, time, width)``."""
        x = self.norm(x)
        query, key, value = (
            projection(x).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        attended = scaled_dot_product_attention(query, key, value)
        change: torch.Tensor = self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        return change


class FeedForward(nn.Module):
    """Two layers with GELU between, over normalised features."""

    def __init__(self, config: TransformerEncoderConfig) -> None:
        """Build the norm and both layers."""
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.feed_forward)
        self.contract = nn.Linear(config.feed_forward, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give what is added to the features, ``(N, time, width)``."""
        change: torch.Tensor = self.dropout(self.contract(gelu(self.expand(self.norm(x)))))
        return change
