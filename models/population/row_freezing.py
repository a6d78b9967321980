"""Frozen rows: keeps some candidates' tensors as they were while an optimizer changes those of their neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from models.recipe.freezing import Freezing


class RowFreezing:
    """The values of frozen rows of a stacked state, to be put back after every step.

    An optimizer over stacked leaves changes every row: weight decay and momentum even where the gradient is zero.
    """

    def __init__(
        self, state: Mapping[str, Tensor], freezing: Freezing, names: Iterable[str]
    ) -> None:
        """Copy the rows that are frozen.

        Args:
            state: ``(P, *shape)`` per tensor; training changes these very tensors in place.
            freezing: What each candidate freezes.
            names: Tensors to watch; those without a frozen row cost nothing.
        """
        self._frozen: list[tuple[Tensor, Tensor, Tensor]] = []
        for name in names:
            rows = [row for row, is_frozen in enumerate(freezing.rows(name)) if is_frozen]
            if rows:
                tensor = state[name]
                index = torch.tensor(rows, device=tensor.device)
                self._frozen.append((tensor, index, tensor.detach()[index]))

    @torch.no_grad()
    def after_step(self) -> None:
        """Put the frozen rows back."""
        for tensor, index, values in self._frozen:
            tensor.index_copy_(0, index, values)
