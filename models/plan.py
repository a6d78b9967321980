"""The plan: how evaluations are computed.

A plan changes rounding and speed, never meaning.  It is part of what a ledger depends on, so a job commits to one
before its first evaluation; a spec may pin it.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.devices import available_cores
from models.population import LayoutName

# Chunks are padded to the next size, so that few different computations occur and a candidate's result does not depend
# on how many neighbours it has.
CHUNK_SIZES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Plan(BaseModel):
    """How evaluations are computed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layout: LayoutName = Field(description="vmap: a chunk trains as one network; loop: one by one")
    chunks: tuple[int, ...] = Field(
        (1,),
        min_length=1,
        max_length=64,
        description="allowed chunk sizes, ascending; the last is the usual one",
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="of weights and data")
    threads: int = Field(
        default_factory=available_cores, ge=1, le=1024, description="CPU threads of one computation"
    )

    @model_validator(mode="after")
    def _chunks_fit(self) -> Plan:
        # A chunk that does not fit into memory is halved, down to one candidate.
        if list(self.chunks) != sorted(set(self.chunks)) or self.chunks[0] != 1:
            raise ValueError(f"chunks {list(self.chunks)} must be ascending sizes that start at 1")
        if self.layout == "loop" and self.chunks != (1,):
            raise ValueError(
                f"layout loop trains one by one: chunks must be [1], given {list(self.chunks)}"
            )
        return self

    @property
    def chunk_size(self) -> int:
        """Candidates that are trained together when there are enough."""
        return self.chunks[-1]

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch has it."""
        return DTYPES[self.dtype]

    def padded_size(self, n_candidates: int) -> int:
        """The chunk size that holds so many candidates; beyond the largest, exactly that many."""
        return next((size for size in self.chunks if size >= n_candidates), n_candidates)


def vmap_plan(chunk_size: int, threads: int) -> Plan:
    """A fused plan with the usual sizes up to one."""
    sizes = tuple(size for size in CHUNK_SIZES if size < chunk_size)
    return Plan(layout="vmap", chunks=(*sizes, chunk_size), threads=threads)
