"""The table of transitions."""

from __future__ import annotations

import pytest

from service.states import FINISHED, TRANSITIONS, JobState, sources_of


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(TRANSITIONS) == set(JobState)


@pytest.mark.parametrize("state", FINISHED)
def test_a_finished_job_never_changes(state: JobState) -> None:
    assert not any(state.can_become(other) for other in JobState)


def test_exactly_three_states_are_finished() -> None:
    assert set(FINISHED) == {JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED}


def test_every_state_but_the_first_can_be_reached() -> None:
    assert all(sources_of(state) for state in JobState)


def test_a_result_that_arrives_after_a_cancel_is_too_late() -> None:
    assert not JobState.CANCELLING.can_become(JobState.SUCCEEDED)
