"""What the service can refuse, and the status that each refusal has.

TransferMaskError
├── InvalidInputError            422   (of ``search``: every field that is wrong)
├── NotFoundError                404
│   └── ArtifactNotFoundError
├── ArtifactInUseError           409   a search needs the upload
├── StorageFullError             507   no room for another upload
├── ImpossibleTransitionError    409   a state that the job cannot go to from where it is
├── ResultNotReadyError          409   no result yet, or never
├── NoModelFolderError           404   a result whose architecture belongs to no library
├── IdempotencyKeyReusedError    422   one key for two different bodies
└── ServiceError                 -     raised by the client: the problem document that a server sent
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.errors import TransferMaskError
from service.states import JobState

if TYPE_CHECKING:
    from service.problem import Problem

# A refusal to delete names so many searches.
NAMED_SEARCHES = 3


class NotFoundError(TransferMaskError, LookupError):
    """No search has that id."""

    def __init__(self, search_id: str) -> None:
        """Keep the id."""
        self.search_id = search_id
        super().__init__(
            f"there is no search {search_id!r}; GET /v1/searches lists those there are"
        )


class ArtifactNotFoundError(NotFoundError):
    """No upload has that id."""

    def __init__(self, artifact_id: str) -> None:
        """Keep the id."""
        self.artifact_id = artifact_id
        TransferMaskError.__init__(
            self, f"there is no upload {artifact_id!r}; GET /v1/artifacts lists those there are"
        )


class ArtifactInUseError(TransferMaskError):
    """Searches that are stored need an upload."""

    def __init__(self, artifact_id: str, search_ids: Sequence[str], n_searches: int) -> None:
        """Keep some of the searches and the number of them all."""
        self.artifact_id, self.search_ids = artifact_id, tuple(search_ids)
        named = ", ".join(self.search_ids[:NAMED_SEARCHES])
        more = n_searches - NAMED_SEARCHES
        super().__init__(
            f"upload {artifact_id} is needed by {named}{f' and {more} more' if more > 0 else ''}; "
            "delete these searches first"
        )


class StorageFullError(TransferMaskError):
    """There is no room for another upload."""

    def __init__(self, reason: str) -> None:
        """Say what is full."""
        super().__init__(
            f"{reason}; GET /v1/artifacts lists what is there, and DELETE frees what no search needs"
        )


class ImpossibleTransitionError(TransferMaskError):
    """The job's state does not allow what was asked."""

    def __init__(self, search_id: str, state: JobState, wanted: str) -> None:
        """Keep the state and what was wanted (a state, or an action such as ``"deleted"``)."""
        self.search_id, self.state, self.wanted = search_id, state, wanted
        super().__init__(f"search {search_id} is {state} and cannot be {wanted}")


class ResultNotReadyError(TransferMaskError):
    """The search has no result, or lacks an artifact of it."""

    def __init__(self, search_id: str, state: JobState) -> None:
        """Keep the state."""
        self.search_id, self.state = search_id, state
        hint = "its error says why" if state.is_finished else "poll it until it has succeeded"
        super().__init__(f"search {search_id} is {state} and has no result; {hint}")


class NoModelFolderError(TransferMaskError, LookupError):
    """The weights that a search delivered are not of an architecture that a library loads from a folder."""

    def __init__(self, search_id: str) -> None:
        """Keep the id."""
        self.search_id = search_id
        super().__init__(
            f"search {search_id} has no model folder: no library loads its architecture by itself; "
            f"GET /v1/searches/{search_id}/result/weights gives its weights"
        )


class IdempotencyKeyReusedError(TransferMaskError):
    """The key belongs to a search that was asked for with another body."""

    def __init__(self, key: str, search_id: str) -> None:
        """Keep the key and the search it belongs to."""
        self.key, self.search_id = key, search_id
        super().__init__(
            f"Idempotency-Key {key!r} was used for search {search_id} with another body; "
            "use a new key for a new search"
        )


class ServiceError(TransferMaskError):
    """A server refused a request; carries its problem document."""

    def __init__(self, problem: Problem) -> None:
        """Keep the document."""
        self.problem = problem
        fields = "".join(f"\n  {field}" for field in problem.errors)
        super().__init__(f"{problem.title}: {problem.detail}{fields}")
