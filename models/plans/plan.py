"""The plan: how evaluations are computed.

A plan changes rounding and speed, never meaning.  It is part of what a ledger depends on, so a job commits to one
before its first evaluation; a spec may pin it.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.devices import available_cores
from models.plans.precision import DTypeName, storage_dtype
from models.population import LayoutName

# Chunks are padded to the next size, so that few different computations occur and a candidate's result does not depend
# on how many neighbours it has.
CHUNK_SIZES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)


class Plan(BaseModel):
    """How evaluations are computed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layout: LayoutName = Field(
        description="stacked or vmap: a chunk trains as one network; loop: one by one"
    )
    chunks: tuple[int, ...] = Field(
        (1,),
        min_length=1,
        max_length=64,
        description="allowed chunk sizes, ascending; the last is the usual one",
    )
    dtype: DTypeName = Field(
        "float32",
        description="arithmetic; bfloat16 and tf32 keep the weights in float32 and are for products only",
    )
    threads: int = Field(
        default_factory=available_cores, ge=1, le=1024, description="CPU threads of one computation"
    )
    processes: int = Field(
        1, ge=1, le=256, description="chunks that are trained side by side, each in its own process"
    )
    channels_last: bool = Field(
        False, description="images in memory pixel by pixel, not channel by channel; not with vmap"
    )
    captured: bool = Field(
        False, description="replay each training step as one captured graph; CUDA only"
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
    def label(self) -> str:
        """The plan in words, for tables: ``stacked x 8, channels last, 2 processes, 1 thread``."""
        parts = [self.layout if self.layout == "loop" else f"{self.layout} x {self.chunk_size}"]
        parts += [self.dtype] if self.dtype != "float32" else []
        parts += ["channels last"] if self.channels_last else []
        parts += ["captured"] if self.captured else []
        parts += [f"{self.processes} processes"] if self.processes > 1 else []
        return ", ".join([*parts, f"{self.threads} thread{'s' if self.threads > 1 else ''}"])

    @property
    def chunk_size(self) -> int:
        """Candidates that are trained together when there are enough."""
        return self.chunks[-1]

    @property
    def candidates_at_once(self) -> int:
        """Candidates that are measured at the same time when there are enough: one chunk per process."""
        return self.chunk_size * self.processes

    @property
    def torch_dtype(self) -> torch.dtype:
        """What weights and data are stored in."""
        return storage_dtype(self.dtype)

    def padded_size(self, n_candidates: int) -> int:
        """The chunk size that holds so many candidates; beyond the largest, exactly that many."""
        return next((size for size in self.chunks if size >= n_candidates), n_candidates)


def fused_plan(
    layout: LayoutName,
    chunk_size: int,
    threads: int,
    *,
    processes: int = 1,
    channels_last: bool = False,
) -> Plan:
    """A fused plan with the usual sizes up to one."""
    sizes = tuple(size for size in CHUNK_SIZES if size < chunk_size)
    return Plan(
        layout=layout,
        chunks=(*sizes, chunk_size),
        threads=threads,
        processes=processes,
        channels_last=channels_last,
    )
