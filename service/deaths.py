"""Why a job's child died, in words for the one whose search it was."""

from __future__ import annotations

import signal
from http import HTTPStatus

from service.problem import Problem, problem

LIKELY_CAUSES = {
    signal.SIGKILL: "often the out-of-memory killer; a smaller model, dataset or plan.chunks needs less",
    signal.SIGSEGV: "a crash inside a compiled library",
    signal.SIGBUS: "often a full disk or shared memory",
    signal.SIGABRT: "a library gave up",
}


def cause_of_death(exit_status: int, last_words: str) -> Problem:
    """Describe an end that nobody asked for.

    Args:
        exit_status: The exit code, or minus the signal.
        last_words: The end of the child's log; a traceback, where there was one.
    """
    how = _signal_text(-exit_status) if exit_status < 0 else f"exit code {exit_status}"
    code = "killed_by_signal" if exit_status < 0 else "crashed"
    detail = f"the search's process died again and again without a new evaluation, last by {how}"
    if last_words:
        detail = f"{detail}\n{last_words}"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, code, detail)


def cannot_start(error: OSError) -> Problem:
    """Describe a child that the machine would not start."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "cannot_start",
        f"the search's process could not be started: {error}",
    )


def _signal_text(number: int) -> str:
    try:
        name = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    cause = LIKELY_CAUSES.get(name)
    return f"signal {name.name}" + (f" ({cause})" if cause else "")
