"""What became of a checkpoint's tensors, as a document for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Tensors of a kind that a document names; the counts are always whole.
LISTED = 100
SHOWN = 3

Names = Annotated[tuple[str, ...], Field(max_length=LISTED)]


class Mismatch(BaseModel):
    """A tensor of the network that has another shape in the checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    in_checkpoint: tuple[int, ...]
    in_network: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.in_checkpoint} instead of {self.in_network}"


class CheckpointReport(BaseModel):
    """Which tensors of a checkpoint went where.

    A tied tensor counts once.  What a source lacks, or has in another shape, is kept from the target; what the network
    does not know is not read.  At most 100 tensors of a kind are named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="as the spec has it")
    files: int = Field(description="1, or the number of shards")
    renaming: tuple[str, ...] = Field(description="what was done to names, in words")
    converted: dict[str, int] = Field(description="tensors by their change of type")
    n_tensors: int = Field(description="tensors of the network")
    n_matched: int = Field(description="those that the checkpoint has, of the same shape")
    n_mismatched: int = Field(description="those that it has in another shape")
    mismatched: Annotated[tuple[Mismatch, ...], Field(max_length=LISTED)]
    n_missing: int = Field(description="those that it lacks")
    missing: Names
    n_unexpected: int = Field(description="tensors that the network does not have")
    unexpected: Names = Field(description="by their names in the checkpoint")

    @property
    def summary(self) -> str:
        """How much matched, and how, in one line."""
        files = f" ({self.files} files)" if self.files > 1 else ""
        head = f"{self.path}{files}: {self.n_matched} of {self.n_tensors} tensors matched"
        changes = (f"converted {n} from {change}" for change, n in self.converted.items())
        return "; ".join([head, *self.renaming, *changes])

    @property
    def details(self) -> list[str]:
        """What did not match, one line for each kind, with the first names of it."""
        kinds: list[tuple[int, str, Sequence[object]]] = [
            (self.n_mismatched, "of another shape", self.mismatched),
            (self.n_missing, "missing", self.missing),
            (self.n_unexpected, "unexpected", self.unexpected),
        ]
        return [f"{n} {what}: {_first(n, names)}" for n, what, names in kinds if n]


def _first(count: int, names: Sequence[object]) -> str:
    rest = count - len(names[:SHOWN])
    return ", ".join(map(str, names[:SHOWN])) + (f" and {rest} more" if rest else "")
