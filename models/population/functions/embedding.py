"""Embeddings of all candidates: one look-up in their tables under each other.

``vmap``'s own rule forgets the padding of all candidates but the first where indices and tables both differ.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding

from models.population.batched import cover, is_batched_here, uncover
from models.population.population_function import stands_in_for


@stands_in_for(embedding)
def embedding_together(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Give ``(*, width)`` for indices ``(*)``.

    Raises:
        RuntimeError: An option depends on the table as a whole.
    """
    if not is_batched_here(weight):
        return embedding(
            input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
        )
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise RuntimeError(
            "an embedding with max_norm, scale_grad_by_freq or sparse has no fused form"
        )
    return rows_of_tables(input, uncover(weight, 0), padding_idx)


def rows_of_tables(indices: Tensor, tables: Tensor, padding_idx: int | None) -> Tensor:
    """Look up each candidate's rows in its own table.

    Row ``i`` of candidate ``p`` is row ``p * V + i`` of the common table.

    Args:
        indices: ``(*)`` of one candidate, the same for all or its own.
        tables: ``(P, V, width)``.
        padding_idx: A row that is read, but not trained; negative ones count from the end.

    Returns:
        ``(*, width)`` of one candidate.
    """
    size, n_rows, _ = tables.shape
    own = uncover(indices, 0) if is_batched_here(indices) else indices.unsqueeze(0)
    offsets = torch.arange(0, size * n_rows, n_rows, device=own.device)
    found = embedding(own + offsets.view(-1, *[1] * (own.ndim - 1)), tables.flatten(0, 1))
    if padding_idx is not None:
        is_padding = (own == padding_idx % n_rows).unsqueeze(-1)
        found = torch.where(is_padding, found.detach(), found)
    return cover(found, 0)
