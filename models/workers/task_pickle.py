"""A task as bytes for a worker, or the reason why it cannot become any."""

from __future__ import annotations

import io
import pickle
import re
from types import FunctionType
from typing import Any

from models.evaluator import Task
from models.final_artifacts import FinalArtifacts
from models.workers.worker import Start

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class UnpicklableError(Exception):
    """Something cannot be pickled so that another process can read it; the message says what."""


def pickled_start(task: Task, artifacts: FinalArtifacts | None) -> bytes:
    """Pickle a worker's first message.

    Raises:
        UnpicklableError: A part of the task exists in this process only.
    """
    buffer = io.BytesIO()
    try:
        _StartPickler(buffer, pickle.HIGHEST_PROTOCOL).dump(Start(task, artifacts))
    except (pickle.PicklingError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        # Without addresses, the same task gives the same words: they are recorded.
        raise UnpicklableError(_ADDRESS.sub("", str(error))) from error
    return buffer.getvalue()


class _StartPickler(pickle.Pickler):
    """Refuses what the main program defines: a worker has another main program."""

    def reducer_override(self, value: Any) -> Any:
        """Look at every class and function; pickle all as usual."""
        if isinstance(value, type | FunctionType) and value.__module__ == "__main__":
            raise pickle.PicklingError(
                f"{value.__qualname__} is defined in the main program; move it into a module that is imported"
            )
        return NotImplemented
