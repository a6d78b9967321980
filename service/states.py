"""The states of a job, and the only ways from one to another."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class JobState(StrEnum):
    """Where a search stands; the words of the HTTP contract."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_finished(self) -> bool:
        """True for a state that no job leaves."""
        return not TRANSITIONS[self]

    def can_become(self, other: JobState) -> bool:
        """Tell whether the transition is in the table."""
        return other in TRANSITIONS[self]


# A running job goes back to the queue when its supervisor shuts down.  A cancelling job can only become
# cancelled: a result that arrives after the request is too late.
TRANSITIONS = MappingProxyType(
    {
        JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
        JobState.RUNNING: frozenset(
            {JobState.QUEUED, JobState.CANCELLING, JobState.SUCCEEDED, JobState.FAILED}
        ),
        JobState.CANCELLING: frozenset({JobState.CANCELLED}),
        JobState.CANCELLED: frozenset(),
        JobState.SUCCEEDED: frozenset(),
        JobState.FAILED: frozenset(),
    }
)

FINISHED = tuple(state for state in JobState if state.is_finished)
# A worker owns the job and its child may write.
OWNED = (JobState.RUNNING, JobState.CANCELLING)


def sources_of(state: JobState) -> tuple[JobState, ...]:
    """Give the states that may become ``state``, for the condition of an UPDATE."""
    return tuple(source for source in JobState if source.can_become(state))
