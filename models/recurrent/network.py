"""A recurrent network over sequences of numbers or of tokens, and a linear head over where its layers end.

References: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014 (gated recurrent unit);
Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9 (1997); Schuster and Paliwal, "Bidirectional
Recurrent Neural Networks", IEEE Transactions on Signal Processing 45 (1997).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Cell = type[nn.GRU] | type[nn.LSTM]


class RecurrentLayer(nn.Module):
    """One layer in one or both directions; each direction is a module of its own, and so a gene."""

    def __init__(self, cell: Cell, width_in: int, width: int, *, is_bidirectional: bool) -> None:
        """Build the cells."""
        super().__init__()
        self.forwards = cell(width_in, width, batch_first=True)
        self.backwards = cell(width_in, width, batch_first=True) if is_bidirectional else None

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Run over sequences of different lengths.

        Args:
            x: ``(N, T, width in)``; what comes after a sequence's end is not looked at.
            lengths: int64 ``(N,)``, 1 to T.

        Returns:
            Features of every step, ``(N, T, width out)``, and those where each direction ends, ``(N, width out)``.
        """
        last = (lengths - 1).view(-1, 1, 1)
        ahead, _ = self.forwards(x)
        ends = ahead.gather(1, last.expand(-1, 1, ahead.shape[-1]))
        if self.backwards is None:
            return ahead, ends.squeeze(1)
        # Turned round by their own lengths, so that filling comes after the end in this direction too.
        back = turned_round(self.backwards(turned_round(x, lengths))[0], lengths)
        return torch.cat([ahead, back], dim=-1), torch.cat([ends, back[:, :1]], dim=-1).squeeze(1)


class RecurrentEncoder(nn.Module):
    """Layers on top of each other."""

    def __init__(
        self,
        cell: Cell,
        width_in: int,
        *,
        width: int,
        n_layers: int,
        is_bidirectional: bool,
        dropout: float,
    ) -> None:
        """Build the layers in order."""
        super().__init__()
        self.width = width * (2 if is_bidirectional else 1)
        widths = [width_in, *[self.width] * (n_layers - 1)]
        self.layers = nn.ModuleList(
            RecurrentLayer(cell, w, width, is_bidirectional=is_bidirectional) for w in widths
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Give where the last layer ends, ``(N, width)``, for ``(N, T, width in)``."""
        ends = x[:, 0]
        for layer in self.layers:
            x, ends = layer(x, lengths)
            x = self.dropout(x)
        dropped: Tensor = self.dropout(ends)
        return dropped


class SequenceNetwork(nn.Module):
    """Over sequences of numbers, all of one length."""

    def __init__(self, encoder: RecurrentEncoder, n_classes: int) -> None:
        """Put a head on an encoder."""
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give logits ``(N, C)`` for sequences ``(N, time, features)``."""
        lengths = torch.full((len(x),), x.shape[1], device=x.device)
        logits: Tensor = self.head(self.encoder(x, lengths))
        return logits


class TokenNetwork(nn.Module):
    """Over sequences of tokens, filled up at their ends."""

    def __init__(self, embedding: nn.Embedding, encoder: RecurrentEncoder, n_classes: int) -> None:
        """Put an embedding under an encoder and a head on it."""
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.head = nn.Linear(encoder.width, n_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Give logits ``(N, C)`` for tokens ``(N, T)`` and a mask that is 1 where they are no filling."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        # A text of no token at all is one of filling.
        lengths = mask.sum(dim=1).clamp(min=1)
        logits: Tensor = self.head(self.encoder(self.embedding(input_ids), lengths))
        return logits


def turned_round(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse sequences ``(N, T, width)`` up to their lengths ``(N,)``; what comes after stays where it is."""
    steps = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
    mirrored = lengths.unsqueeze(1) - 1 - steps
    places = torch.where(mirrored >= 0, mirrored, steps)
    return x.gather(1, places.unsqueeze(-1).expand_as(x))
