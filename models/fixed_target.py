"""A target network that is given once and never redrawn."""

from __future__ import annotations

from dataclasses import dataclass

from models.checkpoints import State


@dataclass(frozen=True, slots=True)
class FixedTarget:
    """Gives the same state at every replicate; unlike a lambda, it can be sent to another process."""

    state: State

    def __call__(self, replicate: int) -> State:  # noqa: ARG002 - the same at every replicate
        """Give the state itself, not a copy."""
        return self.state
